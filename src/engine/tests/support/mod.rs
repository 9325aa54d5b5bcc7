//! Setups and observations for tests of [`firebreak_engine::decide`].

#![allow(dead_code, unreachable_pub, clippy::indexing_slicing, clippy::panic, reason = "each test file uses a part")]

use firebreak_engine::{
    Memory, Observation, Plan, Setup, decide,
    effect::Effect,
    memory::Phase,
    observation::{Arm, Look, Pods, Reading, SignalLook, Template, Traffic, Workload},
    plan::{Exposure, SignalCounts, SignalSetup},
    risk::Level,
    units::{Millis, Weight},
};

/// A setup with so many signals, the built-in plan of a level, short bakes and a budget that can be proved soon.
pub fn setup(level: Level, signals: usize) -> Setup {
    let (plan, _) = Plan::built_in(level);
    let plan = Plan { min_bake_seconds: 5.0, final_bake_seconds: 5.0, budget: 0.02, ..plan };
    let signal = |at: usize| SignalSetup {
        name: format!("signal-{at}"),
        counts: if at == 0 { SignalCounts::Failures } else { SignalCounts::Slow },
        share: 1.0 / signals as f64,
    };
    Setup {
        plan,
        signals: (0..signals).map(signal).collect(),
        exposure: Exposure::Routes,
        ready_deadline_seconds: 60.0,
        availability: None,
        restore_template: false,
        taken_over: false,
        late: None,
    }
}

/// A small cluster that carries out what is decided, one turn a second.
pub struct Cluster {
    pub setup: Setup,
    pub memory: Memory,
    pub now: Millis,
    pub replicas: u32,
    /// Failures per 1000 requests: candidate, stable.
    pub failing: (u64, u64),
    /// Requests a second.
    pub rate: u64,
    /// Whether the metrics source answers.
    pub metrics: bool,
    pub template: Template,
    pub share: f64,
    pub candidate: u32,
    pub owned: bool,
    pub held: bool,
    pub pinned: bool,
    pub service: bool,
    pub carries: bool,
    totals: [(f64, f64); 2],
    pub failed_requests: f64,
    pub log: Vec<(Phase, Vec<Effect>, Vec<String>)>,
}

impl Cluster {
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
            totals: [(0.0, 0.0); 2],
            failed_requests: 0.0,
            log: Vec::new(),
        }
    }

    fn traffic_of_a_second(&mut self) {
        let candidate = self.rate as f64 * self.share / 1000.0;
        let stable = self.rate as f64 - candidate;
        for (arm, requests, per_mille) in [(0, candidate, self.failing.0), (1, stable, self.failing.1)] {
            self.totals[arm].0 += requests;
            self.totals[arm].1 += requests * per_mille as f64 / 1000.0;
        }
        self.failed_requests += candidate * self.failing.0 as f64 / 1000.0;
    }

    fn names(prefix: &str, count: u32) -> Vec<String> {
        (0..count).map(|at| format!("{prefix}-{at}")).collect()
    }

    pub fn look(&self) -> Look {
        let reading = |arm: Arm, pods: &[String], total: (f64, f64)| -> Vec<Reading> {
            let count = pods.len().max(1) as f64;
            let share = |value: f64| (value / count) as u64;
            let one = |pod: &String| Reading {
                pod: pod.clone(),
                arm,
                requests: share(total.0),
                failures: share(total.1),
                read_at: self.now,
            };
            pods.iter().map(one).collect()
        };
        let signals = self.setup.signals.iter().enumerate().map(|(at, _)| {
            if !self.metrics {
                return SignalLook::Trouble { reason: "BackendUnreachable".into(), message: "nobody answers".into() };
            }
            let failing = |total: (f64, f64)| if at == 0 { total } else { (total.0, 0.0) };
            let mut all = reading(Arm::Stable, &Self::names("s", 1), failing(self.totals[1]));
            all.extend(reading(Arm::Candidate, &Self::names("c", self.candidate.min(1)), failing(self.totals[0])));
            SignalLook::Read(all)
        });
        Look { at: self.now, scrape_seconds: 1.0, signals: signals.collect() }
    }

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
            },
            seen: candidate.names.clone(),
            stable,
            candidate,
            traffic: Some(Traffic {
                pinned: self.pinned,
                candidate_service: self.service,
                largest_share: self.share,
                smallest_share: self.share,
                carries_candidate: self.carries,
                contention: None,
                problem: None,
            }),
            look: Some(self.look()),
            pasts: None,
            acts: Vec::new(),
        }
    }

    pub fn carry_out(&mut self, effect: &Effect) {
        match effect {
            Effect::Hold => self.held = true,
            Effect::Pin => self.pinned = true,
            Effect::Unpin => self.pinned = false,
            Effect::MakeCandidateService => self.service = true,
            Effect::RemoveCandidateService => self.service = false,
            Effect::MakeCandidate { replicas } | Effect::ScaleCandidate { replicas } => self.candidate = *replicas,
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

    /// One second.
    pub fn turn(&mut self) {
        self.now = self.now.plus_seconds(1.0);
        self.traffic_of_a_second();
        let decision = decide(&self.setup, &self.memory, &self.observe());
        for effect in &decision.effects {
            self.carry_out(effect);
        }
        let notes = decision.notes.iter().map(|note| format!("{}: {}", note.reason, note.message)).collect();
        self.log.push((decision.memory.phase, decision.effects, notes));
        self.memory = decision.memory;
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
    pub fn notes(&self) -> Vec<String> {
        self.log.iter().flat_map(|(_, _, notes)| notes.clone()).collect()
    }

    /// Every weight that was set, in order; a zeroing is 0.
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
