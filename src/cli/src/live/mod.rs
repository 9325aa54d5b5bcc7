//! The live view of one Guard's Change: model, message, update, view.
//!
//! [`model`] holds what is known, [`update`] changes it by one message (pure), [`view`] draws it (pure). `feed` turns watches
//! into messages, `terminal` and `lines` run the loop, with a terminal and without. Start at [`run`].

mod feed;
mod lines;
pub mod model;
mod terminal;
pub mod update;
pub mod view;

use std::io::IsTerminal as _;

use firebreak_api::{Change, change::Phase};
use kube::Client;

use crate::{
    error::Error,
    facts::{self, Facts},
    look::Look,
    words,
};

/// When the live view ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When the Change ends: the one that runs when the view opens, else the next one.
    Ended,
    /// Never: only when it is told to (q or Ctrl-C).
    Quit,
}

/// How the live view ended.
#[derive(Clone, Debug)]
pub struct Ending {
    /// Why.
    pub how: How,
    /// The Change that was shown last, as it was then.
    pub change: Option<Change>,
}

/// Why the live view ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It was told to.
    Quit,
    /// The Change ended.
    Ended,
    /// The Change was deleted.
    Gone,
}

impl Ending {
    /// Whether the Change was promoted.
    #[must_use]
    pub fn promoted(&self) -> bool {
        self.change.as_ref().is_some_and(|change| facts::status(change).phase == Phase::Promoted)
    }

    /// The ending in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Some(change) = &self.change else { return "No Change was seen.".to_owned() };
        let status = facts::status(change);
        let said = status
            .decisions
            .last()
            .map(|decision| format!(": {}", words::plain(&Facts::new(change, change.spec.detected_at).said(&decision.message))));
        let gone = if self.how == How::Gone { " (deleted)" } else { "" };
        format!("{}{gone} is {}{}", facts::name(change), words::phase(status.phase), said.unwrap_or_default())
    }
}

/// Shows the active Change of a Guard (or its newest) as it goes, until it is told to end or, with [`Until::Ended`], the
/// Change ends. Where standard output is no terminal, a line is printed for each change of phase, stage, weight or reason.
///
/// Takes the terminal (alternate screen, raw mode) and gives it back however it ends; nothing else should write to standard
/// output meanwhile. Lost connections are shown and made again.
///
/// # Errors
/// [`Error::Output`] when the terminal or the pipe fails.
pub async fn run(client: Client, namespace: &str, guard: &str, until: Until) -> Result<Ending, Error> {
    let look = Look::of_stdout();
    let model = model::Model::new(namespace, guard, until, jiff::Timestamp::now());
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    if std::io::stdout().is_terminal() && !dumb {
        terminal::run(client, model, look).await
    } else {
        lines::run(client, model, look).await
    }
}

#[cfg(test)]
mod tests;
