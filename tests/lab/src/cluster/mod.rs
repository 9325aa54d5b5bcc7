//! A Kubernetes cluster of ordinary processes on this machine: [`Lab`].
//!
//! `up` starts it, `down` removes every trace of it, `clients` hands out users and addresses, `images` brings programs into it, and
//! `existing` uses a cluster that somebody else runs instead.
//! Of the other modules, `layout` fixes paths and addresses, `state` remembers across processes, `control_plane`, `node` and
//! `addons` say how each component is started.

mod addons;
mod binaries;
mod clients;
mod control_plane;
mod down;
mod existing;
mod image;
mod images;
mod kubeconfig;
mod layout;
mod node;
mod pki;
mod process;
mod state;
mod up;
mod wait;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use serde::{Deserialize, Serialize};

pub use addons::{GATEWAY_NAME, GATEWAY_NAMESPACE};
pub use binaries::workspace_binary;
pub use down::leftovers;
pub use existing::{Existing, ExistingOptions};
pub use wait::until;

use crate::parts::{Parts, Programs};
use crate::signals;
pub(crate) use clients::install_tls_provider;
pub(crate) use down::take_down;
pub(crate) use layout::Layout;
pub(crate) use process::ProcessId;
pub(crate) use state::State;
pub(crate) use up::answer_of;

/// The components' names, in the state file and of the logs.
pub(crate) const ETCD: &str = "etcd";
pub(crate) const API_SERVER: &str = "kube-apiserver";
pub(crate) const CONTROLLER_MANAGER: &str = "kube-controller-manager";
pub(crate) const SCHEDULER: &str = "kube-scheduler";
pub(crate) const CONTAINERD: &str = "containerd";
pub(crate) const KUBELET: &str = "kubelet";
pub(crate) const PROMETHEUS: &str = "prometheus";
pub(crate) const GATEWAY: &str = "gateway";

/// One process of a lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Component {
    /// The API server's store.
    Etcd,
    /// The API server.
    ApiServer,
    /// Kubernetes' own controllers.
    ControllerManager,
    /// Finds nodes for pods.
    Scheduler,
    /// Runs containers.
    Containerd,
    /// Runs pods.
    Kubelet,
    /// The metrics source.
    Prometheus,
    /// Divides traffic.
    Gateway,
}

impl Component {
    /// Every component of a full lab.
    pub const ALL: [Self; 8] = [
        Self::Etcd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Containerd,
        Self::Kubelet,
        Self::Prometheus,
        Self::Gateway,
    ];

    /// The name of its program, log and entry in the state file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => ETCD,
            Self::ApiServer => API_SERVER,
            Self::ControllerManager => CONTROLLER_MANAGER,
            Self::Scheduler => SCHEDULER,
            Self::Containerd => CONTAINERD,
            Self::Kubelet => KUBELET,
            Self::Prometheus => PROMETHEUS,
            Self::Gateway => GATEWAY,
        }
    }
}

/// Importing an image: a debug build of the operator is some 200 MB.
const SERVICE_IMAGE_DEADLINE: Duration = Duration::from_secs(120);

/// How much of a cluster to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Size {
    /// Store, API server, controllers, scheduler: no node, so no pod ever runs. Needs no root, about 0.6 GB of memory.
    ControlPlane,
    /// One node that runs pods, Prometheus and a gateway as well. Needs root, about 1.1 GB of memory.
    Full,
}

/// What [`Lab::up`] is to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// How much of a cluster.
    pub size: Size,
    /// Labs of different names can be up at once, but only one full one.
    pub name: String,
    /// Whether the lab outlives this process and its [`Lab`] values (then end it with `cargo lab down` or [`Lab::down`]).
    pub keep: bool,
    /// A cluster to use instead of starting one; then the rest means nothing.
    pub existing: Option<Existing>,
}

impl Default for Options {
    fn default() -> Self {
        Self { size: Size::Full, name: "lab".to_owned(), keep: false, existing: None }
    }
}

impl Options {
    /// A full lab that ends with this process.
    #[must_use]
    pub fn full() -> Self {
        Self::default()
    }

    /// A control plane that ends with this process.
    #[must_use]
    pub fn control_plane() -> Self {
        Self { size: Size::ControlPlane, name: "control-plane".to_owned(), ..Self::default() }
    }
}

/// A cluster to test against: one of ours, or one that somebody else runs.
///
/// Clones share one lab. When the last clone of a lab that was not started to stay is dropped, the lab is taken down.
#[derive(Debug, Clone)]
pub struct Lab {
    inner: Arc<Inner>,
}

#[derive(Debug)]
enum Inner {
    Own(Box<Own>),
    Foreign(Box<existing::Foreign>),
}

/// A lab this code started.
#[derive(Debug)]
pub(crate) struct Own {
    /// The administrator's kubeconfig.
    admin: PathBuf,
    pub(crate) layout: Layout,
    pub(crate) parts: Parts,
    pub(crate) programs: Option<Programs>,
    pub(crate) state: Mutex<State>,
}

impl Own {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The size, ports and the like, which do not change.
    pub(crate) fn size(&self) -> Size {
        self.state().size
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // The file, not our memory of it: the lab may be down already, and another process may have started one of that name.
        let Ok(Some(state)) = State::load(&self.layout) else { return };
        if state.keep || ProcessId::this().is_ok_and(|this| this != state.owner) {
            return;
        }
        if let Err(error) = down::take_down(&self.layout) {
            eprintln!("could not take the lab down: {error:#}; try `cargo lab down`");
        }
        signals::disarm(&self.layout);
    }
}

impl Lab {
    /// Starts a lab and waits until it is ready for use; seconds, once its programs are built. With [`Options::existing`], see
    /// [`Lab::existing`].
    ///
    /// A lab of the same name whose owner has died is taken down first. Ctrl-C and SIGTERM take the lab down unless it is to stay.
    ///
    /// # Errors
    /// When something is missing on this machine, when a lab of that name is in use, or when a component does not become ready; then
    /// nothing is left behind.
    pub async fn up(options: Options) -> Result<Self> {
        if let Some(cluster) = &options.existing {
            return Self::existing(cluster);
        }
        let own = up::up(options).await?;
        Ok(Self { inner: Arc::new(Inner::Own(Box::new(own))) })
    }

    /// The lab of that name, if it is up, whoever started it. It stays up when this value is dropped.
    ///
    /// # Errors
    /// When its state cannot be read.
    pub fn attach(name: &str) -> Result<Option<Self>> {
        let layout = Layout::of(name)?;
        let Some(state) = State::load(&layout)?.filter(|state| state.ready && state.is_in_use()) else { return Ok(None) };
        let own = up::attach(layout, state)?;
        Ok(Some(Self { inner: Arc::new(Inner::Own(Box::new(own))) }))
    }

    /// Takes the lab down; a foreign cluster is left as it is.
    ///
    /// # Errors
    /// When something cannot be ended or removed; calling again continues.
    pub async fn down(self) -> Result<()> {
        let Inner::Own(own) = &*self.inner else { return Ok(()) };
        let layout = own.layout.clone();
        tokio::task::spawn_blocking(move || down::take_down(&layout)).await??;
        signals::disarm(&own.layout);
        Ok(())
    }

    /// Takes the lab of that name down, whoever started it and in whatever state it is; nothing happens when there is none.
    ///
    /// # Errors
    /// See [`Lab::down`].
    pub fn down_by_name(name: &str) -> Result<()> {
        down::take_down(&Layout::of(name)?)
    }

    /// Names of the labs that have left a run folder on this machine, up or not.
    #[must_use]
    pub fn names() -> Vec<String> {
        let entries = std::fs::read_dir(layout::run_folder()).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// The folder with everything of the lab in it while it is up.
    ///
    /// # Errors
    /// For a foreign cluster.
    pub fn run_folder(&self) -> Result<PathBuf> {
        Ok(self.own()?.layout.root().to_owned())
    }

    /// The log of a component.
    ///
    /// # Errors
    /// For a foreign cluster.
    pub fn log(&self, component: Component) -> Result<PathBuf> {
        Ok(self.own()?.layout.log(component.name()))
    }

    /// Each component with the id of its process if that runs; none for a foreign cluster.
    #[must_use]
    pub fn components(&self) -> Vec<(Component, Option<i32>)> {
        let Ok(own) = self.own() else { return Vec::new() };
        let state = own.state();
        let process = |component: Component| {
            let managed = state.components.get(component.name())?;
            Some((component, managed.process.filter(|process| process.is_alive()).map(ProcessId::pid)))
        };
        Component::ALL.into_iter().filter_map(process).collect()
    }

    pub(crate) fn own(&self) -> Result<&Own> {
        match &*self.inner {
            Inner::Own(own) => Ok(own),
            Inner::Foreign(_) => bail!("this needs a lab that was started here, not a cluster given by --kubeconfig"),
        }
    }

    pub(crate) fn full(&self) -> Result<&Own> {
        let own = self.own()?;
        match own.size() {
            Size::Full => Ok(own),
            Size::ControlPlane => Err(anyhow!("this needs a full lab; this one is a control plane only")),
        }
    }

    /// Where the programs of the lab's parts are.
    pub(crate) fn kubectl_program(&self) -> PathBuf {
        match &*self.inner {
            Inner::Own(own) => own.parts.program(crate::parts::Part::Kubernetes, "kubectl"),
            Inner::Foreign(foreign) => foreign.kubectl().to_owned(),
        }
    }

    fn admin_kubeconfig(&self) -> &Path {
        match &*self.inner {
            Inner::Own(own) => own.admin_kubeconfig(),
            Inner::Foreign(foreign) => foreign.kubeconfig(),
        }
    }
}
