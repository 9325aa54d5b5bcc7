//! Everything that leads on: pods, eyes, the first share, the stages, and the holds between them.

use super::{Turn, candidate_pods};
use crate::{
    effect::Effect,
    judge::{NamedHold, Verdict},
    memory::{Outcome, Phase},
    plan::{Exposure, Inconclusive, NoData},
    retreat::Retreat,
    units::{Millis, Weight},
};

/// How long the metrics source may take to find ready pods before that is said aloud, seconds.
const SEEN_WITHIN_SECONDS: f64 = 60.0;

impl Turn<'_> {
    pub(super) fn pods_now(&self) -> u32 {
        let weight = match self.memory.phase {
            Phase::Preparing if self.setup.exposure == Exposure::PodShare => return self.seen.workload.replicas.min(1),
            Phase::Promoting => Weight::FULL,
            _ => self.setup.plan.weight(self.memory.stage),
        };
        candidate_pods(self.setup.exposure, self.seen.workload.replicas, weight)
    }

    pub(super) fn held(&mut self) {
        self.no_share_yet();
        self.keep_held();
        if self.seen.workload.replicas == 0 {
            self.put_away();
            if self.seen.candidate.owned_by_change && self.seen.candidate.wanted > 0 {
                self.effects.push(Effect::MakeCandidate { replicas: 0 });
            }
            self.hold(
                "WorkloadScaledToZero",
                "the workload wants 0 pods, so there is no traffic to judge by; it goes on when the workload is scaled up",
                false,
            );
            return;
        }
        if let Some(why) = self.setup.refused.clone() {
            self.put_away();
            self.hold("RefusedByPolicy", &why, true);
            return;
        }
        if self.awaits_human(0) {
            self.put_away();
            return;
        }
        if self.memory.paused {
            self.put_away();
            self.wait("Paused", "a human paused it; kubectl firebreak resume GUARD lets it go on");
            return;
        }
        if self.is_frozen() || self.must_queue() {
            self.put_away();
            return;
        }
        self.memory.phase = Phase::Preparing;
        self.memory.entered = self.seen.now;
        self.memory.waiting = None;
        let first = self.setup.share(0);
        self.note("Preparing", format!("starting candidate pods; the first stage is {first}"), false);
        self.prepare();
    }

    /// Whatever a route says of the candidate was not granted: before the first stage its share is 0.
    fn no_share_yet(&mut self) {
        if self.seen.traffic.as_ref().is_some_and(|traffic| traffic.largest_share > 0.0) {
            self.effects.push(Effect::ZeroWeight);
        }
    }

    fn keep_held(&mut self) {
        if !self.seen.workload.held {
            self.effects.push(Effect::Hold);
        }
    }

    /// Takes the share away from pods that cannot serve, and starts again at the first stage.
    fn withdraw_share(&mut self, phase: Phase) {
        self.memory.phase = phase;
        self.memory.stage = 0;
        self.memory.granted = Weight::ZERO;
        self.memory.entered = self.seen.now;
        self.memory.in_effect = None;
        self.memory.taken_back_since = None;
        self.memory.ready_since = None;
        self.memory.unready_since = None;
        self.memory.let_through = None;
        self.memory.approvals.clear();
        self.memory.waiting = None;
    }

    /// Pods that the native controller started before the workload was held serve nobody while the Change waits; nor does a pod of
    /// its own that has users as soon as it is ready.
    fn put_away(&mut self) {
        let candidate = &self.seen.candidate;
        let serves = !candidate.owned_by_change || self.setup.exposure == Exposure::PodShare;
        if candidate.exists && serves && candidate.wanted > 0 {
            self.effects.push(Effect::MakeCandidate { replicas: 0 });
        }
    }

    pub(super) fn prepare(&mut self) {
        if self.seen.workload.replicas == 0 {
            self.withdraw_share(Phase::Held);
            return self.held();
        }
        let barred = self.frozen().is_some() || self.seen.queued.is_some() && !self.had_place;
        if self.setup.exposure == Exposure::PodShare && barred {
            // Its first pod would have users as soon as it is ready.
            self.memory.phase = Phase::Held;
            self.memory.ready_since = None;
            return self.held();
        }
        let pods = self.pods_now();
        self.no_share_yet();
        self.keep_held();
        if self.setup.exposure == Exposure::PodShare && self.seen.candidate.wanted == 0 && !self.stable_can_be_seen() {
            // No pod is late that was not asked for.
            self.memory.entered = self.seen.now;
            return;
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
        self.note_ready(pods);
        let (ready, endpoints) = (self.seen.candidate.ready, self.endpoints());
        if ready < pods || endpoints < pods {
            let why = self.seen.candidate.broken.clone().map_or(String::new(), |why| format!(": {why}"));
            let behind = if ready < pods {
                String::new()
            } else {
                format!(
                    "; {endpoints} are behind the candidate's Service: its selector and ports are those of spec.traffic.service"
                )
            };
            return self.wait("WaitingForPods", &format!("{ready} of {pods} candidate pods are ready{why}{behind}"));
        }
        if !self.can_be_seen() || !self.effects.is_empty() {
            return;
        }
        if self.memory.paused {
            return self.wait("Paused", "a human paused it before the first stage; kubectl firebreak resume GUARD lets it go on");
        }
        // What was approved while it was held may be void by now.
        if self.awaits_human(0) || self.is_frozen() || self.must_queue() {
            return;
        }
        if self.counts_late() {
            let message = "counting what the pods answered that ran before the hold; the candidate gets no traffic before";
            return self.wait("CountingLatePods", message);
        }
        self.begin();
    }

    /// Since when so many pods have been ready without a break.
    fn note_ready(&mut self, pods: u32) {
        let since = self.memory.ready_since.unwrap_or(self.seen.now);
        self.memory.ready_since = (self.seen.candidate.ready >= pods).then_some(since);
    }

    /// Whether stable can be counted: where pods are the share the first one has users as soon as it is ready.
    fn stable_can_be_seen(&mut self) -> bool {
        const BEFORE: &str = "no pod of the candidate is started before";
        let Verdict { trouble, hold, .. } = self.memory.verdict(self.setup, self.seen.now);
        let forced = self.memory.let_through == Some(0);
        if let Some(trouble) = trouble {
            self.hold(&trouble.reason, &format!("{}; {BEFORE}", trouble.message), trouble.is_the_sources());
        } else if !self.memory.can_see() {
            self.wait("WaitingForMetrics", &format!("no look at stable's counters yet; {BEFORE}"));
        } else if let Some(hold) = hold.filter(|_| !forced) {
            self.hold(&hold.reason, &format!("{}; {BEFORE}", hold.message), hold.warning);
        } else {
            return true;
        }
        false
    }

    /// Eyes before exposure: every ready candidate pod is seen by every signal's source, and stable can be counted.
    fn can_be_seen(&mut self) -> bool {
        let Verdict { trouble, hold, .. } = self.memory.verdict(self.setup, self.seen.now);
        let until = match self.memory.granted {
            Weight::ZERO => "the candidate gets no traffic before".to_owned(),
            granted => format!("it stays at {granted} until then"),
        };
        // A source that does not answer has seen no pod either, and then the pods are not what is to be mended.
        if let Some(trouble) = trouble.as_ref().filter(|trouble| trouble.is_the_sources()) {
            self.hold(&trouble.reason, &format!("{}; {until}", trouble.message), true);
            return false;
        }
        let candidate = &self.seen.candidate;
        let unseen = candidate.names.iter().find(|name| !self.seen.seen.contains(name) && !candidate.unready.contains(name));
        if let Some(pod) = unseen {
            let waited = self.memory.ready_since.map_or(0.0, |since| self.seen.now.seconds_since(since));
            let message = format!("the metrics source has not read candidate pod {pod} yet; {until}");
            if waited < SEEN_WITHIN_SECONDS {
                self.wait("WaitingForMetrics", &message);
            } else {
                let advice = "check that Prometheus discovers the pod, and that its series carry the labels namespace and pod; with \
                              spec.metrics.pods, that the pod answers there";
                self.hold("NotSeenByMetrics", &format!("{message}; {advice}"), true);
            }
            return false;
        }
        if let Some(trouble) = trouble {
            self.hold(&trouble.reason, &format!("{}; {until}", trouble.message), false);
            return false;
        }
        if !self.memory.can_see() {
            self.wait("WaitingForMetrics", &format!("no look at stable's counters yet; {until}"));
            return false;
        }
        let forced = self.memory.let_through == Some(0);
        if let Some(hold) = hold.filter(|_| self.memory.granted == Weight::ZERO && !forced) {
            self.hold(&hold.reason, &format!("{}; {until}", hold.message), hold.warning);
            return false;
        }
        true
    }

    fn begin(&mut self) {
        let weight = self.setup.share(0);
        self.memory.queued_since = None;
        self.memory.begin_exposure(self.setup, self.seen.now);
        self.enter_stage(0);
        self.note("StageStarted", format!("stage 1 of {}: {weight} of the traffic", self.setup.plan.stages.len()), false);
        self.place_weight();
    }

    fn enter_stage(&mut self, stage: usize) {
        let weight = self.setup.plan.weight(stage);
        self.memory.stage = stage;
        self.memory.entered = self.seen.now;
        self.memory.in_effect = None;
        self.memory.taken_back_since = None;
        self.memory.ready_since = None;
        self.memory.let_through = self.memory.let_through.filter(|through| *through >= stage);
        self.memory.approvals.retain(|approved| approved.stage > stage);
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
        if candidate.owned_by_change && self.frozen().is_some() {
            return candidate.wanted;
        }
        if !candidate.owned_by_change {
            return candidate.wanted.clamp(1, pods);
        }
        let unseen = candidate.names.iter().any(|name| !self.seen.seen.contains(name));
        if candidate.ready < candidate.wanted || unseen || self.memory.verdict(self.setup, self.seen.now).trouble.is_some() {
            return candidate.wanted;
        }
        // The deadline for readiness counts for each pod.
        self.memory.entered = self.seen.now;
        candidate.wanted + 1
    }

    /// Brings the candidate to the stage's size, then its share to the stage's weight. True while that is in effect.
    fn place_weight(&mut self) -> bool {
        let pods = self.pods_now();
        let entering = self.memory.in_effect.is_none() && self.memory.granted != self.setup.share(self.memory.stage);
        let barred = entering && self.is_barred();
        let by_pods = self.setup.exposure == Exposure::PodShare;
        if barred && by_pods {
            return false;
        }
        let size = self.next_size(pods);
        if self.seen.candidate.wanted != size || !self.seen.candidate.owned_by_change {
            self.effects.push(Effect::MakeCandidate { replicas: size });
        }
        self.note_ready(pods);
        let ready = self.seen.candidate.ready >= pods;
        // Who comes to carry more is seen before more comes; where pods are the share `next_size` looks to that.
        let grown = ready && !barred && (!entering || by_pods || self.can_be_seen());
        // Where pods are the share, each that comes has its part of this stage's weight already.
        if self.memory.in_effect.is_none() && (grown || by_pods) {
            let stage = self.memory.stage;
            if entering {
                // What it waited for has come.
                self.memory.waiting = None;
            }
            self.memory.granted = self.setup.share(stage);
            self.memory.let_through = self.memory.let_through.filter(|through| *through > stage);
        }
        let followed = match &self.seen.traffic {
            Some(traffic) if !by_pods => {
                // What cannot be looked at is neither followed nor taken back.
                if traffic.unreadable {
                    return self.memory.in_effect.is_some();
                }
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
                    self.memory.settle_split(self.seen.now, scrape);
                }
                follows
            }
            _ => self.seen.candidate.wanted == pods,
        };
        if let Some(in_effect) = self.memory.in_effect {
            return by_pods || self.bakes(in_effect, followed);
        }
        if grown && followed {
            self.memory.in_effect = Some(self.seen.now);
            let scrape = self.scrape_seconds();
            self.memory.begin_stage(self.seen.now, scrape);
            return true;
        }
        if !ready && !barred && by_pods && self.is_frozen() {
            return false;
        }
        if !ready && !barred {
            let why = self.seen.candidate.broken.clone().map_or(String::new(), |why| format!(": {why}"));
            let ready = self.seen.candidate.ready;
            let weight = self.memory.granted;
            self.wait(
                "WaitingForPods",
                &format!("{ready} of {pods} candidate pods are ready{why}; it stays at {weight} until then"),
            );
        }
        false
    }

    /// What keeps the larger share of a stage that was decided from being given: what has come up since then.
    fn is_barred(&mut self) -> bool {
        if self.memory.granted == Weight::ZERO {
            // The first share: `prepare` has asked already.
            return false;
        }
        let verdict = self.memory.verdict(self.setup, self.seen.now);
        let forced = self.memory.let_through == Some(self.memory.stage);
        if self.holds(&verdict, forced) || self.is_frozen() {
            return true;
        }
        if verdict.suspicion && !forced {
            let message = format!(
                "the candidate looks worse than stable since this stage was opened; it stays at {} until more requests tell",
                self.memory.granted
            );
            self.wait("Suspicion", &message);
            return true;
        }
        false
    }

    /// Whether the share that is in effect still is. While someone has taken it back the bake stands still; what was proved
    /// stays proved.
    fn bakes(&mut self, in_effect: Millis, followed: bool) -> bool {
        if !followed {
            self.memory.taken_back_since.get_or_insert(self.seen.now);
            return false;
        }
        if let Some(since) = self.memory.taken_back_since.take() {
            self.memory.in_effect = Some(in_effect.plus_seconds(self.seen.now.seconds_since(since)));
        }
        true
    }

    pub(super) fn progress(&mut self, verdict: &Verdict) {
        if self.seen.workload.replicas == 0 {
            self.withdraw_share(Phase::Held);
            return self.held();
        }
        if self.setup.exposure == Exposure::Routes && self.memory.unready_since.is_some() {
            return self.lose_ready();
        }
        self.keep_held();
        let placed = self.place_weight();
        if let Some(problem) = self.seen.traffic.as_ref().and_then(|traffic| traffic.problem.clone()) {
            return self.hold("RouteNotUsable", &problem, true);
        }
        if !placed {
            if self.memory.taken_back_since.is_some() {
                let granted = self.memory.granted;
                let message = format!("the routes do not give the candidate its {granted}; Firebreak writes it again");
                self.wait("RoutesTakenBack", &message);
            }
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
                let granted = self.memory.granted;
                return self
                    .wait("Baking", &format!("the last stage, at {granted} with stable still warm; {left:.0} s are left"));
            }
            if verdict.suspicion && !forced {
                let message = "the candidate looks worse than stable, but not beyond chance; it is not handed over. More requests will \
                               tell, or decide: kubectl firebreak promote GUARD --reason '...', or kubectl firebreak abort GUARD";
                return self.hold("Suspicion", message, true);
            }
            if self.is_frozen() {
                return;
            }
            return self.start_promoting();
        }
        if !forced && !self.proved(verdict, baked) {
            return;
        }
        if self.is_frozen() || self.awaits_human(next) {
            return;
        }
        let weight = self.setup.share(next);
        self.enter_stage(next);
        self.memory.lost_ready = 0;
        let count = self.setup.plan.stages.len();
        let kept = if next + 1 == count && weight < Weight::FULL { "; the rest stays with stable to compare with" } else { "" };
        self.note(
            "StageStarted",
            format!("stage {} of {count}: {weight} of the traffic, after {baked:.0} s at the stage before{kept}", next + 1),
            false,
        );
        self.place_weight();
    }

    /// No pod of the candidate is ready: its share would be answered by nobody.
    fn lose_ready(&mut self) {
        let (share, why) = (self.memory.granted, self.seen.candidate.broken.as_deref());
        let why = why.map_or(String::new(), |why| format!(" ({why})"));
        // Where stable has lost pods as well, the trouble is not the candidate's.
        let stable = &self.seen.stable;
        self.memory.lost_ready += u32::from(stable.ready.saturating_mul(4) >= stable.wanted.saturating_mul(3));
        self.withdraw_share(Phase::Preparing);
        let message = format!(
            "no candidate pod is ready any more{why}; its {share} of the traffic went back to stable. It starts again at the first \
             stage when they are ready, within {:.0} s (the workload's progressDeadlineSeconds)",
            self.setup.ready_deadline_seconds
        );
        self.note("ShareWithdrawn", message, true);
        self.prepare();
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
        if let Some(NamedHold { reason, message, warning }) = verdict.hold.as_ref().filter(|_| !forced) {
            self.hold(reason, &format!("{message}; it stays at {}", self.memory.granted), *warning);
            return true;
        }
        if let Some(words) = verdict.immaterial.as_ref().filter(|_| !forced) {
            let message = format!(
                "{words}; but too little to matter and not growing. Decide: kubectl firebreak promote GUARD --reason '...', or kubectl firebreak abort GUARD"
            );
            self.hold("HarmImmaterial", &message, true);
            return true;
        }
        if self.memory.paused {
            let message = format!("a human paused it at {}; kubectl firebreak resume GUARD lets it go on", self.memory.granted);
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
            let pace = self
                .memory
                .judgement
                .open_after(self.setup, baked)
                .map_or(String::new(), |left| format!("; at this pace in about {left}"));
            self.wait("CollectingEvidence", &format!("more requests are needed to show that the next stage is safe{pace}"));
            return false;
        }
        match what {
            Inconclusive::Promote => {
                // Who must be asked all the same is told of by that hold, as is a freeze.
                if !self.needs_human(self.memory.stage + 1) && self.frozen().is_none() {
                    let message = format!("still inconclusive after {baked:.0} s; the policy lets it go on");
                    self.note("InconclusivePromoted", message, true);
                }
                true
            }
            Inconclusive::Hold => {
                let message = format!(
                    "still inconclusive after {baked:.0} s: too few requests to tell. Wait, or decide: kubectl firebreak promote GUARD --reason '...', or \
                     kubectl firebreak abort GUARD"
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
}
