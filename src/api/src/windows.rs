//! When the window of a freeze is open. Pure: the time is handed in.
//!
//! A schedule's window is open from each of its moments for its duration; windows that touch or overlap are one. Where clocks go
//! forward over a moment it comes right after the gap, where they go back over it it comes once, at the first of the two; a
//! schedule with a wildcard in its hours or minutes comes at each. A duration is real time, so that a window over such a night
//! ends an hour earlier or later by the wall clock. Zones are the library's, not the machine's.

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{SignedDuration, Timestamp, Zoned, tz::TimeZone};

use crate::{facts::time_zone, freezes::Freeze};

/// Windows that are joined to one, before and after a moment. A schedule that needs more never ends, and is refused.
const MOST_JOINED: usize = 64;
/// A schedule is looked at from here to find out whether it ever comes and ever ends: any fixed instant would do.
const FROM: Timestamp = Timestamp::constant(1_767_225_600, 0);
/// A schedule that does not come within this is refused: a leap day can be eight years away.
const COMES_WITHIN: SignedDuration = SignedDuration::from_hours(9 * 366 * 24);

/// The time in which a freeze is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its first instant.
    pub since: Timestamp,
    /// The first instant after it.
    pub until: Timestamp,
}

/// How a freeze stands at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is in force.
    Open(Window),
    /// It is not; when it is next, if ever.
    Closed(Option<Window>),
}

impl State {
    /// The first instant at which it may stand otherwise; none where it never does.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Open(window) => Some(window.until),
            Self::Closed(next) => next.map(|next| next.since),
        }
    }
}

/// The windows of a freeze.
#[derive(Clone, Debug)]
pub struct Calendar {
    kind: Kind,
    zone: TimeZone,
    name: String,
}

#[derive(Clone, Debug)]
enum Kind {
    Once(Window),
    Again { schedule: Box<Cron>, lasts: SignedDuration },
}

impl Calendar {
    /// The windows of a freeze, its schedule read in this time zone.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    pub fn of(freeze: &Freeze, zone: &str) -> Result<Self, String> {
        let known = time_zone(zone)
            .ok_or_else(|| format!("there is no time zone {zone}; write one of the IANA database, for example Europe/Zurich"))?;
        let kind = match (&freeze.schedule, freeze.duration, freeze.from, freeze.until) {
            (Some(schedule), Some(lasts), None, None) => {
                let lasts = SignedDuration::try_from(lasts.0).map_err(|_| format!("duration {lasts} is too long"))?;
                Kind::Again { schedule: Box::new(parse(schedule)?), lasts }
            }
            (None, None, Some(since), Some(until)) if since < until => Kind::Once(Window { since, until }),
            (None, None, Some(_), Some(_)) => return Err("from must be before until".to_owned()),
            _ => return Err("write schedule and duration, or from and until".to_owned()),
        };
        Ok(Self { kind, zone: known, name: zone.to_owned() })
    }

    /// How it stands at a moment.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> State {
        match &self.kind {
            Kind::Once(window) if now >= window.until => State::Closed(None),
            Kind::Once(window) if now >= window.since => State::Open(*window),
            Kind::Once(window) => State::Closed(Some(*window)),
            Kind::Again { schedule, lasts } => {
                let search = Search { schedule, lasts: *lasts, zone: &self.zone };
                let last = search.before(now, true).filter(|began| search.end(*began) > now);
                match last {
                    Some(began) => State::Open(search.joined(began)),
                    None => State::Closed(search.after(now).map(|begins| search.joined(begins))),
                }
            }
        }
    }

    /// Whether its schedule ever comes, and its windows ever end.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    pub fn check(&self) -> Result<(), String> {
        let Kind::Again { schedule, lasts } = &self.kind else { return Ok(()) };
        let search = Search { schedule, lasts: *lasts, zone: &self.zone };
        let text = schedule.as_str();
        let limit = FROM.checked_add(COMES_WITHIN).unwrap_or(Timestamp::MAX);
        let Some(first) = search.after(FROM).filter(|first| *first < limit) else {
            return Err(format!("schedule {text} never comes; is there such a day?"));
        };
        match search.last_joined(first) {
            Some(_) => Ok(()),
            None => Err(format!(
                "schedule {text} comes again before its window is over, more than {MOST_JOINED} times, so it never ends: write a \
                 shorter duration, or from and until"
            )),
        }
    }

    /// A moment as the clocks of its time zone show it: `2026-11-30 07:00 Europe/Zurich`.
    #[must_use]
    pub fn words(&self, at: Timestamp) -> String {
        let local = at.to_zoned(self.zone.clone());
        format!(
            "{:04}-{:02}-{:02} {:02}:{:02} {}",
            local.year(),
            local.month(),
            local.day(),
            local.hour(),
            local.minute(),
            self.name
        )
    }
}

fn parse(schedule: &str) -> Result<Cron, String> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let fields = schedule.split_whitespace().count();
    let example = "minute hour day-of-month month day-of-week, for example 0 17 * * 5 for Fridays at 17:00";
    if fields != 5 {
        return Err(format!("schedule {schedule} has {fields} fields; write five: {example}"));
    }
    parser.parse(schedule).map_err(|error| format!("schedule {schedule} is no cron ({error}); write {example}"))
}

/// A schedule's moments in a time zone.
struct Search<'a> {
    schedule: &'a Cron,
    lasts: SignedDuration,
    zone: &'a TimeZone,
}

impl Search<'_> {
    fn local(&self, at: Timestamp) -> Zoned {
        at.to_zoned(self.zone.clone())
    }

    /// The last moment before one; where none is found it is taken not to have come.
    fn before(&self, at: Timestamp, inclusive: bool) -> Option<Timestamp> {
        let found = self.schedule.find_previous_occurrence(&self.local(at), inclusive).ok()?.timestamp();
        let found = whole_second(found);
        (found < at || inclusive && found == at).then_some(found)
    }

    /// The first moment after one.
    fn after(&self, at: Timestamp) -> Option<Timestamp> {
        let found = self.schedule.find_next_occurrence(&self.local(at), false).ok()?.timestamp();
        Some(whole_second(found)).filter(|found| *found > at)
    }

    fn end(&self, began: Timestamp) -> Timestamp {
        began.checked_add(self.lasts).unwrap_or(Timestamp::MAX)
    }

    /// The window that a moment is in, with those that it touches.
    fn joined(&self, moment: Timestamp) -> Window {
        let mut since = moment;
        for _ in 0..MOST_JOINED {
            match self.before(since, false).filter(|before| self.end(*before) >= since) {
                Some(before) => since = before,
                None => break,
            }
        }
        let last = self.last_joined(moment).unwrap_or(moment);
        Window { since, until: self.end(last) }
    }

    /// The last moment whose window is joined to that of this one; none where there are too many.
    fn last_joined(&self, moment: Timestamp) -> Option<Timestamp> {
        let mut last = moment;
        for _ in 0..MOST_JOINED {
            match self.after(last).filter(|next| *next <= self.end(last)) {
                Some(next) => last = next,
                None => return Some(last),
            }
        }
        None
    }
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests;
