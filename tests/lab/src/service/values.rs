//! The values of the knobs, and how they are written.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What a Kubernetes label value may hold: a version is used as one.
const VERSION_LENGTH_MAX: usize = 63;

/// A probability or part of a whole, in `[0, 1]`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// None of it.
    pub const ZERO: Self = Self(0.0);
    /// All of it.
    pub const ONE: Self = Self(1.0);

    /// The nearest share: what is not a number is none.
    #[must_use]
    pub const fn clamped(value: f64) -> Self {
        if value.is_nan() { Self::ZERO } else { Self(value.clamp(0.0, 1.0)) }
    }

    /// As a plain number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            Ok(value) if (0.0..=1.0).contains(&value) => Ok(Self(value)),
            _ => Err("write a share between 0 and 1, such as 0.2".to_owned()),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// A version's name: what a Kubernetes label value may hold, so it is safe in a header and in a metric.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionName(String);

impl VersionName {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for VersionName {
    fn default() -> Self {
        Self("v1".to_owned())
    }
}

impl FromStr for VersionName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if (1..=VERSION_LENGTH_MAX).contains(&text.len()) && text.chars().all(legal) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("write 1 to {VERSION_LENGTH_MAX} letters, digits, dots, dashes or underscores"))
        }
    }
}

impl fmt::Display for VersionName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// When a misbehaviour begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onset {
    /// This long after the process started.
    Elapsed(Duration),
    /// After this many requests.
    Requests(u64),
}

impl Onset {
    /// Whether it has begun for request number `nth` (from 0), `elapsed` after the start.
    #[must_use]
    pub fn reached(self, elapsed: Duration, nth: u64) -> bool {
        match self {
            Self::Elapsed(wait) => elapsed >= wait,
            Self::Requests(count) => nth >= count,
        }
    }
}

impl Default for Onset {
    fn default() -> Self {
        Self::Elapsed(Duration::ZERO)
    }
}

impl FromStr for Onset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("requests:") {
            None => seconds(text).map(Self::Elapsed),
            Some(count) => count.parse().map(Self::Requests).map_err(|_| "write a whole number, such as requests:100".to_owned()),
        }
    }
}

impl fmt::Display for Onset {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elapsed(wait) => write!(out, "{}s", wait.as_secs_f64()),
            Self::Requests(count) => write!(out, "requests:{count}"),
        }
    }
}

/// How long an answer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latency {
    /// Always the same.
    Fixed(Duration),
    /// Log-normal around this median.
    Median(Duration),
}

impl Default for Latency {
    fn default() -> Self {
        Self::Fixed(Duration::ZERO)
    }
}

impl FromStr for Latency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("p50:") {
            Some(median) => duration(median, "ms").map(Self::Median),
            None => duration(text, "ms").map(Self::Fixed),
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(time) => write!(out, "{}ms", time.as_secs_f64() * 1e3),
            Self::Median(time) => write!(out, "p50:{}ms", time.as_secs_f64() * 1e3),
        }
    }
}

/// A part of each period in which the error rate is multiplied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burst {
    /// From the start of one burst to the start of the next.
    pub period: Duration,
    /// How long a burst lasts; at most a period.
    pub length: Duration,
    /// What the error rate is multiplied by; the product is cut at 1.
    pub factor: f64,
    /// What periods are counted from.
    pub phase: BurstPhase,
}

/// What the periods of a [`Burst`] are counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BurstPhase {
    /// Each pod's own start.
    Start,
    /// The clock, so that all pods burst together.
    Clock,
}

impl FromStr for Burst {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const SHAPE: &str = "write period:30s,len:3s,factor:10 with len at most the period and a factor of 0 or more";
        let (mut period, mut length, mut factor, mut phase) = (None, None, None, BurstPhase::Start);
        for part in text.split(',') {
            match part.trim().split_once(':') {
                Some(("period", value)) => period = Some(seconds(value)?),
                Some(("len", value)) => length = Some(seconds(value)?),
                Some(("factor", value)) => factor = value.parse::<f64>().ok(),
                Some(("phase", "start")) => phase = BurstPhase::Start,
                Some(("phase", "clock")) => phase = BurstPhase::Clock,
                _ => return Err(SHAPE.to_owned()),
            }
        }
        match (period, length, factor) {
            (Some(period), Some(length), Some(factor))
                if length <= period && !period.is_zero() && factor.is_finite() && factor >= 0.0 =>
            {
                Ok(Self { period, length, factor, phase })
            }
            _ => Err(SHAPE.to_owned()),
        }
    }
}

/// A duration whose bare numbers are seconds.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    duration(text, "s")
}

fn duration(text: &str, unit_of_bare_numbers: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.strip_prefix(digits) {
        None | Some("") => unit_of_bare_numbers,
        Some(unit) => unit,
    };
    let scale = match unit {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err(format!("`{unit}` is no unit of time: write ms, s or m")),
    };
    digits
        .parse::<f64>()
        .ok()
        .and_then(|number| Duration::try_from_secs_f64(number * scale).ok())
        .ok_or_else(|| "write a time of 0 or more, such as 500ms or 3s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_an_onset_then_seconds_and_requests_are_told_apart() {
        for (text, onset) in [
            ("30", Onset::Elapsed(Duration::from_secs(30))),
            ("1.5s", Onset::Elapsed(Duration::from_millis(1500))),
            ("500ms", Onset::Elapsed(Duration::from_millis(500))),
            ("2m", Onset::Elapsed(Duration::from_secs(120))),
            ("requests:100", Onset::Requests(100)),
        ] {
            assert_eq!(text.parse(), Ok(onset), "{text}");
        }
        for text in ["", "x", "-1", "requests:", "requests:1.5", "5h"] {
            assert!(text.parse::<Onset>().is_err(), "{text}");
        }
    }

    #[test]
    fn given_a_latency_then_bare_numbers_are_milliseconds() {
        for (text, latency) in [
            ("5", Latency::Fixed(Duration::from_millis(5))),
            ("0.4s", Latency::Fixed(Duration::from_millis(400))),
            ("p50:5ms", Latency::Median(Duration::from_millis(5))),
            ("p50:7", Latency::Median(Duration::from_millis(7))),
        ] {
            assert_eq!(text.parse(), Ok(latency), "{text}");
        }
        assert!("p99:5ms".parse::<Latency>().is_err());
    }

    #[test]
    fn given_a_burst_then_all_three_parts_are_needed() {
        let burst =
            Burst { period: Duration::from_secs(30), length: Duration::from_secs(3), factor: 10.0, phase: BurstPhase::Start };
        assert_eq!("period:30s,len:3s,factor:10".parse(), Ok(burst));
        assert_eq!("period:30s, len:3s, factor:10, phase:clock".parse(), Ok(Burst { phase: BurstPhase::Clock, ..burst }));
        for text in ["", "period:30s,len:3s", "period:3s,len:30s,factor:1", "period:0,len:0,factor:1", "len:1s,x:2"] {
            assert!(text.parse::<Burst>().is_err(), "{text}");
        }
    }
}
