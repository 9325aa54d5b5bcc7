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
pub fn significant(value: f64, digits: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".to_owned() } else { value.to_string() };
    }
    let after_point = f64::from(digits - 1) - value.abs().log10().floor();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0..=30
    let text = format!("{value:.*}", after_point.clamp(0.0, 30.0) as usize);
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    text.to_owned()
}
