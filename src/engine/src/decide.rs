//! One turn of a Change: what was seen, judged; where it stands, moved; what is to be done, said.
//!
//! The order is the safety: the newest look is judged first, then humans are heard, then everything that leads back is
//! asked, and only then anything that leads on. No way back waits for readiness, for metrics or for a human.

mod back;
mod gates;
mod hand_over;
mod late;
mod on;
mod people;

use serde::{Deserialize, Serialize};

use crate::{
    counters::Present,
    effect::{Effect, Note},
    judge::Standing,
    memory::{Memory, Phase, Waiting},
    observation::Observation,
    plan::{Exposure, Setup},
    stats::Phi,
    units::Weight,
};

/// Fewest candidate pods, where the workload has as many: one pod's own troubles are not the revision's.
const FEWEST_PODS: u32 = 2;

/// What one turn decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What is remembered.
    pub memory: Memory,
    /// What is to be done, in this order.
    pub effects: Vec<Effect>,
    /// What people should know.
    pub notes: Vec<Note>,
    /// What humans asked for in this turn, and what became of it.
    #[serde(default)]
    pub answers: Vec<Answer>,
}

/// What became of a human's act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Name of the Intervention.
    pub act: String,
    /// Whether it was applied; else it was refused.
    pub applied: bool,
    /// What was done, or why it was not and what to do instead.
    pub message: String,
}

/// What one decision is computed from; stored with it, it can be computed again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Basis {
    /// What did not change while the Change ran.
    pub setup: Setup,
    /// The memory before.
    pub memory: Memory,
    /// What was seen.
    pub observation: Observation,
}

impl Basis {
    /// The decision, bit for bit the same at any time and on any machine.
    #[must_use]
    pub fn decide(&self) -> Decision {
        decide(&self.setup, &self.memory, &self.observation)
    }
}

/// Decides one turn. Pure: the same input gives the same output, bit for bit.
#[must_use]
pub fn decide(setup: &Setup, memory: &Memory, seen: &Observation) -> Decision {
    let mut turn = Turn {
        setup,
        seen,
        memory: memory.clone(),
        had_place: memory.takes_place(),
        effects: Vec::new(),
        notes: Vec::new(),
        answers: Vec::new(),
    };
    if !matches!(memory.phase, Phase::Ended(_)) {
        turn.take();
    }
    Decision { memory: turn.memory, effects: turn.effects, notes: turn.notes, answers: turn.answers }
}

/// Candidate pods that a share of traffic needs, of a workload of `replicas` pods: enough to carry the share where
/// routes give it, no more than the share where pods are the share (but one).
#[must_use]
pub fn candidate_pods(exposure: Exposure, replicas: u32, weight: Weight) -> u32 {
    if weight == Weight::ZERO || replicas == 0 {
        return 0;
    }
    if weight >= Weight::FULL {
        return replicas;
    }
    let (replicas_wide, permille) = (u64::from(replicas), u64::from(weight.as_permille()));
    let pods = match exposure {
        Exposure::Routes => (replicas_wide * permille).div_ceil(1000).max(u64::from(FEWEST_PODS.min(replicas))),
        Exposure::PodShare => (replicas_wide * permille / (1000 - permille)).max(1),
    };
    u32::try_from(pods.min(replicas_wide)).unwrap_or(replicas)
}

struct Turn<'a> {
    setup: &'a Setup,
    seen: &'a Observation,
    memory: Memory,
    /// Whether it took a place of a limit before this turn.
    had_place: bool,
    effects: Vec<Effect>,
    notes: Vec<Note>,
    answers: Vec<Answer>,
}

impl Turn<'_> {
    fn take(&mut self) {
        self.memory.pass_time(self.seen.now);
        self.judge();
        self.hear();
        self.report_contention();
        self.report_late();
        self.watch_readiness();
        let verdict = self.memory.verdict(self.setup, self.seen.now);
        if let Some(retreat) = self.way_back(&verdict) {
            self.turn_back(retreat);
        }
        match self.memory.phase {
            Phase::Held => self.held(),
            Phase::Preparing => {
                let queues = self.memory.waiting.clone().filter(|waiting| waiting.reason == "Queued");
                self.prepare();
                // What it waited for is over, but others have taken the places meanwhile.
                if self.memory.phase == Phase::Preparing
                    && self.memory.takes_place()
                    && self.seen.queued.is_some()
                    && !self.had_place
                {
                    // Since when it waits is since it was first said.
                    self.memory.waiting = queues.or_else(|| self.memory.waiting.take());
                    self.must_queue();
                }
            }
            Phase::Progressing | Phase::Baking => self.progress(&verdict),
            Phase::Promoting => self.promote(),
            Phase::Retreating => self.retreat(),
            Phase::Ended(_) => {}
        }
        self.memory.highest = self.memory.highest.max(self.memory.granted);
    }

    fn judge(&mut self) {
        let (candidate, stable) = (&self.seen.candidate, &self.seen.stable);
        let unready: Vec<String> = candidate.unready.iter().chain(&stable.unready).cloned().collect();
        let standing = Standing {
            present: Present { candidate: &candidate.names, stable: &stable.names, unready: &unready },
            in_effect: self.memory.in_effect.map(|_| self.memory.granted),
            next: self.next_weight(),
        };
        let before = self.memory.judgement.sampled().is_some();
        let doubted: Vec<(usize, u32)> = self.memory.judgement.doubted().map(|(signal, times, _)| (signal, times)).collect();
        self.memory.witness(self.setup, self.seen, &standing);
        self.report_doubts(&doubted);
        self.report_unknown_budget();
        let Some(look) = &self.seen.look else { return };
        let memory = &mut self.memory;
        let share = if memory.granted == Weight::ZERO { Some(Weight::ZERO) } else { standing.in_effect };
        memory.curve.record(self.setup, &memory.judgement, look.at, share, memory.phase == Phase::Progressing);
        if let Some(sampled) = self.memory.judgement.sampled().filter(|_| !before) {
            let message = format!(
                "reads {sampled}, the same ones as long as they live: counts and shares are worked out from these, and a split that \
                 does not follow the weights shows when it is off by half"
            );
            self.note("PodsSampled", message, false);
        }
    }

    /// Says where the noise turned out larger than believed, since `before`.
    fn report_doubts(&mut self, before: &[(usize, u32)]) {
        let now: Vec<(usize, u32, Phi)> = self.memory.judgement.doubted().collect();
        for (signal, _, phi) in now.into_iter().filter(|(signal, times, _)| !before.contains(&(*signal, *times))) {
            let name = self.setup.signals.get(signal).map_or("", |signal| signal.name.as_str());
            let message = format!(
                "signal {name}: one half of stable's pods was worse than the other by more than {:.2}x beyond chance, although both run \
                 the same version; failures come in larger bursts than stable's past said. {:.1} of them count as one from here on: \
                 harm is still found, after more of it. Compare the pods of stable if this comes again",
                self.setup.plan.margin,
                phi.get()
            );
            self.note("StablePodsDiffer", message, false);
        }
    }

    /// Says once where the error budget cannot be asked: who counts on that stop has to know that it does not stand.
    fn report_unknown_budget(&mut self) {
        let (now, since) = (self.seen.now, self.memory.judgement.watching_since());
        let seconds = self.setup.plan.no_data_after_seconds;
        let unknown = self.setup.checks.iter().zip(&mut self.memory.checks);
        let unknown: Vec<String> =
            unknown.filter_map(|(check, memory)| memory.unknown_budget(check, now, since, seconds)).collect();
        if let Some(why) = unknown.first() {
            let message = format!(
                "how fast stable burns its error budget is not known ({why}), so nothing is held for it; stable's health of the last \
                 seconds is judged all the same"
            );
            self.note("ErrorBudgetUnknown", message, true);
        }
    }

    fn next_weight(&self) -> Weight {
        self.setup.plan.weight(self.memory.stage + 1)
    }

    fn scrape_seconds(&self) -> f64 {
        self.memory.judgement.scrape_seconds().unwrap_or(1.0)
    }

    fn report_contention(&mut self) {
        let now = self.seen.traffic.as_ref().and_then(|traffic| traffic.contention.clone());
        // Before the first weight was seen in effect, nobody can have taken it back.
        let exposed = self.memory.in_effect.is_some() && matches!(self.memory.phase, Phase::Progressing | Phase::Baking);
        if exposed && now.is_some() && now != self.memory.contention {
            let manager = now.clone().unwrap_or_default();
            self.note(
                "Contention",
                format!(
                    "\"{manager}\" writes the routes or the Service as well and took back what Firebreak wrote; \
                         Firebreak writes it again. Stop {manager} from writing backendRefs and the Service's selector while a Change runs"
                ),
                true,
            );
            self.memory.contention = now;
        }
    }

    /// Says why it does not go on yet, as part of the usual way: no Event.
    fn wait(&mut self, reason: &str, message: &str) {
        let same = self.memory.waiting.as_ref().filter(|old| old.reason == reason);
        let (since, warned) = same.map_or((self.seen.now, false), |old| (old.since, old.warned));
        self.memory.waiting = Some(Waiting { reason: reason.to_owned(), message: message.to_owned(), since, warned });
    }

    /// A named hold: says why it does not go on, with an Event when it begins and when it becomes a warning.
    fn hold(&mut self, reason: &str, message: &str, warning: bool) {
        let same = self.memory.waiting.as_ref().filter(|old| old.reason == reason);
        let news = same.is_none_or(|old| warning && !old.warned);
        self.wait(reason, message);
        if news {
            self.note(reason, message.to_owned(), warning);
        }
        if let Some(waiting) = self.memory.waiting.as_mut() {
            waiting.warned |= warning;
        }
    }

    fn note(&mut self, reason: &str, message: String, warning: bool) {
        self.notes.push(Note { reason: reason.to_owned(), message, warning });
    }
}
