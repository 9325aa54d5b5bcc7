//! Everything that leads back: an abort, harm, crashes, a template that came after, pods that are not ready, blindness.

use super::Turn;
use crate::{
    judge::Verdict,
    memory::{Outcome, Phase},
    observation::{Act, Action, Template},
    plan::{Exposure, NoData},
    retreat::{self, Retreat},
    units::Weight,
};

/// How often it may lose every ready pod while it has a share.
const MOST_LOST_READY: u32 = 3;

impl Turn<'_> {
    pub(super) fn way_back(&self, verdict: &Verdict) -> Option<Retreat> {
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
            let message =
                "its Guard, or the Change itself, is being deleted; the workload stays held: resume it where the Guard is \
                           gone, else kubectl firebreak retry GUARD --reason '...' or another template lets it go on"
                    .to_owned();
            return back(Outcome::Withdrawn, "GuardDeleted", message, false);
        }
        // Paused it stays as it is: what follows would begin unpaused.
        if let Some(level) = self.seen.workload.raised.filter(|_| !self.memory.paused) {
            let message =
                format!("its claims were edited and mean {level} risk now; a new Change begins with the plan of that level");
            return back(Outcome::Superseded, "RiskRaised", message, false);
        }
        // What was shown so far would be worth nothing by other metrics: only where nothing was is begun anew, and no pod served before
        // the hold, or serves where pods are the share. What a rule refused takes a retry.
        let untouched = self.memory.exposed_at.is_none() && self.memory.highest == Weight::ZERO && self.setup.late.is_none();
        let serves = self.setup.exposure == Exposure::PodShare && self.seen.candidate.ready > 0;
        let begins_anew = untouched && !serves && !self.memory.paused && self.setup.refused.is_none();
        if self.seen.workload.guard_changed && begins_anew {
            let message =
                "its Guard was changed before anyone got the candidate; a new Change begins by the Guard as it is now".to_owned();
            return back(Outcome::Superseded, "GuardChanged", message, false);
        }
        self.not_ready_in_time()
            .or_else(|| self.lost_ready_too_often())
            .and_then(|message| back(Outcome::RolledBack, "CandidateNotReady", message, true))
            .or_else(|| self.blind_for_too_long(verdict).and_then(|m| back(Outcome::RolledBack, "NoData", m, false)))
            .or_else(|| self.check_missing().and_then(|m| back(Outcome::RolledBack, "CheckMissing", m, false)))
    }

    /// After this the native controller has the candidate: there is no way back through weights.
    pub(super) fn handed_over(&self) -> bool {
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

    /// Whether pods are waited for, or would be if one went.
    fn comes_up(&self) -> bool {
        let entering = matches!(self.memory.phase, Phase::Progressing | Phase::Baking);
        self.memory.phase == Phase::Preparing || entering && self.memory.in_effect.is_none()
    }

    fn waits_for_pods(&self) -> bool {
        let preparing = self.memory.phase == Phase::Preparing;
        let asked = self.pods_now();
        // Where pods are the share they are asked for one after another: only the one that was asked for can be late.
        let asked = if self.setup.exposure == Exposure::PodShare { asked.min(self.seen.candidate.wanted.max(1)) } else { asked };
        self.comes_up() && (self.seen.candidate.ready < asked || preparing && self.endpoints() < asked)
    }

    /// Candidate pods that the candidate's Service would send requests to; all ready ones where there is no such Service.
    pub(super) fn endpoints(&self) -> u32 {
        match self.setup.exposure {
            Exposure::Routes => self.seen.candidate.endpoints,
            Exposure::PodShare => self.seen.candidate.ready,
        }
    }

    fn lost_ready_too_often(&self) -> Option<String> {
        let (lost, why) = (self.memory.lost_ready, &self.seen.candidate.broken);
        let why = why.as_deref().map_or(String::new(), |why| format!(": {why}"));
        (lost >= MOST_LOST_READY).then(|| format!("no candidate pod was ready any more, for the {lost}. time{why}"))
    }

    /// Requests to pods that are not ready fail at the gateway, where no counter of the candidate sees them.
    pub(super) fn watch_readiness(&mut self) {
        let exposed = matches!(self.memory.phase, Phase::Progressing | Phase::Baking | Phase::Promoting);
        let unready =
            exposed && self.memory.granted > Weight::ZERO && self.seen.candidate.ready == 0 && self.seen.stable.ready > 0;
        let since = self.memory.unready_since.unwrap_or(self.seen.now);
        self.memory.unready_since = unready.then_some(since);
        // Where all that were asked for are ready and the Change waits for something else, their time to come up begins anew.
        if self.comes_up() && !self.waits_for_pods() {
            self.memory.entered = self.seen.now;
        }
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
                "{} of {} candidate pods are ready after {limit:.0} s (the workload's progressDeadlineSeconds), {} of them behind the \
                 candidate's Service{why}",
                candidate.ready,
                self.pods_now(),
                self.endpoints().min(candidate.ready)
            )
        })
    }

    fn blind_for_too_long(&self, verdict: &Verdict) -> Option<String> {
        let trouble = verdict.blind.as_ref()?;
        let plan = &self.setup.plan;
        let blind = self.seen.now.seconds_since(trouble.since);
        let exposed = self.memory.granted > Weight::ZERO;
        (exposed && plan.no_data == NoData::RollBack && blind >= plan.no_data_after_seconds)
            .then(|| format!("no usable metrics for {blind:.0} s, and the policy asks to take back then: {}", trouble.message))
    }

    fn check_missing(&self) -> Option<String> {
        let exposed = self.memory.granted > Weight::ZERO;
        self.memory.check_missing_too_long(self.setup, self.seen.now).filter(|_| exposed)
    }

    pub(super) fn turn_back(&mut self, retreat: Retreat) {
        let what = match retreat.outcome {
            Outcome::RolledBack => "taking the candidate back",
            _ => "ending the Change",
        };
        let next = match retreat.outcome {
            Outcome::RolledBack if self.setup.restore_template => "; then stable's template is written back",
            Outcome::RolledBack => {
                "; the workload stays held. Ship a fixed template, or to try this one again: kubectl firebreak retry GUARD --reason '...'"
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

    pub(super) fn retreat(&mut self) {
        self.effects = retreat::step(self.setup, &mut self.memory, self.seen);
        let Phase::Ended(outcome) = self.memory.phase else { return };
        let (reason, message) = match outcome {
            Outcome::RolledBack => ("RolledBack", "all traffic is on stable; the candidate is condemned and gone"),
            Outcome::Superseded => ("Ended", "superseded; all traffic is on stable"),
            Outcome::Withdrawn | Outcome::Promoted => ("Ended", "withdrawn; all traffic is on stable"),
        };
        self.note(reason, message.to_owned(), false);
    }
}
