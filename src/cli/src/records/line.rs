//! An entry as an auditor keeps it: with all that says which Change it is of.

use std::collections::BTreeMap;

use firebreak_api::{
    Change, Guard, Intervention,
    record::{self, Entry, What},
};
use jiff::Timestamp;
use serde::Serialize;

use super::row::{self, Side};
use crate::facts;

/// One line of an export.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// The same whenever it is exported: the Change's uid, what, and when. Of a retry or clear, which is between two Changes, the
    /// workload's uid.
    pub id: String,
    /// What was done.
    #[serde(flatten)]
    pub entry: Entry,
    /// Namespace.
    pub namespace: String,
    /// The Guard.
    pub guard: String,
    /// The workload: a Deployment.
    pub workload: String,
    /// The Change; absent where a template was let through without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// `metadata.uid` of the Change, else of the Guard.
    pub uid: String,
    /// The attempt at this template, from 1; absent without a Change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The level of risk; absent without a Change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk: Option<String>,
    /// The policy that it went by; absent without a Change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What the change says about itself, as it stood when it began: annotation to value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, String>,
    /// From what.
    pub from: Side,
    /// To what.
    pub to: Side,
}

/// The lines of a Change, oldest first.
#[must_use]
pub fn of_change(change: &Change, acts: &[Intervention]) -> Vec<Line> {
    let spec = &change.spec;
    let uid = change.metadata.uid.clone().unwrap_or_default();
    let mut ids = Ids::default();
    let between = |entry: &Entry| matches!(entry.what, What::Retried | What::Cleared);
    let line = |entry: Entry| Line {
        id: ids.next(if between(&entry) { &spec.target_uid } else { &uid }, &entry),
        entry,
        namespace: change.metadata.namespace.clone().unwrap_or_default(),
        guard: spec.guard.clone(),
        workload: spec.target.name.clone(),
        change: Some(facts::name(change).to_owned()),
        uid: uid.clone(),
        attempt: Some(spec.attempt),
        risk: Some(spec.risk.level.clone()),
        policy: Some(spec.policy.clone()),
        claims: spec.claims.annotations.clone(),
        from: row::stable(change),
        to: row::candidate(change),
    };
    record::entries(change, acts).into_iter().map(line).collect()
}

/// The lines of what was let through on a Guard, oldest first.
#[must_use]
pub fn of_guard(guard: &Guard) -> Vec<Line> {
    let uid = guard.metadata.uid.clone().unwrap_or_default();
    let mut ids = Ids::default();
    let line = |bypass| {
        let entry = record::bypassed(bypass);
        Line {
            id: ids.next(&uid, &entry),
            entry,
            namespace: guard.metadata.namespace.clone().unwrap_or_default(),
            guard: guard.metadata.name.clone().unwrap_or_default(),
            workload: guard.spec.target_ref.name.clone(),
            change: None,
            uid: uid.clone(),
            attempt: None,
            risk: None,
            policy: None,
            claims: BTreeMap::new(),
            from: row::before(bypass),
            to: row::let_through(bypass),
        }
    };
    record::bypasses(guard).iter().map(line).collect()
}

/// Ids that say nothing of the order in which entries are read.
#[derive(Default)]
struct Ids {
    given: BTreeMap<(What, Timestamp), u32>,
}

impl Ids {
    fn next(&mut self, uid: &str, entry: &Entry) -> String {
        let count = self.given.entry((entry.what, entry.at)).or_default();
        *count += 1;
        let more = if *count > 1 { format!(".{count}") } else { String::new() };
        format!("{uid}.{:?}.{}{more}", entry.what, entry.at.as_millisecond())
    }
}
