//! The one node that runs pods: bridge, containerd, kubelet.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::layout::{API_ADDRESS, BRIDGE, BRIDGE_ADDRESS, Layout, NETWORK_NAME, NODE, POD_NETWORK, POD_PREFIX, Ports};
use super::process::Managed;
use super::{CONTAINERD, KUBELET, SERVICE_IMAGE_DEADLINE};
use crate::exec::Tool;
use crate::parts::{Part, Parts, Programs};

/// `ip` answers at once; a loaded machine may take its time.
const IP: Duration = Duration::from_secs(20);

/// Kernel settings that kubelet and the network plugins change.
const SYSCTLS: [&str; 7] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    "net/ipv4/ip_forward",
];

/// Folders that containerd, kubelet and the plugins make outside the run folder, outermost first.
const OUTSIDE_FOLDERS: [&str; 10] = [
    "/run/containerd",
    "/run/containerd/s",
    "/var/lib/cni",
    "/var/lib/cni/results",
    "/var/lib/kubelet",
    "/var/lib/kubelet/device-plugins",
    "/var/log/containers",
    "/var/log/pods",
    "/run/netns",
    "/run/mount",
];

/// The image every pod's network namespace is held open by.
pub(crate) const PAUSE_IMAGE: &str = "localhost/pause:1";

pub(crate) fn read_sysctls() -> BTreeMap<PathBuf, String> {
    let path = |name: &&str| PathBuf::from("/proc/sys").join(name);
    SYSCTLS
        .iter()
        .map(path)
        .filter_map(|path| fs::read_to_string(&path).ok().map(|value| (path, value.trim().to_owned())))
        .collect()
}

pub(crate) fn absent_folders() -> Vec<PathBuf> {
    OUTSIDE_FOLDERS.iter().map(PathBuf::from).filter(|folder| !folder.exists()).collect()
}

/// Makes the bridge with this machine's two addresses on it.
pub(crate) fn make_bridge(programs: &Programs) -> Result<()> {
    let ip = |args: &[&str]| Tool::new(&programs.ip, IP).args(args).run();
    let taken = ip(&["-oneline", "-4", "address", "show", "to", "10.244.0.0/21"])?.stdout;
    if !taken.trim().is_empty() {
        bail!(
            "the lab's pods use 10.244.0.0/21, and this machine already has an address there; stop what it belongs to:\n{taken}"
        );
    }
    ip(&["link", "add", BRIDGE, "type", "bridge"])?;
    ip(&["address", "add", &format!("{BRIDGE_ADDRESS}/{POD_PREFIX}"), "dev", BRIDGE])?;
    ip(&["address", "add", &format!("{API_ADDRESS}/32"), "dev", BRIDGE])?;
    ip(&["link", "set", BRIDGE, "up"])?;
    Ok(())
}

/// Removes the bridge, if it is there.
pub(crate) fn remove_bridge() -> Result<()> {
    if bridge_exists() {
        Tool::new("ip", IP).args(["link", "delete", BRIDGE]).run()?;
    }
    Ok(())
}

pub(crate) fn bridge_exists() -> bool {
    PathBuf::from("/sys/class/net").join(BRIDGE).exists()
}

/// Writes the node's configuration files and says how its programs are started.
pub(crate) fn components(
    programs: &Programs,
    parts: &Parts,
    layout: &Layout,
    ports: &Ports,
) -> Result<BTreeMap<String, Managed>> {
    let write = |name: &str, text: String| {
        fs::write(layout.file(name), text).with_context(|| format!("cannot write {name} in the run folder"))
    };
    write("containerd.toml", containerd_config(programs, layout))?;
    write("cni/10-lab.conflist", serde_json::to_string_pretty(&network_config(layout))?)?;
    write("kubelet.yaml", serde_yaml_ng::to_string(&kubelet_config(layout, ports))?)?;
    let containerd = Managed::new(
        programs.containerd.clone(),
        layout.log(CONTAINERD),
        vec!["--config".to_owned(), layout.text("containerd.toml")],
    );
    let kubelet = Managed::new(parts.program(Part::Kubernetes, KUBELET), layout.log(KUBELET), kubelet_args(layout));
    Ok(BTreeMap::from([(CONTAINERD.to_owned(), containerd), (KUBELET.to_owned(), kubelet)]))
}

/// Imports an image file into containerd's store for Kubernetes.
pub(crate) fn import_image(ctr: &PathBuf, layout: &Layout, file: &std::path::Path) -> Result<()> {
    Tool::new(ctr, SERVICE_IMAGE_DEADLINE)
        .arg("--address")
        .arg(layout.containerd_socket())
        .args(["--namespace", "k8s.io", "images", "import"])
        .arg(file)
        .run()?;
    Ok(())
}

fn containerd_config(programs: &Programs, layout: &Layout) -> String {
    // Overlay file systems do not stack; on one (in a container) images are copied instead.
    let snapshotter = if on_overlay(layout) { "native" } else { "overlayfs" };
    format!(
        r#"version = 2
root = "{root}"
state = "{state}"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]

[grpc]
  address = "{socket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Lowering a process's kill score needs a capability that virtual machines and containers often withhold.
  restrict_oom_score_adj = true
  # Keeps the pods' network namespaces in the run folder, where taking the lab down finds them.
  netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "{snapshotter}"
  default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false
  Root = "{runc}"

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{plugins}"
  conf_dir = "{networks}"
"#,
        root = layout.text("containerd"),
        state = layout.text("containerd-state"),
        socket = layout.containerd_socket().display(),
        runc = layout.text("runc"),
        plugins = programs.plugins.display(),
        networks = layout.text("cni"),
    )
}

fn on_overlay(layout: &Layout) -> bool {
    nix::sys::statfs::statfs(layout.root()).is_ok_and(|stats| stats.filesystem_type() == nix::sys::statfs::OVERLAYFS_SUPER_MAGIC)
}

fn network_config(layout: &Layout) -> serde_json::Value {
    json!({
        "cniVersion": "1.0.0",
        "name": NETWORK_NAME,
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": true,
                "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    "dataDir": layout.text("addresses"),
                    "ranges": [[{"subnet": POD_NETWORK}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "loopback"},
        ],
    })
}

fn kubelet_config(layout: &Layout, ports: &Ports) -> serde_json::Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": BRIDGE_ADDRESS.to_string(),
        "port": ports.kubelet,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": ports.kubelet_health,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": layout.text("pki/ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": format!("unix://{}", layout.containerd_socket().display()),
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": false,
        "enforceNodeAllocatable": [],
        "makeIPTablesUtilChains": false,
        "failSwapOn": false,
        "resolvConf": "",
        "oomScoreAdj": 0,
        "maxPods": 250,
        "podLogsDir": layout.text("pod-logs"),
        "volumePluginDir": layout.text("volume-plugins"),
        // Our images exist nowhere else: never collect them, and never evict for a disk that others fill.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "nodefs.inodesFree": "1%", "imagefs.available": "1%"},
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
    })
}

fn kubelet_args(layout: &Layout) -> Vec<String> {
    vec![
        format!("--config={}", layout.text("kubelet.yaml")),
        format!("--kubeconfig={}", layout.kubeconfig(KUBELET).display()),
        format!("--root-dir={}", layout.text("kubelet")),
        format!("--cert-dir={}", layout.text("kubelet-pki")),
        format!("--hostname-override={NODE}"),
        format!("--node-ip={BRIDGE_ADDRESS}"),
    ]
}
