//! External programs, each with a deadline.
//!
//! Nothing in the lab may wait for ever: a program that outlives its deadline is killed with everything it started, and the error says
//! which command it was and what it last printed. A signal that ends this process ends what it runs as well ([`signals`]).

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::signals::{self, AtSignal};

/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// How long the pipes of an ended program may stay open (something it started may still hold them).
const PIPES: Duration = Duration::from_secs(1);
/// How many of its last lines an error quotes.
const QUOTED_LINES: usize = 25;

/// One run of an external program, being described.
#[derive(Debug, Clone)]
pub(crate) struct Tool {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    without: Vec<OsString>,
    folder: Option<PathBuf>,
    stdin: Option<Vec<u8>>,
    deadline: Duration,
    at_signal: AtSignal,
}

/// What a program left when it ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Tool {
    /// A program that may run for at most `deadline`.
    pub(crate) fn new(program: impl AsRef<OsStr>, deadline: Duration) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            without: Vec::new(),
            folder: None,
            stdin: None,
            deadline,
            at_signal: AtSignal::KillGroup,
        }
    }

    /// A signal to this process waits for the program instead of killing it.
    pub(crate) fn awaited(mut self) -> Self {
        self.at_signal = AtSignal::Await;
        self
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Keeps a variable of this process from the program.
    pub(crate) fn without(mut self, name: impl AsRef<OsStr>) -> Self {
        self.without.push(name.as_ref().to_owned());
        self
    }

    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// The command as a person would type it.
    fn shown(&self) -> String {
        let words: Vec<_> = std::iter::once(&self.program).chain(&self.args).map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    fn spawn(&self) -> Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value)));
        for name in &self.without {
            command.env_remove(name);
        }
        command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        signals::start(&mut command, self.at_signal)
            .with_context(|| format!("cannot start `{}`: is it installed and on PATH?", self.program.to_string_lossy()))
    }

    /// Runs to the end; any exit status is an answer.
    pub(crate) fn output(&self) -> Result<Ended> {
        let mut child = self.spawn()?;
        if let (Some(bytes), Some(mut pipe)) = (self.stdin.clone(), child.stdin.take()) {
            // A program may end without reading its input; that is its own business.
            std::thread::spawn(move || pipe.write_all(&bytes));
        }
        let stdout = child.stdout.take().map(reader);
        let stderr = child.stderr.take().map(reader);
        let started = Instant::now();
        let status = loop {
            if let Some(status) = signals::look(&mut child).with_context(|| format!("cannot wait for `{}`", self.shown()))? {
                break status;
            }
            if started.elapsed() > self.deadline {
                kill_group(&child);
                let _reaped = signals::end(&mut child);
                let said = stderr.as_ref().map(collect).unwrap_or_default();
                bail!("`{}` did not end within {:?} and was killed\n{}", self.shown(), self.deadline, tail(&said, QUOTED_LINES));
            }
            std::thread::sleep(LOOK);
        };
        let stdout = stdout.as_ref().map(collect).unwrap_or_default();
        let stderr = stderr.as_ref().map(collect).unwrap_or_default();
        Ok(Ended { status, stdout, stderr })
    }

    /// Runs to the end; anything but success is an error that quotes what the program said.
    pub(crate) fn run(&self) -> Result<Ended> {
        let ended = self.output()?;
        if !ended.status.success() {
            let said = if ended.stderr.trim().is_empty() { &ended.stdout } else { &ended.stderr };
            bail!("`{}` failed ({})\n{}", self.shown(), ended.status, tail(said, QUOTED_LINES));
        }
        Ok(ended)
    }

    /// [`Tool::run`] beside an async task.
    pub(crate) async fn run_async(self) -> Result<Ended> {
        tokio::task::spawn_blocking(move || self.run()).await?
    }
}

/// The last lines of a text.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}

fn kill_group(child: &Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        let _gone = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

fn reader(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut chunk = [0_u8; 8192];
        while let Ok(read) = pipe.read(&mut chunk) {
            let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            if sender.send(bytes.to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

fn collect(chunks: &mpsc::Receiver<Vec<u8>>) -> String {
    let until = Instant::now() + PIPES;
    let mut bytes = Vec::new();
    while let Ok(chunk) = chunks.recv_timeout(until.saturating_duration_since(Instant::now())) {
        bytes.extend(chunk);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn given_a_program_that_hangs_when_its_deadline_passes_then_it_and_its_children_are_killed() {
        let started = Instant::now();
        let error = Tool::new("sh", Duration::from_millis(200))
            .args(["-c", "echo last words >&2; sleep 60 & sleep 60"])
            .run()
            .unwrap_err();
        assert!(started.elapsed() < SOON, "took {:?}", started.elapsed());
        let message = format!("{error:#}");
        assert!(message.contains("did not end within 200ms") && message.contains("last words"), "{message}");
    }

    #[test]
    fn given_a_program_that_fails_when_run_then_the_error_quotes_it() {
        let error = Tool::new("sh", SOON).args(["-c", "echo no such thing >&2; exit 3"]).run().unwrap_err();
        assert!(format!("{error:#}").contains("no such thing"), "{error:#}");
    }

    #[test]
    fn given_input_and_variables_when_run_then_the_program_sees_them() {
        let ended = Tool::new("sh", SOON).args(["-c", "cat; printf $NAME"]).env("NAME", "value").stdin("in:").run().unwrap();
        assert_eq!(ended.stdout, "in:value");
    }
}
