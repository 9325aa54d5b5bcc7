//! Tells the person in front of the screen what is being made and for how long already.
//!
//! On a terminal one line is redrawn each second; elsewhere (a CI log) a line comes at the start, every half minute and at the end.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const REDRAW: Duration = Duration::from_secs(1);
const LOG_EVERY: Duration = Duration::from_secs(30);

/// The progress line of one part; ends when dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    step: Arc<Mutex<String>>,
    stop: Option<mpsc::Sender<()>>,
    drawer: Option<JoinHandle<()>>,
    head: String,
    started: Instant,
}

impl Progress {
    pub(crate) fn start(place: usize, of: usize, what: &str) -> Self {
        let head = format!("[{place}/{of}] {what}");
        let step = Arc::new(Mutex::new("starting".to_owned()));
        let (stop, stopped) = mpsc::channel();
        let started = Instant::now();
        let drawer = {
            let (head, step) = (head.clone(), Arc::clone(&step));
            std::thread::spawn(move || draw(&head, &step, &stopped, started))
        };
        Self { step, stop: Some(stop), drawer: Some(drawer), head, started }
    }

    /// Names what is being done now.
    pub(crate) fn step(&self, step: &str) {
        if let Ok(mut current) = self.step.lock() {
            step.clone_into(&mut current);
        }
        if !std::io::stderr().is_terminal() {
            eprintln!("{}: {step}", self.head);
        }
    }

    pub(crate) fn done(mut self) {
        self.end();
        eprintln!("{}: ready after {}", self.head, elapsed(self.started.elapsed()));
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(drawer) = self.drawer.take() {
            let _ended = drawer.join();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

fn draw(head: &str, step: &Mutex<String>, stopped: &mpsc::Receiver<()>, started: Instant) {
    let terminal = std::io::stderr().is_terminal();
    let pause = if terminal { REDRAW } else { LOG_EVERY };
    let mut error = std::io::stderr();
    while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        let step = step.lock().map(|step| step.clone()).unwrap_or_default();
        let line = format!("{head}: {step} ... {}", elapsed(started.elapsed()));
        let _shown = if terminal { write!(error, "\r\x1b[K{line}") } else { writeln!(error, "{line}") };
    }
    if terminal {
        let _shown = write!(error, "\r\x1b[K");
    }
}

/// `1m20s`, or `4s`.
fn elapsed(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 { format!("{seconds}s") } else { format!("{}m{:02}s", seconds / 60, seconds % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_times_when_shown_then_they_read_as_people_say_them() {
        assert_eq!(elapsed(Duration::from_secs(4)), "4s");
        assert_eq!(elapsed(Duration::from_secs(80)), "1m20s");
        assert_eq!(elapsed(Duration::from_secs(603)), "10m03s");
    }
}
