//! How the evidence went, for people: a few numbers from time to time, from the first share on.
//!
//! Nothing is decided by it. It is stored with the memory and so with every decision, therefore it is bounded: at most
//! [`Curve::MOST`] points, and when there are as many, every second one goes and the others stand twice as far apart.
//! The newest point is always the newest look. Where points go, the largest harm evidence between two of them stays:
//! whether it came near what takes a candidate back must be seen later too.

use serde::{Deserialize, Serialize};

use crate::{
    judge::Judgement,
    plan::Setup,
    units::{Millis, Weight},
};

/// Evidence is kept in hundredths: more digits nobody reads.
const HUNDREDTHS: f64 = 100.0;
/// Exposure is kept in ten-thousandths: 0.01 %.
const TEN_THOUSANDTHS: f64 = 10_000.0;

/// How the evidence went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Curve {
    since: Option<Millis>,
    spacing: u32,
    points: Vec<Point>,
}

/// One moment of a [`Curve`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Point {
    /// Whole seconds since the first point.
    pub seconds: u32,
    /// The share in effect.
    pub share: Weight,
    exposure: Option<u16>,
    harm: i32,
    safety: Option<i32>,
}

/// A point without the names of its numbers, which would be most of what is stored.
type Stored = (u32, Weight, Option<u16>, i32, Option<i32>);

impl From<Stored> for Point {
    fn from((seconds, share, exposure, harm, safety): Stored) -> Self {
        Self { seconds, share, exposure, harm, safety }
    }
}

impl From<Point> for Stored {
    fn from(point: Point) -> Self {
        (point.seconds, point.share, point.exposure, point.harm, point.safety)
    }
}

impl Point {
    /// The largest ln E of harm of all signals together since the point before.
    #[must_use]
    pub fn harm(&self) -> f64 {
        f64::from(self.harm) / HUNDREDTHS
    }

    /// The smallest ln E of safety of the signals that open a stage; none at the last stage, and where no signal opens one.
    #[must_use]
    pub fn safety(&self) -> Option<f64> {
        self.safety.map(|safety| f64::from(safety) / HUNDREDTHS)
    }

    /// Share of this stage's requests that reached the candidate, in `0..=1`; none without requests.
    #[must_use]
    pub fn exposure(&self) -> Option<f64> {
        self.exposure.map(|exposure| f64::from(exposure) / TEN_THOUSANDTHS)
    }
}

impl Default for Curve {
    fn default() -> Self {
        Self { since: None, spacing: 1, points: Vec::new() }
    }
}

impl Curve {
    /// Most points.
    pub const MOST: usize = 90;

    /// Whether nothing was recorded yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// When it begins.
    #[must_use]
    pub fn since(&self) -> Option<Millis> {
        self.since
    }

    /// Seconds between two points at least, but for the newest.
    #[must_use]
    pub fn spacing_seconds(&self) -> u32 {
        self.spacing
    }

    /// The points, the oldest first.
    #[must_use]
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Records what a look at `at` showed with this share in effect (`None` while one is coming into effect: what is counted
    /// until then is of the share before); `opens` where another stage follows.
    ///
    /// Without a share there is nothing to see but that it is gone.
    pub fn record(&mut self, setup: &Setup, judgement: &Judgement, at: Millis, share: Option<Weight>, opens: bool) {
        let before = self.points.last().map_or(Weight::ZERO, |newest| newest.share);
        let share = share.unwrap_or(before);
        if share == Weight::ZERO && before == Weight::ZERO {
            return;
        }
        let since = *self.since.get_or_insert(at);
        let safety = if opens { least_safety(setup, judgement) } else { None };
        let exposure = judgement.exposure();
        self.add(Point {
            seconds: at.seconds_since(since) as u32,
            share,
            exposure: exposure.map(|share| (share * TEN_THOUSANDTHS).round() as u16),
            harm: hundredths(judgement.harm_ln_e(setup)),
            safety: safety.map(hundredths),
        });
    }

    fn add(&mut self, point: Point) {
        let mut newest_first = self.points.iter().rev();
        let (newest, before) = (newest_first.next().copied(), newest_first.next().copied());
        let near = |older: Point, newer: Point| newer.seconds.saturating_sub(older.seconds) < self.spacing;
        match (newest, before) {
            (Some(newest), _) if point.seconds <= newest.seconds => {
                self.replace_newest(Point { seconds: newest.seconds, ..point.after(newest) });
            }
            (Some(newest), Some(before)) if near(before, newest) => self.replace_newest(point.after(newest)),
            _ => self.points.push(point),
        }
        if self.points.len() >= Self::MOST {
            self.thin_out();
        }
    }

    fn replace_newest(&mut self, point: Point) {
        if let Some(newest) = self.points.last_mut() {
            *newest = point;
        }
    }

    /// The first stays, and of each two that follow the later one.
    fn thin_out(&mut self) {
        let mut kept: Vec<Point> = Vec::with_capacity(Self::MOST);
        let mut dropped = None;
        for (nth, point) in self.points.drain(..).enumerate() {
            if nth.is_multiple_of(2) {
                kept.push(dropped.take().map_or(point, |dropped| point.after(dropped)));
            } else {
                dropped = Some(point);
            }
        }
        kept.extend(dropped);
        self.points = kept;
        self.spacing = self.spacing.saturating_mul(2);
    }
}

impl Point {
    /// This one in place of another just before it.
    fn after(self, dropped: Self) -> Self {
        Self { harm: self.harm.max(dropped.harm), ..self }
    }
}

fn least_safety(setup: &Setup, judgement: &Judgement) -> Option<f64> {
    let named = setup.signals.iter().zip(&judgement.signals);
    let opening = named.filter(|(signal, _)| signal.is_opening());
    opening.map(|(_, memory)| memory.safety_ln_e()).reduce(f64::min)
}

/// Saturates; what is no number is 0.
fn hundredths(ln_e: f64) -> i32 {
    (ln_e * HUNDREDTHS).round() as i32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn point(seconds: u32, harm: i32) -> Point {
        Point { seconds, share: Weight::percent(5), exposure: Some(493), harm, safety: Some(-12) }
    }

    fn recorded(seconds: u32, harm: impl Fn(u32) -> i32) -> Curve {
        let mut curve = Curve { since: Some(Millis(0)), ..Curve::default() };
        (0..=seconds).for_each(|second| curve.add(point(second, harm(second))));
        curve
    }

    #[test]
    fn given_looks_for_hours_when_recorded_then_bounded_even_and_the_newest_is_there() {
        for seconds in [1, 50, 88, 89, 90, 91, 500, 3_600, 20_000] {
            let curve = recorded(seconds, |_| 7);
            let points = curve.points();
            assert!(points.len() < Curve::MOST, "{seconds} s: {} points", points.len());
            assert!(seconds < 88 || points.len() > Curve::MOST / 2 - 2, "{seconds} s: {} points", points.len());
            assert_eq!((points[0].seconds, points.last().unwrap().seconds), (0, seconds));
            let apart: Vec<u32> = points.windows(2).map(|two| two[1].seconds - two[0].seconds).collect();
            let (_, even) = apart.split_last().unwrap();
            assert!(even.iter().all(|apart| *apart == curve.spacing_seconds()), "{seconds} s: {apart:?}");
        }
    }

    #[test]
    fn given_a_short_peak_when_thinned_out_then_it_is_still_seen() {
        for peak in [0, 1, 2, 87, 88, 89, 90, 1_234, 19_999] {
            let curve = recorded(20_000, |second| if second == peak { 470 } else { 3 });
            let seen: Vec<u32> = curve.points().iter().filter(|point| point.harm() == 4.7).map(|point| point.seconds).collect();
            assert_eq!(seen.len(), 1, "{peak} s: {seen:?}");
            assert!(seen[0] >= peak && seen[0] - peak < curve.spacing_seconds(), "{peak} s: {seen:?}");
        }
    }

    #[test]
    fn given_looks_of_one_second_or_of_a_clock_that_went_back_when_recorded_then_no_point_is_added() {
        let mut curve = recorded(3, |_| 0);
        curve.add(point(3, 5));
        curve.add(point(1, 6));
        let all: Vec<(u32, i32)> = curve.points().iter().map(|point| (point.seconds, point.harm)).collect();
        assert_eq!(all, [(0, 0), (1, 0), (2, 0), (3, 6)]);
    }

    #[test]
    fn given_a_point_when_stored_then_it_is_short_and_reads_back_the_same() {
        let stored = serde_json::to_string(&point(5_400, -312)).unwrap();
        assert_eq!(stored, "[5400,50,493,-312,-12]");
        let again: Point = serde_json::from_str(&stored).unwrap();
        assert_eq!(again, point(5_400, -312));
        assert_eq!((again.harm(), again.safety(), again.exposure()), (-3.12, Some(-0.12), Some(0.0493)));
    }

    #[test]
    fn given_evidence_beyond_all_bounds_when_recorded_then_it_saturates() {
        assert_eq!((hundredths(f64::INFINITY), hundredths(-1e300), hundredths(f64::NAN)), (i32::MAX, i32::MIN, 0));
        assert_eq!(hundredths(4.605_17), 461);
    }
}
