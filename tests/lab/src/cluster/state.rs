//! The lab's state file: what was started, what was changed on this machine, and what to put back.
//!
//! It is written before anything is changed, so that any process can take a lab down, whatever became of the one that started it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::Size;
use super::layout::{Layout, Ports};
use super::process::{Managed, ProcessId};

const FILE: &str = "state.json";

/// What is known about a lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) name: String,
    pub(crate) size: Size,
    /// The process that started the lab.
    pub(crate) owner: ProcessId,
    /// Whether the lab stays when its owner ends.
    pub(crate) keep: bool,
    /// Process ids mean nothing after a restart of the machine.
    pub(crate) boot: String,
    pub(crate) ports: Ports,
    /// Kernel settings as they were before.
    pub(crate) sysctls: BTreeMap<PathBuf, String>,
    /// Folders outside the run folder that did not exist before, outermost first.
    pub(crate) new_folders: Vec<PathBuf>,
    /// By name.
    pub(crate) components: BTreeMap<String, Managed>,
    /// Whether `up` reached its end.
    pub(crate) ready: bool,
}

impl State {
    pub(crate) fn load(layout: &Layout) -> Result<Option<Self>> {
        let path = layout.file(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let state = serde_json::from_slice(&text).with_context(|| {
            format!(
                "{} is not a lab's state of this version; take that lab down with the version that started it",
                path.display()
            )
        })?;
        Ok(Some(state))
    }

    /// Replaces the file in one step: a reader never sees half of it.
    pub(crate) fn save(&self, layout: &Layout) -> Result<()> {
        let (path, draft) = (layout.file(FILE), layout.file("state.json.new"));
        fs::write(&draft, serde_json::to_vec_pretty(self)?).with_context(|| format!("cannot write {}", draft.display()))?;
        fs::rename(&draft, &path).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Whether the machine has been restarted since.
    pub(crate) fn is_of_another_boot(&self) -> bool {
        self.boot != boot_id()
    }

    /// Whether somebody still answers for this lab: its owner runs, or it was started to stay and its parts run.
    pub(crate) fn is_in_use(&self) -> bool {
        let stays = || self.keep && self.ready && self.components.values().any(Managed::is_alive);
        !self.is_of_another_boot() && (self.owner.is_alive() || stays())
    }
}

/// Changes at every start of the machine.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
