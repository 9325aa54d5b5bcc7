//! The rough world: traffic, pods, a gateway, a metrics source, hands and an operator that take their time and fail by
//! chance, all from one seed. Each kind of chance has a stream of its own, so that restarts, for one, change nothing else.
//!
//! What is true of a world is a [`Scenario`]; every part of it has a room here: [`requests`](Served) come and are answered,
//! [`pods`](Life) live, [`gateway`](Gateway) follows the routes, [`source`](Source) reads the pods. One turn a second; what is
//! decided is decided by [`firebreak_engine::decide`] alone, from what a real operator would have seen.

mod curve;
mod gateway;
mod pods;
mod requests;
mod scenario;
mod source;

use std::collections::VecDeque;

use firebreak_engine::{
    Basis, Decision, Memory, Observation, decide,
    effect::Effect,
    memory::{Outcome, Phase},
    observation::{Act, Template, Workload},
    units::Millis,
};

pub use self::{
    curve::Curve,
    requests::Served,
    scenario::{Behaviour, Gateway, Hands, Life, Noisy, Operator, Scenario, Source, Surges, Traffic, Worse},
};
use self::{gateway::Routes, pods::Fleet, requests::Clients, source::Eyes};
use crate::random::Random;

/// Where the world's clock begins.
const BEGIN: Millis = Millis(1_800_000_000_000);
/// Stable's pods are this old then, seconds.
const STABLE_AGE: f64 = 3600.0;
/// The native controller takes this long to scale the old pods away, seconds.
const ROLLED_OUT_AFTER: f64 = 5.0;
/// How often the operator stores what changes nothing that is decided, seconds.
const CHECKPOINT: f64 = 2.0;

/// What happened in one turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// When, by the operator's clock.
    pub at: Millis,
    /// When, in seconds of the world.
    pub second: f64,
    /// Whether the newest look had an answer.
    pub answered: bool,
    /// The share of requests that the gateway gave the candidate, thousandths.
    pub share: f64,
    /// Ready pods of the candidate that the metrics source had not read yet.
    pub unseen: usize,
    /// What was decided.
    pub decision: Decision,
}

/// What came of a world.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Totals {
    /// How the Change ended; `None` while it runs.
    pub outcome: Option<Outcome>,
    /// When it ended, or when nobody looked any more: seconds of the world.
    pub seconds: f64,
    /// What the candidate made of its requests.
    pub candidate: Served,
    /// What stable made of its requests.
    pub stable: Served,
    /// Requests that the candidate's pods answered after the end.
    pub after_end: u64,
    /// The share that the gateway gave the candidate once it had followed all that was written.
    pub last_share: f64,
}

/// What happened in a world.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Turn by turn.
    pub turns: Vec<Turn>,
    /// What came of it.
    pub totals: Totals,
}

/// The operator's process.
struct Mind {
    memory: Memory,
    /// What the next process would go on from, and when that was stored.
    stored: Memory,
    stored_at: f64,
    watching_since: Millis,
    runs: bool,
}

/// A seeded world; see [`Scenario`] for what is true of it.
pub struct World {
    scenario: Scenario,
    second: f64,
    mind: Mind,
    clients: Clients,
    candidate: Fleet,
    stable: Fleet,
    routes: Routes,
    eyes: Eyes,
    effect_chance: Random,
    restart_chance: Random,
    candidate_exists: bool,
    owned: bool,
    held: bool,
    resumed_at: Option<f64>,
    on_the_way: VecDeque<(f64, Effect)>,
    served: (Served, Served),
}

impl World {
    /// A world before its first second: a workload held with a new template.
    #[must_use]
    pub fn new(seed: u64, scenario: Scenario) -> Self {
        let mut stable = Fleet::new('s', Random::new(seed, 6));
        let young = Life { stuck: 0.0, ready_after: 0.0, ..scenario.stable.life };
        stable.scale(scenario.replicas, &young, -STABLE_AGE);
        let mut eyes = Eyes::new(seed);
        if scenario.source.past {
            let mut chance = Random::new(seed, 10);
            eyes.imagine(&mut stable, |stable, second, seconds| {
                requests::imagine(&scenario, stable, second, seconds, &mut chance)
            });
        }
        let memory = Memory::new(&scenario.setup, BEGIN);
        Self {
            mind: Mind { stored: memory.clone(), memory, stored_at: 0.0, watching_since: Millis::default(), runs: true },
            second: 0.0,
            clients: Clients::new(seed),
            candidate: Fleet::new('c', Random::new(seed, 7)),
            stable,
            routes: Routes::new(seed),
            eyes,
            effect_chance: Random::new(seed, 2),
            restart_chance: Random::new(seed, 3),
            scenario,
            candidate_exists: false,
            owned: true,
            held: true,
            resumed_at: None,
            on_the_way: VecDeque::new(),
            served: (Served::default(), Served::default()),
        }
    }

    /// Lives until so many seconds after the beginning, or until the Change has ended, and tells what happened.
    #[must_use]
    pub fn run(self, until: f64) -> Trace {
        let mut turns = Vec::new();
        let totals = self.watch(until, |turn| turns.push(turn.clone()));
        Trace { turns, totals }
    }

    /// Lives likewise, and shows each turn without keeping it.
    pub fn watch(mut self, until: f64, mut see: impl FnMut(&Turn)) -> Totals {
        let over = |world: &Self| matches!(world.mind.memory.phase, Phase::Ended(_)) || world.second >= until;
        while !over(&self) {
            self.nature();
            if let Some(turn) = self.turn() {
                see(&turn);
                self.mind.memory = turn.decision.memory;
            }
        }
        let ended = self.second;
        let before = self.served.0;
        let settled = ended + self.scenario.gateway.lag + self.scenario.hands.delay + 1.0;
        let mut last_share = 0.0;
        while self.second < settled {
            last_share = self.nature();
        }
        let outcome = if let Phase::Ended(outcome) = self.mind.memory.phase { Some(outcome) } else { None };
        let answered = |served: Served| served.requests - served.lost;
        let after_end = answered(self.served.0) - answered(before);
        Totals { outcome, seconds: ended, candidate: self.served.0, stable: self.served.1, after_end, last_share }
    }

    /// What the operator's clock says.
    fn clock(&self) -> Millis {
        let set = self.scenario.operator.clock_set.iter().filter(|(at, _)| self.second >= *at).map(|(_, by)| by);
        BEGIN.plus_seconds(self.second + set.sum::<f64>())
    }

    /// A second of everything but the operator; the share that the gateway gave in it.
    fn nature(&mut self) -> f64 {
        self.second += 1.0;
        while self.on_the_way.front().is_some_and(|(due, _)| *due <= self.second) {
            if let Some((_, effect)) = self.on_the_way.pop_front() {
                self.carry_out(&effect);
            }
        }
        let second = self.second;
        if self.is_rolled_out() {
            self.stable.scale(0, &self.scenario.stable.life, second);
        }
        self.candidate.live(&self.scenario.candidate.life, second);
        self.stable.live(&self.scenario.stable.life, second);
        let share = self.routes.share(&self.scenario.gateway, second);
        // An unpinned Service divides what it gets among the ready pods of both arms.
        let ready = if self.routes.pinned { 0 } else { self.candidate.ready(second) };
        let by_service = if ready == 0 { 0.0 } else { ready as f64 / (ready + self.stable.ready(second)) as f64 };
        let part = share / 1000.0;
        let part = (1.0 - part).mul_add(by_service, part);
        let served = self.clients.ask(&self.scenario, second, part, &mut self.candidate, &mut self.stable);
        self.served = (self.served.0.plus(served.0), self.served.1.plus(served.1));
        let (clock, source) = (self.clock(), &self.scenario.source);
        if Eyes::answers(source, second) {
            self.eyes.scrape(source, &mut self.candidate, second, clock);
            self.eyes.scrape(source, &mut self.stable, second, clock);
        }
        self.eyes.remember(&self.stable, second);
        share
    }

    /// The operator's turn, if one runs.
    fn turn(&mut self) -> Option<Turn> {
        if !self.wakes() {
            return None;
        }
        let seen = self.observe();
        let decision = if self.restart_chance.chance(self.scenario.operator.restart) {
            self.decide_elsewhere(seen)
        } else {
            decide(&self.scenario.setup, &self.mind.memory, &seen)
        };
        self.store(&decision);
        for effect in &decision.effects {
            if self.effect_chance.chance(self.scenario.hands.failure) {
                break;
            }
            self.on_the_way.push_back((self.second + self.scenario.hands.delay, effect.clone()));
        }
        let unseen = Eyes::unseen(&self.scenario.source, &self.candidate, self.second);
        let share = self.routes.given;
        let answered = self.eyes.answered;
        Some(Turn { at: self.clock(), second: self.second, answered, share, unseen, decision })
    }

    /// Whether a process runs; one that has just begun knows what was stored last.
    fn wakes(&mut self) -> bool {
        let down = self.scenario.operator.down.iter().any(|(from, to)| self.second >= *from && self.second < *to);
        if down {
            self.on_the_way.clear();
        } else if !self.mind.runs {
            self.mind.memory = again(&self.mind.stored).unwrap_or_else(|| Memory::new(&self.scenario.setup, BEGIN));
            self.mind.watching_since = self.clock();
            self.eyes.wake();
        }
        self.mind.runs = !down;
        !down
    }

    /// Stores what a next process would go on from: whatever was decided, and from time to time what was only counted.
    fn store(&mut self, decision: &Decision) {
        if self.scenario.operator.down.is_empty() {
            return;
        }
        let (new, old) = (&decision.memory, &self.mind.memory);
        let reason = |memory: &Memory| memory.waiting.as_ref().map(|waiting| waiting.reason.clone());
        let decided = !decision.notes.is_empty()
            || (new.phase, new.granted) != (old.phase, old.granted)
            || since_when(new) != since_when(old)
            || reason(new) != reason(old);
        if decided || self.second - self.mind.stored_at >= CHECKPOINT {
            (self.mind.stored, self.mind.stored_at) = (new.clone(), self.second);
        }
    }

    /// What another process decides that was told all this one knows, in writing. What cannot be written and read leaves it
    /// with nothing, which shows.
    fn decide_elsewhere(&self, observation: Observation) -> Decision {
        let basis = Basis { setup: self.scenario.setup.clone(), memory: self.mind.memory.clone(), observation };
        let nothing = || Basis { memory: Memory::new(&self.scenario.setup, BEGIN), ..basis.clone() };
        again(&basis).unwrap_or_else(nothing).decide()
    }

    fn is_rolled_out(&self) -> bool {
        !self.held && self.resumed_at.is_some_and(|at| self.second - at >= ROLLED_OUT_AFTER)
    }

    fn observe(&mut self) -> Observation {
        let (second, now, scenario) = (self.second, self.clock(), &self.scenario);
        let acts = scenario.acts.iter().enumerate().filter(|(_, (at, _))| second >= *at && second < at + 1.0);
        let act = |(at, (_, action)): (usize, &(f64, _))| Act {
            name: format!("act-{at}"),
            action: *action,
            by: Some("ann".into()),
            reason: None,
            stage: None,
            groups: Vec::new(),
            at: None,
        };
        Observation {
            now,
            workload: Workload {
                template: Template::Candidate,
                replicas: scenario.replicas,
                held: self.held,
                rolled_out: self.is_rolled_out(),
                bypassed: false,
                guard_leaves: false,
                raised: None,
                guard_changed: false,
            },
            stable: self.stable.seen(second, true, false),
            candidate: self.candidate.seen(second, self.candidate_exists, self.owned),
            traffic: Some(self.routes.seen()),
            look: self.eyes.look(scenario, (&self.candidate, &self.stable), second, now),
            second: None,
            checks: Vec::new(),
            dependents: None,
            pasts: self.eyes.past(scenario, second),
            dependent_pasts: None,
            seen: Eyes::seen(&scenario.source, &self.candidate, second),
            acts: acts.map(act).collect(),
            watching_since: self.mind.watching_since,
            freezes: Vec::new(),
            queued: None,
        }
    }

    fn scale(&mut self, replicas: u32) {
        self.candidate_exists = true;
        self.candidate.scale(replicas, &self.scenario.candidate.life, self.second);
    }

    fn carry_out(&mut self, effect: &Effect) {
        match effect {
            Effect::Hold => self.held = true,
            Effect::Pin => self.routes.pinned = true,
            Effect::Unpin => self.routes.pinned = false,
            Effect::MakeCandidateService => self.routes.service = true,
            Effect::RemoveCandidateService => self.routes.service = false,
            Effect::MakeCandidate { replicas } => {
                self.owned = true;
                self.scale(*replicas);
            }
            Effect::ScaleCandidate { replicas } => self.scale(*replicas),
            Effect::SetWeight(weight) => self.routes.write(*weight),
            Effect::ZeroWeight => self.routes.zero(),
            Effect::RestoreRoutes => self.routes.restore(),
            Effect::HandOver { .. } => self.owned = false,
            Effect::Resume => {
                self.held = false;
                self.resumed_at = Some(self.second);
            }
            Effect::GiveBack | Effect::RestoreTemplate => {}
        }
    }
}

/// Times from which waits are counted: they are stored when they begin.
fn since_when(memory: &Memory) -> [Option<Millis>; 4] {
    let zero_at = memory.retreat.as_ref().and_then(|retreat| retreat.share_zero_at);
    [memory.in_effect, memory.taken_back_since, memory.routes_clean_at, zero_at]
}

/// What another process reads of what this one wrote.
fn again<T: serde::Serialize + serde::de::DeserializeOwned>(what: &T) -> Option<T> {
    serde_json::to_string(what).and_then(|text| serde_json::from_str(&text)).ok()
}
