//! What humans asked for, and what is asked of them.

use super::{Answer, Turn};
use crate::{
    gates::Excepted,
    memory::Phase,
    observation::{Act, Action},
    people::{Approved, Made, are_one, unattested},
    units::{Millis, Weight},
};

/// Interventions that are remembered as handled, so that none is handled twice after a restart.
const MOST_HEARD: usize = 32;
/// Approvals that are remembered: more than any stage can ask for.
const MOST_APPROVALS: usize = 16;

impl Turn<'_> {
    pub(super) fn hear(&mut self) {
        self.void_expired();
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
        if act.by.is_none() && !act.action.only_makes_safer() {
            return Err(unattested(act.action.verb()));
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
            Action::Promote => self.let_through(act, &who, &why),
            Action::Approve => self.approve(act, &who, &why),
        }
    }

    /// The stage that comes next (from 0), for a human who acted at the stage that they saw.
    fn stage_after(&self, asked_at: Option<usize>) -> Result<usize, String> {
        let stages = self.setup.plan.stages.len();
        let next = match self.memory.phase {
            // Its pods must be ready and seen all the same.
            Phase::Held | Phase::Preparing => 0,
            Phase::Promoting => return Err("it is being handed over already".to_owned()),
            _ => self.memory.stage + 1,
        };
        // In Preparing people see stage 1 or none yet.
        let same = |asked_at: usize| if next == 0 { asked_at <= 1 } else { asked_at == next };
        match asked_at.filter(|asked_at| !same(*asked_at)) {
            Some(asked_at) => Err(format!(
                "it was asked for at stage {asked_at} of {stages}, and the Change is at stage {next} now; look again"
            )),
            None => Ok(next),
        }
    }

    /// A human lets it go on to the next stage without waiting for the evidence.
    fn let_through(&mut self, act: &Act, who: &str, why: &str) -> Result<String, String> {
        if let Some(why) = &self.setup.refused {
            return Err(why.clone());
        }
        let next = self.stage_after(act.stage)?;
        // Where the level asks for humans at all, who made the change does not stand in for the evidence of its safety.
        if !self.setup.plan.approval_at.is_empty() {
            self.not_the_maker(who, Action::Promote)?;
        }
        self.memory.let_through = Some(next);
        self.memory.paused = false;
        let stages = self.setup.plan.stages.len();
        let to = if next < stages { self.setup.share(next).to_string() } else { "the hand-over".to_owned() };
        let missing = self.missing(next);
        let asked = if missing == 0 { String::new() } else { format!("; the policy still asks for {}", self.asked(missing)) };
        let first = self.no_word_replaces().map_or_else(String::new, |what| format!("; not before {what}"));
        self.note(
            "PromotedByHuman",
            format!("{who} let it go on to {to} without waiting for the evidence{why}{asked}{first}"),
            false,
        );
        let approved = if missing == 0 { "" } else { " once it is approved" };
        Ok(format!("it goes on to {to}{approved}{asked}{first}"))
    }

    /// What holds now, whatever a human says: nobody is exposed to what cannot be seen.
    fn no_word_replaces(&self) -> Option<String> {
        let verdict = self.memory.verdict(self.setup, self.seen.now);
        let blind = verdict.trouble.map(|trouble| format!("it can be seen: {}", trouble.message));
        blind.or_else(|| verdict.split_broken.map(|words| format!("the requests follow the weights: {words}"))).or_else(|| {
            // The first share is no answer to a question about stable.
            let words = verdict.stable_unhealthy.filter(|_| self.memory.granted > Weight::ZERO);
            words.map(|words| format!("stable is well again: {words}"))
        })
    }

    /// A human answers yes to what the policy asks before the next stage.
    fn approve(&mut self, act: &Act, who: &str, why: &str) -> Result<String, String> {
        if let Some(why) = &self.setup.refused {
            return Err(why.clone());
        }
        let at = act.at.map_or(self.seen.now, |at| Millis(at.0.min(self.seen.now.0)));
        let freezes = self.open_to_exceptions(at);
        let next = match self.memory.phase {
            Phase::Promoting if !freezes.is_empty() => self.setup.plan.stages.len(),
            _ => self.stage_after(act.stage)?,
        };
        let to = self.setup.plan.weight(next);
        let asks = self.asks_at(next);
        if !asks && freezes.is_empty() {
            if let Some(frozen) = self.frozen().filter(|frozen| !frozen.exception) {
                return Err(format!(
                    "freeze {} is in force until {} and lets no exception through, whoever asks for it",
                    frozen.name, frozen.until_words
                ));
            }
            let plan = &self.setup.plan;
            let later = plan.stages.iter().skip(next).find(|stage| plan.approval_at.contains(stage));
            let later = later.map_or_else(
                || "nobody is asked any more".to_owned(),
                |stage| format!("the next question is before {stage}, when the evidence up to there is known"),
            );
            return Err(format!(
                "the policy asks nobody before {to}: {later}. Evidence lets it go on; kubectl firebreak promote GUARD --reason '...' does not \
                 wait for it"
            ));
        }
        self.not_the_maker(who, Action::Approve)?;
        let rule = &self.setup.plan.approval;
        if !rule.asks(&act.groups) {
            return Err(format!(
                "{who} is in none of the groups that the policy asks before {to} ({}); ask someone who is. Your groups, as the API \
                 server knows them: {}",
                rule.groups.join(", "),
                if act.groups.is_empty() { "none".to_owned() } else { act.groups.join(", ") }
            ));
        }
        let until = rule.until(at);
        if until.is_some_and(|until| until.0 <= self.seen.now.0) {
            return Err(format!(
                "it was given {:.0} min ago and holds for {:.0} min, so it is void; look at the Change as it stands now, and approve again",
                self.seen.now.seconds_since(at) / 60.0,
                rule.expires_after_seconds.unwrap_or(0.0) / 60.0
            ));
        }
        let excepted = self.except(act, who, at, &freezes);
        if !asks {
            return excepted.ok_or_else(|| format!("{who} has asked for this exception already; another person has to"));
        }
        let given = self.memory.approvals.iter().position(|approved| approved.stage == next && are_one(&approved.by, who));
        match given {
            Some(_) if until.is_none() => {
                return excepted.ok_or_else(|| format!("{who} has approved {to} already; another person has to"));
            }
            // Said again, it holds from now on.
            Some(given) => drop(self.memory.approvals.remove(given)),
            None => {}
        }
        if self.memory.approvals.len() < MOST_APPROVALS {
            let reason = act.reason.clone();
            self.memory.approvals.push(Approved { by: who.to_owned(), stage: next, at, reason });
        }
        let (missing, needed) = (self.missing(next), self.needed());
        let said = format!("{who} approved {to} ({} of {needed}){why}", needed - missing);
        self.note("Approved", said, false);
        let freeze = excepted.map_or(String::new(), |words| format!("; {words}"));
        Ok(match missing {
            0 => format!("{to} is approved; it begins when the evidence opens it{freeze}"),
            _ => format!("{to} is approved by {} of {needed}; it still takes {}{freeze}", needed - missing, self.asked(missing)),
        })
    }

    /// Four eyes: who made the change is not who lets it through.
    fn not_the_maker(&self, who: &str, action: Action) -> Result<(), String> {
        let makers = &self.setup.makers;
        let how = match makers.made_by(who) {
            None => return Ok(()),
            Some(Made::AskedForIt) => "asked for this template (firebreak.dev/changed-by)".to_owned(),
            Some(Made::WroteIt) => {
                format!("is named as its author (firebreak.dev/author: {})", makers.author.as_deref().unwrap_or_default().trim())
            }
        };
        let verb = action.verb();
        Err(format!("{who} {how}, and nobody may {verb} their own change: ask someone else who has the verb {verb} on the Guard"))
    }

    fn void_expired(&mut self) {
        let (rule, now) = (&self.setup.plan.approval, self.seen.now);
        let (void, held): (Vec<Approved>, Vec<Approved>) = std::mem::take(&mut self.memory.approvals)
            .into_iter()
            .partition(|approved| rule.until(approved.at).is_some_and(|until| until.0 <= now.0));
        self.memory.approvals = held;
        let freezes = &self.seen.freezes;
        let open = |one: &Excepted| freezes.iter().any(|freeze| freeze.name == one.freeze && freeze.since == one.since);
        let (excepted, held): (Vec<Excepted>, Vec<Excepted>) = std::mem::take(&mut self.memory.excepted)
            .into_iter()
            .partition(|one| rule.until(one.at).is_some_and(|until| until.0 <= now.0));
        self.memory.excepted = held;
        if matches!(self.memory.phase, Phase::Retreating | Phase::Ended(_)) {
            return;
        }
        let held_for = rule.expires_after_seconds.unwrap_or(0.0) / 60.0;
        for one in excepted.into_iter().filter(open) {
            let message = format!(
                "the word of {} that lets it pass freeze {} was given {:.0} min ago and is void: it holds for {held_for:.0} min, and the \
                 freeze is still in force. Approve again to let it pass",
                one.by,
                one.freeze,
                now.seconds_since(one.at) / 60.0
            );
            self.note("ApprovalExpired", message, true);
        }
        for Approved { by, stage, at, .. } in void {
            let message = format!(
                "the approval of {by} for {} was given {:.0} min ago and is void: it holds for {:.0} min, and the stage has not begun. \
                 Approve again to let it begin",
                self.setup.plan.weight(stage),
                now.seconds_since(at) / 60.0,
                rule.expires_after_seconds.unwrap_or(0.0) / 60.0
            );
            self.note("ApprovalExpired", message, true);
            // Who waits is told anew what is missing.
            self.memory.waiting = self.memory.waiting.take().filter(|waiting| waiting.reason != "WaitingForHuman");
        }
    }

    fn asks_at(&self, stage: usize) -> bool {
        let plan = &self.setup.plan;
        stage < plan.stages.len() && plan.approval_at.contains(&plan.weight(stage))
    }

    pub(super) fn needed(&self) -> u32 {
        self.setup.plan.approval.needed(&self.setup.makers)
    }

    /// How many people a stage still takes.
    fn missing(&self, stage: usize) -> u32 {
        if !self.asks_at(stage) {
            return 0;
        }
        let given = self.memory.approvals.iter().filter(|approved| approved.stage == stage).count();
        self.needed().saturating_sub(u32::try_from(given).unwrap_or(u32::MAX))
    }

    /// Who is asked, so many of them, in words.
    pub(super) fn asked(&self, count: u32) -> String {
        let groups = &self.setup.plan.approval.groups;
        let people = if count == 1 { "1 human".to_owned() } else { format!("{count} different humans") };
        if groups.is_empty() { people } else { format!("{people} of {}", groups.join(" or ")) }
    }

    /// Whether the policy asks for a human's word before this stage, and it is not given.
    pub(super) fn needs_human(&self, stage: usize) -> bool {
        self.missing(stage) > 0
    }

    pub(super) fn awaits_human(&mut self, stage: usize) -> bool {
        let missing = self.missing(stage);
        if missing > 0 {
            let given: Vec<&str> =
                self.memory.approvals.iter().filter(|approved| approved.stage == stage).map(|one| one.by.as_str()).collect();
            let given = if given.is_empty() { String::new() } else { format!(" ({} approved already)", given.join(", ")) };
            let unknown = if self.setup.makers.changed_by.is_some() {
                ""
            } else {
                "; nobody vouches for who asked for this template, so one more is asked than the policy says"
            };
            let message = format!(
                "the policy asks for {} before {}{given}{unknown}; kubectl firebreak approve GUARD --reason '...' lets it go on, \
                 kubectl firebreak abort GUARD takes it back",
                self.asked(missing),
                self.setup.plan.weight(stage)
            );
            self.hold("WaitingForHuman", &message, true);
        }
        missing > 0
    }
}
