//! The live view without a terminal: one line each time phase, stage, weight or the reason to wait changes (for CI logs).

use std::time::Duration;

use firebreak_api::Change;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use tokio::sync::mpsc;

use super::{
    Ending, feed,
    model::{Message, Model},
    update::update,
};
use crate::{
    error::Error,
    facts::Facts,
    look::Look,
    output,
    words::{self, percent},
};

/// Time between two looks at the clock.
const TICK: Duration = Duration::from_secs(1);
/// A lost connection is told once it lasts this long.
const TELL_LOST: SignedDuration = SignedDuration::from_secs(5);

pub(super) async fn run(client: Client, mut model: Model, _look: Look) -> Result<Ending, Error> {
    let (to, mut messages) = mpsc::channel(feed::QUEUE);
    let _watches = feed::start(&client, &model.namespace, &model.guard_name, &to);
    let mut tick = tokio::time::interval(TICK);
    let mut told = State::default();
    let stop = tokio::signal::ctrl_c();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            message = messages.recv() => if let Some(message) = message { update(&mut model, message) },
            _ = &mut stop => update(&mut model, Message::Quit),
        }
        update(&mut model, Message::Tick(Timestamp::now()));
        let state = state(&model);
        if !state.key.is_empty() && state.key != told.key {
            let more = if state.more.is_empty() { String::new() } else { format!(": {}", state.more) };
            output::write(&format!("{:.0} {}/{} {}{more}\n", model.now, model.namespace, model.guard_name, state.key))?;
            told = state;
        }
        if let Some(ending) = model.end.take() {
            return Ok(ending);
        }
    }
}

/// What a line says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// A new line is printed when this differs; empty as long as there is nothing to say.
    pub(super) key: String,
    /// Printed with it, but no reason for a new line: its numbers change all the time.
    pub(super) more: String,
}

impl State {
    fn new(key: impl Into<String>) -> Self {
        Self { key: key.into(), more: String::new() }
    }
}

pub(super) fn state(model: &Model) -> State {
    if let Some(lost) = model.lost_first().filter(|lost| words::since(lost.since, model.now) >= TELL_LOST) {
        return State { key: "connection lost, retrying".to_owned(), more: words::plain(&lost.why) };
    }
    if !model.loaded() {
        return State::default();
    }
    match model.shown() {
        Some(change) => of_change(change, model.now),
        None if model.guard.is_none() => State::new("no such Guard: waiting for it"),
        None => State::new("no Change yet"),
    }
}

fn of_change(change: &Change, now: Timestamp) -> State {
    let facts = Facts::new(change, now);
    let position = facts.position();
    let status = facts.status;
    let mut state = State::new(format!(
        "{} {} stage {}/{} weight {}",
        facts.name(),
        words::phase(facts.phase()),
        position.index,
        position.of,
        percent(status.weight_percent)
    ));
    if facts.phase().ended() {
        state.more = status.decisions.last().map(|decision| words::plain(&facts.said(&decision.message))).unwrap_or_default();
    } else if status.paused {
        state.key.push_str(" paused by a human");
    } else if let Some(waiting) = &status.waiting {
        state.key = format!("{} waits ({})", state.key, words::plain(&waiting.reason));
        state.more = words::plain(&facts.waits_for(waiting));
    }
    state
}
