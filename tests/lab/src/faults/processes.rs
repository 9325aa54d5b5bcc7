//! Components of a lab that hang, die and come back.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::Signal;

use crate::cluster::{Component, Lab, ProcessId, answer_of};

/// A killed process is gone in milliseconds, unless it waits for a slow disk.
const GONE: Duration = Duration::from_secs(20);
/// How long a component may take to end by itself before it is killed (some would finish every open watch first).
const POLITE: Duration = Duration::from_secs(2);

/// A component that hangs; it goes on when this is dropped.
#[derive(Debug)]
#[must_use = "the component goes on as soon as this is dropped"]
pub struct Frozen {
    process: ProcessId,
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // It may have been killed meanwhile.
        let _gone = self.process.signal(Signal::SIGCONT);
    }
}

impl Lab {
    /// Makes a component hang: it keeps its connections and answers nothing, until the returned value is dropped.
    ///
    /// # Errors
    /// When it does not run; for a foreign cluster.
    pub fn freeze(&self, component: Component) -> Result<Frozen> {
        let process = self.process(component)?;
        process.signal(Signal::SIGSTOP)?;
        Ok(Frozen { process })
    }

    /// Kills a component at once, as a power failure would.
    ///
    /// # Errors
    /// When it does not run; for a foreign cluster.
    pub fn kill(&self, component: Component) -> Result<()> {
        self.process(component)?.end(GONE)
    }

    /// Starts a component that does not run, with the files it left, and waits until it answers.
    ///
    /// # Errors
    /// When it runs already or does not answer in time; for a foreign cluster.
    pub async fn start(&self, component: Component) -> Result<()> {
        let own = self.own()?;
        own.start(component.name())?;
        let what = format!("{} after its start", component.name());
        own.wait(&[component.name()], &what, || answer_of(own, component)).await
    }

    /// Asks a component to end, waits until it has (killing it if it will not), and starts it again.
    ///
    /// # Errors
    /// See [`Lab::start`].
    pub async fn restart(&self, component: Component) -> Result<()> {
        let process = self.process(component)?;
        tokio::task::spawn_blocking(move || process.end_with(Signal::SIGTERM, POLITE).or_else(|_| process.end(GONE))).await??;
        self.start(component).await
    }

    /// Removes everything Prometheus has recorded; it must not be running.
    ///
    /// # Errors
    /// When it runs; for a foreign cluster or a control plane.
    pub fn erase_metrics(&self) -> Result<()> {
        if self.process(Component::Prometheus).is_ok() {
            bail!("Prometheus is running: kill it first");
        }
        let data = self.full()?.layout.file("prometheus");
        std::fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))
    }

    fn process(&self, component: Component) -> Result<ProcessId> {
        let state = self.own()?.state();
        let managed = state.components.get(component.name()).ok_or_else(|| anyhow!("this lab has no {}", component.name()))?;
        managed.process.filter(|process| process.is_alive()).ok_or_else(|| anyhow!("{} does not run", component.name()))
    }
}
