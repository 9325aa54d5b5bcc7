//! At the last stage: the candidate's pods become the workload's own.

use super::Turn;
use crate::{
    effect::Effect,
    memory::{Outcome, Phase},
    observation::Template,
};

/// Between the last route without the candidate and the removal of its Service, seconds: gateways are told one after another.
const GATEWAYS_LEARN_SECONDS: f64 = 3.0;

impl Turn<'_> {
    pub(super) fn start_promoting(&mut self) {
        self.memory.phase = Phase::Promoting;
        self.memory.entered = self.seen.now;
        self.memory.waiting = None;
        self.memory.routes_clean_at = None;
        self.note("Promoting", "proved; handing the candidate's pods to the workload".to_owned(), false);
        self.promote();
    }

    pub(super) fn promote(&mut self) {
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
            if self.memory.paused {
                return self.wait("Paused", "a human paused it before the hand-over; kubectl firebreak resume lets it go on");
            }
            // Once unpinned both arms serve, which is no state to stay in.
            let begun = self.seen.traffic.as_ref().is_some_and(|traffic| !traffic.pinned);
            if !begun && self.is_frozen() {
                return;
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
            if traffic.unreadable {
                return self
                    .wait("WaitingForRoutes", "the routes cannot be looked at yet; they are restored as soon as they can");
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
}
