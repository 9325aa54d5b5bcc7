//! A GitOps tool: it makes the cluster say what a repository says, again and again, whatever anybody else wrote there.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cluster::{Lab, until};
use crate::exec::Tool;

/// kubectl's own time for one round.
const ROUND: Duration = Duration::from_secs(30);
/// How many errors are remembered.
const ERRORS: usize = 20;
/// Who re-applies.
const USER: &str = "gitops";

/// How the manifests are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// `kubectl apply`: three-way merge with the last applied annotation.
    ClientSide,
    /// `kubectl apply --server-side --force-conflicts`: takes back the fields it owns.
    ServerSide,
    /// `kubectl replace`: what the manifests do not say is removed.
    Replace,
}

/// A GitOps tool at work; it begins no new round once dropped. Use [`GitOps::stop`] to have the last round done with as well.
#[derive(Debug)]
pub struct GitOps {
    record: Arc<Mutex<Record>>,
    ends: watch::Sender<bool>,
    worker: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Record {
    rounds: u64,
    failures: u64,
    errors: VecDeque<String>,
}

impl GitOps {
    /// Starts re-applying `manifests` (YAML) every `interval`, as the user `gitops` with all rights; the first round begins at once.
    ///
    /// # Errors
    /// When that user's kubeconfig cannot be made.
    pub fn start(lab: &Lab, manifests: impl Into<String>, manner: Manner, interval: Duration) -> Result<Self> {
        let kubeconfig = lab.kubeconfig_as(USER, &["system:masters"])?;
        let tool = command(lab.kubectl_program(), kubeconfig, manner).stdin(manifests.into());
        let record = Arc::new(Mutex::new(Record::default()));
        let (ends, end) = watch::channel(false);
        let worker = tokio::spawn(work(tool, interval, Arc::clone(&record), end));
        Ok(Self { record, ends, worker })
    }

    /// Finished rounds, failed ones included.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        self.read(|record| record.rounds)
    }

    /// Failed rounds.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.read(|record| record.failures)
    }

    /// What kubectl said in the last failed rounds, oldest first.
    #[must_use]
    pub fn errors(&self) -> Vec<String> {
        self.read(|record| record.errors.iter().cloned().collect())
    }

    /// Waits until `rounds` whole rounds more have been done, not counting the one that may be under way.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn wait_for_rounds(&self, rounds: u64, deadline: Duration) -> Result<()> {
        let goal = self.rounds() + rounds + 1;
        until("the GitOps tool's rounds", deadline, || async { Ok((self.rounds() >= goal).then_some(())) }).await
    }

    /// Ends it; when this returns, nothing more is written.
    ///
    /// # Errors
    /// When its task has failed.
    pub async fn stop(mut self) -> Result<()> {
        self.ends.send_replace(true);
        Ok((&mut self.worker).await?)
    }

    fn read<T>(&self, of: impl FnOnce(&Record) -> T) -> T {
        of(&self.record.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for GitOps {
    fn drop(&mut self) {
        self.ends.send_replace(true);
    }
}

fn command(kubectl: PathBuf, kubeconfig: PathBuf, manner: Manner) -> Tool {
    let tool = Tool::new(kubectl, ROUND).env("KUBECONFIG", kubeconfig).env("NO_PROXY", "*");
    match manner {
        Manner::ClientSide => tool.args(["apply", "--filename=-"]),
        Manner::ServerSide => {
            tool.args(["apply", "--server-side", "--force-conflicts", "--field-manager=gitops", "--filename=-"])
        }
        Manner::Replace => tool.args(["replace", "--filename=-"]),
    }
}

async fn work(tool: Tool, interval: Duration, record: Arc<Mutex<Record>>, mut end: watch::Receiver<bool>) {
    let mut rhythm = tokio::time::interval(interval);
    // A slow round is not followed by a hurried one.
    rhythm.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = rhythm.tick() => {}
            // Told to end, or nobody is left to tell.
            _ = end.wait_for(|end| *end) => return,
        }
        let outcome = tool.clone().run_async().await;
        let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
        record.rounds += 1;
        if let Err(error) = outcome {
            record.failures += 1;
            if record.errors.len() == ERRORS {
                record.errors.pop_front();
            }
            record.errors.push_back(format!("{error:#}"));
        }
    }
}
