//! The rough world: see the crate's header. Everything by chance comes from the seed; each kind of chance has a stream of
//! its own, so that restarts, for one, change nothing else.

use std::collections::VecDeque;

use firebreak_engine::{
    Decision, Memory, Observation, Setup, decide,
    effect::Effect,
    memory::{Outcome, Phase},
    observation::{Act, Action, Arm, Look, Pods, Reading, SignalLook, Template, Traffic, Workload},
    units::Millis,
};

use crate::random::Random;

/// Where the world's clock begins.
const BEGIN: Millis = Millis(1_800_000_000_000);
/// The native controller takes this long to scale the old pods away, seconds.
const ROLLED_OUT_AFTER: f64 = 5.0;

/// What is true of a world, in seconds since its beginning and probabilities.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The Change's setup; every signal of it sees the same requests.
    pub setup: Setup,
    /// Pods that the workload wants.
    pub replicas: u32,
    /// Requests a second.
    pub rate: u32,
    /// Failure probability of the candidate's requests from each second on.
    pub candidate: Vec<(f64, f64)>,
    /// Failure probability of stable's requests from each second on.
    pub stable: Vec<(f64, f64)>,
    /// Seconds until a pod is ready.
    pub ready_after: f64,
    /// Seconds until the gateway follows the routes.
    pub gateway_lag: f64,
    /// Seconds between two readings of the pods.
    pub scrape_seconds: f64,
    /// When the metrics source is away: from, to.
    pub outages: Vec<(f64, f64)>,
    /// Seconds until an effect is there.
    pub effect_delay: f64,
    /// Probability that an effect fails; those after it in its turn are then not tried.
    pub effect_failure: f64,
    /// Probability, each turn, that the operator restarts: its memory is written and read again.
    pub restart: f64,
    /// What humans do, and when.
    pub acts: Vec<(f64, Action)>,
}

impl Scenario {
    /// A harmless candidate in a world where everything takes a little time and nothing fails.
    #[must_use]
    pub fn harmless(setup: Setup) -> Self {
        Self {
            setup,
            replicas: 10,
            rate: 200,
            candidate: vec![(0.0, 0.001)],
            stable: vec![(0.0, 0.001)],
            ready_after: 3.0,
            gateway_lag: 1.0,
            scrape_seconds: 1.0,
            outages: Vec::new(),
            effect_delay: 0.0,
            effect_failure: 0.0,
            restart: 0.0,
            acts: Vec::new(),
        }
    }
}

/// What happened in one turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// When.
    pub at: Millis,
    /// Whether the metrics source answered.
    pub answered: bool,
    /// The share of requests that the gateway gave the candidate, thousandths.
    pub share: f64,
    /// What was decided.
    pub decision: Decision,
}

/// What happened in a world.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Turn by turn.
    pub turns: Vec<Turn>,
    /// How the Change ended; `None` while it runs.
    pub outcome: Option<Outcome>,
    /// Requests that the candidate answered.
    pub candidate_requests: u64,
    /// Requests that the candidate failed.
    pub candidate_failures: u64,
    /// Requests that the gateway sent to a candidate without a ready pod.
    pub lost: u64,
    /// The share that the gateway gave the candidate once it had followed all that was written.
    pub last_share: f64,
}

#[derive(Clone)]
struct Pod {
    name: String,
    since: Millis,
    requests: u64,
    failures: u64,
    /// Counters and time of the last scrape.
    read: Option<(u64, u64, Millis)>,
}

/// A seeded world; see [`Scenario`] for what is true of it.
pub struct World {
    scenario: Scenario,
    memory: Memory,
    now: Millis,
    traffic_chance: Random,
    effect_chance: Random,
    restart_chance: Random,
    candidate: Vec<Pod>,
    candidate_exists: bool,
    stable: Vec<Pod>,
    born: u64,
    owned: bool,
    held: bool,
    resumed_at: Option<Millis>,
    pinned: bool,
    service: bool,
    carries: bool,
    route_share: f64,
    /// What the routes said, for the gateway that follows later.
    said: VecDeque<(Millis, f64)>,
    on_the_way: VecDeque<(Millis, Effect)>,
    turns: Vec<Turn>,
    candidate_requests: u64,
    candidate_failures: u64,
    lost: u64,
}

impl World {
    /// A world before its first second: a workload held with a new template.
    #[must_use]
    pub fn new(seed: u64, scenario: Scenario) -> Self {
        let long_ago = BEGIN.plus_seconds(-3600.0);
        let pod = |at| Pod { name: format!("s-{at}"), since: long_ago, requests: 0, failures: 0, read: None };
        Self {
            memory: Memory::new(&scenario.setup, BEGIN),
            now: BEGIN,
            traffic_chance: Random::new(seed, 1),
            effect_chance: Random::new(seed, 2),
            restart_chance: Random::new(seed, 3),
            candidate: Vec::new(),
            candidate_exists: false,
            stable: (0..scenario.replicas).map(pod).collect(),
            scenario,
            born: 0,
            owned: true,
            held: true,
            resumed_at: None,
            pinned: false,
            service: false,
            carries: false,
            route_share: 0.0,
            said: VecDeque::new(),
            on_the_way: VecDeque::new(),
            turns: Vec::new(),
            candidate_requests: 0,
            candidate_failures: 0,
            lost: 0,
        }
    }

    /// Lives until so many seconds after the beginning, or until the Change has ended, and tells what happened.
    #[must_use]
    pub fn run(mut self, until: f64) -> Trace {
        while self.seconds() < until && !matches!(self.memory.phase, Phase::Ended(_)) {
            self.second();
        }
        let settled = self.now.plus_seconds(self.scenario.gateway_lag + 1.0);
        let mut last_share = self.said.back().map_or(0.0, |(_, share)| *share);
        while self.now < settled {
            self.now = self.now.plus_seconds(1.0);
            last_share = self.gateway_share();
            self.serve(last_share);
        }
        let outcome = if let Phase::Ended(outcome) = self.memory.phase { Some(outcome) } else { None };
        let (candidate_requests, candidate_failures) = (self.candidate_requests, self.candidate_failures);
        Trace { turns: self.turns, outcome, candidate_requests, candidate_failures, lost: self.lost, last_share }
    }

    fn seconds(&self) -> f64 {
        self.now.seconds_since(BEGIN)
    }

    fn second(&mut self) {
        self.now = self.now.plus_seconds(1.0);
        while self.on_the_way.front().is_some_and(|(due, _)| *due <= self.now) {
            if let Some((_, effect)) = self.on_the_way.pop_front() {
                self.carry_out(&effect);
            }
        }
        let share = self.gateway_share();
        self.serve(share);
        let answered = !self.away();
        if answered {
            self.scrape();
        }
        if self.restart_chance.chance(self.scenario.restart) {
            self.restart();
        }
        let decision = decide(&self.scenario.setup, &self.memory, &self.observe(answered));
        for effect in &decision.effects {
            if self.effect_chance.chance(self.scenario.effect_failure) {
                break;
            }
            self.on_the_way.push_back((self.now.plus_seconds(self.scenario.effect_delay), effect.clone()));
        }
        self.memory = decision.memory.clone();
        self.turns.push(Turn { at: self.now, answered, share, decision });
    }

    /// What a new process knows: what the one before wrote. A memory that cannot be read again stays as it is, which a test
    /// that compares both ways sees at once.
    fn restart(&mut self) {
        if let Ok(memory) = serde_json::to_string(&self.memory).and_then(|text| serde_json::from_str(&text)) {
            self.memory = memory;
        }
    }

    fn away(&self) -> bool {
        let now = self.seconds();
        self.scenario.outages.iter().any(|(from, to)| now >= *from && now < *to)
    }

    fn is_ready(&self, pod: &Pod) -> bool {
        self.now.seconds_since(pod.since) >= self.scenario.ready_after
    }

    /// The share the gateway gives: what the routes said a lag ago.
    fn gateway_share(&mut self) -> f64 {
        self.said.push_back((self.now, self.route_share));
        let heard = self.now.plus_seconds(-self.scenario.gateway_lag);
        while self.said.get(1).is_some_and(|(at, _)| *at <= heard) {
            self.said.pop_front();
        }
        self.said.front().filter(|(at, _)| *at <= heard).map_or(0.0, |(_, share)| *share)
    }

    fn serve(&mut self, share: f64) {
        let now = self.seconds();
        let at =
            |curve: &[(f64, f64)]| curve.iter().rev().find(|(from, _)| now >= *from).map_or(0.0, |(_, probability)| *probability);
        let failing = (at(&self.scenario.candidate), at(&self.scenario.stable));
        let ready = self.candidate.iter().filter(|pod| self.is_ready(pod)).count();
        // An unpinned Service divides what it gets among the ready pods of both arms.
        let by_service = if self.pinned || ready == 0 { 0.0 } else { ready as f64 / (ready + self.stable.len()) as f64 };
        let share = share / 1000.0;
        let share = share + (1.0 - share) * by_service;
        for _ in 0..self.scenario.rate {
            let to_candidate = self.traffic_chance.chance(share);
            if to_candidate && ready == 0 {
                self.lost += 1;
                continue;
            }
            let (pods, probability) = if to_candidate { (&mut self.candidate, failing.0) } else { (&mut self.stable, failing.1) };
            // Pods become ready in the order of their birth.
            let count = if to_candidate { ready } else { pods.len() };
            let place = self.traffic_chance.below(count);
            let failed = self.traffic_chance.chance(probability);
            if let Some(pod) = pods.get_mut(place) {
                pod.requests += 1;
                pod.failures += u64::from(failed);
                self.candidate_requests += u64::from(to_candidate);
                self.candidate_failures += u64::from(to_candidate && failed);
            }
        }
    }

    fn scrape(&mut self) {
        let (now, interval) = (self.now, self.scenario.scrape_seconds);
        let due = |pod: &Pod| pod.read.is_none_or(|(_, _, at)| now.seconds_since(at) >= interval);
        for pod in self.candidate.iter_mut().chain(&mut self.stable).filter(|pod| due(pod)) {
            pod.read = Some((pod.requests, pod.failures, now));
        }
    }

    fn look(&self, answered: bool) -> Look {
        let readings = |arm: Arm, pods: &[Pod]| -> Vec<Reading> {
            let of = |pod: &Pod| {
                let (requests, failures, read_at) = pod.read?;
                Some(Reading { pod: pod.name.clone(), arm, requests, failures, read_at })
            };
            pods.iter().filter_map(of).collect()
        };
        let signal = || {
            if !answered {
                return SignalLook::Trouble { reason: "BackendUnreachable".into(), message: "nobody answers".into() };
            }
            let mut all = readings(Arm::Candidate, &self.candidate);
            all.extend(readings(Arm::Stable, &self.stable));
            SignalLook::Read(all)
        };
        let signals = self.scenario.setup.signals.iter().map(|_| signal()).collect();
        Look { at: self.now, scrape_seconds: self.scenario.scrape_seconds, signals, sampled: None }
    }

    fn pods(&self, pods: &[Pod], exists: bool, owned_by_change: bool) -> Pods {
        let count =
            |ready: bool| u32::try_from(pods.iter().filter(|pod| !ready || self.is_ready(pod)).count()).unwrap_or(u32::MAX);
        Pods {
            exists,
            owned_by_change,
            wanted: count(false),
            names: pods.iter().map(|pod| pod.name.clone()).collect(),
            ready: count(true),
            endpoints: count(true),
            lingering: count(true),
            ..Pods::default()
        }
    }

    fn observe(&self, answered: bool) -> Observation {
        let done = self.seconds();
        let acts = self.scenario.acts.iter().enumerate().filter(|(_, (at, _))| done >= *at && done < at + 1.0);
        let rolled_out = self.resumed_at.is_some_and(|at| self.now.seconds_since(at) >= ROLLED_OUT_AFTER);
        Observation {
            now: self.now,
            workload: Workload {
                template: Template::Candidate,
                replicas: self.scenario.replicas,
                held: self.held,
                rolled_out: !self.held && rolled_out,
                bypassed: false,
                guard_leaves: false,
                raised: None,
            },
            stable: self.pods(&self.stable, true, false),
            candidate: self.pods(&self.candidate, self.candidate_exists, self.owned),
            traffic: Some(Traffic {
                pinned: self.pinned,
                candidate_service: self.service,
                largest_share: self.route_share,
                smallest_share: self.route_share,
                carries_candidate: self.carries,
                unreadable: false,
                contention: None,
                problem: None,
            }),
            look: Some(self.look(answered)),
            second: None,
            checks: Vec::new(),
            dependents: None,
            pasts: None,
            dependent_pasts: None,
            seen: self.candidate.iter().filter(|pod| answered && pod.read.is_some()).map(|pod| pod.name.clone()).collect(),
            watching_since: Millis::default(),
            acts: acts
                .map(|(at, (_, action))| Act {
                    name: format!("act-{at}"),
                    action: *action,
                    by: Some("ann".into()),
                    reason: None,
                    stage: None,
                })
                .collect(),
        }
    }

    fn scale(&mut self, replicas: u32) {
        self.candidate_exists = true;
        let wanted = usize::try_from(replicas).unwrap_or(usize::MAX);
        self.candidate.truncate(wanted);
        while self.candidate.len() < wanted {
            let name = format!("c-{}", self.born);
            self.born += 1;
            self.candidate.push(Pod { name, since: self.now, requests: 0, failures: 0, read: None });
        }
    }

    fn carry_out(&mut self, effect: &Effect) {
        match effect {
            Effect::Hold => self.held = true,
            Effect::Pin => self.pinned = true,
            Effect::Unpin => self.pinned = false,
            Effect::MakeCandidateService => self.service = true,
            Effect::RemoveCandidateService => self.service = false,
            Effect::MakeCandidate { replicas } => {
                self.owned = true;
                self.scale(*replicas);
            }
            Effect::ScaleCandidate { replicas } => self.scale(*replicas),
            Effect::SetWeight(weight) => (self.carries, self.route_share) = (true, f64::from(weight.as_permille())),
            Effect::ZeroWeight => self.route_share = 0.0,
            Effect::RestoreRoutes => (self.carries, self.route_share) = (false, 0.0),
            Effect::HandOver { .. } => self.owned = false,
            Effect::Resume => {
                self.held = false;
                self.resumed_at = Some(self.now);
            }
            Effect::GiveBack | Effect::RestoreTemplate => {}
        }
    }
}
