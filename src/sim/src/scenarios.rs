//! The scenario table: worlds in which something happens to a Change, the decision that common sense asks for, and what was
//! decided over many seeds.
//!
//! An expectation is what people would do who saw the world, or what the specification of the judging says, never what the
//! engine happens to do: where they differ, the row is MISSED. [`rows`] holds the worlds; [`tell`] runs and prints them.

mod rows;

use std::{
    collections::BTreeSet,
    fmt::{self, Display, Formatter},
    num::NonZero,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use firebreak_engine::{
    memory::{Outcome, Phase},
    units::Weight,
};

pub use self::rows::rows;
use crate::{Scenario, Served, Totals, Turn, World};

/// A hold begins within so many seconds of its cause.
const HOLDS_WITHIN: f64 = 180.0;
/// And then lasts for this part of the time it is asked for.
const HELD_PART: f64 = 0.9;
/// A share of seeds may lie so many standard errors below its bar by chance.
const ERRORS: f64 = 3.0;

/// A world, and what is to be decided in it.
#[derive(Debug, Clone)]
pub struct Row {
    /// What happens.
    pub name: &'static str,
    /// Why that decision is the right one.
    pub why: &'static str,
    /// The world.
    pub world: Scenario,
    /// When it begins to happen, seconds: times count from here.
    pub since: f64,
    /// Until when it is watched, seconds.
    pub until: f64,
    /// A hold that is to come first.
    pub hold: Option<Hold>,
    /// The end.
    pub end: End,
    /// Whether nobody is to be warned of anything but that more requests are needed.
    pub quiet: bool,
    /// Share of seeds that are to come to this.
    pub bar: f64,
}

/// A named hold, from the row's beginning to here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hold {
    /// One of these words.
    pub reasons: &'static [&'static str],
    /// Until when, seconds.
    pub to: f64,
}

/// How a Change is to end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum End {
    /// Promoted.
    Promoted,
    /// Taken back, for one of these reasons.
    TakenBack(&'static [&'static str]),
    /// Not at all while it is watched.
    Open,
}

/// What happened with one seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Story {
    /// What came of the world.
    pub totals: Totals,
    /// Why it was taken back, and when.
    pub back: Option<(String, f64)>,
    /// That in words.
    pub words: String,
    /// When the hold that is asked for began.
    pub held: Option<f64>,
    /// Seconds of it, and whether it went on meanwhile.
    held_for: f64,
    went_on: bool,
    /// What it waited for at the end.
    pub waits: Option<String>,
    /// Everything told: when, at which share, one word.
    pub told: Vec<(f64, Weight, String)>,
    /// What people were warned of before it was taken back.
    pub warned: BTreeSet<String>,
}

/// What came of a row.
#[derive(Debug, Clone)]
pub struct Told {
    /// The row.
    pub row: Row,
    /// Seeds.
    pub seeds: u64,
    /// Turns of them all.
    pub turns: f64,
    /// Share of them that came to what is expected.
    pub share: f64,
    /// Whether that is enough.
    pub kept: bool,
    /// Median seconds from the row's beginning to what is expected, of those that came to it.
    pub seconds: Option<f64>,
    /// Median of the requests that the candidate failed, or lost.
    pub failed: u64,
    /// How it ended otherwise, and how often.
    pub others: Vec<(String, u64)>,
    /// Median of the requests that the gateway sent to a candidate without a ready pod.
    pub lost: u64,
    /// The first seed that came to something else, and its story.
    pub miss: Option<(u64, Story)>,
}

impl Row {
    /// Lives through the world with a seed.
    #[must_use]
    pub fn story(&self, seed: u64) -> Story {
        let (mut back, mut held, mut held_for, mut went_on) = (None, None, 0.0, false);
        let (mut stage, mut waits, mut words) = (0, None, String::new());
        let (mut told, mut warned) = (Vec::new(), BTreeSet::new());
        let see = |turn: &Turn| {
            let memory = &turn.decision.memory;
            let second = turn.second;
            if let Some(retreat) = memory.retreat.as_ref().filter(|_| back.is_none()) {
                back = Some((retreat.reason.clone(), second));
                words.clone_from(&retreat.message);
            }
            waits = memory.waiting.as_ref().map(|waiting| waiting.reason.clone());
            if let Some(hold) = self.hold.filter(|hold| second >= self.since && second < hold.to) {
                let holds = waits.as_ref().is_some_and(|reason| hold.reasons.contains(&reason.as_str()));
                held_for += if holds { 1.0 } else { 0.0 };
                if holds && held.is_none() {
                    (held, stage) = (Some(second), memory.stage);
                }
                let running = matches!(memory.phase, Phase::Held | Phase::Preparing | Phase::Progressing | Phase::Baking);
                went_on |= held.is_some() && (memory.stage > stage || !running);
            }
            let notes = turn.decision.notes.iter().map(|note| (second, memory.granted, note.reason.clone()));
            told.extend(notes);
            let warnings = turn.decision.notes.iter().filter(|note| note.warning && back.is_none());
            warned.extend(warnings.map(|note| note.reason.clone()));
        };
        let totals = World::new(seed, self.world.clone()).watch(self.until, see);
        Story { totals, back, words, held, held_for, went_on, waits, told, warned }
    }

    /// When it came to what is expected, in seconds from the row's beginning; `None` if it did not.
    #[must_use]
    pub fn came_to(&self, story: &Story) -> Option<f64> {
        let held_at = match self.hold {
            None => None,
            Some(hold) => {
                let at = story.held.filter(|at| at - self.since <= HOLDS_WITHIN)?;
                let enough = story.held_for >= HELD_PART * (hold.to - at);
                let taken = story.back.as_ref().is_some_and(|(_, back)| *back < hold.to);
                Some(at).filter(|_| enough && !story.went_on && !taken)?.into()
            }
        };
        let end = match (self.end, &story.back, story.totals.outcome) {
            (End::Promoted, None, Some(Outcome::Promoted)) => story.totals.seconds,
            (End::TakenBack(reasons), Some((reason, at)), Some(Outcome::RolledBack)) if reasons.contains(&reason.as_str()) => *at,
            (End::Open, None, None) => self.until,
            _ => return None,
        };
        let alarmed = story.warned.iter().any(|word| word != "Inconclusive");
        Some(held_at.unwrap_or(end) - self.since).filter(|_| !self.quiet || !alarmed)
    }

    /// Runs it with so many seeds from this one on.
    #[must_use]
    pub fn tell(&self, seeds: u64, seed: u64) -> Told {
        let stories = over(seeds, |at| self.story(seed.wrapping_mul(1_000_003).wrapping_add(at)));
        let came: Vec<Option<f64>> = stories.iter().map(|story| self.came_to(story)).collect();
        let of_candidate = |count: fn(&Served) -> u64| {
            let mut counts: Vec<u64> = stories.iter().map(|story| count(&story.totals.candidate)).collect();
            counts.sort_unstable();
            counts.get(counts.len() / 2).copied().unwrap_or(0)
        };
        let mut seconds: Vec<f64> = came.iter().flatten().copied().collect();
        seconds.sort_by(f64::total_cmp);
        let share = seconds.len() as f64 / seeds as f64;
        let error = (self.bar * (1.0 - self.bar) / seeds as f64).sqrt();
        let mut others: Vec<(String, u64)> = Vec::new();
        for (story, _) in stories.iter().zip(&came).filter(|(_, came)| came.is_none()) {
            let end = story.end();
            match others.iter_mut().find(|(other, _)| *other == end) {
                Some((_, count)) => *count += 1,
                None => others.push((end, 1)),
            }
        }
        let first = stories.iter().zip(&came).position(|(_, came)| came.is_none());
        let miss = first.and_then(|at| {
            let seed = seed.wrapping_mul(1_000_003).wrapping_add(at as u64);
            Some((seed, stories.get(at)?.clone()))
        });
        Told {
            row: self.clone(),
            seeds,
            turns: stories.iter().map(|story| story.totals.seconds).sum(),
            share,
            kept: share >= self.bar - ERRORS * error,
            seconds: seconds.get(seconds.len() / 2).copied(),
            failed: of_candidate(|served| served.failures),
            lost: of_candidate(|served| served.lost),
            others,
            miss,
        }
    }

    /// The decision that is expected, in words.
    #[must_use]
    pub fn expected(&self) -> String {
        let end = match self.end {
            End::Promoted if self.quiet => "promoted, nobody is warned".to_owned(),
            End::Promoted => "promoted".to_owned(),
            End::TakenBack(reasons) => format!("taken back: {}", reasons.join(" or ")),
            End::Open => "not ended".to_owned(),
        };
        match (self.hold, self.end) {
            (None, _) => end,
            (Some(hold), End::Open) => format!("held: {}", hold.reasons.join(" or ")),
            (Some(hold), _) => format!("held: {}; then {end}", hold.reasons.join(" or ")),
        }
    }
}

impl Story {
    /// How it ended, in words.
    #[must_use]
    pub fn end(&self) -> String {
        let end = match (&self.back, self.totals.outcome) {
            (Some((reason, _)), _) => format!("taken back: {reason}"),
            (None, Some(Outcome::Promoted)) => "promoted".to_owned(),
            _ => format!("waits: {}", self.waits.as_deref().unwrap_or("nothing")),
        };
        let end = if self.went_on { format!("{end}, went on") } else { end };
        let warned: Vec<&str> = self.warned.iter().map(String::as_str).filter(|word| !end.contains(word)).collect();
        if warned.is_empty() { end } else { format!("{end}, warned: {}", warned.join(" and ")) }
    }
}

impl Display for Story {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (second, weight, word) in &self.told {
            write!(f, "{separator}{second:.0} s at {weight} {word}")?;
            separator = "; ";
        }
        write!(f, "{separator}{:.0} s {} {}", self.totals.seconds, self.end(), self.words)
    }
}

impl Display for Told {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { row, share, kept, seconds, failed, lost, .. } = self;
        let seconds = seconds.map_or("-".to_owned(), |seconds| format!("{seconds:.0} s"));
        let verdict = if *kept { "kept" } else { "MISSED" };
        let (name, expected) = (row.name, row.expected());
        let (share, bar) = (share * 100.0, row.bar * 100.0);
        write!(
            f,
            "{name:<60} {share:>5.1} % (bar {bar:.0} %) {seconds:>7} {failed:>7} failed {lost:>5} lost  {verdict:<6}  {expected}"
        )?;
        for (other, count) in &self.others {
            write!(f, " | {count} {other}")?;
        }
        Ok(())
    }
}

impl Told {
    /// One row of the table in SCENARIOS.md.
    #[must_use]
    pub fn markdown(&self) -> String {
        let Self { row, share, kept, seconds, failed, others, .. } = self;
        let seconds = seconds.map_or("-".to_owned(), |seconds| format!("{seconds:.0} s"));
        let verdict = if *kept { "kept" } else { "**MISSED**" };
        let others: Vec<String> = others.iter().map(|(other, count)| format!("{count} {other}")).collect();
        let (expected, others, share) = (row.expected(), others.join("; "), share * 100.0);
        format!("| {} | {expected} | {share:.0} % {verdict} | {seconds} | {failed} | {others} | {} |", row.name, row.why)
    }
}

/// What `of` makes of each of `0..count`, on every core, in this order.
fn over<T: Send>(count: u64, of: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut mine = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return mine;
            }
            mine.push((at, of(at)));
        }
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let mut all: Vec<(u64, T)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, made)| made).collect()
}

/// Runs every row whose name has `only` in it and tells each as it is there, with the story of a seed that missed, or as
/// `markdown`; whether all are kept.
pub fn tell(seeds: u64, seed: u64, only: &str, markdown: bool, mut tell: impl FnMut(&str)) -> bool {
    let (began, mut lived, mut missed) = (Instant::now(), 0.0, 0);
    for row in rows().iter().filter(|row| row.name.contains(only)) {
        let told = row.tell(seeds, seed);
        lived += told.turns;
        missed += u32::from(!told.kept);
        tell(&if markdown { told.markdown() } else { told.to_string() });
        if let Some((seed, story)) = told.miss.as_ref().filter(|_| !told.kept) {
            tell(&format!("    seed {seed}: {story}"));
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    tell(&format!("{missed} missed; {lived:.0} turns in {seconds:.0} s, {:.0} a second", lived / seconds));
    missed == 0
}
