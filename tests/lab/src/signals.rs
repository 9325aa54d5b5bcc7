//! Ctrl-C and SIGTERM end what this process started: tools that run, companions, labs.
//!
//! Each tool is in a process group of its own, which a Ctrl-C at the terminal does not reach: without this a compiler would go on for
//! minutes after whoever wanted its result is gone.

use std::collections::BTreeMap;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError, mpsc};
use std::thread::ThreadId;
use std::time::{Duration, Instant};
use std::{io, thread};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};

use crate::cluster::{Layout, ProcessId, take_down};

/// The labs to take down.
static ARMED: Mutex<Vec<Layout>> = Mutex::new(Vec::new());
/// Held while a process of a lab is being started, and for good once a signal has come: nothing starts while a lab is taken down.
static STARTING: Mutex<()> = Mutex::new(());
/// The children that run, by process id. Held while one is started or looked at, and for good once a signal has come: nothing more is
/// started, and nobody sees a tool fail that was killed here, and ends this process before the labs are down.
static CHILDREN: Mutex<BTreeMap<u32, AtSignal>> = Mutex::new(BTreeMap::new());
/// The thread that waits for signals; it runs tools of its own to take labs down.
static LISTENER: OnceLock<ThreadId> = OnceLock::new();

/// What shells report for a program ended by Ctrl-C.
const INTERRUPTED: i32 = 130;
/// A package manager is waited for that long; then it is left alone.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// How often what is ending is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// What becomes of a child when a signal ends this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtSignal {
    /// It is killed.
    Kill,
    /// It is killed with its process group, whose leader it is.
    KillGroup,
    /// It is waited for: ended half-way it would leave the machine broken.
    Await,
}

/// From now on a signal takes this lab down.
pub(crate) fn arm(layout: &Layout) {
    listen();
    armed().push(layout.clone());
}

/// The lab is down, or was started to stay.
pub(crate) fn disarm(layout: &Layout) {
    armed().retain(|other| other != layout);
}

/// Hold this while starting a process of a lab.
pub(crate) fn starting() -> MutexGuard<'static, ()> {
    STARTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a child that a signal ends as told. Look at it with [`look`] only, until that says that it has ended.
pub(crate) fn start(command: &mut Command, at_signal: AtSignal) -> io::Result<Child> {
    listen();
    let Some(mut children) = children() else { return command.spawn() };
    let child = command.spawn()?;
    children.insert(child.id(), at_signal);
    Ok(child)
}

/// The status of a child if it has ended.
pub(crate) fn look(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let Some(mut children) = children() else { return child.try_wait() };
    let ended = child.try_wait()?;
    if ended.is_some() {
        // Its number may be another's from now on.
        children.remove(&child.id());
    }
    Ok(ended)
}

/// Kills a child, waits for its end.
pub(crate) fn end(child: &mut Child) -> io::Result<()> {
    let Some(mut children) = children() else { return child.kill().and_then(|()| child.wait()).map(drop) };
    child.kill()?;
    child.wait()?;
    children.remove(&child.id());
    Ok(())
}

/// None in the thread that waits for signals: it holds them already.
fn children() -> Option<MutexGuard<'static, BTreeMap<u32, AtSignal>>> {
    if LISTENER.get() == Some(&thread::current().id()) {
        return None;
    }
    Some(CHILDREN.lock().unwrap_or_else(PoisonError::into_inner))
}

fn armed() -> MutexGuard<'static, Vec<Layout>> {
    ARMED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns when signals are listened to.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let (listening, listens) = mpsc::channel();
        thread::spawn(move || until_signal(&listening));
        // An error means that this process cannot listen; it ends at a signal as any other does.
        let _listens = listens.recv();
    });
}

fn until_signal(listening: &mpsc::Sender<()>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let came = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let _waited_for = listening.send(());
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        io::Result::Ok(())
    });
    if came.is_ok() {
        end_everything();
    }
}

/// Ends with this process, with the locks held: whoever waits for one gets no further.
fn end_everything() -> ! {
    let _nothing_starts_any_more = starting();
    let children = CHILDREN.lock().unwrap_or_else(PoisonError::into_inner);
    let _this = LISTENER.set(thread::current().id());
    for (child, at_signal) in children.iter() {
        end_at_signal(*child, *at_signal);
    }
    for layout in armed().iter() {
        eprintln!("taking the lab down ...");
        if let Err(error) = take_down(layout) {
            eprintln!("could not take the lab down: {error:#}; try `cargo lab down`");
        }
    }
    for (child, _) in children.iter().filter(|(_, at_signal)| **at_signal == AtSignal::Await) {
        wait_for(*child);
    }
    std::process::exit(INTERRUPTED)
}

fn end_at_signal(child: u32, at_signal: AtSignal) {
    let Ok(pid) = i32::try_from(child).map(Pid::from_raw) else { return };
    // Whatever has ended by itself meanwhile is as good.
    let _ended = match at_signal {
        AtSignal::Kill => kill(pid, Signal::SIGKILL),
        AtSignal::KillGroup => killpg(pid, Signal::SIGKILL),
        AtSignal::Await => Ok(()),
    };
}

fn wait_for(child: u32) {
    let Ok(process) = ProcessId::of(child) else { return };
    let until = Instant::now() + PATIENCE;
    if process.is_alive() {
        eprintln!("waiting for the installation of packages to end ...");
    }
    while process.is_alive() && Instant::now() < until {
        thread::sleep(LOOK);
    }
}
