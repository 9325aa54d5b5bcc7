//! Is proved harm growing? Two windows of equal length are compared: A, and B right after it.
//!
//! **Intensity**: the candidate's failures rise beyond what exposure explains. Given how many failures stable's rate
//! would have caused among the candidate's requests, m_A and m_B, a steady harm puts the share s = m_B/(m_A + m_B) of
//! the candidate's failures into B; the harm test's mixture bets on more. **Share**: the harmed share of all requests
//! rises by a fifth, whether by intensity or by exposure, and by more than chance: the same test with all requests in the place of
//! m, since of two failures and three the share rose by half.

use serde::{Deserialize, Serialize};

use super::blast::attributable;
use super::factor::{Comparison, Factor, Share};
use super::harm::ln_e_once;
use super::interval::Counts;

/// Evidence at which a rise is beyond chance: ln 1000. It is asked at every look, of a hundred windows an hour that do not
/// overlap; at ln 20 some steady harm seems to rise each quarter of an hour.
const RISING_LN_E: f64 = 6.907_755_278_982_137;

/// A window's own rate of stable counts half from so many failures on; below, that of both windows counts more.
const OWN_RATE_FROM: f64 = 20.0;

/// Rise of the harmed share at which it counts as growing.
const SHARE_RATIO: f64 = 1.2;

/// The largest rise told; from nothing to something is this much.
const MAX_RATIO: f64 = 1000.0;

/// How harm grows, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Growth {
    /// Not seen to grow.
    None,
    /// The candidate fails more often than exposure and stable's rate explain.
    Intensity {
        /// ln E of "steady".
        ln_e: f64,
    },
    /// The harmed share of all requests rose.
    Share {
        /// How many times it rose, at most 1000.
        ratio: f64,
    },
}

impl Growth {
    /// From the intervals of both windows, once harm is proved with `th_lo` > 1; without proof nothing grows.
    #[must_use]
    pub fn between(a: &[Counts], b: &[Counts], th_lo: f64, factor: Factor) -> Self {
        let f = attributable(th_lo);
        if f <= 0.0 {
            return Self::None;
        }
        if let Some(ln_e) = intensity(a, b, factor).filter(|ln_e| *ln_e >= RISING_LN_E) {
            return Self::Intensity { ln_e };
        }
        match share_rise(Counts::total(a), Counts::total(b), factor) {
            Some((ratio, ln_e)) if ratio >= SHARE_RATIO && ln_e >= RISING_LN_E => Self::Share { ratio },
            _ => Self::None,
        }
    }
}

/// ln E of "the candidate's failures in B are those that A and the exposure let expect"; `None` where nothing can be
/// expected.
fn intensity(a: &[Counts], b: &[Counts], factor: Factor) -> Option<f64> {
    let stable = Counts::total(a).plus(Counts::total(b));
    if stable.n_s == 0 {
        return None;
    }
    // One failure more than was seen: never 0, so that a stable without failures expects the same rate in both windows.
    let pooled_rate = (stable.x_s as f64 + 1.0) / (stable.n_s as f64 + 1.0);
    let (m_a, x_a) = expected(a, pooled_rate);
    let (m_b, x_b) = expected(b, pooled_rate);
    let total = m_a + m_b;
    if m_a <= 0.0 || m_b <= 0.0 || x_a + x_b == 0.0 {
        return None;
    }
    let comparison = Comparison::at(Share { share: m_b / total, other: m_a / total }, x_b, x_a);
    Some(ln_e_once(&comparison, factor))
}

/// Failures stable's rate lets expect among the candidate's requests, sum of n_c p_s, and those it had; over
/// intervals that compare.
///
/// The pooled rate stands in with the weight of twenty failures: a window in which stable happened not to fail expects about
/// the same as the other.
fn expected(window: &[Counts], pooled_rate: f64) -> (f64, f64) {
    let judged = || window.iter().filter(|c| c.compares() && c.is_consistent());
    let seen: f64 = judged().filter_map(|c| c.stable_rate().map(|p_s| c.n_c as f64 * p_s)).sum();
    let requests: f64 = judged().map(|c| c.n_c as f64).sum();
    let stable_failures: f64 = judged().map(|c| c.x_s as f64).sum();
    let failures = judged().map(|c| c.x_c as f64).sum();
    ((seen * stable_failures + requests * pooled_rate * OWN_RATE_FROM) / (stable_failures + OWN_RATE_FROM), failures)
}

/// br_lo of B over br_lo of A, whose attributable part cancels, and ln E of "no more of all requests than in A".
fn share_rise(a: Counts, b: Counts, factor: Factor) -> Option<(f64, f64)> {
    if a.requests() == 0 || b.requests() == 0 || b.x_c == 0 {
        return None;
    }
    let (n_a, n_b) = (a.requests() as f64, b.requests() as f64);
    let (x_a, x_b) = (a.x_c as f64, b.x_c as f64);
    let ratio = (x_b / n_b / (x_a / n_a).max(f64::MIN_POSITIVE)).min(MAX_RATIO);
    let total = n_a + n_b;
    let comparison = Comparison::at(Share { share: n_b / total, other: n_a / total }, x_b, x_a);
    Some((ratio, ln_e_once(&comparison, factor)))
}
