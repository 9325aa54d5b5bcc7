//! Where a lab keeps its files while it runs, and the addresses it uses.
//!
//! The run folder holds everything (stores, sockets, keys, logs, pods' files), so that removing it removes the lab. Its path is short
//! because socket paths end at 108 bytes.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// The bridge between this machine and the pods.
pub(crate) const BRIDGE: &str = "fbk0";
/// This machine's address on the bridge; pods reach Prometheus here.
pub(crate) const BRIDGE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
/// The pods' network, with the bridge in it.
pub(crate) const POD_NETWORK: &str = "10.244.0.0/22";
/// Length of the pod network's prefix.
pub(crate) const POD_PREFIX: u8 = 22;
/// Services' addresses. Only one of them works (the lab has no kube-proxy), and it is not in 10.0.0.0/24, where home and cloud routers live.
pub(crate) const SERVICE_NETWORK: &str = "10.244.4.0/24";
/// The first service address, which Kubernetes gives to the service `kubernetes`. The bridge carries it too and the API server listens
/// on it, so that what pods are told about the API server is true without a kube-proxy.
pub(crate) const API_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 244, 4, 1);
/// The port of the service `kubernetes`.
pub(crate) const API_PORT: u16 = 443;
/// The name of the only node, and of the network in the plugins' files.
pub(crate) const NODE: &str = "lab";
/// The name of the pods' network in the plugins' own files.
pub(crate) const NETWORK_NAME: &str = "firebreak-lab";

/// The paths of one lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The run folder of the lab called `name`.
    pub(crate) fn of(name: &str) -> Result<Self> {
        let plain = !name.is_empty() && name.len() <= 20 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !plain {
            bail!("a lab's name is up to 20 letters, digits and dashes, not {name:?}");
        }
        Ok(Self { root: run_folder().join(name) })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.file(name).to_string_lossy().into_owned()
    }

    pub(crate) fn log(&self, component: &str) -> PathBuf {
        self.root.join("logs").join(format!("{component}.log"))
    }

    pub(crate) fn kubeconfig(&self, user: &str) -> PathBuf {
        self.root.join(format!("{user}.kubeconfig"))
    }

    pub(crate) fn containerd_socket(&self) -> PathBuf {
        self.file("containerd.sock")
    }

    pub(crate) fn make_folders(&self) -> Result<()> {
        for folder in ["logs", "pki", "cni", "users"] {
            let path = self.file(folder);
            std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        // Keys of the cluster's administrator are in there.
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&self.root, owner_only).with_context(|| format!("cannot protect {}", self.root.display()))
    }
}

/// The folder that holds every lab's run folder: `$FIREBREAK_LAB_RUN`, else a fixed place on a disk (stores and images do not belong
/// into memory).
pub(crate) fn run_folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("FIREBREAK_LAB_RUN").filter(|folder| !folder.is_empty()) {
        return PathBuf::from(folder);
    }
    let user = nix::unistd::geteuid();
    let name = if user.is_root() { "firebreak-lab".to_owned() } else { format!("firebreak-lab-{user}") };
    Path::new("/var/tmp").join(name)
}

/// The ports of one lab, free when it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) etcd: u16,
    pub(crate) etcd_peer: u16,
    pub(crate) api: u16,
    pub(crate) controller_manager: u16,
    pub(crate) scheduler: u16,
    pub(crate) kubelet: u16,
    pub(crate) kubelet_health: u16,
    pub(crate) prometheus: u16,
    pub(crate) gateway: u16,
    pub(crate) gateway_metrics: u16,
}

impl Ports {
    /// Ports nobody listens on now, all different.
    pub(crate) fn free() -> Result<Self> {
        let mut held = Vec::new();
        let mut next = || -> Result<u16> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on the loopback address")?;
            let port = listener.local_addr()?.port();
            held.push(listener);
            Ok(port)
        };
        Ok(Self {
            etcd: next()?,
            etcd_peer: next()?,
            api: next()?,
            controller_manager: next()?,
            scheduler: next()?,
            kubelet: next()?,
            kubelet_health: next()?,
            prometheus: next()?,
            gateway: next()?,
            gateway_metrics: next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_name_that_could_leave_the_run_folder_when_asked_for_then_it_is_refused() {
        assert!(Layout::of("lab-2").is_ok());
        for bad in ["", "..", "a/b", "a b", "much-too-long-for-a-socket-path"] {
            assert!(Layout::of(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn given_the_deepest_socket_when_its_path_is_built_then_it_fits_into_a_socket_address() {
        let layout = Layout::of("twenty-letters-long1").unwrap();
        let deepest = layout.text("kubelet/device-plugins/kubelet.sock");
        assert!(deepest.len() < 108, "{deepest}");
    }
}
