//! Who is next where places are few. Pure.
//!
//! The queue of a policy is ordered by how many Changes are under way in the namespace (the fewest first), then by who has waited
//! longest, then by name. Whoever the limits let through gets a place, in that order; one that its own limits keep out does not
//! keep out those behind it.

use std::fmt;

use firebreak_api::{freezes::Limits, policy::RiskLevel};
use firebreak_engine::{risk::Level, units::Millis};

use super::groups::{Groups, Workload};

/// Names in one sentence; the others are counted.
const MOST_NAMED: usize = 5;

/// A Change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) change: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.change)
    }
}

/// Whose limits count it: the Changes whose Guards go by the same ClusterRiskPolicy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// It goes by this one; none is the built-in policy.
    Of(Option<String>),
    /// Not known: every policy's.
    Any,
}

impl Scope {
    pub(super) fn meets(&self, other: &Self) -> bool {
        *self == Self::Any || *other == Self::Any || self == other
    }
}

/// What limits ask of a Change. What is not known of it counts everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entrant {
    pub(crate) key: Key,
    pub(crate) scope: Scope,
    pub(crate) level: Option<RiskLevel>,
    pub(crate) workload: Option<Workload>,
    pub(crate) limits: Limits,
}

impl Entrant {
    /// The limit that keeps it out, with what fills it.
    pub(super) fn kept_out(&self, under_way: &[&Self], groups: &Groups) -> Option<String> {
        let mine = |other: &Self| self.scope.meets(&other.scope);
        let full = |limit: Option<u32>, field: String, place: String, counts: &dyn Fn(&Self) -> bool| {
            let limit = usize::try_from(limit?).unwrap_or(usize::MAX);
            let filled: Vec<&Key> = under_way.iter().filter(|other| mine(other) && counts(other)).map(|one| &one.key).collect();
            let policy = match &self.scope {
                Scope::Of(Some(name)) => format!("policy {name}"),
                Scope::Of(None) | Scope::Any => "the policy".to_owned(),
            };
            (filled.len() >= limit).then(|| {
                let names = listed(filled.iter().copied());
                format!("{} under way {place}, and {policy} lets {limit} ({field}): {names}", filled.len())
            })
        };
        let namespace = &self.key.namespace;
        let level = self.level.unwrap_or(RiskLevel::Critical);
        let group = |other: &Self| match (&self.workload, &other.workload) {
            (Some(mine), Some(other)) => groups.joined(mine, other),
            _ => true,
        };
        full(self.limits.cluster, "limits.cluster".to_owned(), "in the cluster".to_owned(), &|_| true)
            .or_else(|| {
                let place = format!("in namespace {namespace}");
                full(self.limits.namespace, "limits.namespace".to_owned(), place, &|other| other.key.namespace == *namespace)
            })
            .or_else(|| {
                let name = Level::from(level);
                full(self.limits.level(level), format!("limits.levels.{name}"), format!("of level {name}"), &|other| {
                    other.level.is_none_or(|other| other == level)
                })
            })
            .or_else(|| {
                let place = "among workloads that Guards join by dependents".to_owned();
                full(self.limits.dependency_group, "limits.dependencyGroup".to_owned(), place, &group)
            })
    }
}

/// Names, the first of them.
pub(super) fn listed<'a>(keys: impl ExactSizeIterator<Item = &'a Key>) -> String {
    let more = keys.len().saturating_sub(MOST_NAMED);
    let mut names: Vec<String> = keys.take(MOST_NAMED).map(ToString::to_string).collect();
    if more > 0 {
        names.push(format!("{more} more"));
    }
    names.join(", ")
}

/// Who waits, since when.
#[derive(Debug, Clone)]
pub(super) struct Waiter {
    pub(super) entrant: Entrant,
    pub(super) since: Millis,
}

/// The queue in its order; with each what keeps it out once those before it have their places, or nothing.
pub(super) fn queue(mut waiters: Vec<Waiter>, under_way: &[&Entrant], groups: &Groups) -> Vec<(Key, Option<String>)> {
    let mut placed: Vec<Entrant> = Vec::new();
    let mut order = Vec::with_capacity(waiters.len());
    while !waiters.is_empty() {
        let mut under: Vec<&Entrant> = under_way.to_vec();
        under.extend(&placed);
        let rank = |waiter: &Waiter| {
            let Entrant { key, scope, .. } = &waiter.entrant;
            let there = under.iter().filter(|one| one.key.namespace == key.namespace && scope.meets(&one.scope)).count();
            (there, waiter.since, key.clone())
        };
        let next = (0..waiters.len()).min_by_key(|place| waiters.get(*place).map(&rank));
        let Some(place) = next else { break };
        let out = waiters.get(place).and_then(|waiter| waiter.entrant.kept_out(&under, groups));
        let Waiter { entrant, .. } = waiters.swap_remove(place);
        order.push((entrant.key.clone(), out.clone()));
        if out.is_none() {
            placed.push(entrant);
        }
    }
    order
}
