//! Ctrl-C and SIGTERM take down the labs this process started.

use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tokio::signal::unix::{SignalKind, signal};

use super::down::take_down;
use super::layout::Layout;

/// The labs to take down.
static ARMED: Mutex<Vec<Layout>> = Mutex::new(Vec::new());
/// Held while a process of a lab is being started, and for good once a signal has come: nothing starts while a lab is taken down.
static STARTING: Mutex<()> = Mutex::new(());
static LISTENER: Once = Once::new();

/// What shells report for a program ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// From now on a signal takes this lab down.
pub(crate) fn arm(layout: &Layout) {
    armed().push(layout.clone());
    LISTENER.call_once(|| {
        std::thread::spawn(listen);
    });
}

/// The lab is down, or was started to stay.
pub(crate) fn disarm(layout: &Layout) {
    armed().retain(|other| other != layout);
}

/// Hold this while starting a process of a lab.
pub(crate) fn starting() -> MutexGuard<'static, ()> {
    STARTING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn armed() -> MutexGuard<'static, Vec<Layout>> {
    ARMED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen() {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
            return;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        let _nothing_starts_any_more = starting();
        for layout in armed().iter() {
            eprintln!("taking the lab down ...");
            if let Err(error) = take_down(layout) {
                eprintln!("could not take the lab down: {error:#}; try `lab down`");
            }
        }
        std::process::exit(INTERRUPTED);
    });
}
