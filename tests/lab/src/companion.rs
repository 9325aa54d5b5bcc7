//! Programs that run beside a lab for as long as this process does.

use std::process::{Child, Command};

use anyhow::{Context, Result};

use crate::signals::{self, AtSignal};

/// A program that ends with this process: killed when dropped, and when a signal ends this process (then nothing is dropped).
#[derive(Debug)]
pub struct Companion {
    child: Child,
}

impl Companion {
    /// Starts it as it is described; it stays in this process's group, so that a Ctrl-C at the terminal reaches it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let child = signals::start(command, AtSignal::Kill)
            .with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))?;
        Ok(Self { child })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        // An error means that it has ended by itself.
        let _ended = signals::end(&mut self.child);
    }
}
