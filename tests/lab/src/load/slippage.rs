//! How far the generator itself was behind its beat: its own measure of trust.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A request sent later than this after it was due counts as late.
pub const LATE_AFTER: Duration = Duration::from_millis(5);

/// Upper bounds of the classes, in microseconds.
const BOUNDS_US: [u64; 11] = [500, 1_000, 1_500, 2_000, 3_000, 5_000, 10_000, 20_000, 50_000, 100_000, 1_000_000];

/// From when requests were due to when they were sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slippage {
    /// Requests measured.
    pub count: u64,
    /// Requests sent more than [`LATE_AFTER`] late.
    pub late: u64,
    /// The sum, in microseconds.
    pub sum_us: u64,
    /// The worst, in microseconds.
    pub max_us: u64,
    /// Requests by class; what is above the last bound is in none.
    classes: [u64; BOUNDS_US.len()],
}

impl Slippage {
    pub(super) fn add(&mut self, slip: Duration) {
        let slip_us = u64::try_from(slip.as_micros()).unwrap_or(u64::MAX);
        self.count += 1;
        self.late += u64::from(slip > LATE_AFTER);
        self.sum_us = self.sum_us.saturating_add(slip_us);
        self.max_us = self.max_us.max(slip_us);
        let class = BOUNDS_US.iter().zip(&mut self.classes).find(|(bound, _)| slip_us <= **bound);
        if let Some((_, class)) = class {
            *class += 1;
        }
    }

    /// The mean.
    #[must_use]
    pub fn mean(&self) -> Duration {
        Duration::from_micros(self.sum_us.checked_div(self.count).unwrap_or_default())
    }

    /// The worst.
    #[must_use]
    pub const fn max(&self) -> Duration {
        Duration::from_micros(self.max_us)
    }

    /// A bound that at least the share `quantile` of the requests kept (of classes, so coarse; at most the maximum).
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
    pub fn quantile(&self, quantile: f64) -> Duration {
        let wanted = quantile * self.count as f64;
        let mut within = 0;
        let bound = BOUNDS_US.iter().zip(&self.classes).find(|(_, class)| {
            within += **class;
            within as f64 >= wanted
        });
        bound.map_or(self.max(), |(bound, _)| self.max().min(Duration::from_micros(*bound)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_slips_then_mean_late_and_quantiles_follow() {
        let mut slippage = Slippage::default();
        for _ in 0..98 {
            slippage.add(Duration::from_micros(400));
        }
        slippage.add(Duration::from_millis(8));
        slippage.add(Duration::from_secs(3));
        assert_eq!((slippage.count, slippage.late), (100, 2));
        assert_eq!(slippage.max(), Duration::from_secs(3));
        assert_eq!(slippage.quantile(0.5), Duration::from_micros(500));
        assert_eq!(slippage.quantile(0.99), Duration::from_millis(10));
        assert_eq!(slippage.quantile(1.0), Duration::from_secs(3));
    }

    #[test]
    fn given_nothing_then_everything_is_zero() {
        assert_eq!(Slippage::default().mean(), Duration::ZERO);
        assert_eq!(Slippage::default().quantile(0.99), Duration::ZERO);
    }
}
