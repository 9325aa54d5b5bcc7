//! Freeze windows and full limits: they stand before what leads on, never before what leads back.

use super::Turn;
use crate::{
    gates::{Excepted, FROZEN, FROZEN_UNLESS_APPROVED, Frozen, Running},
    memory::Phase,
    observation::Act,
    people::are_one,
    units::{Millis, Weight},
};

/// Words of people about freezes that are remembered: more than any freeze can ask for.
const MOST_EXCEPTED: usize = 16;

impl Turn<'_> {
    /// The freeze that it may not pass now; of several one that nobody can let it pass, and of those the one that ends last.
    pub(super) fn frozen(&self) -> Option<&Frozen> {
        self.binding().max_by_key(|frozen| (!frozen.exception, frozen.until))
    }

    fn binding(&self) -> impl Iterator<Item = &Frozen> {
        // What has no share yet does not run, whatever was begun for it.
        let runs = self.memory.granted > Weight::ZERO;
        self.seen
            .freezes
            .iter()
            .filter(move |frozen| !(runs && frozen.running == Running::Finish) && self.missing_for(frozen) > 0)
    }

    /// How many people's word a freeze still takes.
    fn missing_for(&self, frozen: &Frozen) -> u32 {
        if !frozen.exception {
            return 1;
        }
        let rule = &self.setup.plan.approval;
        let holds = |one: &&Excepted| {
            one.freeze == frozen.name
                && one.since == frozen.since
                && rule.until(one.at).is_none_or(|until| until.0 > self.seen.now.0)
        };
        let given = self.memory.excepted.iter().filter(holds).count();
        self.needed().saturating_sub(u32::try_from(given).unwrap_or(u32::MAX))
    }

    /// Holds it where a freeze is in force.
    pub(super) fn is_frozen(&mut self) -> bool {
        let Some(frozen) = self.frozen() else { return false };
        let more = self.binding().count().saturating_sub(1);
        let more = if more == 0 { String::new() } else { format!(", and {more} more with it") };
        let what = match (self.memory.granted, self.memory.phase) {
            (Weight::ZERO, _) => "no request reaches the candidate before".to_owned(),
            (_, Phase::Baking | Phase::Promoting) => "it is not handed over before".to_owned(),
            (granted, _) => format!("it stays at {granted} until then, and is judged all along"),
        };
        let exception = frozen.exception;
        let next = if exception {
            let missing = self.asked(self.missing_for(frozen));
            format!(
                "kubectl firebreak approve GUARD --reason '...' lets it through this window (it takes {missing}), kubectl firebreak abort \
                 GUARD takes it back"
            )
        } else {
            "this freeze lets no exception through; kubectl firebreak abort GUARD takes it back".to_owned()
        };
        let message = format!(
            "freeze {} is in force until {}{more}: {what}. It goes on by itself then; {next}",
            frozen.name, frozen.until_words
        );
        self.hold(if exception { FROZEN_UNLESS_APPROVED } else { FROZEN }, &message, false);
        true
    }

    /// Holds it where a limit is full and it has no place yet.
    pub(super) fn must_queue(&mut self) -> bool {
        let Some(queued) = self.seen.queued.as_ref().filter(|_| !self.had_place) else { return false };
        let behind = match queued.behind.as_slice() {
            [] => String::new(),
            names => format!(", behind {}", names.join(", ")),
        };
        let message = format!(
            "{}; it is number {} of {} in the queue{behind}. It begins by itself when there is a place; whose namespace has the fewest \
             under way is first, then who has waited longest. kubectl firebreak queue shows all",
            queued.limit, queued.position, queued.of
        );
        self.memory.queued_since.get_or_insert(self.seen.now);
        self.hold("Queued", &message, false);
        true
    }

    /// The freezes that a human's word, said then, can let it through.
    pub(super) fn open_to_exceptions(&self, at: Millis) -> Vec<(String, Millis, String)> {
        let open = self.binding().filter(|frozen| frozen.exception && at.0 >= frozen.since.0);
        open.map(|frozen| (frozen.name.clone(), frozen.since, frozen.until_words.clone())).collect()
    }

    /// Remembers a human's word about freezes; what came of it, or none where they had said it before.
    pub(super) fn except(&mut self, act: &Act, who: &str, at: Millis, open: &[(String, Millis, String)]) -> Option<String> {
        let rule = &self.setup.plan.approval;
        let mut said = Vec::new();
        for (name, since, until) in open {
            let mine = |one: &Excepted| one.freeze == *name && one.since == *since && are_one(&one.by, who);
            let given = self.memory.excepted.iter().position(mine);
            if given.is_some() && rule.expires_after_seconds.is_none() {
                continue;
            }
            if let Some(given) = given {
                self.memory.excepted.remove(given);
            }
            if self.memory.excepted.len() >= MOST_EXCEPTED {
                self.memory.excepted.remove(0);
            }
            self.memory.excepted.push(Excepted { by: who.to_owned(), freeze: name.clone(), since: *since, at });
            let missing = self.seen.freezes.iter().find(|one| one.name == *name).map_or(0, |one| self.missing_for(one));
            said.push(match missing {
                0 => format!("freeze {name} (until {until}) lets it through"),
                _ => format!("freeze {name} (until {until}) still takes {}", self.asked(missing)),
            });
        }
        if said.is_empty() {
            return None;
        }
        let words = said.join("; ");
        let why = act.reason.as_deref().map_or(String::new(), |reason| format!(": {reason}"));
        self.note("FreezeExcepted", format!("{who} asked for an exception{why}; {words}"), false);
        Some(words)
    }
}
