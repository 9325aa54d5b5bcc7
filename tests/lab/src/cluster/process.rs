//! Long-lived processes of the lab: started detached, found again by another process, ended for certain.
//!
//! A process is known by its id and the moment it started: ids are reused, and a lab that crashed yesterday must not cost an innocent
//! process its life today.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// How often an ending process is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// One process, for as long as this machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pid: i32,
    /// Clock ticks between the machine's start and the process's.
    started: u64,
}

impl ProcessId {
    /// The process that has this id now.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let pid = i32::try_from(pid)?;
        let (started, _) = stat(pid).ok_or_else(|| anyhow!("process {pid} has already ended"))?;
        Ok(Self { pid, started })
    }

    pub(crate) fn this() -> Result<Self> {
        Self::of(std::process::id())
    }

    pub(crate) fn pid(self) -> i32 {
        self.pid
    }

    /// Whether it still runs (an ended child nobody has waited for does not count).
    pub(crate) fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|(started, state)| started == self.started && !matches!(state, 'Z' | 'X'))
    }

    pub(crate) fn signal(self, signal: Signal) -> Result<()> {
        if !self.is_alive() {
            bail!("process {} has already ended", self.pid);
        }
        kill(Pid::from_raw(self.pid), signal).with_context(|| format!("cannot send {signal} to process {}", self.pid))
    }

    /// Ends it at once and waits until it is gone.
    pub(crate) fn end(self, deadline: Duration) -> Result<()> {
        self.end_with(Signal::SIGKILL, deadline)
    }

    /// Sends `signal` and waits until it is gone.
    pub(crate) fn end_with(self, signal: Signal, deadline: Duration) -> Result<()> {
        let until = Instant::now() + deadline;
        if self.is_alive() {
            // It may end between the look and the signal.
            let _sent = self.signal(signal);
        }
        while self.is_alive() {
            if Instant::now() > until {
                bail!("process {} is still there {deadline:?} after {signal}", self.pid);
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

/// Start time and state letter from `/proc/<pid>/stat`; the second field may hold spaces and brackets, so counting starts behind its end.
fn stat(pid: i32) -> Option<(u64, char)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind) = text.rsplit_once(')')?;
    let fields: Vec<&str> = behind.split_whitespace().collect();
    Some((fields.get(19)?.parse().ok()?, fields.first()?.chars().next()?))
}

/// How to start one component, and the process it runs as.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Managed {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) log: PathBuf,
    pub(crate) process: Option<ProcessId>,
}

impl Managed {
    pub(crate) fn new(program: PathBuf, log: PathBuf, args: Vec<String>) -> Self {
        Self { program, args, env: BTreeMap::new(), log, process: None }
    }

    pub(crate) fn with_env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// Starts it in a process group of its own (a Ctrl-C at the terminal is for the lab, which ends its parts in order), with a clean
    /// environment and its output in its log.
    pub(crate) fn start(&mut self, home: &Path) -> Result<()> {
        let log = open_log(&self.log)?;
        let mut command = Command::new(&self.program);
        command.args(&self.args).env_clear().current_dir(home);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home).envs(&self.env);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.program.display()))?;
        self.process = Some(ProcessId::of(child.id())?);
        // Somebody has to wait for it, else it stays as a zombie for as long as this process runs.
        std::thread::spawn(move || child.wait());
        Ok(())
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.process.is_some_and(ProcessId::is_alive)
    }

    /// The last lines of its log, for errors.
    pub(crate) fn last_words(&self, lines: usize) -> String {
        crate::exec::tail(&fs::read_to_string(&self.log).unwrap_or_default(), lines)
    }
}

fn open_log(path: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).open(path).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn given_a_component_when_ended_then_it_is_not_alive_though_its_number_may_be_reused() {
        let folder = std::env::temp_dir();
        let log = folder.join(format!("firebreak-process-{}.log", std::process::id()));
        let mut component =
            Managed::new("/bin/sh".into(), log.clone(), vec!["-c".to_owned(), "echo here; exec sleep 60".to_owned()]);
        component.start(&folder).unwrap();
        let process = component.process.unwrap();
        assert!(process.is_alive());
        let impostor = ProcessId { pid: process.pid(), started: process.started + 1 };
        assert!(!impostor.is_alive());
        let until = Instant::now() + SOON;
        while component.last_words(5) != "here" && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        process.end(SOON).unwrap();
        assert!(!component.is_alive());
        assert_eq!(component.last_words(5), "here");
        fs::remove_file(log).unwrap();
    }
}
