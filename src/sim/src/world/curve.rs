//! A value that changes with time.

/// How often a wave is sampled.
const WAVE_POINTS: u32 = 24;

/// A value over the seconds of a world: what is named first holds before it, what is named last after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    points: Vec<(f64, f64)>,
    sloped: bool,
    period: Option<f64>,
}

impl Curve {
    /// Always the same.
    #[must_use]
    pub fn constant(value: f64) -> Self {
        Self::steps([(0.0, value)])
    }

    /// From each second on another value; seconds rise.
    #[must_use]
    pub fn steps(points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self { points: points.into_iter().collect(), sloped: false, period: None }
    }

    /// Straight lines between values at these seconds, which rise.
    #[must_use]
    pub fn slope(points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self { sloped: true, ..Self::steps(points) }
    }

    /// A mean that swings up and down by a part of itself, as traffic does over a day.
    #[must_use]
    pub fn wave(mean: f64, swing: f64, period: f64) -> Self {
        let point = |at: u32| {
            let part = f64::from(at) / f64::from(WAVE_POINTS);
            (part * period, mean * (swing.mul_add((std::f64::consts::TAU * part).sin(), 1.0)))
        };
        Self::slope((0..=WAVE_POINTS).map(point)).every(period)
    }

    /// The first so many seconds again and again.
    #[must_use]
    pub fn every(self, seconds: f64) -> Self {
        Self { period: Some(seconds), ..self }
    }

    /// The value at a second.
    #[must_use]
    pub fn at(&self, second: f64) -> f64 {
        let second = self.period.map_or(second, |period| second.rem_euclid(period));
        let next = self.points.iter().position(|(from, _)| *from > second).unwrap_or(self.points.len());
        let before = next.checked_sub(1).and_then(|at| self.points.get(at));
        match (before, self.points.get(next)) {
            (Some((from, value)), Some((to, then))) if self.sloped => {
                ((second - from) / (to - from)).mul_add(then - value, *value)
            }
            (Some((_, value)), _) | (None, Some((_, value))) => *value,
            (None, None) => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_steps_then_each_holds_until_the_next() {
        let curve = Curve::steps([(0.0, 1.0), (10.0, 2.0)]);
        assert_eq!([-5.0, 0.0, 9.9, 10.0, 99.0].map(|second| curve.at(second)), [1.0, 1.0, 1.0, 2.0, 2.0]);
        let again = curve.every(20.0);
        assert_eq!([-5.0, 19.0, 20.0, 30.0].map(|second| again.at(second)), [2.0, 2.0, 1.0, 2.0]);
    }

    #[test]
    fn given_slopes_then_straight_lines_between() {
        let curve = Curve::slope([(0.0, 1.0), (10.0, 3.0)]);
        assert_eq!([0.0, 5.0, 10.0, 50.0].map(|second| curve.at(second)), [1.0, 2.0, 3.0, 3.0]);
    }

    #[test]
    fn given_a_wave_then_it_swings_around_its_mean_and_comes_again() {
        let day = Curve::wave(100.0, 0.5, 86_400.0);
        assert!((day.at(21_600.0) - 150.0).abs() < 1e-9 && (day.at(64_800.0) - 50.0).abs() < 1e-9);
        assert!((day.at(3_000.0) - day.at(89_400.0)).abs() < 1e-9);
    }
}
