//! From raw cumulative counters per pod to what happened between two looks.
//!
//! A counter that fell was reset: its value is the increment. A pod first seen after the book was opened counts from
//! zero, one that was there counts from its first value. A pod that vanished keeps its last value: nothing is lost and
//! nothing is made up. A pod that is there, ready, and was read too long ago makes its arm incomplete, and the interval
//! goes on. Before a pod is first ready only probes reach it: what it counts until then is no user's request. Where a signal is
//! not judged of cold pods, what a pod counts in its first seconds is left out.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    observation::{Arm, Reading},
    stats::{
        Counts,
        dispersion::{PodCounts, always_worse},
    },
    units::Millis,
};

/// Most pods in a book; more are not read (the operator samples before it comes to this).
const MOST_PODS: usize = 4096;
/// A pod that is gone and was in no look for this long is forgotten: it does not come back under the same name.
const FORGET_AFTER_SECONDS: f64 = 600.0;
/// A reading older than this many scrape intervals is stale.
const STALE_AFTER_SCRAPES: f64 = 2.5;

/// Last values of one signal's counters, pod by pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CounterBook {
    opened: bool,
    /// Seconds after a pod was first ready, or its arm first exposed, in which what it counts is left out.
    #[serde(default)]
    warm_up_seconds: f64,
    /// Names are shared: the memory is copied with every decision.
    pods: BTreeMap<Arc<str>, Last>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Last {
    arm: Arm,
    requests: u64,
    failures: u64,
    read_at: Millis,
    /// Whether it was ever ready.
    served: bool,
    /// Of stable's pods, in which half it is; in none where it is always worse than the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    half: Option<Half>,
    /// Since when it is warming up; `None` once it is warm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cold_since: Option<Millis>,
}

/// Half of stable's pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Half {
    A,
    B,
}

/// What happened since the look before.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// Increments of both arms.
    pub counts: Counts,
    /// Increments of the two halves of stable's pods, in the places of candidate and stable.
    pub halves: Counts,
    /// Increments of both arms that are not to be judged: of cold pods, and stable's while no pod of the candidate is warm.
    pub left_out: Counts,
    /// The first pod, and its arm, whose value is stale or missing although the pod is there.
    pub incomplete: Option<(Arm, String)>,
}

/// The pods that are there now.
#[derive(Debug, Clone, Copy)]
pub struct Present<'a> {
    /// Of the candidate.
    pub candidate: &'a [String],
    /// Of stable.
    pub stable: &'a [String],
    /// Of either, those that are not ready.
    pub unready: &'a [String],
}

impl CounterBook {
    /// Leaves out what a pod counts in its first `warm_up_seconds` from here on; 0 leaves out nothing.
    pub const fn leave_out_cold(&mut self, warm_up_seconds: f64) {
        self.warm_up_seconds = warm_up_seconds;
    }

    /// The candidate's pods get their first users now: until then they could not warm up.
    pub(crate) fn begin_exposure(&mut self, now: Millis) {
        if self.warm_up_seconds > 0.0 {
            let candidates = self.pods.values_mut().filter(|last| last.arm == Arm::Candidate);
            candidates.for_each(|last| last.cold_since = Some(now));
        }
    }

    /// Whether a first look was entered.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.opened
    }

    /// Whether a pod was read before.
    #[must_use]
    pub fn knows(&self, pod: &str) -> bool {
        self.pods.contains_key(pod)
    }

    /// Notes what a pod had counted before anyone counted it, where it is new here: its next reading counts from there.
    pub fn meet(&mut self, reading: &Reading, unready: &[String]) {
        if self.opened && !self.knows(&reading.pod) && self.pods.len() < MOST_PODS {
            let last = Last {
                arm: reading.arm,
                requests: reading.requests,
                failures: reading.failures,
                read_at: reading.read_at,
                served: !unready.contains(&reading.pod),
                half: self.next_half(reading.arm),
                cold_since: None,
            };
            self.pods.insert(reading.pod.as_str().into(), last);
        }
    }

    /// Names of the pods that were read, but those that are long gone.
    pub fn pods(&self) -> impl Iterator<Item = &str> {
        self.pods.keys().map(|pod| &**pod)
    }

    /// Enters one look taken at `at`; `scrape_seconds` is the time between two readings of one pod.
    pub fn enter(&mut self, readings: &[Reading], present: Present<'_>, at: Millis, scrape_seconds: f64) -> Step {
        let (mut counts, mut halves, mut left_out) = (Counts::default(), Counts::default(), Counts::default());
        for reading in readings {
            let next_half = if self.pods.contains_key(reading.pod.as_str()) { None } else { self.next_half(reading.arm) };
            let known = self.pods.get_mut(reading.pod.as_str());
            let served = known.as_ref().is_some_and(|last| last.served) || !present.unready.contains(&reading.pod);
            let (requests, failures, read_at) = (reading.requests, reading.failures, reading.read_at);
            let half = known.as_ref().map_or(next_half, |last| last.half);
            // Stable's pods that are there when the book is opened have served for long.
            let starts = served
                && self.warm_up_seconds > 0.0
                && known.as_ref().map_or(self.opened || reading.arm == Arm::Candidate, |last| !last.served);
            let cold = if starts { Some(read_at) } else { known.as_ref().and_then(|last| last.cold_since) };
            // A clock that was set back makes no pod cold for longer.
            let cold_since =
                cold.map(|since| since.min(read_at)).filter(|since| read_at.seconds_since(*since) < self.warm_up_seconds);
            let last = Last { arm: reading.arm, requests, failures, read_at, served, half, cold_since };
            // A known pod's place is written in place: its name is not copied with every look.
            let before = known.map(|known| std::mem::replace(known, last));
            if before.is_none() {
                if self.pods.len() >= MOST_PODS {
                    continue;
                }
                self.pods.insert(reading.pod.as_str().into(), last);
            }
            let (requests, failures) = match before {
                _ if !served => (0, 0),
                Some(last) => (
                    increment(last.requests, reading.requests),
                    // A reset shows in the requests. Failures that fall while requests do not are no reset but a lost series:
                    // what is left of them was counted before.
                    if reading.requests < last.requests {
                        reading.failures
                    } else {
                        reading.failures.saturating_sub(last.failures)
                    },
                ),
                None if self.opened => (reading.requests, reading.failures),
                None => (0, 0),
            };
            let added = match reading.arm {
                Arm::Candidate => Counts::new(requests, 0, failures, 0),
                Arm::Stable => Counts::new(0, requests, 0, failures),
            };
            if cold.is_some() {
                left_out = left_out.plus(added);
                continue;
            }
            counts = counts.plus(added);
            halves = match half {
                Some(Half::A) => halves.plus(Counts::new(requests, 0, failures, 0)),
                Some(Half::B) => halves.plus(Counts::new(0, requests, 0, failures)),
                None => halves,
            };
        }
        self.opened = true;
        let here = |pod: &Arc<str>| present.candidate.iter().chain(present.stable).any(|name| **name == **pod);
        self.pods.retain(|pod, last| at.seconds_since(last.read_at) < FORGET_AFTER_SECONDS || here(pod));
        if left_out.n_c > 0 && counts.n_c == 0 && counts.x_c == 0 {
            left_out = left_out.plus(counts);
            counts = Counts::default();
        }
        Step { counts, halves, left_out, incomplete: self.stale(present, at, STALE_AFTER_SCRAPES * scrape_seconds.max(0.1)) }
    }

    /// The smaller half, for a pod that is new here.
    fn next_half(&self, arm: Arm) -> Option<Half> {
        let count = |half: Half| self.pods.values().filter(|last| last.half == Some(half)).count();
        (arm == Arm::Stable).then(|| if count(Half::A) <= count(Half::B) { Half::A } else { Half::B })
    }

    /// Takes the pods of stable's that were worse than the others ever since they started out of both halves; whether there was one.
    pub(crate) fn set_worse_apart(&mut self) -> bool {
        let halved: Vec<&mut Last> = self.pods.values_mut().filter(|last| last.half.is_some()).collect();
        let counted: Vec<PodCounts> =
            halved.iter().map(|last| PodCounts { requests: last.requests, failures: last.failures }).collect();
        let worse = always_worse(&counted);
        let found = halved.into_iter().enumerate().filter(|(place, _)| worse.contains(place));
        found.map(|(_, last)| last.half = None).count() > 0
    }

    /// A pod that was read before, is there and ready now, and was last read longer ago than `limit` seconds. One that is
    /// not ready serves nobody: that it cannot be read holds up no judgement, least of all a way back.
    fn stale(&self, present: Present<'_>, at: Millis, limit: f64) -> Option<(Arm, String)> {
        let arms = [(Arm::Candidate, present.candidate), (Arm::Stable, present.stable)];
        arms.into_iter().find_map(|(arm, names)| {
            let stale = |name: &&String| {
                let old = self.pods.get(name.as_str()).is_some_and(|last| at.seconds_since(last.read_at) > limit);
                old && !present.unready.contains(name)
            };
            names.iter().find(stale).map(|name| (arm, name.clone()))
        })
    }
}

fn increment(before: u64, now: u64) -> u64 {
    if now < before { now } else { now - before }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn reading(pod: &str, requests: u64, failures: u64, seconds: i64) -> Reading {
        let arm = if pod.starts_with('c') { Arm::Candidate } else { Arm::Stable };
        Reading { pod: pod.into(), arm, requests, failures, read_at: Millis(seconds * 1000) }
    }

    fn enter(book: &mut CounterBook, readings: &[Reading], seconds: i64) -> Step {
        let names =
            |prefix: char| -> Vec<String> { readings.iter().map(|r| r.pod.clone()).filter(|p| p.starts_with(prefix)).collect() };
        let (candidate, stable) = (names('c'), names('s'));
        book.enter(readings, Present { candidate: &candidate, stable: &stable, unready: &[] }, Millis(seconds * 1000), 1.0)
    }

    #[test]
    fn given_pods_that_were_there_when_first_read_then_they_count_from_that_value() {
        let mut book = CounterBook::default();
        assert_eq!(enter(&mut book, &[reading("s1", 100, 5, 1)], 1).counts, Counts::default());
        assert_eq!(enter(&mut book, &[reading("s1", 130, 6, 2)], 2).counts, Counts::new(0, 30, 0, 1));
    }

    #[test]
    fn given_a_pod_that_came_later_then_it_counts_from_zero() {
        let mut book = CounterBook::default();
        enter(&mut book, &[reading("s1", 100, 5, 1)], 1);
        let step = enter(&mut book, &[reading("s1", 100, 5, 2), reading("c1", 7, 2, 2)], 2);
        assert_eq!(step.counts, Counts::new(7, 0, 2, 0));
    }

    #[test]
    fn given_a_pod_that_was_there_uncounted_when_it_is_met_then_it_counts_from_that_value() {
        let mut book = CounterBook::default();
        enter(&mut book, &[reading("s1", 100, 5, 1)], 1);
        book.meet(&reading("s2", 9000, 400, 2), &[]);
        let second = enter(&mut book, &[reading("s1", 100, 5, 2), reading("s2", 9000, 400, 2)], 2);
        assert_eq!(second.counts, Counts::default());
        book.meet(&reading("s2", 9010, 401, 3), &[]);
        let third = enter(&mut book, &[reading("s1", 100, 5, 3), reading("s2", 9010, 401, 3)], 3);
        assert_eq!(third.counts, Counts::new(0, 10, 0, 1), "met once");
        assert_eq!(book.pods().collect::<Vec<_>>(), ["s1", "s2"]);
    }

    #[test]
    fn given_pods_of_stable_then_each_half_has_as_many_and_one_that_was_always_worse_leaves_its_half() {
        let mut book = CounterBook::default();
        let all = |seconds: i64| -> Vec<Reading> {
            let stable = (0..8).map(|pod| reading(&format!("s{pod}"), 1000, if pod == 5 { 100 } else { 2 }, seconds));
            stable.chain([reading("c1", 10, 9, seconds)]).collect()
        };
        enter(&mut book, &all(1), 1);
        let more = |seconds: i64| -> Vec<Reading> {
            let step = |old: Reading| Reading { requests: old.requests + 10, failures: old.failures + 1, ..old };
            all(seconds).into_iter().map(step).collect()
        };
        let step = enter(&mut book, &more(2), 2);
        assert_eq!((step.counts, step.halves), (Counts::new(10, 80, 1, 8), Counts::new(40, 40, 4, 4)));
        assert!(book.set_worse_apart());
        assert_eq!(enter(&mut book, &all(3), 3).halves.requests(), 7000, "fallen counters are new ones, of seven pods");
        assert!(!book.set_worse_apart(), "the others are alike");
    }

    #[test]
    fn given_a_cold_pod_then_what_it_counts_is_left_out_and_stables_while_no_pod_of_the_candidate_is_warm() {
        let mut book = CounterBook::default();
        book.leave_out_cold(30.0);
        let look = |book: &mut CounterBook, seconds: i64, c2: bool| {
            let at = |pod, since: i64| reading(pod, 10 * u64::try_from(seconds - since).unwrap(), 0, seconds);
            let all = [at("s1", 0), at("c1", 1)].into_iter().chain(c2.then(|| at("c2", 40)));
            enter(book, &all.collect::<Vec<_>>(), seconds)
        };
        look(&mut book, 1, false);
        let step = look(&mut book, 2, false);
        assert_eq!((step.counts, step.left_out), (Counts::default(), Counts::new(10, 10, 0, 0)));
        look(&mut book, 31, false);
        let warm = look(&mut book, 32, false);
        assert_eq!((warm.counts, warm.left_out), (Counts::new(10, 10, 0, 0), Counts::default()));
        look(&mut book, 41, true);
        let second = look(&mut book, 42, true);
        assert_eq!((second.counts, second.left_out), (Counts::new(10, 10, 0, 0), Counts::new(10, 0, 0, 0)));
        book.begin_exposure(Millis(42_000));
        assert_eq!(look(&mut book, 43, true).left_out, Counts::new(20, 10, 0, 0), "cold until users came");
        // A clock that is set back by an hour keeps nobody cold for an hour.
        let back = |book: &mut CounterBook, seconds: i64, requests| {
            enter(book, &[reading("s1", requests, 0, seconds), reading("c1", requests, 0, seconds)], seconds)
        };
        back(&mut book, -3600, 1000);
        back(&mut book, -3570, 1010);
        assert_eq!(back(&mut book, -3569, 1020).counts, Counts::new(10, 10, 0, 0));
    }

    #[test]
    fn given_a_restarted_pod_then_its_new_value_is_the_increment() {
        let mut book = CounterBook::default();
        enter(&mut book, &[reading("s1", 100, 50, 1)], 1);
        // The failures did not fall below their old value, but the requests did.
        assert_eq!(enter(&mut book, &[reading("s1", 60, 55, 2)], 2).counts, Counts::new(0, 60, 0, 55));
    }

    #[test]
    fn given_a_vanished_pod_then_it_adds_nothing_and_the_arm_is_complete() {
        let mut book = CounterBook::default();
        enter(&mut book, &[reading("s1", 100, 0, 1), reading("s2", 100, 0, 1)], 1);
        let step = enter(&mut book, &[reading("s1", 110, 0, 9)], 9);
        let (counts, halves) = (Counts::new(0, 10, 0, 0), Counts::new(10, 0, 0, 0));
        assert_eq!(step, Step { counts, halves, left_out: Counts::default(), incomplete: None });
    }

    #[test]
    fn given_a_pod_that_is_there_but_was_read_too_long_ago_then_its_arm_is_incomplete() {
        let mut book = CounterBook::default();
        enter(&mut book, &[reading("s1", 100, 0, 1)], 1);
        assert_eq!(enter(&mut book, &[reading("s1", 100, 0, 1)], 3).incomplete, None);
        let step = enter(&mut book, &[reading("s1", 100, 0, 1)], 4);
        assert_eq!(step.incomplete, Some((Arm::Stable, "s1".into())));
    }
}
