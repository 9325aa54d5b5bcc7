//! What humans asked for, and what is asked of them.

use super::Turn;
use crate::{memory::Phase, observation::Action};

/// Interventions that are remembered as handled, so that none is handled twice after a restart.
const MOST_HEARD: usize = 32;

impl Turn<'_> {
    pub(super) fn hear(&mut self) {
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

    pub(super) fn awaits_human(&mut self, stage: usize) -> bool {
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
}
