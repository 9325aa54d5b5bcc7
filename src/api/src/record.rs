//! The record of a Change as entries: what was done, by whom, when and why, in order; the same for people, files and auditors. Pure.
//!
//! Nothing is kept twice: an entry is made of what the Change says of its beginning (its spec), of its decisions (its status) and,
//! for what no running Change answers, of the Interventions that name it.

use jiff::Timestamp;
use kube::ResourceExt as _;
use serde::Serialize;

use crate::{
    Change, Guard, Intervention,
    change::{DecisionRecord, HumanAct, Phase},
    guard::{Bypass, Hold},
    intervention::{Action, Outcome},
};

/// What an entry tells of.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// Someone asked the API server for the template; it is held.
    Held,
    /// A human let a condemned template be judged again and began with it.
    Retried,
    /// A human let a condemned template be judged again.
    Cleared,
    /// Candidate pods were started.
    Preparing,
    /// The candidate was given a share of the traffic.
    StageStarted,
    /// A human answered yes to what the policy asks before a stage.
    Approved,
    /// A human let it through a freeze.
    Excepted,
    /// An approval became void.
    ApprovalExpired,
    /// A human let it go on without waiting for the evidence.
    PromotedByHuman,
    /// A human stopped it where it was.
    Paused,
    /// A human let it go on after that.
    Resumed,
    /// A human took it back.
    Aborted,
    /// A human asked, and it was refused.
    Refused,
    /// It was decided to go back.
    TakingBack,
    /// The candidate's pods are handed over.
    Promoting,
    /// The candidate is the new stable.
    Promoted,
    /// The candidate is gone and condemned.
    RolledBack,
    /// It ended since another Change follows.
    Superseded,
    /// It ended since nothing is to be judged any more.
    Withdrawn,
    /// Someone let a template through, unjudged.
    Bypassed,
    /// Anything else that was decided or met; its reason says what.
    Noted,
}

/// Who did it.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(tag = "kind")]
pub enum Actor {
    /// Someone whom the API server vouches for.
    Person {
        /// Their name, as the API server knows them.
        name: String,
    },
    /// Someone whom nobody vouches for.
    Unattested,
    /// Firebreak itself, by evidence or policy.
    Firebreak,
}

impl Actor {
    /// The name that the API server vouches for.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Person { name } => Some(name),
            Self::Unattested | Self::Firebreak => None,
        }
    }

    fn of(name: Option<&str>) -> Self {
        name.map_or(Self::Unattested, |name| Self::Person { name: name.to_owned() })
    }
}

/// One entry.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
    /// Who.
    pub actor: Actor,
    /// Why, in the human's own words; absent where they gave none, and where no human acted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// One word: the reason of its Event.
    pub reason: String,
    /// What was seen and what followed.
    pub message: String,
    /// The stage then, from 1; 0 before the first; absent where it is not recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<u32>,
    /// Share of traffic that the candidate might receive from then on, in percent; absent where it is not recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_percent: Option<f64>,
    /// Name of the Intervention behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intervention: Option<String>,
}

/// The entries of a Change, oldest first; `acts` may hold Interventions of others.
#[must_use]
pub fn entries<'a>(change: &Change, acts: impl IntoIterator<Item = &'a Intervention>) -> Vec<Entry> {
    let status = change.status.as_ref();
    let mut all = beginning(change);
    all.extend(status.into_iter().flat_map(|status| &status.decisions).map(|decision| decided(change, decision)));
    let told: Vec<String> = all.iter().filter_map(|entry| entry.intervention.clone()).collect();
    let name = change.name_any();
    let untold = acts.into_iter().filter(|act| {
        let of_it = act.spec.change == name && act.namespace() == change.namespace() && act.spec.guard == change.spec.guard;
        // A Change made again under a name that was another's has none of its acts.
        let since = act
            .metadata
            .creation_timestamp
            .as_ref()
            .is_some_and(|made| made.0.as_second() >= change.spec.detected_at.as_second());
        of_it && since && !told.contains(&act.name_any())
    });
    all.extend(untold.filter_map(answered));
    all.sort_by_key(|entry| entry.at);
    all
}

/// The bypass as an entry.
#[must_use]
pub fn bypassed(bypass: &Bypass) -> Entry {
    Entry {
        at: bypass.at,
        what: What::Bypassed,
        actor: Actor::of(bypass.by.as_deref()),
        why: Some(bypass.reason.clone()),
        reason: "Bypassed".to_owned(),
        message: format!("ReplicaSet {} was let through unjudged and is stable", bypass.to.replica_set),
        stage: None,
        weight_percent: None,
        intervention: None,
    }
}

/// Templates that someone let through on this Guard, oldest first.
#[must_use]
pub fn bypasses(guard: &Guard) -> &[Bypass] {
    guard.status.as_ref().map_or(&[], |status| &status.bypasses)
}

/// Who let the Change go on: whoever approved or promoted it, or let it through a freeze, each once, in their order.
#[must_use]
pub fn approvers(entries: &[Entry]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    let let_on = entries.iter().filter(|entry| matches!(entry.what, What::Approved | What::Excepted | What::PromotedByHuman));
    for name in let_on.filter_map(|entry| entry.actor.name()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn beginning(change: &Change) -> Vec<Entry> {
    let spec = &change.spec;
    let mut entries = Vec::new();
    if let Some(act) = &spec.cleared {
        let again = Entry { at: act.at.unwrap_or(spec.detected_at), ..cleared(act) };
        entries.push(again);
    }
    let (actor, how) = match spec.hold {
        Hold::Admission => (Actor::of(spec.claims.changed_by.as_deref()), "held in the API server"),
        Hold::Late => (Actor::Unattested, "held late, by the operator"),
    };
    entries.push(Entry {
        at: spec.detected_at,
        what: What::Held,
        actor,
        why: spec.claims.annotations.get(crate::names::SUMMARY).cloned(),
        reason: "Held".to_owned(),
        message: format!("a new template, {how}; {} risk by policy {}", spec.risk.level, spec.policy),
        stage: Some(0),
        weight_percent: Some(0.0),
        intervention: None,
    });
    entries
}

fn cleared(act: &HumanAct) -> Entry {
    let (what, reason) = if act.action == Action::Retry { (What::Retried, "Retried") } else { (What::Cleared, "Cleared") };
    Entry {
        at: act.at.unwrap_or(Timestamp::UNIX_EPOCH),
        what,
        actor: Actor::of(act.by.as_deref()),
        why: act.reason.clone(),
        reason: reason.to_owned(),
        message: "the template, condemned before, may be judged again".to_owned(),
        stage: None,
        weight_percent: None,
        intervention: Some(act.intervention.clone()),
    }
}

fn decided(change: &Change, decision: &DecisionRecord) -> Entry {
    let act = decision.act.as_ref();
    Entry {
        at: decision.at,
        what: what(change, decision),
        actor: act.map_or(Actor::Firebreak, |act| Actor::of(act.by.as_deref())),
        why: act.and_then(|act| act.reason.clone()),
        reason: decision.reason.clone(),
        message: decision.message.clone(),
        stage: decision.stage,
        weight_percent: decision.weight_percent,
        intervention: act.map(|act| act.intervention.clone()),
    }
}

fn what(change: &Change, decision: &DecisionRecord) -> What {
    let status = change.status.as_ref();
    match decision.reason.as_str() {
        "Preparing" => What::Preparing,
        "StageStarted" => What::StageStarted,
        "Approved" => What::Approved,
        "FreezeExcepted" => What::Excepted,
        "ApprovalExpired" => What::ApprovalExpired,
        "PromotedByHuman" => What::PromotedByHuman,
        "Paused" => What::Paused,
        "Resumed" => What::Resumed,
        "Aborted" => What::Aborted,
        "Refused" => What::Refused,
        "Promoting" => What::Promoting,
        "Promoted" => What::Promoted,
        "RolledBack" => What::RolledBack,
        "Bypassed" => What::Bypassed,
        "Ended" if status.is_some_and(|status| status.phase == Phase::Superseded) => What::Superseded,
        "Ended" => What::Withdrawn,
        reason => {
            let back = status.and_then(|status| status.way_back.as_ref());
            if back.is_some_and(|back| back.reason == reason && back.since == decision.at) {
                What::TakingBack
            } else {
                What::Noted
            }
        }
    }
}

/// An act that the Change itself has no word of: it came before the Change ran or after, or was one of many.
fn answered(act: &Intervention) -> Option<Entry> {
    let status = act.status.as_ref()?;
    let outcome = status.outcome?;
    let made = act.metadata.creation_timestamp.as_ref()?.0;
    let (what, reason) = match (outcome, act.spec.action) {
        (Outcome::Refused, _) => (What::Refused, "Refused"),
        (_, Action::Approve) => (What::Approved, "Approved"),
        (_, Action::Promote) => (What::PromotedByHuman, "PromotedByHuman"),
        (_, Action::Pause) => (What::Paused, "Paused"),
        (_, Action::Resume) => (What::Resumed, "Resumed"),
        (_, Action::Abort) => (What::Aborted, "Aborted"),
        (_, Action::Retry) => (What::Retried, "Retried"),
        (_, Action::Clear) => (What::Cleared, "Cleared"),
    };
    // What lets through is applied only where the API server vouches for the name; of the rest nobody knows any more.
    let vouched = outcome == Outcome::Applied && act.spec.needs_attesting();
    let words = status.message.clone().unwrap_or_default();
    Some(Entry {
        at: made,
        what,
        actor: Actor::of(act.spec.by.as_deref().filter(|_| vouched)),
        why: act.spec.reason.clone(),
        reason: reason.to_owned(),
        message: if what == What::Refused { format!("{}: {words}", act.spec.action.verb()) } else { words },
        stage: None,
        weight_percent: None,
        intervention: Some(act.name_any()),
    })
}

#[cfg(test)]
mod tests;
