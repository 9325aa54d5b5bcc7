//! Deterministic worlds that drive exactly the engine the operator runs: no clock, no threads, one turn a second.
//!
//! [`Cluster`] is even: what is decided is done at once, traffic has no noise, and a test sets each thing by hand.
//! [`World`] is seeded and rough: requests fail by chance, gateways and pods take their time, metrics go away, effects come
//! late or fail, pods and operator restart at any time, clocks are set.
//! [`Arms`] is nothing but two arms under chance, for the statistics themselves ([`accept`]), and [`Dependents`] the same of workloads
//! that a Change may hurt.
//! [`Rollout`] is a Change's whole way under chance without the cluster around it, fast enough to be run by the thousand;
//! [`rules`] are what it can be run under, and [`compare`] sets them side by side.
//! Start at [`Cluster::run`], [`World::run`], [`Arms::run`] or [`Rollout::many`]; [`scenarios`] is a table of worlds and what is
//! decided in them.

pub mod accept;
mod arms;
pub mod compare;
mod load;
mod opening;
mod parallel;
mod random;
mod reach;
pub mod rollout;
pub mod rules;
pub mod scenarios;
mod world;

pub use arms::{Arms, Run};
pub use load::{Fails, Load, Wander};
pub use opening::Guards;
pub use reach::{Dependents, Found};
pub use rollout::Rollout;
pub use world::{
    Behaviour, Curve, Gateway, Hands, Life, Noisy, Operator, Scenario, Served, Source, Surges, Totals, Trace, Traffic, Turn,
    World, Worse,
};

use firebreak_engine::{
    Decision, Memory, Observation, Plan, Setup, decide,
    effect::Effect,
    memory::Phase,
    observation::{self, Arm, Look, Pods, Reading, SignalLook, Template, Workload},
    plan::{Exposure, SignalCounts, SignalSetup},
    risk::Level,
    units::{Millis, Weight},
};

/// A setup with so many signals, the built-in plan of a level, short bakes and a budget that can be proved soon.
#[must_use]
pub fn setup(level: Level, signals: usize) -> Setup {
    let (plan, _) = Plan::built_in(level);
    let plan = Plan { min_bake_seconds: 5.0, final_bake_seconds: 5.0, budget: 0.02, ..plan };
    let signal = |at: usize| SignalSetup {
        name: format!("signal-{at}"),
        counts: if at == 0 { SignalCounts::Failures } else { SignalCounts::Slow },
        share: 1.0 / signals as f64,
        opens: true,
    };
    Setup {
        plan,
        signals: (0..signals).map(signal).collect(),
        checks: Vec::new(),
        dependents: Vec::new(),
        both_sources: false,
        exposure: Exposure::Routes,
        ready_deadline_seconds: 60.0,
        availability: None,
        makers: firebreak_engine::people::Makers { changed_by: Some("ci".to_owned()), author: None },
        restore_template: false,
        refused: None,
        taken_over: false,
        late: None,
    }
}

/// Requests and failures since the beginning; fractions are carried.
#[derive(Clone, Copy, Default)]
struct Total {
    requests: f64,
    failures: f64,
}

impl Total {
    fn add(&mut self, requests: f64, failing_per_mille: u64) {
        self.requests += requests;
        self.failures += requests * failing_per_mille as f64 / 1000.0;
    }
}

/// A small cluster that carries out what is decided, one turn a second.
pub struct Cluster {
    /// What does not change while the Change runs.
    pub setup: Setup,
    /// The engine's memory.
    pub memory: Memory,
    /// Now.
    pub now: Millis,
    /// Pods that the workload wants.
    pub replicas: u32,
    /// Failures per 1000 requests: candidate, stable.
    pub failing: (u64, u64),
    /// Requests a second.
    pub rate: u64,
    /// Whether the metrics source answers.
    pub metrics: bool,
    /// Which template the workload carries.
    pub template: Template,
    /// The candidate's share in the routes, thousandths.
    pub share: f64,
    /// Size of the candidate's ReplicaSet.
    pub candidate: u32,
    /// Whether the candidate's ReplicaSet belongs to the Change.
    pub owned: bool,
    /// Whether the workload is held.
    pub held: bool,
    /// Whether the Service is pinned.
    pub pinned: bool,
    /// Whether the candidate's Service exists.
    pub service: bool,
    /// Whether the routes carry the candidate.
    pub carries: bool,
    candidate_total: Total,
    stable_total: Total,
    /// Requests that the candidate failed so far.
    pub failed_requests: f64,
    /// Each turn: the phase after it, what was to be done, what was told.
    pub log: Vec<(Phase, Vec<Effect>, Vec<String>)>,
}

impl Cluster {
    /// A workload of ten pods, held with a new template, 200 requests a second.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let now = Millis(1_800_000_000_000);
        Self {
            memory: Memory::new(&setup, now),
            setup,
            now,
            replicas: 10,
            failing: (1, 1),
            rate: 200,
            metrics: true,
            template: Template::Candidate,
            share: 0.0,
            candidate: 0,
            owned: true,
            held: true,
            pinned: false,
            service: false,
            carries: false,
            candidate_total: Total::default(),
            stable_total: Total::default(),
            failed_requests: 0.0,
            log: Vec::new(),
        }
    }

    fn traffic_of_a_second(&mut self) {
        let candidate = self.rate as f64 * self.share / 1000.0;
        self.candidate_total.add(candidate, self.failing.0);
        self.stable_total.add(self.rate as f64 - candidate, self.failing.1);
        self.failed_requests += candidate * self.failing.0 as f64 / 1000.0;
    }

    fn names(prefix: &str, count: u32) -> Vec<String> {
        (0..count).map(|at| format!("{prefix}-{at}")).collect()
    }

    /// What the metrics source answers now.
    #[must_use]
    pub fn look(&self) -> Look {
        let reading = |arm: Arm, pods: &[String], total: Total| -> Vec<Reading> {
            let count = pods.len().max(1) as f64;
            let share = |value: f64| (value / count) as u64;
            let one = |pod: &String| Reading {
                pod: pod.clone(),
                arm,
                requests: share(total.requests),
                failures: share(total.failures),
                read_at: self.now,
            };
            pods.iter().map(one).collect()
        };
        let signals = self.setup.signals.iter().enumerate().map(|(at, _)| {
            if !self.metrics {
                return SignalLook::Trouble { reason: "BackendUnreachable".into(), message: "nobody answers".into() };
            }
            // Only the first signal has failures; nothing is slow.
            let failing = |total: Total| if at == 0 { total } else { Total { failures: 0.0, ..total } };
            let mut all = reading(Arm::Stable, &Self::names("s", 1), failing(self.stable_total));
            all.extend(reading(Arm::Candidate, &Self::names("c", self.candidate.min(1)), failing(self.candidate_total)));
            SignalLook::Read(all)
        });
        Look { at: self.now, scrape_seconds: 1.0, signals: signals.collect(), sampled: None }
    }

    /// What the operator would see now.
    #[must_use]
    pub fn observe(&self) -> Observation {
        let pods = |exists, owned, prefix: &str, wanted: u32| Pods {
            exists,
            owned_by_change: owned,
            wanted,
            names: Self::names(prefix, wanted),
            ready: wanted,
            endpoints: wanted,
            lingering: wanted,
            ..Pods::default()
        };
        let mut stable = pods(true, false, "s", self.replicas);
        stable.names = Self::names("s", 1);
        let mut candidate = pods(self.candidate > 0, self.owned, "c", self.candidate);
        candidate.names.truncate(1);
        Observation {
            now: self.now,
            workload: Workload {
                template: self.template.clone(),
                replicas: self.replicas,
                held: self.held,
                rolled_out: !self.held,
                bypassed: false,
                guard_leaves: false,
                raised: None,
                guard_changed: false,
            },
            seen: candidate.names.clone(),
            stable,
            candidate,
            traffic: Some(observation::Traffic {
                pinned: self.pinned,
                candidate_service: self.service,
                largest_share: self.share,
                smallest_share: self.share,
                carries_candidate: self.carries,
                unreadable: false,
                contention: None,
                problem: None,
            }),
            look: Some(self.look()),
            second: None,
            checks: Vec::new(),
            dependents: None,
            pasts: None,
            dependent_pasts: None,
            acts: Vec::new(),
            watching_since: Millis::default(),
            freezes: Vec::new(),
            queued: None,
        }
    }

    /// Does what was decided, at once.
    pub fn carry_out(&mut self, effect: &Effect) {
        match effect {
            Effect::Hold => self.held = true,
            Effect::Pin => self.pinned = true,
            Effect::Unpin => self.pinned = false,
            Effect::MakeCandidateService => self.service = true,
            Effect::RemoveCandidateService => self.service = false,
            Effect::MakeCandidate { replicas } => (self.candidate, self.owned) = (*replicas, true),
            Effect::ScaleCandidate { replicas } => self.candidate = *replicas,
            Effect::SetWeight(weight) => {
                self.carries = true;
                self.share = f64::from(weight.as_permille());
            }
            Effect::ZeroWeight => self.share = 0.0,
            Effect::RestoreRoutes => {
                self.carries = false;
                self.share = 0.0;
            }
            Effect::HandOver { .. } => self.owned = false,
            Effect::Resume => self.held = false,
            Effect::GiveBack | Effect::RestoreTemplate => {}
        }
    }

    /// The clock and the traffic go on by one second; nothing is decided.
    pub fn next_second(&mut self) {
        self.now = self.now.plus_seconds(1.0);
        self.traffic_of_a_second();
    }

    /// One second.
    pub fn turn(&mut self) {
        self.next_second();
        let decision = decide(&self.setup, &self.memory, &self.observe());
        for effect in &decision.effects {
            self.carry_out(effect);
        }
        let notes = decision.notes.iter().map(|note| format!("{}: {}", note.reason, note.message)).collect();
        self.log.push((decision.memory.phase, decision.effects, notes));
        self.memory = decision.memory;
    }

    /// One second, in which what is seen is changed first; what is decided is done, and not logged.
    pub fn turn_with(&mut self, change: impl FnOnce(&mut Observation)) -> Decision {
        self.next_second();
        let mut seen = self.observe();
        change(&mut seen);
        let decision = decide(&self.setup, &self.memory, &seen);
        decision.effects.iter().for_each(|effect| self.carry_out(effect));
        self.memory = decision.memory.clone();
        decision
    }

    /// Turns until the Change ends, at most so many.
    pub fn run(&mut self, most: usize) -> Phase {
        for _ in 0..most {
            if matches!(self.memory.phase, Phase::Ended(_)) {
                break;
            }
            self.turn();
        }
        self.memory.phase
    }

    /// Everything told so far.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.log.iter().flat_map(|(_, _, notes)| notes.clone()).collect()
    }

    /// Every weight that was set, in order; a zeroing is 0.
    #[must_use]
    pub fn weights(&self) -> Vec<Weight> {
        let effects = self.log.iter().flat_map(|(_, effects, _)| effects);
        effects
            .filter_map(|effect| match effect {
                Effect::SetWeight(weight) => Some(*weight),
                Effect::ZeroWeight => Some(Weight::ZERO),
                _ => None,
            })
            .collect()
    }
}
