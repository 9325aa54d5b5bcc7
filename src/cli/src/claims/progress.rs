//! How far the reading of a repository is, on standard error: one line that changes on a terminal, else one now and then.

use std::{
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use firebreak_claims::Progress;

/// How often the line of a terminal changes.
const TERMINAL_PACE: Duration = Duration::from_millis(100);
/// How often a line is written where nobody watches: enough to see in a pipeline's log that it goes on.
const LOG_PACE: Duration = Duration::from_secs(2);

/// What was shown.
pub(super) struct Shown {
    terminal: bool,
    last: Instant,
    /// Whether a line stands on the terminal that has to go.
    stands: bool,
}

impl Shown {
    pub(super) fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), last: Instant::now(), stands: false }
    }

    /// Shows progress, where it is time.
    pub(super) fn show(&mut self, progress: Progress) {
        let pace = if self.terminal { TERMINAL_PACE } else { LOG_PACE };
        if self.last.elapsed() < pace {
            return;
        }
        self.last = Instant::now();
        if self.terminal {
            self.stands = true;
            eprint!("\r\x1b[2K{}", words(progress));
            // A terminal that is gone is no reason to stop.
            let _ = std::io::stderr().flush();
        } else {
            eprintln!("{}", words(progress));
        }
    }

    /// Takes the line away.
    pub(super) fn end(&mut self) {
        if self.stands {
            eprint!("\r\x1b[2K");
        }
    }
}

/// Progress in words.
pub(super) fn words(progress: Progress) -> String {
    match progress {
        Progress::Commits { read } => format!("history: {read} commits listed"),
        Progress::Changes { done, of } => format!("history: {done} of {of} commits read"),
        Progress::Lines { done, of } => format!("lines: {done} of {of} earlier changes counted"),
    }
}
