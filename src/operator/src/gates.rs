//! What stands before a Change beside its evidence: freeze windows that are open, and limits that are full.
//!
//! [`Gate::decide`] asks the engine; unless that leads back, it reads both from the policy that is in force now, and where the Change
//! would take a place of a limit, asks for that place first. Which Changes have a place is kept
//! in [`places`], who is next in [`order`], which workloads belong together in [`groups`], when a window is open in [`calendars`].

mod calendars;
mod groups;
mod order;
mod places;

use std::sync::{Arc, Mutex, PoisonError};

use firebreak_api::{
    Change, Guard,
    freezes::{Exception, Limits, Running},
    in_force::{Basis, Effective},
    policy::RiskLevel,
};
use firebreak_engine::{
    Decision, Memory, Observation, Setup, decide,
    gates::{self, Frozen},
    memory::{Outcome, Phase},
    risk::Level,
    units::Millis,
};
use jiff::Timestamp;
use kube::ResourceExt as _;

use self::{
    calendars::Calendars,
    groups::Groups,
    order::{Entrant, Key, Scope},
    places::{Around, Places},
};
use crate::{record::timestamp, supervisor::Shared};

/// What all Changes of this process share.
#[derive(Default)]
pub(crate) struct Gates {
    places: Places,
    calendars: Calendars,
    groups: Mutex<Option<(u64, Arc<Groups>)>>,
}

impl Gates {
    /// Forgets where Changes stood: another replica may have moved them since.
    pub(crate) fn forget(&self) {
        self.places.forget();
    }

    /// How many Changes wait for a place.
    pub(crate) fn waiting(&self) -> usize {
        self.places.waiting()
    }

    /// A Change is over.
    pub(crate) fn ended(&self, change: &Change) {
        self.places.leave(&key(change));
    }

    /// Which workloads Guards join; worked out anew when a Guard or a policy has changed.
    fn groups(&self, shared: &Shared) -> Arc<Groups> {
        let version = *shared.bell.borrow();
        let mut kept = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, groups)) = kept.as_ref().filter(|(of, _)| *of == version) {
            return Arc::clone(groups);
        }
        let groups = Arc::new(Groups::of(shared.guards.all().iter().map(AsRef::as_ref)));
        *kept = Some((version, Arc::clone(&groups)));
        groups
    }
}

fn key(change: &Change) -> Key {
    Key { namespace: change.namespace().unwrap_or_default(), change: change.name_any() }
}

/// What stands before one Change.
pub(crate) struct Gate<'a> {
    shared: &'a Shared,
    guard: Option<&'a Guard>,
    change: &'a Change,
}

impl<'a> Gate<'a> {
    pub(crate) const fn of(shared: &'a Shared, guard: Option<&'a Guard>, change: &'a Change) -> Self {
        Self { shared, guard, change }
    }

    /// One turn's decision. What leads back is decided before any policy is read or any place is asked for. Where the Change would
    /// take a place that it has not got, that is asked for; if there is none, it is decided again with its place in the queue, and
    /// that is what is recorded.
    pub(crate) fn decide(&self, setup: &Setup, memory: &Memory, seen: &mut Observation) -> Decision {
        let mut decision = decide(setup, memory, seen);
        if leads_back(&decision) {
            return decision;
        }
        let policy = self.policy();
        let level = Level::read(&self.change.spec.risk.level).map(RiskLevel::from);
        seen.freezes = frozen(&self.shared.gates.calendars, &policy, level, timestamp(seen.now));
        if !seen.freezes.is_empty() {
            decision = decide(setup, memory, seen);
        }
        let entrant = self.entrant(&policy, level);
        let (had, takes) = (memory.takes_place(), decision.memory.takes_place());
        let places = &self.shared.gates.places;
        if had || !takes {
            places.stands(&entrant, takes);
            return decision;
        }
        let since = memory.queued_since.unwrap_or(seen.now);
        match places.ask(&entrant, since, &self.around(&entrant)) {
            Ok(()) => decision,
            Err(queued) => {
                seen.queued = Some(queued);
                decide(setup, memory, seen)
            }
        }
    }

    /// The policy of its Guard as it is in force now; where there is none that can be used, the one it began with.
    fn policy(&self) -> Effective {
        let held = self.guard.and_then(|guard| self.shared.policies.of(guard).ok()).map(|held| held.effective);
        let recorded = || Some(Basis::unpack(self.change.spec.risk_basis.as_deref()?).ok()?.policy);
        held.or_else(recorded).unwrap_or_default()
    }

    fn entrant(&self, policy: &Effective, level: Option<RiskLevel>) -> Entrant {
        Entrant {
            key: key(self.change),
            scope: Scope::Of(policy.cluster.as_ref().map(|cluster| cluster.name.clone())),
            level,
            workload: Some((self.change.namespace().unwrap_or_default(), self.change.spec.target.name.clone())),
            limits: policy.limits(),
        }
    }

    fn around(&self, asks: &Entrant) -> Around {
        let held = &self.shared.held;
        let entrant = |(namespace, change, guard): (String, String, Option<String>)| {
            let guard = guard.and_then(|name| self.shared.guards.get(&namespace, &name));
            let policy = guard.as_ref().and_then(|guard| self.shared.policies.of(guard).ok());
            let scope = policy.map_or(Scope::Any, |held| Scope::Of(held.effective.cluster.map(|cluster| cluster.name)));
            let workload = guard.map(|guard| (namespace.clone(), guard.spec.target_ref.name.clone()));
            Entrant { key: Key { namespace, change }, scope, level: None, workload, limits: Limits::default() }
        };
        let grouped = asks.limits.dependency_group.is_some();
        Around {
            listed: held.is_listed(),
            held: held.changes().map(entrant).collect(),
            groups: if grouped { self.shared.gates.groups(self.shared) } else { Arc::default() },
        }
    }
}

/// Whether it goes back, or ends without a promotion.
fn leads_back(decision: &Decision) -> bool {
    matches!(decision.memory.phase, Phase::Retreating | Phase::Ended(_))
        && decision.memory.phase != Phase::Ended(Outcome::Promoted)
}

/// The freezes of a policy that are open at a moment and hold for a level; for all levels where it is not known.
fn frozen(calendars: &Calendars, policy: &Effective, level: Option<RiskLevel>, now: Timestamp) -> Vec<Frozen> {
    let open = |freeze: firebreak_api::freezes::NamedFreeze<'_>| {
        if level.is_some_and(|level| !freeze.holds_for(level)) {
            return None;
        }
        let (window, until_words) = calendars.open(&freeze, now)?;
        Some(Frozen {
            since: Millis(window.since.as_millisecond()),
            until: Millis(window.until.as_millisecond()),
            until_words,
            running: match freeze.freeze.running {
                Running::Hold => gates::Running::Hold,
                Running::Finish => gates::Running::Finish,
            },
            exception: freeze.freeze.exception == Exception::Approval,
            name: freeze.name,
        })
    };
    policy.freezes().filter_map(open).collect()
}

#[cfg(test)]
mod tests;
