//! Record: what is stored with a Change and shown to people, from the engine's memory and the newest observation.
//!
//! The memory is the state; everything else here is derived from it. Each decision keeps the memory and observation it
//! was computed from, so that it can be computed again, bit for bit.

mod decisions;

use firebreak_api::{
    Change, ChangeStatus,
    change::{
        Approved, Arms, BlastRadius, CheckStatus, Counted, DependentState, DependentStatus, Evidence, HarmScale, Phase,
        QueuePlace, RouteRecord, Waiting,
    },
    conditions::{self, Set, kind},
    packed::{PackError, pack},
};
use firebreak_engine::{
    Basis, Memory, Note, Observation, Setup,
    checks::CheckStanding,
    dependents::State,
    judge::Judgement,
    memory::{Outcome, Phase as EnginePhase},
    people,
    stats::Growth,
    units::Millis,
};
use jiff::Timestamp;

pub(crate) fn timestamp(at: Millis) -> Timestamp {
    Timestamp::from_millisecond(at.0).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// What was told in an earlier turn and is in no record yet.
pub(crate) struct Unrecorded {
    pub(crate) at: Millis,
    pub(crate) notes: Vec<Note>,
    /// What it was computed from; none where it was not decided but met.
    pub(crate) basis: Option<Basis>,
}

/// What a turn adds to the record.
pub(crate) struct Turned<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) before: &'a Memory,
    pub(crate) memory: &'a Memory,
    pub(crate) seen: &'a Observation,
    pub(crate) notes: &'a [Note],
    pub(crate) earlier: &'a [Unrecorded],
    pub(crate) routes: Vec<RouteRecord>,
}

/// The status after a turn.
pub(crate) fn status(change: &Change, old: &ChangeStatus, turn: &Turned<'_>) -> Result<ChangeStatus, PackError> {
    let Turned { setup, memory, seen, .. } = turn;
    let phase = phase(memory.phase);
    let judgement = &memory.judgement;
    let percent = |weight: firebreak_engine::units::Weight| f64::from(weight.as_permille()) / 10.0;
    let kept = decisions::after(&old.decisions, old.dropped, turn)?;
    let mut new = ChangeStatus {
        observed_generation: change.metadata.generation,
        conditions: old.conditions.clone(),
        phase,
        stage: Some(format!("{}/{}", memory.stage + 1, setup.plan.stages.len())),
        weight_percent: percent(memory.granted),
        exposure_percent: judgement.exposure().map(|share| share * 100.0),
        highest_weight_percent: percent(memory.highest),
        waiting: memory.waiting.as_ref().map(|waiting| Waiting {
            reason: waiting.reason.clone(),
            message: waiting.message.clone(),
            since: timestamp(waiting.since),
        }),
        queue: seen.queued.as_ref().map(|queued| QueuePlace { position: queued.position, of: queued.of }),
        paused: memory.paused,
        approvals: memory.approvals.iter().map(|approved| approved_of(setup, approved)).collect(),
        way_back: memory.retreat.as_ref().map(|retreat| Waiting {
            reason: retreat.reason.clone(),
            message: retreat.message.clone(),
            since: timestamp(retreat.since),
        }),
        exposed_at: memory.exposed_at.map(timestamp),
        stage_began_at: memory.in_effect.map(timestamp),
        ended_at: phase.ended().then(|| old.ended_at.unwrap_or_else(|| timestamp(seen.now))),
        evidence: evidence(setup, judgement),
        checks: checks(setup, memory, seen.now),
        harm: Some(HarmScale {
            evidence: judgement.harm_ln_e(setup),
            needed: -setup.plan.alpha.ln(),
            proved_ratio: judgement.proved_ratio(),
        }),
        arms: Some(Arms {
            candidate_pods: seen.candidate.wanted,
            candidate_ready: seen.candidate.ready,
            stable_pods: seen.stable.wanted,
            stable_ready: seen.stable.ready,
            candidate_read: judgement.sampled().map(|sampled| sampled.candidate.read),
            stable_read: judgement.sampled().map(|sampled| sampled.stable.read),
        }),
        dependents: dependents(setup, memory),
        blast_radius: blast(setup, memory, seen.now),
        decisions: kept.decisions,
        dropped: kept.dropped,
        words_only: false,
        routes: turn.routes.clone(),
        memory: Some(pack("memory", memory)?),
    };
    set_conditions(change, &mut new, memory, seen.now);
    Ok(new)
}

fn approved_of(setup: &Setup, approved: &people::Approved) -> Approved {
    Approved {
        by: approved.by.clone(),
        stage: u32::try_from(approved.stage + 1).unwrap_or(u32::MAX),
        at: timestamp(approved.at),
        until: setup.plan.approval.until(approved.at).map(timestamp),
        reason: approved.reason.clone(),
    }
}

fn evidence(setup: &Setup, judgement: &Judgement) -> Vec<Evidence> {
    let named = setup.signals.iter().zip(&judgement.signals);
    let one = |(signal, memory): (&firebreak_engine::plan::SignalSetup, &firebreak_engine::judge::SignalMemory)| Evidence {
        signal: signal.name.clone(),
        harm: memory.harm_ln_e(),
        safety: memory.safety_ln_e(),
        // A signal that opens no stage needs nothing.
        safety_needed: if signal.is_opening() { Judgement::safety_needed(setup) } else { 0.0 },
        candidate: Counted { requests: memory.total.n_c, failures: memory.total.x_c },
        stable: Counted { requests: memory.total.n_s, failures: memory.total.x_s },
        dispersion: memory.phi().get(),
        left_out: Some(memory.left_out())
            .filter(|counts| counts.n_c > 0)
            .map(|counts| Counted { requests: counts.n_c, failures: counts.x_c }),
    };
    named.map(one).collect()
}

fn checks(setup: &Setup, memory: &Memory, now: Millis) -> Vec<CheckStatus> {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let one = |(name, stands): (&str, CheckStanding)| CheckStatus {
        name: name.to_owned(),
        value: stands.value,
        missing: stands.missing,
        failed: count(stands.failed),
        answers: count(stands.answers),
    };
    memory.standing_checks(setup, now).map(one).collect()
}

fn dependents(setup: &Setup, memory: &Memory) -> Vec<DependentStatus> {
    let state = |state: State| match state {
        State::Unharmed => DependentState::Unharmed,
        State::Harmed => DependentState::Harmed,
        State::SickBefore => DependentState::SickBefore,
        State::PlatformTrouble => DependentState::PlatformTrouble,
        State::PastUnknown => DependentState::PastUnknown,
    };
    let standings = memory.reach.standings(setup).into_iter();
    standings.map(|one| DependentStatus { name: one.name, state: state(one.state), evidence: one.ln_e }).collect()
}

fn blast(setup: &Setup, memory: &Memory, now: Millis) -> Option<BlastRadius> {
    let next = setup.plan.weight(memory.stage + 1);
    let judgement = &memory.judgement;
    let blast = judgement.blast(setup, next)?;
    let percent = |share: Option<f64>| share.map(|share| share * 100.0);
    Some(BlastRadius {
        signal: setup.signals.get(judgement.worst(setup))?.name.clone(),
        failed_requests: blast.ef,
        failed_requests_low: Some(blast.ef_lo),
        share_percent: percent(blast.br),
        share_percent_low: percent(blast.br_lo),
        projected_percent: percent(blast.proj),
        growing: match judgement.growth(setup, now) {
            Growth::None => "no".to_owned(),
            Growth::Intensity { ln_e } => format!("intensity rises beyond exposure (ln E {ln_e:.1})"),
            Growth::Share { ratio } => format!("the harmed share of all requests rose {ratio:.1}x"),
        },
    })
}

/// The phase as the resource has it.
#[must_use]
pub fn phase(phase: EnginePhase) -> Phase {
    match phase {
        EnginePhase::Held => Phase::Held,
        EnginePhase::Preparing => Phase::Preparing,
        EnginePhase::Progressing => Phase::Progressing,
        EnginePhase::Baking => Phase::Baking,
        EnginePhase::Promoting => Phase::Promoting,
        EnginePhase::Retreating => Phase::RollingBack,
        EnginePhase::Ended(Outcome::Promoted) => Phase::Promoted,
        EnginePhase::Ended(Outcome::RolledBack) => Phase::RolledBack,
        EnginePhase::Ended(Outcome::Superseded) => Phase::Superseded,
        EnginePhase::Ended(Outcome::Withdrawn) => Phase::Withdrawn,
    }
}

fn set_conditions(change: &Change, status: &mut ChangeStatus, memory: &Memory, now: Millis) {
    let ended = status.phase.ended();
    let phase = format!("{:?}", status.phase);
    let (reason, message) = match (&status.waiting, &memory.retreat) {
        _ if ended => (phase.clone(), status.decisions.last().map_or(phase, |decision| decision.message.clone())),
        (_, Some(retreat)) => (retreat.reason.clone(), retreat.message.clone()),
        (Some(waiting), None) => (waiting.reason.clone(), waiting.message.clone()),
        (None, None) => (phase.clone(), phase),
    };
    let stalled =
        !ended && matches!(reason.as_str(), "WaitingForHuman" | "Inconclusive" | "HarmImmaterial" | "RouteNotUsable" | "Paused");
    let sets = [(kind::READY, ended), (kind::RECONCILING, !ended && !stalled), (kind::STALLED, stalled)];
    for (kind, value) in sets {
        let set = Set { kind, status: value, reason: &reason, message: &message };
        conditions::set(&mut status.conditions, change.metadata.generation, timestamp(now), &set);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use firebreak_api::packed::unpack;

    use super::*;

    /// I10, as the resource stores it: what a decision was computed from gives the same decision again.
    #[test]
    fn given_a_stored_basis_when_decided_again_then_bit_for_bit_the_same() {
        let setup = Setup {
            plan: firebreak_engine::Plan::built_in(firebreak_engine::risk::Level::Medium).0,
            signals: vec![firebreak_engine::plan::SignalSetup {
                name: "errors".into(),
                counts: firebreak_engine::plan::SignalCounts::Failures,
                share: 1.0,
                opens: true,
            }],
            checks: Vec::new(),
            dependents: Vec::new(),
            both_sources: false,
            exposure: firebreak_engine::plan::Exposure::PodShare,
            ready_deadline_seconds: 600.0,
            availability: Some(0.999),
            makers: firebreak_engine::people::Makers { changed_by: Some("ci".to_owned()), author: None },
            restore_template: false,
            refused: None,
            taken_over: false,
            late: None,
        };
        let observation: Observation = serde_json::from_value(serde_json::json!({
            "now": 1_800_000_000_123_i64,
            "workload": {"template": "Candidate", "replicas": 3, "held": true, "rolled_out": false, "guard_leaves": false},
            "stable": {"exists": true, "owned_by_change": false, "wanted": 3, "names": ["s-1"], "ready": 3, "endpoints": 3,
                       "lingering": 3, "crash_looping": 0, "broken": null},
            "candidate": {"exists": false, "owned_by_change": false, "wanted": 0, "names": [], "ready": 0, "endpoints": 0,
                          "lingering": 0, "crash_looping": 0, "broken": null},
            "traffic": null, "pasts": null, "seen": [], "acts": [],
            "look": {"at": 1_800_000_000_100_i64, "scrape_seconds": 1.0, "signals": [
                {"Read": [{"pod": "s-1", "arm": "Stable", "requests": 1000, "failures": 3, "read_at": 1_800_000_000_000_i64}]}]},
        }))
        .unwrap();
        let basis = Basis { memory: Memory::new(&setup, observation.now), setup, observation };
        let again: Basis = unpack("basis", &pack("basis", &basis).unwrap()).unwrap();
        assert_eq!(again, basis);
        let text = |basis: &Basis| serde_json::to_string(&basis.decide()).unwrap();
        assert_eq!(text(&again), text(&basis));
    }

    /// I10 on a Change's whole way, with evidence in its memory: promoted, taken back, and held without metrics.
    #[test]
    fn given_the_basis_of_every_turn_when_decided_again_then_bit_for_bit_the_same() {
        let mut phases = std::collections::BTreeSet::new();
        for (failing, outage) in [(1, 0..0), (200, 0..0), (1, 20..90)] {
            let setup = firebreak_sim::setup(firebreak_engine::risk::Level::Medium, 4);
            let mut memory = Memory::new(&setup, Millis(1_800_000_000_000));
            let mut cluster = firebreak_sim::Cluster::new(setup.clone());
            cluster.failing = (failing, 1);
            for second in 0..120 {
                cluster.metrics = !outage.contains(&second);
                let mut observation = cluster.observe();
                observation.now = observation.now.plus_seconds(1.0);
                observation.look.as_mut().unwrap().at = observation.now;
                let basis = Basis { setup: setup.clone(), memory: memory.clone(), observation };
                let again: Basis = unpack("basis", &pack("basis", &basis).unwrap()).unwrap();
                assert_eq!(again, basis);
                let decision = basis.decide();
                assert_eq!(serde_json::to_string(&again.decide()).unwrap(), serde_json::to_string(&decision).unwrap());
                phases.insert(format!("{:?}", decision.memory.phase));
                cluster.turn();
                memory = cluster.memory.clone();
            }
        }
        for phase in ["Preparing", "Progressing", "Baking", "Promoting", "Retreating", "Ended(Promoted)", "Ended(RolledBack)"] {
            assert!(phases.contains(phase), "no turn ended in {phase}: {phases:?}");
        }
    }
}
