//! An operator as a process of the host, with the rights of its ServiceAccount, watching one namespace, or all.

use std::{
    fs::File,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use firebreak_lab::Companion;

use crate::world::{SYSTEM, World};

/// One operator process; killed when dropped, and when a signal ends the tests.
pub struct Operator {
    binary: PathBuf,
    kubeconfig: PathBuf,
    namespace: String,
    /// Whether it works on that namespace alone.
    alone: bool,
    identity: String,
    prometheus: String,
    log: PathBuf,
    child: Option<Companion>,
}

impl Operator {
    /// An operator for a namespace; it does not run yet.
    ///
    /// # Errors
    /// When the log's folder cannot be made.
    pub fn new(world: &World, namespace: &str, prometheus: &str) -> Result<Self> {
        let folder = std::env::temp_dir().join("firebreak-tests");
        std::fs::create_dir_all(&folder)?;
        Ok(Self {
            binary: world.operator_binary.clone(),
            kubeconfig: world.operator_kubeconfig.clone(),
            namespace: namespace.to_owned(),
            alone: true,
            identity: "test".to_owned(),
            prometheus: prometheus.to_owned(),
            log: folder.join(format!("{namespace}.log")),
            child: None,
        })
    }

    /// An operator for all namespaces, with a lease of this name; it does not run yet.
    ///
    /// # Errors
    /// When the log's folder cannot be made.
    pub fn of_all(world: &World, name: &str, prometheus: &str) -> Result<Self> {
        let mut operator = Self::new(world, name, prometheus)?;
        operator.alone = false;
        Ok(operator)
    }

    /// Another replica for the same namespace and lease; it does not run yet.
    #[must_use]
    pub fn replica(&self, identity: &str) -> Self {
        let log = self.log.with_file_name(format!("{}-{identity}.log", self.namespace));
        // Cases read it: what an earlier run wrote must not be in it.
        let _ = std::fs::remove_file(&log);
        Self {
            binary: self.binary.clone(),
            kubeconfig: self.kubeconfig.clone(),
            namespace: self.namespace.clone(),
            alone: self.alone,
            identity: identity.to_owned(),
            prometheus: self.prometheus.clone(),
            log,
            child: None,
        }
    }

    /// Starts the process if it does not run.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self) -> Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.binary);
        command.arg("run");
        if self.alone {
            command.args(["--namespace", &self.namespace]);
        }
        command
            .args(["--lease-namespace", SYSTEM, "--lease-name", &self.namespace])
            .args(["--identity", &self.identity, "--listen", "127.0.0.1:0", "--prometheus-url", &self.prometheus])
            .env("KUBECONFIG", &self.kubeconfig)
            .env("RUST_LOG", "info,kube_client=warn,firebreak_operator=debug")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.child = Some(Companion::start(&mut command).context("the operator does not start")?);
        Ok(())
    }

    /// Ends the process at once, as `kill -9` does.
    pub fn kill(&mut self) {
        self.child = None;
    }

    /// Where it writes its log.
    #[must_use]
    pub fn log(&self) -> &PathBuf {
        &self.log
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.kill();
    }
}
