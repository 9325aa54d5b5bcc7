//! Taking a lab down, by whoever and in whatever state it is, and saying what is still there.
//!
//! Everything is ended by force: nothing of a lab is worth saving, and a graceful end would take a minute. The order still matters:
//! kubelet first (it would start pods again), containers before containerd's helpers are gone for good, the store last.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::layout::{self, Layout, NETWORK_NAME};
use super::node;
use super::process::{Managed, ProcessId};
use super::state::State;
use super::{API_SERVER, CONTAINERD, CONTROLLER_MANAGER, ETCD, GATEWAY, KUBELET, PROMETHEUS, SCHEDULER, Size};

/// A killed process is gone in milliseconds, unless it waits for a slow disk.
const END: Duration = Duration::from_secs(20);
/// How often what is ending is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// The order of ends.
const ORDER: [&str; 8] = [GATEWAY, PROMETHEUS, KUBELET, CONTAINERD, CONTROLLER_MANAGER, SCHEDULER, API_SERVER, ETCD];
/// Programs that containerd starts and that outlive it; recognised as ours by the run folder in their arguments.
const HELPERS: [&str; 2] = ["containerd-shim", "runc"];
/// Folders of [`State::new_folders`] that only kubelet uses: they go with their content.
const KUBELETS_OWN: &str = "/var/lib/kubelet";

/// Ends and removes everything that belongs to the lab.
pub(crate) fn take_down(layout: &Layout) -> Result<()> {
    let known = State::load(layout)?;
    let running = known.as_ref().filter(|state| !state.is_of_another_boot());
    if let Some(state) = running {
        end_processes(layout, state)?;
    }
    let sockets = shim_sockets(layout);
    // Whatever is known about the lab: removing its folder must not reach through a mount.
    unmount(layout.root())?;
    if let Some(state) = running.filter(|state| state.size == Size::Full) {
        node::remove_bridge()?;
        remove_cgroups()?;
        restore_sysctls(state)?;
    }
    if let Some(state) = &known {
        remove_outside_files(layout, &sockets)?;
        remove_new_folders(&state.new_folders);
    }
    if layout.root().exists() {
        fs::remove_dir_all(layout.root()).with_context(|| format!("cannot remove {}", layout.root().display()))?;
    }
    // Other labs may have their folders beside ours.
    let _still_used = fs::remove_dir(layout::run_folder());
    Ok(())
}

/// What labs have left on this machine that nobody answers for any more, one line each; empty when there is nothing.
///
/// A lab that is up (kept, or its owner runs) is not a leftover, nor is anything that may be its.
#[must_use]
pub fn leftovers() -> Vec<String> {
    let run = layout::run_folder();
    let mut found = Vec::new();
    let mut full_lab_is_up = false;
    for folder in folders_in(&run) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let state = Layout::of(&name).ok().and_then(|layout| State::load(&layout).ok().flatten());
        match state {
            Some(state) if state.is_in_use() => full_lab_is_up |= state.size == Size::Full,
            Some(state) => {
                found.push(format!("run folder {}", folder.display()));
                let alive = state.components.iter().filter(|(_, component)| component.is_alive());
                found.extend(alive.map(|(component, _)| format!("process {component} of lab {name}")));
            }
            None => found.push(format!("run folder {}", folder.display())),
        }
    }
    if !full_lab_is_up {
        found.extend(node_leftovers(&run));
    }
    found
}

/// What only a lab that runs pods leaves.
fn node_leftovers(run: &Path) -> Vec<String> {
    let processes = processes_naming(run).into_iter().map(|pid| format!("process {pid} using {}", run.display()));
    let mounts = mounts_under(run).into_iter().map(|mount| format!("mount {}", mount.display()));
    let cgroups = pod_cgroups().into_iter().map(|cgroup| format!("control group {}", cgroup.display()));
    let files = address_files(run).into_iter().chain(log_links(run)).map(|file| format!("file {}", file.display()));
    let bridge = node::bridge_exists().then(|| format!("network bridge {}", layout::BRIDGE));
    processes.chain(mounts).chain(cgroups).chain(files).chain(bridge).collect()
}

fn end_processes(layout: &Layout, state: &State) -> Result<()> {
    for name in ORDER {
        if let Some(process) = state.components.get(name).and_then(|component: &Managed| component.process) {
            process.end(END).with_context(|| format!("cannot end {name}"))?;
        }
        if name == CONTAINERD {
            end_containers(layout, state)?;
        }
    }
    Ok(())
}

/// Kills containers and their helpers until none is left: a helper may be starting one just now.
fn end_containers(layout: &Layout, state: &State) -> Result<()> {
    if !state.components.contains_key(CONTAINERD) {
        return Ok(());
    }
    let until = Instant::now() + END;
    loop {
        let alive: Vec<i32> =
            processes_naming(layout.root()).into_iter().chain(container_processes()).filter(|pid| is_running(*pid)).collect();
        if alive.is_empty() {
            return Ok(());
        }
        if Instant::now() > until {
            bail!("processes {alive:?} of the lab's pods do not end");
        }
        for pid in alive {
            // It may end by itself meanwhile.
            let _sent = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(LOOK);
    }
}

fn is_running(pid: i32) -> bool {
    u32::try_from(pid).ok().and_then(|pid| ProcessId::of(pid).ok()).is_some_and(ProcessId::is_alive)
}

/// Helpers of containerd that name `folder` in their arguments.
fn processes_naming(folder: &Path) -> Vec<i32> {
    let folder = folder.to_string_lossy();
    let pids = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok());
    pids.filter(|pid| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments);
        let program = arguments.split('\0').next().and_then(|program| program.rsplit('/').next()).unwrap_or_default();
        HELPERS.iter().any(|helper| program.starts_with(helper)) && arguments.contains(&*folder)
    })
    .collect()
}

fn container_processes() -> Vec<i32> {
    let mut pids = BTreeSet::new();
    for group in pod_cgroups() {
        let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        pids.extend(text.lines().filter_map(|line| line.trim().parse::<i32>().ok()));
    }
    pids.into_iter().collect()
}

/// Every control group at or under a `kubepods`, outermost first.
pub(crate) fn pod_cgroups() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = folders_in(root).into_iter().chain([root.to_owned()]);
    let mut groups: Vec<PathBuf> = hierarchies.map(|folder| folder.join("kubepods")).filter(|folder| folder.is_dir()).collect();
    let mut at = 0;
    while let Some(group) = groups.get(at) {
        groups.extend(folders_in(&group.clone()));
        at += 1;
    }
    groups
}

/// Real folders in a folder (links between control group hierarchies would be followed twice).
fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

fn remove_cgroups() -> Result<()> {
    let until = Instant::now() + END;
    loop {
        let groups = pod_cgroups();
        for group in groups.iter().rev() {
            // Busy until the kernel has let go of its last process.
            let _busy = fs::remove_dir(group);
        }
        let left = pod_cgroups();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > until {
            bail!("control groups cannot be removed: {left:?}");
        }
        std::thread::sleep(LOOK);
    }
}

/// Mount points at or under a folder, innermost first.
fn mounts_under(folder: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    let mut found: Vec<PathBuf> = points.filter(|point| point.starts_with(folder)).collect();
    found.reverse();
    found
}

fn unmount(folder: &Path) -> Result<()> {
    for point in mounts_under(folder) {
        if umount2(&point, MntFlags::empty()).is_err() {
            umount2(&point, MntFlags::MNT_DETACH).with_context(|| format!("cannot unmount {}", point.display()))?;
        }
    }
    Ok(())
}

/// The sockets of containerd's helpers are outside the run folder, in a place fixed at its compilation; each container's files say which.
fn shim_sockets(layout: &Layout) -> Vec<PathBuf> {
    let tasks = layout.file("containerd-state/io.containerd.runtime.v2.task/k8s.io");
    let addresses = folders_in(&tasks).into_iter().filter_map(|task| fs::read_to_string(task.join("address")).ok());
    addresses.filter_map(|address| address.trim().strip_prefix("unix://").map(PathBuf::from)).collect()
}

fn remove_outside_files(layout: &Layout, sockets: &[PathBuf]) -> Result<()> {
    let sockets = sockets.iter().filter(|socket| socket.exists()).cloned();
    for file in sockets.chain(address_files(layout.root())).chain(log_links(layout.root())) {
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    Ok(())
}

/// What the network plugins' library remembers about our pods: files named after our network, or naming a network namespace in `folder`.
fn address_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir("/var/lib/cni/results").into_iter().flatten().flatten().map(|entry| entry.path());
    let (network, folder) = (format!("{NETWORK_NAME}-"), folder.to_string_lossy());
    let named = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&network));
    entries.filter(|path| named(path) || fs::read_to_string(path).is_ok_and(|text| text.contains(&*folder))).collect()
}

/// Kubelet links every container's log from a place of its own choice.
fn log_links(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir("/var/log/containers").into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| fs::read_link(path).is_ok_and(|target| target.starts_with(folder))).collect()
}

fn restore_sysctls(state: &State) -> Result<()> {
    for (path, value) in &state.sysctls {
        let now = fs::read_to_string(path).unwrap_or_default();
        if now.trim() != value {
            fs::write(path, value).with_context(|| format!("cannot set {} back to {value}", path.display()))?;
        }
    }
    Ok(())
}

fn remove_new_folders(folders: &[PathBuf]) {
    for folder in folders.iter().rev() {
        // Somebody else may have begun to use one; then it stays.
        let _gone_or_used = if folder.starts_with(KUBELETS_OWN) { fs::remove_dir_all(folder) } else { fs::remove_dir(folder) };
    }
}
