//! The decisions of a Change and the human acts behind them, as its record keeps them: each once, at most so many, and what humans
//! did before what Firebreak noted. Pure.

use firebreak_api::{
    change::{DecisionRecord, HumanAct},
    intervention::Action,
    packed::{PackError, pack},
};
use firebreak_engine::{
    Basis, Memory, Note, Observation,
    observation::{Act, Action as Asked},
    units::{Millis, Weight},
};

use super::{Turned, Unrecorded, timestamp};

/// Decisions kept with a Change.
const MOST: usize = 100;
/// The first ones, which always stay: how it began.
const FIRST: usize = 20;
/// The newest ones, which always stay: how it ended. More than those with a basis and the notes of one turn, so that what is
/// computed again finds all of its turn.
const NEWEST: usize = 60;
/// The newest ones that keep what they were computed from.
const MOST_BASES: usize = 40;
/// Bytes of all bases together; the oldest are dropped first, their words stay. An object holds 1.5 MB at most.
const MOST_BASIS_BYTES: usize = 600_000;
/// Bytes of all words together, about; what is too much goes from the middle.
const MOST_WORD_BYTES: usize = 400_000;
/// An act that was refused, as the record names it.
const REFUSED: &str = "Refused";
/// Longest answer to a refused act that is kept, in characters: it can quote all groups of who asked.
const LONGEST_ANSWER: usize = 1024;
/// An exception from a freeze, as the engine tells of it.
const EXCEPTED: &str = "FreezeExcepted";

/// What is kept of the decisions.
pub(super) struct Kept {
    pub(super) decisions: Vec<DecisionRecord>,
    /// How many are not.
    pub(super) dropped: u32,
}

/// The decisions after a turn: `former` and how many of them are dropped already.
pub(super) fn after(former: &[DecisionRecord], dropped: u32, turn: &Turned<'_>) -> Result<Kept, PackError> {
    let mut decisions = former.to_vec();
    for Unrecorded { at, notes, basis } in turn.earlier {
        let Some(basis) = basis else {
            add(&mut decisions, told(*at, notes, None));
            continue;
        };
        let then = basis.decide();
        let told = told(*at, notes, Some(&Before { before: &basis.memory, after: &then.memory, seen: &basis.observation }));
        add(&mut decisions, with_basis(told, Some(pack("basis", basis)?), notes));
    }
    let now = Before { before: turn.before, after: turn.memory, seen: turn.seen };
    let told = told(turn.seen.now, turn.notes, Some(&now));
    let basis = Basis { setup: turn.setup.clone(), memory: turn.before.clone(), observation: turn.seen.clone() };
    let basis = if turn.notes.is_empty() { None } else { Some(pack("basis", &basis)?) };
    add(&mut decisions, with_basis(told, basis, turn.notes));
    let fewer = thin(&mut decisions);
    bound_bases(&mut decisions);
    Ok(Kept { decisions, dropped: dropped.saturating_add(fewer) })
}

/// A turn and what led to it.
struct Before<'a> {
    before: &'a Memory,
    after: &'a Memory,
    seen: &'a Observation,
}

impl Before<'_> {
    /// What humans asked and was not heard before, and whether it was done; in the order in which it was heard.
    fn acts(&self) -> Vec<(&Act, bool, &str)> {
        let heard = |memory: &Memory, act: &Act| memory.heard.iter().any(|answer| answer.act == act.name);
        let new = self.seen.acts.iter().filter(|act| !heard(self.before, act));
        let answered = new.filter_map(|act| {
            let answer = self.after.heard.iter().find(|answer| answer.act == act.name)?;
            Some((act, answer.applied, answer.message.as_str()))
        });
        answered.collect()
    }

    fn stage(&self) -> u32 {
        let exposed = self.after.granted > Weight::ZERO || self.after.highest > Weight::ZERO;
        if exposed { u32::try_from(self.after.stage + 1).unwrap_or(u32::MAX) } else { 0 }
    }
}

/// The records of a turn's notes, each with the act that it follows from; before them the acts that were refused.
fn told(at: Millis, notes: &[Note], turn: Option<&Before<'_>>) -> Vec<DecisionRecord> {
    let (mut done, refused): (Vec<_>, Vec<_>) =
        turn.map(Before::acts).unwrap_or_default().into_iter().partition(|(_, applied, _)| *applied);
    let stands = turn.map(|turn| (turn.stage(), f64::from(turn.after.granted.as_permille()) / 10.0));
    let record = |reason: &str, message: String, act: Option<HumanAct>| DecisionRecord {
        at: timestamp(at),
        reason: reason.to_owned(),
        message,
        act,
        stage: stands.map(|(stage, _)| stage),
        weight_percent: stands.map(|(_, percent)| percent),
        basis: None,
    };
    let refused = refused
        .into_iter()
        .map(|(act, _, why)| record(REFUSED, format!("{}: {}", act.action.verb(), brief(why)), Some(kept(act))));
    let mut records: Vec<DecisionRecord> = refused.collect();
    for note in notes {
        // One word can be told of twice: it lets through a freeze and answers for a stage.
        let act = done.iter().map(|(act, ..)| *act).find(|act| tells_of(note, act)).map(kept);
        if let (Some(act), true) = (&act, note.reason != EXCEPTED) {
            done.retain(|(other, ..)| other.name != act.intervention);
        }
        records.push(record(&note.reason, note.message.clone(), act));
    }
    records
}

/// Whether a note is about this act, as far as its words say: of several approvals each has its own.
fn tells_of(note: &Note, act: &Act) -> bool {
    if asked_by(&note.reason) != Some(act.action) {
        return false;
    }
    let approves = matches!(note.reason.as_str(), "Approved" | EXCEPTED);
    !approves || act.by.as_deref().is_some_and(|by| note.message.strip_prefix(by).is_some_and(|rest| rest.starts_with(' ')))
}

/// The act that a note of this reason tells of.
fn asked_by(reason: &str) -> Option<Asked> {
    match reason {
        "Approved" | EXCEPTED => Some(Asked::Approve),
        "PromotedByHuman" => Some(Asked::Promote),
        "Paused" => Some(Asked::Pause),
        "Resumed" => Some(Asked::Resume),
        "Aborted" => Some(Asked::Abort),
        _ => None,
    }
}

fn kept(act: &Act) -> HumanAct {
    HumanAct {
        intervention: act.name.clone(),
        action: match act.action {
            Asked::Approve => Action::Approve,
            Asked::Promote => Action::Promote,
            Asked::Pause => Action::Pause,
            Asked::Resume => Action::Resume,
            Asked::Abort => Action::Abort,
        },
        by: act.by.clone(),
        at: act.at.map(timestamp),
        reason: act.reason.clone(),
    }
}

/// Notes of one turn have one basis; the last carries it.
fn with_basis(mut told: Vec<DecisionRecord>, basis: Option<String>, notes: &[Note]) -> Vec<DecisionRecord> {
    if let Some(last) = told.last_mut().filter(|_| !notes.is_empty()) {
        last.basis = basis;
    }
    told
}

/// What is there already is not added again: whoever goes on after a crash may tell it once more.
fn add(decisions: &mut Vec<DecisionRecord>, told: Vec<DecisionRecord>) {
    for one in told {
        let same = |other: &DecisionRecord| (other.at, &other.reason, &other.message) == (one.at, &one.reason, &one.message);
        let twice = decisions.iter().any(|other| same(other) && other.act == one.act);
        if !twice {
            decisions.push(one);
        }
    }
}

/// Drops from the middle what is too many, the oldest first and what humans did last; how many.
fn thin(decisions: &mut Vec<DecisionRecord>) -> u32 {
    let mut dropped = 0;
    let mut bytes: usize = decisions.iter().map(words).sum();
    while decisions.len() > MOST || (bytes > MOST_WORD_BYTES && decisions.len() > FIRST + NEWEST) {
        let middle = FIRST..decisions.len() - NEWEST;
        // Whether it was ever exposed is what the end is told by.
        let noted = |place: &usize| {
            let minor = |decision: &DecisionRecord| decision.act.is_none() && decision.reason != "StageStarted";
            decisions.get(*place).is_some_and(|decision| minor(decision) || decision.reason == REFUSED)
        };
        let place = middle.clone().find(noted).unwrap_or(middle.start);
        bytes -= words(&decisions.remove(place));
        dropped += 1;
    }
    dropped
}

/// Bytes of a record without its basis, about.
fn words(decision: &DecisionRecord) -> usize {
    let act = decision.act.as_ref();
    let said = act.map_or(0, |act| [&act.reason, &act.by].into_iter().flatten().map(String::len).sum());
    decision.message.len() + said + 300
}

fn brief(text: &str) -> String {
    text.chars().take(LONGEST_ANSWER).collect()
}

fn bound_bases(decisions: &mut [DecisionRecord]) {
    // What words take beyond theirs is taken from the bases.
    let mut bytes = decisions.iter().map(words).sum::<usize>().saturating_sub(MOST_WORD_BYTES);
    for (back, decision) in decisions.iter_mut().rev().enumerate() {
        bytes += decision.basis.as_ref().map_or(0, String::len);
        if back >= MOST_BASES || bytes > MOST_BASIS_BYTES {
            decision.basis = None;
        }
    }
}

#[cfg(test)]
mod tests;
