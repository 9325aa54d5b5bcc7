//! From measures to a score: where a change stands among the changes that this repository took before.
//!
//! Each measure becomes the change's standing in it, from 0 (least risky) to 1, by mid-ranks: the share of the sample that is
//! less risky plus half of what is equal. The risk is the mean over the dimensions of the mean standing within each; the
//! score is the standing of that risk among the risks of the sample itself, so a score of 0.90 means: riskier than nine in
//! ten. The weights are a convention (each dimension the same), not fitted to failures of this repository. Counts that grow
//! with the history are compared as shares of it, see [`Measures::set_of`]. Each step is monotone: more of what rises, or less
//! of what falls, all else equal, never lowers the score.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    measure::{Dimension, Direction, Measure, Measures},
    words::float,
};

/// Changes that a score needs at least: with fewer, a percentile says nothing.
pub const SMALLEST_SAMPLE: usize = 20;

/// A standing that counts as high: more than that share of the sample is less risky. From the same score on the engine's level is
/// high, which a test holds.
pub const HIGH: f64 = 0.85;

/// A share of the sample, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Share(f64);

impl Share {
    /// As a number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }

    /// In words before what it is a share of: `all`, `none`, `less than 1 %` or whole percents, rounded down: what is above
    /// 99.9 % is not above all.
    #[must_use]
    pub fn words(self) -> String {
        match (self.0 * 100.0 + 1e-9).floor() {
            _ if self.0 <= 0.0 => "none".to_owned(),
            percent if percent >= 100.0 => "all".to_owned(),
            percent if percent < 1.0 => "less than 1 %".to_owned(),
            percent => format!("{percent:.0} %"),
        }
    }
}

/// Where a value stands among a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Mid-rank.
    pub middle: Share,
    /// Share of the sample that is less risky.
    pub below: Share,
    /// Share of the sample that is the same.
    pub same: Share,
}

/// The changes that others are compared with.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    size: usize,
    /// For each measure the values that were taken, with the sign turned where less is riskier; sorted.
    values: BTreeMap<Measure, Vec<f64>>,
    /// Risks of the sample itself; sorted.
    risks: Vec<f64>,
}

impl Sample {
    /// Of the measures of past changes.
    #[must_use]
    pub fn new(changes: &[Measures]) -> Self {
        let mut sample = Self { size: changes.len(), ..Self::default() };
        for measure in Measure::ALL {
            let values = changes.iter().filter_map(|change| change.ranked(measure)).map(|value| pointed(measure, value));
            sample.values.insert(measure, sorted(values.collect()));
        }
        sample.risks = sorted(changes.iter().map(|change| sample.risk(change)).collect());
        sample
    }

    /// How many changes it holds.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Where a value of a measure, as it is ranked, stands; nothing where the sample has no value of it.
    #[must_use]
    pub fn standing(&self, measure: Measure, value: f64) -> Option<Standing> {
        standing(self.values.get(&measure)?, pointed(measure, value))
    }

    /// The risk of a change, from 0 to 1: the mean of its dimensions. A measure that was not taken says neither more nor less.
    #[must_use]
    pub fn risk(&self, change: &Measures) -> f64 {
        let mut dimensions: BTreeMap<Dimension, (f64, usize)> = BTreeMap::new();
        for measure in Measure::ALL {
            let standing = change.ranked(measure).and_then(|value| self.standing(measure, value));
            let (sum, number) = dimensions.entry(measure.dimension()).or_default();
            *sum += standing.map_or(0.5, |standing| standing.middle.get());
            *number += 1;
        }
        let sum: f64 = dimensions.values().map(|(sum, number)| sum / float(*number)).sum();
        sum / float(dimensions.len().max(1))
    }

    /// The score of a change; none where the sample is smaller than [`SMALLEST_SAMPLE`].
    #[must_use]
    pub fn score(&self, change: &Measures) -> Option<Standing> {
        (self.size >= SMALLEST_SAMPLE).then(|| standing(&self.risks, self.risk(change))).flatten()
    }
}

/// A value turned so that more is riskier.
fn pointed(measure: Measure, value: f64) -> f64 {
    match measure.direction() {
        Direction::Rises => value,
        Direction::Falls => -value,
    }
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

fn standing(sorted: &[f64], value: f64) -> Option<Standing> {
    let below = sorted.partition_point(|other| *other < value);
    let same = sorted.partition_point(|other| *other <= value) - below;
    let share = |number: f64| Share(number / float(sorted.len()));
    (!sorted.is_empty()).then(|| Standing {
        middle: share(float(below) + float(same) / 2.0),
        below: share(float(below)),
        same: share(float(same)),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn measures() -> impl Strategy<Value = Measures> {
        // Few distinct values, so that many are equal, as counts are.
        proptest::collection::vec(proptest::option::weighted(0.9, (0_u8..12).prop_map(f64::from)), Measure::ALL.len()).prop_map(
            |values| Measure::ALL.into_iter().zip(values).filter_map(|(measure, value)| Some((measure, value?))).collect(),
        )
    }

    proptest! {
        #[test]
        fn given_more_of_what_rises_or_less_of_what_falls_when_scored_then_never_lower(
            past in proptest::collection::vec(measures(), SMALLEST_SAMPLE..26),
            change in measures(),
            which in 0..Measure::ALL.len(),
            more in 0.01_f64..20.0,
        ) {
            let sample = Sample::new(&past);
            let measure = Measure::ALL[which];
            let Some(value) = change.get(measure) else { return Ok(()) };
            let mut larger = change.clone();
            larger.set(measure, match measure.direction() { Direction::Rises => value + more, Direction::Falls => value - more });
            let (was, is) = (sample.score(&change).unwrap(), sample.score(&larger).unwrap());
            prop_assert!(is.middle >= was.middle, "{measure:?}: {was:?} became {is:?}");
        }

        #[test]
        fn given_a_change_that_is_larger_in_every_way_when_scored_then_never_lower(
            past in proptest::collection::vec(measures(), SMALLEST_SAMPLE..26),
            change in measures(),
            more in proptest::collection::vec(0.0_f64..20.0, Measure::ALL.len()),
        ) {
            let sample = Sample::new(&past);
            let larger: Measures = Measure::ALL.into_iter().zip(more).filter_map(|(measure, more)| {
                let value = change.get(measure)?;
                Some((measure, if measure.direction() == Direction::Rises { value + more } else { value - more }))
            }).collect();
            prop_assert!(sample.score(&larger).unwrap().middle >= sample.score(&change).unwrap().middle);
        }

        #[test]
        fn given_any_change_when_scored_then_from_0_to_1(past in proptest::collection::vec(measures(), SMALLEST_SAMPLE..26), change in measures()) {
            let score = Sample::new(&past).score(&change).unwrap().middle.get();
            prop_assert!((0.0..=1.0).contains(&score), "{score}");
        }
    }

    #[test]
    fn given_a_sample_when_a_value_is_ranked_then_by_mid_rank() {
        let past: Vec<Measures> = [1.0, 2.0, 2.0, 5.0].map(|files| [(Measure::Files, files)].into_iter().collect()).into();
        let standing = Sample::new(&past).standing(Measure::Files, 2.0).unwrap();
        assert_eq!((standing.below.get(), standing.same.get(), standing.middle.get()), (0.25, 0.5, 0.5));
        let few: Vec<Measures> =
            [10.0, 0.0, 3.0, 4.0].map(|commits| [(Measure::Experience, commits)].into_iter().collect()).into();
        assert_eq!(
            Sample::new(&few).standing(Measure::Experience, 1.0).unwrap().below.words(),
            "75 %",
            "little experience is the risk"
        );
    }

    #[test]
    fn given_the_changes_themselves_when_scored_then_their_scores_are_spread_evenly() {
        let past: Vec<Measures> = (0..100).map(|n| [(Measure::Files, f64::from(n))].into_iter().collect()).collect();
        let sample = Sample::new(&past);
        let above: usize = past.iter().filter(|change| sample.score(change).unwrap().middle.get() >= 0.85).count();
        assert_eq!(above, 15);
    }

    #[test]
    fn given_the_score_that_counts_as_high_when_the_engine_reads_it_then_high_and_below_it_not() {
        use firebreak_engine::risk::{Level, assess};
        let level = |score: f64| assess(&[("firebreak.dev/risk-score".to_owned(), format!("{score:.2}"))].into()).level;
        assert_eq!((level(HIGH), level(HIGH - 0.01)), (Level::High, Level::Medium));
    }

    #[test]
    fn given_shares_when_said_then_never_more_than_they_are() {
        let words = [0.0, 0.004, 0.29, 0.999, 1.0].map(|share| Share(share).words());
        assert_eq!(words, ["none", "less than 1 %", "29 %", "99 %", "all"]);
    }

    #[test]
    fn given_too_small_a_sample_when_scored_then_no_score() {
        let past = vec![Measures::default(); SMALLEST_SAMPLE - 1];
        assert_eq!(Sample::new(&past).score(&Measures::default()), None);
        assert!(Sample::new(&vec![Measures::default(); SMALLEST_SAMPLE]).score(&Measures::default()).is_some());
    }
}
