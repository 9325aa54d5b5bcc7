//! The way back: safe first, tidy later.
//!
//! (a) every share to 0, behind nothing, and what else would give the candidate requests (no pin, no hold) with it; (b)
//! the candidate to size 0 after a drain; (c) only when its last endpoint is gone, unpin and restore the routes (earlier,
//! the plain Service would send requests to it); (d) leave the workload as the cause asks. Where exposure follows the
//! pods, (b) is first. Each turn looks at what is, so any step may be cut short and done again. A route that cannot be
//! looked at is written all the same, and nothing ends before it was seen without the candidate.

use serde::{Deserialize, Serialize};

use crate::{
    effect::Effect,
    memory::{Memory, Outcome, Phase},
    observation::{Observation, Template, Traffic},
    plan::{Exposure, Setup},
    units::{Millis, Weight},
};

/// Seconds between the last share and size 0, so that requests under way end.
const DRAIN_SECONDS: f64 = 3.0;
/// Pods that still linger after this many seconds without being endpoints no longer delay the tidying.
const LINGER_SECONDS: f64 = 60.0;

/// A decided way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retreat {
    /// How the Change will end.
    pub outcome: Outcome,
    /// One word.
    pub reason: String,
    /// What was seen and what follows.
    pub message: String,
    /// Whether the drain is skipped.
    pub hurry: bool,
    /// When it was decided.
    pub since: Millis,
    /// When the candidate was seen without a share.
    pub share_zero_at: Option<Millis>,
}

/// The effects of this turn of a way back; moves the memory to its end when nothing is left to do.
pub(crate) fn step(setup: &Setup, memory: &mut Memory, seen: &Observation) -> Vec<Effect> {
    let Some(retreat) = memory.retreat.as_mut() else { return Vec::new() };
    memory.granted = Weight::ZERO;
    let also = beside(retreat.outcome, seen);
    let shares = |traffic: &Traffic| traffic.largest_share > 0.0 || traffic.unreadable;
    if let Some(traffic) = seen.traffic.as_ref().filter(|traffic| setup.exposure == Exposure::Routes && shares(traffic)) {
        // A share that cannot be looked at is not known to have come back: a drain that had begun goes on.
        if traffic.largest_share > 0.0 {
            retreat.share_zero_at = None;
        }
        return std::iter::once(Effect::ZeroWeight).chain(also).collect();
    }
    let mut effects = Vec::new();
    let zero_at = *retreat.share_zero_at.get_or_insert(seen.now);
    let drained = retreat.hurry
        || memory.exposed_at.is_none()
        || setup.exposure == Exposure::PodShare
        || seen.now.seconds_since(zero_at) >= DRAIN_SECONDS;
    if seen.candidate.exists && seen.candidate.wanted > 0 && seen.candidate.owned_by_change {
        if drained {
            effects.push(Effect::ScaleCandidate { replicas: 0 });
        }
        effects.extend(also);
        return effects;
    }
    // The native controller had started these before the hold, and while the workload is held it does not scale them away.
    let left_by_native = seen.candidate.exists && seen.candidate.wanted > 0 && seen.workload.held;
    if left_by_native && seen.workload.template == Template::Candidate {
        effects.push(Effect::MakeCandidate { replicas: 0 });
        effects.extend(also);
        return effects;
    }
    // What is the workload's own and not held is the native controller's to run: nothing waits for its pods to go.
    let natives = seen.candidate.exists && !seen.candidate.owned_by_change && !seen.workload.held;
    let lingering = seen.candidate.lingering > 0 && seen.now.seconds_since(retreat.since) < LINGER_SECONDS;
    let serves = seen.candidate.endpoints > 0 || !seen.candidate.names.is_empty() || lingering;
    if serves && !natives || !also.is_empty() {
        return also;
    }
    if let Some(traffic) = &seen.traffic {
        if traffic.carries_candidate {
            effects.push(Effect::RestoreRoutes);
        }
        if traffic.pinned {
            effects.push(Effect::Unpin);
        }
        if traffic.candidate_service {
            effects.push(Effect::RemoveCandidateService);
        }
    }
    if setup.taken_over && seen.candidate.owned_by_change {
        effects.push(Effect::GiveBack);
    }
    let at_rest = effects.is_empty();
    match (retreat.outcome, &seen.workload.template) {
        (Outcome::RolledBack, Template::Candidate) if setup.restore_template => effects.push(Effect::RestoreTemplate),
        (_, Template::Stable) if seen.workload.held && at_rest => effects.push(Effect::Resume),
        _ => {}
    }
    if effects.is_empty() {
        memory.phase = Phase::Ended(retreat.outcome);
    }
    effects
}

/// What is done beside taking the candidate away, never in front of it: the first effect that fails ends a turn, so these
/// come last.
fn beside(outcome: Outcome, seen: &Observation) -> Vec<Effect> {
    let mut effects = Vec::new();
    let bypassed = seen.workload.bypassed && !seen.workload.held;
    let pinned = seen.traffic.as_ref().map(|traffic| traffic.pinned);
    if bypassed && pinned == Some(true) {
        // The native controller scales stable away now: nothing may select stable alone any more.
        effects.push(Effect::Unpin);
    }
    if !bypassed && pinned == Some(false) && seen.candidate.endpoints > 0 && seen.candidate.owned_by_change {
        // Without the pin the Service itself sends the candidate a full share of pods, whatever the routes say.
        effects.push(Effect::Pin);
    }
    // Whatever runs now, unjudged, took stable's place while the Service still is pinned to it.
    let unjudged = match seen.workload.template {
        Template::Newer => true,
        Template::Candidate => outcome != Outcome::Withdrawn,
        Template::Stable | Template::Missing => false,
    };
    if unjudged && !bypassed && !seen.workload.held && !seen.workload.guard_leaves {
        effects.push(Effect::Hold);
    }
    effects
}
