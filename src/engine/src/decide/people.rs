//! What humans asked for, and what is asked of them.

use super::{Answer, Turn};
use crate::{
    memory::Phase,
    observation::{Act, Action},
};

/// Interventions that are remembered as handled, so that none is handled twice after a restart.
const MOST_HEARD: usize = 32;

impl Turn<'_> {
    pub(super) fn hear(&mut self) {
        for act in &self.seen.acts {
            if let Some(answer) = self.memory.heard.iter().find(|answer| answer.act == act.name) {
                self.answers.push(answer.clone());
                continue;
            }
            let answer = self.answer(act);
            let (applied, message) = (answer.is_ok(), answer.unwrap_or_else(|refused| refused));
            let answer = Answer { act: act.name.clone(), applied, message };
            if self.memory.heard.len() >= MOST_HEARD {
                self.memory.heard.remove(0);
            }
            self.memory.heard.push(answer.clone());
            self.answers.push(answer);
        }
    }

    /// Does what a human asked for; what was done, or why it was not.
    fn answer(&mut self, act: &Act) -> Result<String, String> {
        let who = act.by.clone().unwrap_or_else(|| "someone (this API server does not attest who)".to_owned());
        let why = act.reason.as_deref().map_or(String::new(), |reason| format!(": {reason}"));
        if self.handed_over() {
            return Err(
                "the candidate's pods were handed over to the workload already, so nothing can be held any more; to go back, \
                        ship the former template or use kubectl rollout undo"
                    .to_owned(),
            );
        }
        if self.memory.phase == Phase::Retreating {
            return Err("the candidate is being taken back already".to_owned());
        }
        match act.action {
            // Done with everything else that leads back.
            Action::Abort => Ok(format!("it is taken back from {}", self.memory.granted)),
            Action::Pause if self.memory.paused => Err("it is paused already".to_owned()),
            Action::Pause => {
                self.memory.paused = true;
                let message = format!("paused by {who}{why}; it stays at {}", self.memory.granted);
                self.note("Paused", message, false);
                Ok(format!("it stays at {}", self.memory.granted))
            }
            Action::Resume if !self.memory.paused => Err("it is not paused".to_owned()),
            Action::Resume => {
                self.memory.paused = false;
                self.note("Resumed", format!("resumed by {who}{why}"), false);
                Ok("it goes on by evidence".to_owned())
            }
            Action::Promote => self.let_through(act.stage, &who, &why),
        }
    }

    /// A human lets it go on to the next stage, from the stage they saw.
    fn let_through(&mut self, asked_at: Option<usize>, who: &str, why: &str) -> Result<String, String> {
        if let Some(why) = &self.setup.refused {
            return Err(why.clone());
        }
        let stages = self.setup.plan.stages.len();
        let next = match self.memory.phase {
            // Its pods must be ready and seen all the same.
            Phase::Held | Phase::Preparing => 0,
            Phase::Promoting => return Err("it is being handed over already".to_owned()),
            _ => self.memory.stage + 1,
        };
        // In Preparing people see stage 1 or none yet.
        let same = |asked_at: usize| if next == 0 { asked_at <= 1 } else { asked_at == next };
        if let Some(asked_at) = asked_at.filter(|asked_at| !same(*asked_at)) {
            return Err(format!(
                "it was asked for at stage {asked_at} of {stages}, and the Change is at stage {next} now; look again"
            ));
        }
        self.memory.let_through = Some(next);
        self.memory.paused = false;
        let to = if next < stages { self.setup.share(next).to_string() } else { "the hand-over".to_owned() };
        self.note("PromotedByHuman", format!("{who} let it go on to {to}{why}"), false);
        Ok(format!("it goes on to {to}"))
    }

    /// Whether the policy asks for a human's word before this stage, and there is none.
    pub(super) fn needs_human(&self, stage: usize) -> bool {
        self.setup.plan.approval_at.contains(&self.setup.plan.weight(stage)) && self.memory.let_through != Some(stage)
    }

    pub(super) fn awaits_human(&mut self, stage: usize) -> bool {
        let weight = self.setup.plan.weight(stage);
        let needed = self.needs_human(stage);
        if needed {
            let message = format!(
                "the policy asks a human before {weight}; kubectl firebreak promote lets it go on, kubectl firebreak abort takes it back"
            );
            self.hold("WaitingForHuman", &message, true);
        }
        needed
    }
}
