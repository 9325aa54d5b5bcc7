//! Quantities with their units.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An instant: milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// Seconds from `earlier` to here; 0 where the clock went back.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0).max(0) as f64 / 1000.0
    }

    /// This many seconds later.
    #[must_use]
    pub fn plus_seconds(self, seconds: f64) -> Self {
        Self(self.0.saturating_add((seconds * 1000.0) as i64))
    }
}

/// A share of traffic in thousandths, `0..=1000`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Weight(u16);

impl Weight {
    /// No traffic.
    pub const ZERO: Self = Self(0);
    /// All traffic.
    pub const FULL: Self = Self(1000);

    /// From thousandths; more than 1000 is 1000.
    #[must_use]
    pub const fn permille(permille: u16) -> Self {
        Self(if permille > 1000 { 1000 } else { permille })
    }

    /// From whole percent; below 0 is 0, more than 100 is 100.
    #[must_use]
    pub fn percent(percent: i32) -> Self {
        Self(u16::try_from(percent.clamp(0, 100)).unwrap_or(0) * 10)
    }

    /// In thousandths.
    #[must_use]
    pub fn as_permille(self) -> u16 {
        self.0
    }

    /// What is left of it without `other`; none where that is more.
    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// In `0.0..=1.0`.
    #[must_use]
    pub fn share(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(10) { write!(f, "{} %", self.0 / 10) } else { write!(f, "{}.{} %", self.0 / 10, self.0 % 10) }
    }
}

/// A number as people read it, with so many significant digits at most: `0.545`, `0.005`, `15`, `1234`; no digit before the point
/// is dropped.
#[must_use]
pub fn significant(value: f64, digits: usize) -> String {
    let before_point = format!("{:.0}", value.abs().trunc()).len();
    if value.is_finite() && before_point >= digits {
        return format!("{value:.0}");
    }
    let rounded: f64 = format!("{value:.*e}", digits.saturating_sub(1)).parse().unwrap_or(value);
    // No "-0".
    if rounded == 0.0 { "0".to_owned() } else { rounded.to_string() }
}

#[cfg(test)]
mod tests {
    use super::significant;

    #[test]
    fn given_a_number_when_written_then_three_digits_that_matter() {
        let cases = [
            (0.545_360_000_000_000_1, "0.545"),
            (0.004_999_999_999_999_449, "0.005"),
            (-0.25, "-0.25"),
            (-0.0, "0"),
            (15.0, "15"),
            (99.96, "100"),
            (1234.5, "1234"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
        ];
        for (value, text) in cases {
            assert_eq!(significant(value, 3), text, "{value:?}");
        }
    }
}
