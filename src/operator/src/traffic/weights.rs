//! Whole-number weights that keep shares: scaling, dividing, undoing.

use super::Weight;

/// Largest weight the Gateway API accepts.
pub(super) const MAX: u64 = 1_000_000;
/// A weight is a whole number of thousandths, so a factor of 1000 makes every division exact.
const EXACT: u64 = 1000;

/// One backend's weight before, and whether it is divided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) weight: u64,
    pub(super) divided: bool,
}

/// One backend's weight after, and the candidate's where it is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Divided {
    pub(super) kept: u64,
    pub(super) candidate: Option<u64>,
}

/// Greatest common divisor; 0 divides only 0.
fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The smallest whole numbers with the same shares.
pub(super) fn smallest(weights: &[u64]) -> Vec<u64> {
    let common = weights.iter().copied().fold(0, gcd).max(1);
    weights.iter().map(|weight| weight / common).collect()
}

/// Gives the candidate `weight` of each divided backend; every backend's share (with its candidate's) stays exactly as
/// it was.
///
/// Written with the smallest whole numbers. Where those exceed [`MAX`], the common factor is the one within it that
/// loses least, and the candidate's part is rounded down: at most its share, never more.
pub(super) fn divide(parts: &[Part], weight: Weight) -> Vec<Divided> {
    let permille = u64::from(weight.permille());
    let weights = smallest(&parts.iter().map(|part| part.weight).collect::<Vec<_>>());
    let divided: Vec<u64> = weights.iter().zip(parts).filter(|(_, part)| part.divided).map(|(weight, _)| *weight).collect();
    let factor = factor(&divided, weights.iter().copied().max().unwrap_or(0), permille);
    let scaled = weights.iter().map(|weight| weight * factor);
    scaled
        .zip(parts)
        .map(|(scaled, part)| {
            let candidate = part.divided.then_some(scaled * permille / EXACT);
            Divided { kept: scaled - candidate.unwrap_or(0), candidate }
        })
        .collect()
}

/// The smallest factor that loses least of the candidate's share.
fn factor(divided: &[u64], largest: u64, permille: u64) -> u64 {
    let limit = (MAX / largest.max(1)).clamp(1, EXACT);
    // What rounding down takes, in thousandths of a weight; relative to the factor it is the share that is lost.
    let loss = |factor: u64| divided.iter().map(|weight| weight * factor * permille % EXACT).sum::<u64>();
    let mut best = (1, loss(1));
    for candidate in (2..=limit).map(|factor| (factor, loss(factor))) {
        if candidate.1 * best.0 < best.1 * candidate.0 {
            best = candidate;
        }
    }
    best.0
}

/// `weights` on the scale on which what is now `now` was `before`; `None` where that is not whole numbers within [`MAX`].
pub(super) fn rescaled(weights: &[u64], now: u64, before: u64) -> Option<Vec<u64>> {
    if before == 0 {
        return None;
    }
    weights
        .iter()
        .map(|weight| {
            let scaled = weight * before;
            (scaled.checked_rem(now)? == 0).then_some(scaled / now).filter(|weight| *weight <= MAX)
        })
        .collect()
}
