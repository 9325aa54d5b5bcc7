//! When freezes are open, each worked out once for as long as the answer holds.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use firebreak_api::{
    freezes::{Freeze, NamedFreeze},
    windows::{Calendar, State, Window},
};
use jiff::Timestamp;

/// Freezes whose answer is remembered; beyond it all are worked out anew, which takes a millisecond each.
const MOST_REMEMBERED: usize = 1000;

/// Answers by time zone and name; of the freeze as it was written then.
#[derive(Default)]
pub(super) struct Calendars {
    known: Mutex<HashMap<(String, String), Vec<Known>>>,
}

struct Known {
    freeze: Freeze,
    calendar: Calendar,
    since: Timestamp,
    state: State,
}

impl Known {
    fn holds_at(&self, now: Timestamp) -> bool {
        now >= self.since && self.state.until().is_none_or(|until| now < until)
    }
}

impl Calendars {
    /// The window that is open at a moment, and when it ends in words. A freeze that cannot be worked out is not in force: the policy's
    /// status says what is wrong with it, and its former spec holds.
    pub(super) fn open(&self, freeze: &NamedFreeze<'_>, now: Timestamp) -> Option<(Window, String)> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.values().map(Vec::len).sum::<usize>() >= MOST_REMEMBERED {
            known.clear();
        }
        let of_name = known.entry((freeze.zone.to_owned(), freeze.freeze.name.clone())).or_default();
        let place = of_name.iter().position(|one| one.freeze == *freeze.freeze);
        let found = match place {
            Some(place) => of_name.get_mut(place)?,
            None => {
                let calendar = match freeze.calendar() {
                    Ok(calendar) => calendar,
                    Err(why) => {
                        tracing::warn!(freeze = freeze.name, why, "a freeze cannot be worked out, so it is not in force");
                        return None;
                    }
                };
                let state = calendar.at(now);
                of_name.push(Known { freeze: freeze.freeze.clone(), calendar, since: now, state });
                of_name.last_mut()?
            }
        };
        if !found.holds_at(now) {
            (found.state, found.since) = (found.calendar.at(now), now);
        }
        match found.state {
            State::Open(window) => Some((window, found.calendar.words(window.until))),
            State::Closed(_) => None,
        }
    }
}
