//! What became of one Change, in a line.

use firebreak_api::{
    Change, Guard,
    change::Phase,
    guard::{Bypass, Hold},
    names,
    record::{self, Actor, Entry},
};
use jiff::Timestamp;
use serde::Serialize;

use super::gather::Acts;
use crate::{facts, words};

/// Letters of a version that are shown.
const VERSION: usize = 12;

/// One side of a Change.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Side {
    /// `pod-template-hash` of its pods; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Its images.
    pub images: Vec<String>,
}

/// What became of one Change, or of a template that someone let through.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// When the operator saw the template.
    pub at: Timestamp,
    /// When it ended; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Namespace.
    pub namespace: String,
    /// Its Guard.
    pub guard: String,
    /// Its name; absent where a template was let through without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// Revision in version control, as it claims; absent where it claims none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Its level of risk; absent where it was not judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk: Option<String>,
    /// Where it is, or how it ended.
    pub outcome: String,
    /// Why it went back, in one word; absent where it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who asked the API server for the template.
    pub changed_by: Actor,
    /// Who approved or promoted it.
    pub approved_by: Vec<String>,
    /// Seconds from when it was seen to its end; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_seconds: Option<i64>,
    /// Requests that failed because of it (estimate); absent where nothing was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_requests: Option<f64>,
    /// From what.
    pub from: Side,
    /// To what.
    pub to: Side,
    /// Decisions that are not kept.
    pub dropped: u32,
    /// The record, oldest first.
    pub entries: Vec<Entry>,
}

impl Row {
    /// The line of a Change.
    #[must_use]
    pub fn of(change: &Change, acts: &Acts) -> Self {
        let (spec, status) = (&change.spec, facts::status(change));
        let entries = record::entries(change, acts.of(change));
        let ended = status.phase.ended();
        Self {
            at: spec.detected_at,
            ended_at: status.ended_at,
            namespace: change.metadata.namespace.clone().unwrap_or_default(),
            guard: spec.guard.clone(),
            change: Some(facts::name(change).to_owned()),
            revision: spec.claims.annotations.get(names::REVISION).cloned(),
            risk: Some(spec.risk.level.clone()),
            outcome: if ended { words::phase(status.phase).to_lowercase() } else { words::phase(status.phase).to_owned() },
            reason: status.way_back.as_ref().filter(|_| status.phase != Phase::Promoted).map(|back| back.reason.clone()),
            changed_by: changer(change),
            approved_by: record::approvers(&entries).into_iter().map(str::to_owned).collect(),
            took_seconds: status.ended_at.map(|end| words::since(spec.detected_at, end).as_secs()),
            failed_requests: status.blast_radius.as_ref().and_then(|blast| blast.failed_requests),
            from: stable(change),
            to: candidate(change),
            dropped: status.dropped,
            entries,
        }
    }

    /// The lines of what was let through on a Guard.
    #[must_use]
    pub fn bypasses(guard: &Guard) -> Vec<Self> {
        record::bypasses(guard).iter().map(|bypass| Self::of_bypass(guard, bypass)).collect()
    }

    fn of_bypass(guard: &Guard, bypass: &Bypass) -> Self {
        let entry = record::bypassed(bypass);
        Self {
            at: bypass.at,
            ended_at: Some(bypass.at),
            namespace: guard.metadata.namespace.clone().unwrap_or_default(),
            guard: guard.metadata.name.clone().unwrap_or_default(),
            change: None,
            revision: None,
            risk: None,
            outcome: "bypassed".to_owned(),
            reason: None,
            changed_by: entry.actor.clone(),
            approved_by: Vec::new(),
            took_seconds: None,
            failed_requests: None,
            from: before(bypass),
            to: let_through(bypass),
            dropped: 0,
            entries: vec![entry],
        }
    }

    /// How it ended, and why in a word.
    #[must_use]
    pub fn how(&self) -> String {
        self.reason.as_ref().map_or_else(|| self.outcome.clone(), |reason| format!("{} ({reason})", self.outcome))
    }

    /// Its version: the revision in version control that it claims, short; where it claims none the tag of its image. A revision of
    /// the workload is another thing: it has the hash of its pod template.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let claimed = self.revision.as_deref().map(|revision| revision.chars().take(VERSION).collect());
        let tag =
            || self.to.images.first().and_then(|image| image.rsplit('/').next()?.split_once(':').map(|(_, tag)| tag.to_owned()));
        claimed.or_else(tag)
    }
}

fn changer(change: &Change) -> Actor {
    match (change.spec.hold, &change.spec.claims.changed_by) {
        (Hold::Admission, Some(name)) => Actor::Person { name: name.clone() },
        _ => Actor::Unattested,
    }
}

/// The side of a Change that served users.
#[must_use]
pub fn stable(change: &Change) -> Side {
    Side { hash: Some(change.spec.stable.hash.clone()), images: change.spec.stable_images.clone() }
}

/// The side of a Change that was judged.
#[must_use]
pub fn candidate(change: &Change) -> Side {
    Side { hash: Some(change.spec.candidate.hash.clone()), images: change.spec.candidate.images.clone() }
}

/// What served users before a bypass.
#[must_use]
pub fn before(bypass: &Bypass) -> Side {
    Side { hash: bypass.from.as_ref().map(|from| from.hash.clone()), images: Vec::new() }
}

/// What a bypass let through.
#[must_use]
pub fn let_through(bypass: &Bypass) -> Side {
    Side { hash: Some(bypass.to.hash.clone()), images: bypass.images.clone() }
}
