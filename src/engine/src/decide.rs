//! One turn of a Change: what was seen, judged; where it stands, moved; what is to be done, said.
//!
//! The order is the safety: the newest look is judged first, then humans are heard, then everything that leads back is
//! asked, and only then anything that leads on. No way back waits for readiness, for metrics or for a human.

use serde::{Deserialize, Serialize};

use crate::{
    counters::Present,
    effect::{Effect, Note},
    judge::{Standing, Verdict},
    memory::{LateWindow, Memory, Outcome, Phase, Waiting},
    observation::{Act, Action, Arm, Observation, SignalLook, Template},
    plan::{Exposure, Inconclusive, Late, NoData, Setup},
    retreat::{self, Retreat},
    units::{Millis, Weight},
};

/// Fewest candidate pods, where the workload has as many: one pod's own troubles are not the revision's.
const FEWEST_PODS: u32 = 2;
/// How long the metrics source may take to find ready pods before that is said aloud, seconds.
const SEEN_WITHIN_SECONDS: f64 = 60.0;
/// Between the last route without the candidate and the removal of its Service, seconds: gateways are told one after another.
const GATEWAYS_LEARN_SECONDS: f64 = 3.0;
/// Interventions that are remembered as handled, so that none is handled twice after a restart.
const MOST_HEARD: usize = 32;

/// What pods served before the hold is counted within this, seconds: discovery by the metrics source and a scrape.
const LATE_COUNTED_WITHIN_SECONDS: f64 = 30.0;

/// What one turn decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What is remembered.
    pub memory: Memory,
    /// What is to be done, in this order.
    pub effects: Vec<Effect>,
    /// What people should know.
    pub notes: Vec<Note>,
}

/// Decides one turn. Pure: the same input gives the same output, bit for bit.
#[must_use]
pub fn decide(setup: &Setup, memory: &Memory, seen: &Observation) -> Decision {
    let mut turn = Turn { setup, seen, memory: memory.clone(), effects: Vec::new(), notes: Vec::new() };
    if !matches!(memory.phase, Phase::Ended(_)) {
        turn.take();
    }
    Decision { memory: turn.memory, effects: turn.effects, notes: turn.notes }
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

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 }
}

struct Turn<'a> {
    setup: &'a Setup,
    seen: &'a Observation,
    memory: Memory,
    effects: Vec<Effect>,
    notes: Vec<Note>,
}

impl Turn<'_> {
    fn take(&mut self) {
        if let Some(pasts) = self.seen.pasts.as_ref().filter(|_| !self.memory.judgement.has_past()) {
            self.memory.judgement.learn(self.setup, pasts);
        }
        self.judge();
        self.hear();
        self.report_contention();
        self.report_late();
        self.watch_readiness();
        let verdict = self.memory.judgement.verdict(self.setup, self.seen.now);
        if let Some(retreat) = self.way_back(&verdict) {
            self.turn_back(retreat);
        }
        match self.memory.phase {
            Phase::Held => self.held(),
            Phase::Preparing => self.prepare(),
            Phase::Progressing | Phase::Baking => self.progress(&verdict),
            Phase::Promoting => self.promote(),
            Phase::Retreating => self.retreat(),
            Phase::Ended(_) => {}
        }
        self.memory.highest = self.memory.highest.max(self.memory.granted);
    }

    fn judge(&mut self) {
        let Some(look) = &self.seen.look else { return };
        // A pod that is not ready serves nobody: that it cannot be read holds up no judgement, least of all a way back.
        let candidate = &self.seen.candidate;
        let all_ready = usize::try_from(candidate.ready).is_ok_and(|ready| ready >= candidate.names.len());
        let expected: &[String] = if all_ready { &candidate.names } else { &[] };
        let standing = Standing {
            present: Present { candidate: expected, stable: &self.seen.stable.names },
            in_effect: self.memory.in_effect.map(|_| self.memory.granted),
            next: self.next_weight(),
        };
        self.memory.judgement.enter(self.setup, look, &standing);
    }

    fn next_weight(&self) -> Weight {
        self.setup.plan.weight(self.memory.stage + 1)
    }

    fn scrape_seconds(&self) -> f64 {
        self.seen.look.as_ref().map_or(1.0, |look| look.scrape_seconds)
    }

    // --- Humans ------------------------------------------------------------------------------------------------

    fn hear(&mut self) {
        for act in &self.seen.acts {
            if self.memory.heard.contains(&act.name) {
                continue;
            }
            if self.memory.heard.len() >= MOST_HEARD {
                self.memory.heard.remove(0);
            }
            self.memory.heard.push(act.name.clone());
            let who = act.by.clone().unwrap_or_else(|| "someone (this API server does not attest who)".to_owned());
            let why = act.reason.as_deref().map_or(String::new(), |reason| format!(": {reason}"));
            match act.action {
                Action::Pause if !self.memory.paused => {
                    self.memory.paused = true;
                    self.note("Paused", format!("paused by {who}{why}; it stays at {}", self.memory.granted), false);
                }
                Action::Resume if self.memory.paused => {
                    self.memory.paused = false;
                    self.note("Resumed", format!("resumed by {who}{why}"), false);
                }
                Action::Promote => {
                    let stage = if self.memory.phase == Phase::Held { 0 } else { self.memory.stage + 1 };
                    self.memory.let_through = Some(stage);
                    self.memory.paused = false;
                    let weight = self.setup.plan.weight(stage);
                    self.note("PromotedByHuman", format!("{who} let it go on to {weight}{why}"), false);
                }
                // Handled with everything else that leads back.
                Action::Abort | Action::Pause | Action::Resume => {}
            }
        }
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
                         Firebreak writes it again. Stop {manager} from writing backendRefs while a Change runs"
                ),
                true,
            );
            self.memory.contention = now;
        }
    }

    /// Says what ran of the candidate before the workload was held: at once how much and since when, and when that is
    /// over for how long and what it served.
    fn report_late(&mut self) {
        let Some(late) = self.setup.late else { return };
        let now = self.seen.now;
        match self.memory.late {
            LateWindow::None => {}
            LateWindow::Untold => {
                self.memory.late = LateWindow::Open;
                let seconds = now.seconds_since(late.since).max(0.0);
                let pods = u64::from(late.pods);
                let share = percent(pods, pods + u64::from(self.seen.stable.ready));
                let message = format!(
                    "held late: {pods} pods of the candidate had been started before, up to {seconds:.1} s ago, and get up to \
                     {share:.0} % of the requests until they are cut down; Kubernetes 1.36 and the chart's admission policy \
                     hold a template before anything runs from it"
                );
                self.note("HeldLate", message, true);
            }
            LateWindow::Open => {
                if self.late_pods_cut() {
                    self.memory.late = LateWindow::Closed(now);
                }
            }
            LateWindow::Closed(at) => self.report_late_exposure(late, at),
        }
    }

    /// Whether no pod has traffic any more that was started before the hold.
    fn late_pods_cut(&self) -> bool {
        let candidate = &self.seen.candidate;
        let cut = candidate.owned_by_change && candidate.names.len() <= usize::try_from(candidate.wanted).unwrap_or(usize::MAX);
        cut && self.seen.traffic.as_ref().is_none_or(|traffic| traffic.pinned)
    }

    /// Counters are cumulative, and since the window closed nothing was added: the first look is what those pods served.
    fn report_late_exposure(&mut self, late: Late, closed: Millis) {
        let counted = self.seen.look.as_ref().and_then(|look| match look.signals.first() {
            Some(SignalLook::Read(readings)) if look.at >= closed => {
                let of_candidate = readings.iter().filter(|reading| reading.arm == Arm::Candidate);
                let sum =
                    of_candidate.fold((0, 0, 0), |sum, reading| (sum.0 + 1, sum.1 + reading.requests, sum.2 + reading.failures));
                (sum.0 >= self.seen.candidate.names.len() && sum.0 > 0).then_some(sum)
            }
            _ => None,
        });
        let began = self.memory.exposed_at.is_some() || self.memory.retreat.is_some();
        let waited = self.seen.now.seconds_since(closed) >= LATE_COUNTED_WITHIN_SECONDS;
        let served = match counted {
            Some((pods, requests, failures)) => {
                format!("the {pods} that stay had answered {requests} requests, {failures} of them failed")
            }
            None if began || waited => "what they answered could not be counted".to_owned(),
            None => return,
        };
        self.memory.late = LateWindow::None;
        let seconds = closed.seconds_since(late.since).max(0.0);
        let message = format!("{} pods of the candidate ran unheld for up to {seconds:.1} s; {served}", late.pods);
        self.note("LateExposure", message, true);
    }

    // --- Back --------------------------------------------------------------------------------------------------

    fn way_back(&self, verdict: &Verdict) -> Option<Retreat> {
        if matches!(self.memory.phase, Phase::Retreating | Phase::Ended(_)) || self.handed_over() {
            return None;
        }
        // In a hurry only where its pods do harm or serve nobody: a healthy one's pods stay until the gateway has followed.
        let back = |outcome, reason: &str, message: String, hurry| {
            let (reason, since) = (reason.to_owned(), self.seen.now);
            Some(Retreat { outcome, reason, message, hurry, since, share_zero_at: None })
        };
        let abort = self.seen.acts.iter().find(|act| act.action == Action::Abort);
        if let Some(Act { by, reason, .. }) = abort {
            let who = by.as_deref().unwrap_or("someone");
            let why = reason.as_deref().map_or(String::new(), |reason| format!(": {reason}"));
            return back(Outcome::RolledBack, "Aborted", format!("aborted by {who}{why}"), false);
        }
        if let Some(harm) = &verdict.harm {
            return back(Outcome::RolledBack, &harm.reason, harm.message.clone(), harm.growing);
        }
        if let Some(message) = self.crash_looping() {
            return back(Outcome::RolledBack, "CandidateCrashLoops", message, true);
        }
        match self.seen.workload.template {
            Template::Newer => {
                let message = "a newer template came; it gets a Change of its own".to_owned();
                return back(Outcome::Superseded, "Superseded", message, false);
            }
            Template::Stable => {
                let message = "the workload carries stable's template again".to_owned();
                return back(Outcome::Withdrawn, "Withdrawn", message, false);
            }
            Template::Missing => {
                return back(Outcome::Withdrawn, "WorkloadGone", "the workload was deleted".to_owned(), true);
            }
            Template::Candidate => {}
        }
        if self.seen.workload.bypassed && !self.seen.workload.held {
            let message =
                "someone who may bypass let the template through, unjudged; the native controller rolls it out".to_owned();
            return back(Outcome::Withdrawn, "Bypassed", message, true);
        }
        if self.seen.workload.guard_leaves {
            let message = "the Guard is being deleted; the workload stays held, resume it to roll the template out".to_owned();
            return back(Outcome::Withdrawn, "GuardDeleted", message, false);
        }
        self.not_ready_in_time()
            .and_then(|message| back(Outcome::RolledBack, "CandidateNotReady", message, true))
            .or_else(|| self.blind_for_too_long(verdict).and_then(|m| back(Outcome::RolledBack, "NoData", m, false)))
    }

    /// After this the native controller has the candidate: there is no way back through weights.
    fn handed_over(&self) -> bool {
        self.memory.phase == Phase::Promoting && self.seen.candidate.exists && !self.seen.candidate.owned_by_change
    }

    fn crash_looping(&self) -> Option<String> {
        let candidate = &self.seen.candidate;
        let pods = u32::try_from(candidate.names.len()).unwrap_or(u32::MAX);
        (pods > 0 && candidate.crash_looping >= pods).then(|| {
            let why = candidate.broken.as_deref().map_or(String::new(), |why| format!(" ({why})"));
            format!("all {pods} candidate pods crash again and again{why}; see kubectl logs --previous of one of them")
        })
    }

    fn waits_for_pods(&self) -> bool {
        let preparing = self.memory.phase == Phase::Preparing;
        let entering = matches!(self.memory.phase, Phase::Progressing | Phase::Baking);
        let asked = self.pods_now();
        // Where pods are the share they are asked for one after another: only the one that was asked for can be late.
        let asked = if self.setup.exposure == Exposure::PodShare { asked.min(self.seen.candidate.wanted.max(1)) } else { asked };
        (preparing || entering && self.memory.in_effect.is_none()) && self.seen.candidate.ready < asked
    }

    /// Requests to pods that are not ready fail at the gateway, where no counter of the candidate sees them.
    fn watch_readiness(&mut self) {
        let exposed = matches!(self.memory.phase, Phase::Progressing | Phase::Baking | Phase::Promoting);
        let unready = exposed && self.memory.in_effect.is_some() && self.seen.candidate.ready == 0 && self.seen.stable.ready > 0;
        let since = self.memory.unready_since.unwrap_or(self.seen.now);
        self.memory.unready_since = unready.then_some(since);
    }

    fn not_ready_in_time(&self) -> Option<String> {
        let unready = self.memory.unready_since.map_or(0.0, |since| self.seen.now.seconds_since(since));
        if self.memory.unready_since.is_some() && unready >= self.setup.ready_deadline_seconds {
            let why = self.seen.candidate.broken.as_deref().map_or(String::new(), |why| format!(": {why}"));
            return Some(format!(
                "no candidate pod has been ready for {unready:.0} s (the workload's progressDeadlineSeconds){why}"
            ));
        }
        let waited = self.seen.now.seconds_since(self.memory.entered);
        let limit = self.setup.ready_deadline_seconds;
        (self.waits_for_pods() && waited >= limit).then(|| {
            let candidate = &self.seen.candidate;
            let why = candidate.broken.as_deref().map_or(String::new(), |why| format!(": {why}"));
            format!(
                "{} of {} candidate pods are ready after {limit:.0} s (the workload's progressDeadlineSeconds){why}",
                candidate.ready,
                self.pods_now()
            )
        })
    }

    fn blind_for_too_long(&self, verdict: &Verdict) -> Option<String> {
        let trouble = verdict.trouble.as_ref()?;
        let plan = &self.setup.plan;
        let blind = self.seen.now.seconds_since(trouble.since);
        let exposed = self.memory.granted > Weight::ZERO;
        (exposed && plan.no_data == NoData::RollBack && blind >= plan.no_data_after_seconds)
            .then(|| format!("no usable metrics for {blind:.0} s, and the policy asks to take back then: {}", trouble.message))
    }

    fn turn_back(&mut self, retreat: Retreat) {
        let what = match retreat.outcome {
            Outcome::RolledBack => "taking the candidate back",
            _ => "ending the Change",
        };
        let next = match retreat.outcome {
            Outcome::RolledBack if self.setup.restore_template => "; then stable's template is written back",
            Outcome::RolledBack => {
                "; the workload stays held. Ship a fixed template, or kubectl firebreak retry to try this one again"
            }
            _ => "",
        };
        let message = format!("{}: {what} from {}{next}", retreat.message, self.memory.granted);
        self.note(&retreat.reason.clone(), message, retreat.outcome == Outcome::RolledBack);
        self.memory.phase = Phase::Retreating;
        self.memory.granted = Weight::ZERO;
        self.memory.waiting = None;
        self.memory.retreat = Some(retreat);
    }

    fn retreat(&mut self) {
        self.effects = retreat::step(self.setup, &mut self.memory, self.seen);
        let Phase::Ended(outcome) = self.memory.phase else { return };
        let (reason, message) = match outcome {
            Outcome::RolledBack => ("RolledBack", "all traffic is on stable; the candidate is condemned and gone"),
            Outcome::Superseded => ("Ended", "superseded; all traffic is on stable"),
            Outcome::Withdrawn | Outcome::Promoted => ("Ended", "withdrawn; all traffic is on stable"),
        };
        self.note(reason, message.to_owned(), false);
    }

    // --- On ----------------------------------------------------------------------------------------------------

    fn pods_now(&self) -> u32 {
        let weight = match self.memory.phase {
            Phase::Preparing if self.setup.exposure == Exposure::PodShare => return self.seen.workload.replicas.min(1),
            Phase::Promoting => Weight::FULL,
            _ => self.setup.plan.weight(self.memory.stage),
        };
        candidate_pods(self.setup.exposure, self.seen.workload.replicas, weight)
    }

    fn held(&mut self) {
        if !self.seen.workload.held {
            self.effects.push(Effect::Hold);
        }
        if self.seen.workload.replicas == 0 {
            self.put_away();
            self.hold(
                "WorkloadScaledToZero",
                "the workload wants 0 pods, so there is no traffic to judge by; it goes on when the workload is scaled up",
                false,
            );
            return;
        }
        if self.awaits_human(0) {
            self.put_away();
            return;
        }
        if self.memory.paused {
            self.put_away();
            self.wait("Paused", "a human paused it; kubectl firebreak resume lets it go on");
            return;
        }
        self.memory.phase = Phase::Preparing;
        self.memory.entered = self.seen.now;
        self.memory.waiting = None;
        let first = self.setup.plan.weight(0);
        self.note("Preparing", format!("starting candidate pods; the first stage is {first}"), false);
        self.prepare();
    }

    /// Pods that the native controller started before the workload was held serve nobody while the Change waits.
    fn put_away(&mut self) {
        let candidate = &self.seen.candidate;
        if candidate.exists && !candidate.owned_by_change && candidate.wanted > 0 {
            self.effects.push(Effect::MakeCandidate { replicas: 0 });
        }
    }

    fn prepare(&mut self) {
        let pods = self.pods_now();
        if !self.seen.workload.held {
            self.effects.push(Effect::Hold);
        }
        if let Some(traffic) = &self.seen.traffic {
            if let Some(problem) = &traffic.problem {
                let problem = problem.clone();
                self.put_away();
                return self.hold("RouteNotUsable", &problem, true);
            }
            if !traffic.pinned {
                self.effects.push(Effect::Pin);
            }
            if !traffic.candidate_service {
                self.effects.push(Effect::MakeCandidateService);
            }
        }
        if !self.seen.candidate.exists || !self.seen.candidate.owned_by_change || self.seen.candidate.wanted != pods {
            self.effects.push(Effect::MakeCandidate { replicas: pods });
        }
        let endpoints = self.setup.exposure == Exposure::PodShare || self.seen.candidate.endpoints >= pods;
        if self.seen.candidate.ready < pods || !endpoints {
            let why = self.seen.candidate.broken.clone().map_or(String::new(), |why| format!(": {why}"));
            let ready = self.seen.candidate.ready;
            return self.wait("WaitingForPods", &format!("{ready} of {pods} candidate pods are ready{why}"));
        }
        if !self.can_be_seen() || !self.effects.is_empty() {
            return;
        }
        self.begin();
    }

    /// Eyes before exposure: every candidate pod is seen by every signal's source, and stable can be counted.
    fn can_be_seen(&mut self) -> bool {
        let trouble = self.memory.judgement.verdict(self.setup, self.seen.now).trouble;
        // A source that does not answer has seen no pod either, and then the pods are not what is to be mended.
        if let Some(trouble) = trouble.as_ref().filter(|trouble| trouble.is_the_sources()) {
            self.hold(&trouble.reason, &format!("{}; the candidate gets no traffic before", trouble.message), true);
            return false;
        }
        let candidate = &self.seen.candidate;
        let unseen = candidate.names.iter().find(|name| !self.seen.seen.contains(name));
        if let Some(pod) = unseen {
            let waited = self.seen.now.seconds_since(self.memory.entered);
            let message = format!("the metrics source has not read candidate pod {pod} yet; it gets no traffic before");
            if waited < SEEN_WITHIN_SECONDS {
                self.wait("WaitingForMetrics", &message);
            } else {
                let advice = "check that Prometheus discovers the pod, and that its series carry the labels namespace and pod";
                self.hold("NotSeenByMetrics", &format!("{message}; {advice}"), true);
            }
            return false;
        }
        if let Some(trouble) = trouble {
            self.hold(&trouble.reason, &format!("{}; the candidate gets no traffic before", trouble.message), false);
            return false;
        }
        if !self.memory.judgement.can_see() {
            self.wait("WaitingForMetrics", "no look at stable's counters yet; the candidate gets no traffic before");
            return false;
        }
        true
    }

    fn begin(&mut self) {
        let weight = self.setup.plan.weight(0);
        self.memory.judgement.begin_exposure(self.seen.now);
        self.memory.exposed_at = Some(self.seen.now);
        self.enter_stage(0);
        self.note("StageStarted", format!("stage 1 of {}: {weight} of the traffic", self.setup.plan.stages.len()), false);
        self.place_weight();
    }

    fn enter_stage(&mut self, stage: usize) {
        let weight = self.setup.plan.weight(stage);
        self.memory.stage = stage;
        self.memory.entered = self.seen.now;
        self.memory.in_effect = None;
        self.memory.waiting = None;
        self.memory.phase = if weight >= Weight::FULL { Phase::Baking } else { Phase::Progressing };
    }

    /// Pods to ask for now on the way to the stage's `pods`. Where pods are the share, one at a time, the next when the last
    /// is ready and seen: what does harm shows with one more pod's share, and at most one pod has traffic unseen.
    fn next_size(&mut self, pods: u32) -> u32 {
        let candidate = &self.seen.candidate;
        if self.setup.exposure == Exposure::Routes || candidate.wanted >= pods {
            return pods;
        }
        if !candidate.owned_by_change {
            return candidate.wanted.clamp(1, pods);
        }
        let unseen = candidate.names.iter().any(|name| !self.seen.seen.contains(name));
        if candidate.ready < candidate.wanted
            || unseen
            || self.memory.judgement.verdict(self.setup, self.seen.now).trouble.is_some()
        {
            return candidate.wanted;
        }
        // The deadline for readiness counts for each pod.
        self.memory.entered = self.seen.now;
        candidate.wanted + 1
    }

    /// Brings the candidate to the stage's size, then its share to the stage's weight. True once it is in effect.
    fn place_weight(&mut self) -> bool {
        let pods = self.pods_now();
        let size = self.next_size(pods);
        if self.seen.candidate.wanted != size || !self.seen.candidate.owned_by_change {
            self.effects.push(Effect::MakeCandidate { replicas: size });
        }
        let grown = self.seen.candidate.ready >= pods;
        // Where pods are the share, each that comes has its part of this stage's weight already.
        if self.memory.in_effect.is_none() && (grown || self.setup.exposure == Exposure::PodShare) {
            self.memory.granted = self.setup.plan.weight(self.memory.stage);
        }
        let followed = match &self.seen.traffic {
            Some(traffic) if self.setup.exposure == Exposure::Routes => {
                let asked = f64::from(self.memory.granted.as_permille());
                let says = |share: f64| share <= asked && asked - share < 1.0;
                let follows = says(traffic.largest_share) && says(traffic.smallest_share);
                // The pin is first: without it the Service itself would send requests to the candidate.
                if !traffic.pinned {
                    self.effects.push(Effect::Pin);
                }
                if !traffic.candidate_service {
                    self.effects.push(Effect::MakeCandidateService);
                }
                if !follows {
                    self.effects.push(Effect::SetWeight(self.memory.granted));
                    let scrape = self.scrape_seconds();
                    self.memory.judgement.settle_split(self.seen.now, scrape);
                }
                follows
            }
            _ => self.seen.candidate.wanted == pods,
        };
        if self.memory.in_effect.is_none() && grown && followed {
            self.memory.in_effect = Some(self.seen.now);
            let scrape = self.scrape_seconds();
            self.memory.judgement.begin_stage(self.seen.now, scrape);
        }
        if !grown && self.memory.in_effect.is_none() {
            let why = self.seen.candidate.broken.clone().map_or(String::new(), |why| format!(": {why}"));
            let ready = self.seen.candidate.ready;
            let weight = self.memory.granted;
            self.wait(
                "WaitingForPods",
                &format!("{ready} of {pods} candidate pods are ready{why}; it stays at {weight} until then"),
            );
            return false;
        }
        self.memory.in_effect.is_some()
    }

    fn progress(&mut self, verdict: &Verdict) {
        if !self.seen.workload.held {
            self.effects.push(Effect::Hold);
        }
        if let Some(problem) = self.seen.traffic.as_ref().and_then(|traffic| traffic.problem.clone()) {
            self.hold("RouteNotUsable", &problem, true);
        }
        if !self.place_weight() {
            return;
        }
        let Some(in_effect) = self.memory.in_effect else { return };
        let baked = self.seen.now.seconds_since(in_effect);
        let next = self.memory.stage + 1;
        let forced = self.memory.let_through == Some(next);
        if self.holds(verdict, forced) {
            return;
        }
        if self.memory.phase == Phase::Baking {
            let left = self.setup.plan.final_bake_seconds - baked;
            if left > 0.0 && !forced {
                return self.wait("Baking", &format!("at full exposure with stable still warm; {left:.0} s are left"));
            }
            return self.start_promoting();
        }
        if !forced && !self.proved(verdict, baked) {
            return;
        }
        if !forced && self.awaits_human(next) {
            return;
        }
        let weight = self.setup.plan.weight(next);
        self.enter_stage(next);
        let count = self.setup.plan.stages.len();
        self.note(
            "StageStarted",
            format!("stage {} of {count}: {weight} of the traffic, after {baked:.0} s at the stage before", next + 1),
            false,
        );
        self.place_weight();
    }

    /// Named holds: nothing goes on, nothing goes back. What a hold asks a human, a human who `forced` it has answered.
    fn holds(&mut self, verdict: &Verdict, forced: bool) -> bool {
        if let Some(trouble) = &verdict.trouble {
            let blind = self.seen.now.seconds_since(trouble.since);
            let limit = self.setup.plan.no_data_after_seconds;
            let message = format!("{}; it stays at {} until metrics are back", trouble.message, self.memory.granted);
            let alert = self.setup.plan.no_data == NoData::HoldAlert && blind >= limit;
            self.hold(&trouble.reason, &message, alert);
            return true;
        }
        if let Some(words) = &verdict.split_broken {
            self.hold("SplitNotFollowed", words, true);
            return true;
        }
        if let Some(words) = &verdict.stable_unhealthy {
            self.hold("StableUnhealthy", words, false);
            return true;
        }
        if let Some(words) = verdict.immaterial.as_ref().filter(|_| !forced) {
            let message =
                format!("{words}; but too little to matter and not growing. Decide: kubectl firebreak promote or abort");
            self.hold("HarmImmaterial", &message, true);
            return true;
        }
        if self.memory.paused {
            let message = format!("a human paused it at {}; kubectl firebreak resume lets it go on", self.memory.granted);
            self.wait("Paused", &message);
            return true;
        }
        false
    }

    fn proved(&mut self, verdict: &Verdict, baked: f64) -> bool {
        let plan = &self.setup.plan;
        let (shortest, longest, what) = (plan.min_bake_seconds, plan.max_bake_seconds, plan.inconclusive);
        if verdict.suspicion {
            self.wait("Suspicion", "the candidate looks worse than stable, but not beyond chance yet; more requests will tell");
            return false;
        }
        if baked < shortest {
            self.wait("MinimumBake", &format!("{:.0} s of this stage's shortest time are left", shortest - baked));
            return false;
        }
        if verdict.open {
            return true;
        }
        if baked < longest {
            self.wait("CollectingEvidence", "more requests are needed to show that the next stage is safe");
            return false;
        }
        match what {
            Inconclusive::Promote => {
                let message = format!("still inconclusive after {baked:.0} s; the policy lets it go on");
                self.note("InconclusivePromoted", message, true);
                true
            }
            Inconclusive::Hold => {
                let message = format!(
                    "still inconclusive after {baked:.0} s: too few requests to tell. Wait, or decide: kubectl firebreak promote or abort"
                );
                self.hold("Inconclusive", &message, true);
                false
            }
            Inconclusive::RollBack => {
                let (outcome, since) = (Outcome::RolledBack, self.seen.now);
                let message = format!("still inconclusive after {baked:.0} s, and the policy asks to take back then");
                let reason = "Inconclusive".to_owned();
                self.turn_back(Retreat { outcome, reason, message, hurry: false, since, share_zero_at: None });
                self.retreat();
                false
            }
        }
    }

    fn awaits_human(&mut self, stage: usize) -> bool {
        let weight = self.setup.plan.weight(stage);
        let needed = self.setup.plan.approval_at.contains(&weight) && self.memory.let_through != Some(stage);
        if needed {
            let message = format!(
                "the policy asks a human before {weight}; kubectl firebreak promote lets it go on, kubectl firebreak abort takes it back"
            );
            self.hold("WaitingForHuman", &message, true);
        }
        needed
    }

    // --- Hand-over ---------------------------------------------------------------------------------------------

    fn start_promoting(&mut self) {
        self.memory.phase = Phase::Promoting;
        self.memory.entered = self.seen.now;
        self.memory.waiting = None;
        self.memory.routes_clean_at = None;
        self.note("Promoting", "proved at full exposure; handing the candidate's pods to the workload".to_owned(), false);
        self.promote();
    }

    fn promote(&mut self) {
        let (candidate, workload) = (&self.seen.candidate, &self.seen.workload);
        if !self.handed_over() {
            let size = workload.replicas;
            if candidate.wanted != size || candidate.ready < size {
                if candidate.wanted != size {
                    self.effects.push(Effect::MakeCandidate { replicas: size });
                }
                let ready = candidate.ready;
                return self.wait("WaitingForPods", &format!("{ready} of {size} candidate pods are ready for the hand-over"));
            }
            if self.seen.traffic.as_ref().is_some_and(|traffic| traffic.pinned) {
                self.effects.push(Effect::Unpin);
            }
            self.effects.push(Effect::HandOver { replicas: size });
            return;
        }
        // A template that came after the hand-over gets a Change of its own, from this candidate as stable.
        let overtaken = workload.template != Template::Candidate;
        if !overtaken {
            if workload.held {
                self.effects.push(Effect::Resume);
                return;
            }
            if !workload.rolled_out {
                return self.wait("HandingOver", "the native controller scales the old pods away");
            }
        }
        if let Some(traffic) = &self.seen.traffic {
            if traffic.pinned {
                self.effects.push(Effect::Unpin);
            }
            if traffic.carries_candidate {
                self.memory.routes_clean_at = None;
                self.effects.push(Effect::RestoreRoutes);
                return;
            }
            let clean_at = *self.memory.routes_clean_at.get_or_insert(self.seen.now);
            if traffic.candidate_service {
                if self.seen.now.seconds_since(clean_at) >= GATEWAYS_LEARN_SECONDS {
                    self.effects.push(Effect::RemoveCandidateService);
                }
                return;
            }
        }
        self.memory.phase = Phase::Ended(Outcome::Promoted);
        self.memory.waiting = None;
        self.note("Promoted", "the candidate is the new stable; no pod was restarted for it".to_owned(), false);
    }

    // --- Words -------------------------------------------------------------------------------------------------

    /// Says why it does not go on yet, as part of the usual way: no Event.
    fn wait(&mut self, reason: &str, message: &str) {
        let same = self.memory.waiting.as_ref().filter(|old| old.reason == reason);
        let since = same.map_or(self.seen.now, |old| old.since);
        self.memory.waiting = Some(Waiting { reason: reason.to_owned(), message: message.to_owned(), since });
    }

    /// A named hold: says why it does not go on, with an Event when it begins.
    fn hold(&mut self, reason: &str, message: &str, warning: bool) {
        if self.memory.waiting.as_ref().is_none_or(|old| old.reason != reason) {
            self.note(reason, message.to_owned(), warning);
        }
        self.wait(reason, message);
    }

    fn note(&mut self, reason: &str, message: String, warning: bool) {
        self.notes.push(Note { reason: reason.to_owned(), message, warning });
    }
}
