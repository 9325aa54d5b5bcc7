//! Failure rates of both arms, minute by minute, compared by ranks: what Kayenta's judge does with one metric.
//!
//! Looked up in spinnaker/kayenta (`NetflixACAJudge.scala`, `MannWhitneyClassifier.scala`, `MannWhitney.scala`,
//! `IQRDetector.scala`): tolerance 0.25, confidence 0.98; outliers beyond the quartiles by 3 interquartile ranges, but never
//! inside the first and last percentile, are left out; a metric is "high" where the lower end of the confidence interval of
//! the shift (R's `wilcox.test`, asymptotic, two-sided, with continuity and ties) is above tolerance times the estimated
//! shift; identical samples pass. A metric that is high fails the canary where its direction is `increase`.
//!
//! Choices of this model: a sample a minute; a minute without requests of an arm gives that arm none; an analysis every
//! 5 min over all samples so far; a stage ends with its third analysis. The score of one metric is 0 or 100, so any two
//! thresholds (95 to pass and 75 to go on are common) decide alike.

use firebreak_engine::stats::Counts;

use super::{Due, Rule, Ruling, Seen, Steps};

/// Of the standard normal distribution: 0.99, for a two-sided confidence of 0.98.
const QUANTILE: f64 = 2.326_347_874_040_841;
/// Steps of a bisection: the shifts of failure rates are found to 2^-40.
const BISECTIONS: u32 = 40;

/// Settings; see the module.
#[derive(Debug, Clone, PartialEq)]
pub struct MannWhitney {
    /// The lower end of the shift's confidence interval may be this part of the estimated shift.
    pub tolerance: f64,
    /// Seconds of a sample.
    pub sample_seconds: f64,
    /// Seconds between two analyses.
    pub every: f64,
    /// Analyses of a stage.
    pub analyses: u32,
}

impl MannWhitney {
    /// Kayenta's judge.
    #[must_use]
    pub fn kayenta() -> Self {
        Self { tolerance: 0.25, sample_seconds: 60.0, every: 300.0, analyses: 3 }
    }

    pub(super) fn settings(&self) -> String {
        let Self { tolerance, sample_seconds, every, analyses } = self;
        format!(
            "failure rates of {sample_seconds} s compared by ranks (Mann-Whitney, confidence 0.98, tolerance {tolerance}), an analysis \
             every {every} s over all of them so far, {analyses} analyses a stage; one that fails takes back"
        )
    }
}

pub(super) struct Ranking {
    rule: MannWhitney,
    steps: Steps,
    sample: Counts,
    sampled: Due,
    due: Due,
    passed: u32,
    candidate: Vec<f64>,
    stable: Vec<f64>,
}

impl Ranking {
    pub(super) fn new(rule: MannWhitney, steps: Steps) -> Self {
        let (sampled, due) = (Due::every(rule.sample_seconds), Due::every(rule.every));
        let (candidate, stable) = (Vec::new(), Vec::new());
        Self { rule, steps, sample: Counts::default(), sampled, due, passed: 0, candidate, stable }
    }
}

impl Rule for Ranking {
    fn look(&mut self, seen: Seen) -> Ruling {
        self.sample = self.sample.plus(seen.counts);
        if self.sampled.is_now(seen.now) {
            let sample = std::mem::take(&mut self.sample);
            self.candidate.extend(sample.candidate_rate());
            self.stable.extend(sample.stable_rate());
        }
        if self.due.is_now(seen.now) {
            if is_high(&self.candidate, &self.stable, self.rule.tolerance) {
                return Ruling::Back;
            }
            self.passed += 1;
            if self.passed >= self.rule.analyses && self.steps.since().is_some() {
                self.passed = 0;
                self.steps.step(seen.now);
            }
        }
        self.steps.say(seen.now)
    }

    fn stage(&self) -> usize {
        self.steps.stage
    }
}

/// Whether the candidate's samples are higher, as the judge says it.
fn is_high(candidate: &[f64], stable: &[f64], tolerance: f64) -> bool {
    let (candidate, stable) = (without_outliers(candidate), without_outliers(stable));
    if candidate.is_empty() || stable.is_empty() || candidate == stable {
        return false;
    }
    let shift = |quantile| shift_at(&candidate, &stable, quantile);
    match (shift(QUANTILE), shift(0.0)) {
        (Some(lower), Some(estimate)) => lower > tolerance * estimate.abs(),
        // All samples are tied.
        _ => false,
    }
}

/// The samples in order, without those far from the middle.
fn without_outliers(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (first, third) = (percentile(&sorted, 0.25), percentile(&sorted, 0.75));
    let reach = 3.0 * (third - first);
    let low = percentile(&sorted, 0.01).min(first - reach);
    let high = percentile(&sorted, 0.99).max(third + reach);
    sorted.retain(|v| (low..=high).contains(v));
    sorted
}

/// Of sorted values, at `part` of count + 1 places, as Commons Math has it by default.
fn percentile(sorted: &[f64], part: f64) -> f64 {
    let count = sorted.len();
    let place = part * (count as f64 + 1.0);
    let at = |place: usize| sorted.get(place.min(count.saturating_sub(1))).copied().unwrap_or(0.0);
    if place < 1.0 {
        return at(0);
    }
    let below = at(place.floor() as usize - 1);
    below + place.fract() * (at(place.floor() as usize) - below)
}

/// The shift of `x` against `y` at which the standardised rank sum is `quantile`; `None` where all are tied.
fn shift_at(x: &[f64], y: &[f64], quantile: f64) -> Option<f64> {
    let (mut low, mut high) = (x.first()? - y.last()?, x.last()? - y.first()?);
    if standardised(x, y, low)? <= quantile {
        return Some(low);
    }
    if standardised(x, y, high)? >= quantile {
        return Some(high);
    }
    for _ in 0..BISECTIONS {
        let middle = f64::midpoint(low, high);
        if standardised(x, y, middle)? > quantile { low = middle } else { high = middle }
    }
    Some(f64::midpoint(low, high))
}

/// Rank sum of `x - shift` among both, less its mean, corrected for continuity, in standard deviations that know of ties. Both
/// are sorted. `None` where everything is tied.
fn standardised(x: &[f64], y: &[f64], shift: f64) -> Option<f64> {
    let (m, n) = (x.len() as f64, y.len() as f64);
    let (mut xs, mut ys) = (x.iter().map(|v| v - shift).peekable(), y.iter().copied().peekable());
    let (mut before, mut rank_sum, mut ties) = (0.0, 0.0, 0.0);
    loop {
        let value = match (xs.peek(), ys.peek()) {
            (None, None) => break,
            (Some(x), None) => *x,
            (None, Some(y)) => *y,
            (Some(x), Some(y)) => x.min(*y),
        };
        let (mut of_x, mut of_y) = (0.0, 0.0);
        while xs.next_if(|x| *x <= value).is_some() {
            of_x += 1.0;
        }
        while ys.next_if(|y| *y <= value).is_some() {
            of_y += 1.0;
        }
        let tied: f64 = of_x + of_y;
        rank_sum += of_x * (before + (tied + 1.0) / 2.0);
        ties += tied.powi(3) - tied;
        before += tied;
    }
    let distance = rank_sum - m * (m + 1.0) / 2.0 - m * n / 2.0;
    let correction = if distance == 0.0 { 0.0 } else { distance.signum() * 0.5 };
    let variance = m * n / 12.0 * (m + n + 1.0 - ties / ((m + n) * (m + n - 1.0)));
    (variance > 0.0).then(|| (distance - correction) / variance.sqrt())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn given_the_example_of_r_s_manual_then_the_rank_sum_is_the_same() {
        // ?wilcox.test, permeability constants (Hollander & Wolfe 1973): W = 35.
        let mut x = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
        let mut y = [1.15, 0.88, 0.90, 0.74, 1.21];
        x.sort_by(f64::total_cmp);
        y.sort_by(f64::total_cmp);
        let expected = (35.0 - 25.0 - 0.5) / f64::sqrt(10.0 * 5.0 * 16.0 / 12.0);
        assert!((standardised(&x, &y, 0.0).unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn given_two_samples_then_the_estimated_shift_is_the_median_of_all_differences() {
        let (x, y) = ([1.1, 2.2, 3.3, 4.4, 5.5], [0.1, 0.25, 0.3, 0.47, 0.5]);
        let mut differences: Vec<f64> = x.iter().flat_map(|x| y.iter().map(move |y| x - y)).collect();
        differences.sort_by(f64::total_cmp);
        // The correction for continuity leaves a gap around the middle.
        let middle = shift_at(&x, &y, 0.0).unwrap();
        assert!(middle >= differences[11] - 1e-9 && middle <= differences[13] + 1e-9, "{middle}: {differences:?}");
        let (lower, upper) = (shift_at(&x, &y, QUANTILE).unwrap(), shift_at(&x, &y, -QUANTILE).unwrap());
        assert!(differences[0] <= lower + 1e-9 && lower < middle && middle < upper, "{lower} {middle} {upper}");
    }

    #[test]
    fn given_ties_then_each_has_the_mean_of_their_ranks() {
        // Ranks of 1, 2, 2 | 2, 3: 1, 3, 3 | 3, 5.
        let variance = 3.0 * 2.0 / 12.0 * (6.0 - (27.0 - 3.0) / 20.0);
        let expected = (7.0 - 6.0 - 3.0 + 0.5) / f64::sqrt(variance);
        assert!((standardised(&[1.0, 2.0, 2.0], &[2.0, 3.0], 0.0).unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn given_samples_of_one_rate_then_it_is_not_high_and_of_five_times_the_rate_it_is() {
        let stable: Vec<f64> = (0..20).map(|at| 0.010 + 0.0001 * f64::from(at)).collect();
        let near: Vec<f64> = stable.iter().map(|v| v + 0.00005).collect();
        let far: Vec<f64> = stable.iter().map(|v| v * 5.0).collect();
        assert!(!is_high(&near, &stable, 0.25));
        assert!(is_high(&far, &stable, 0.25));
        assert!(!is_high(&stable, &far, 0.25), "lower is not higher");
    }

    #[test]
    fn given_nothing_to_compare_then_it_passes() {
        assert!(!is_high(&[], &[0.1], 0.25));
        assert!(!is_high(&[0.0; 8], &[0.0; 8], 0.25), "identical");
        assert!(!is_high(&[0.0; 8], &[0.0; 9], 0.25), "all tied");
        assert!(!is_high(&[1.0], &[0.0], 0.25), "one sample proves nothing");
    }

    #[test]
    fn given_one_wild_minute_among_many_then_it_is_left_out() {
        let mut samples = vec![0.01, 0.011, 0.012, 0.013, 0.014];
        samples.extend(vec![0.012; 200]);
        samples.push(0.9);
        let kept = without_outliers(&samples);
        assert!(kept.len() >= 200 && kept.iter().all(|v| *v < 0.5), "{} kept", kept.len());
        assert_eq!(without_outliers(&[0.0, 0.0, 0.0, 0.9]), [0.0, 0.0, 0.0, 0.9], "of few samples none is far enough out");
    }
}
