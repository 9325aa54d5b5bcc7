//! Does the traffic follow the split that was set? The sequential multinomial test of Lindon & Malek (NeurIPS 2022).
//!
//! Requests S_i fall on arm i with share rho_i under the null; a Dirichlet(K rho) prior gives
//! `ln E = lnB(K rho + S) - lnB(K rho) - sum S_i ln rho_i`. With Stirling's tails d(x), A_i = K rho_i + S_i and T = K + N
//! this is the sum over arms of `A_i log1p((S_i - N rho_i)/(T rho_i)) - ln(A_i/(K rho_i))/2 + d(A_i) - d(K rho_i)`, and
//! `ln(T/K)/2 - d(T) + d(K)` once. It keeps twelve digits at 10^7 requests where log gammas keep five.

use super::dispersion::Phi;
use super::portable::{exp, ln, ln_1p};
use super::solve::border;
use super::special::{incomplete_beta, ln_tilted, stirling_tail};

/// K: how firmly the prior expects the shares that were set, in requests.
pub const CONCENTRATION: f64 = 100.0;

/// Expected shares nearer to 0 or 1 than this are moved to it: a share of exactly 0 would make one request infinite
/// evidence.
const SMALLEST_SHARE: f64 = 1e-9;

/// No bound of a log ratio is looked for beyond this.
const FARTHEST: f64 = 700.0;

/// One arm: what was counted, and the share it should have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arm {
    /// Requests counted; divided by phi where they come in bursts.
    pub count: f64,
    /// Expected share in `(0, 1)`; all arms' shares sum to 1.
    pub share: f64,
}

/// ln E of "the counts follow the shares" for any number of arms; `k` > 0 is the prior's concentration.
#[must_use]
pub fn dirichlet_ln_e(arms: &[Arm], k: f64) -> f64 {
    let n: f64 = arms.iter().map(|a| a.count).sum();
    if n <= 0.0 {
        return 0.0;
    }
    let total = k + n;
    let per_arm = |arm: &Arm| {
        let prior = k * arm.share;
        let posterior = prior + arm.count;
        let deviation = (arm.count - n * arm.share) / (total * arm.share);
        // An arm without requests is exactly prior/(total share) = k/total of its expectation.
        let ln_ratio = if deviation > -0.5 { ln_1p(deviation) } else { ln(posterior / (total * arm.share)) };
        let tails = if arm.count > 0.0 { stirling_tail(posterior) - stirling_tail(prior) } else { 0.0 };
        posterior * ln_ratio - 0.5 * ln_1p(arm.count / prior) + tails
    };
    arms.iter().map(per_arm).sum::<f64>() + 0.5 * ln_1p(n / k) - stirling_tail(total) + stirling_tail(k)
}

/// The p-value of a sequential test at this look: min(1, exp(-ln E)); take the smallest so far.
#[must_use]
pub fn p_value(ln_e: f64) -> f64 {
    exp(-ln_e).min(1.0)
}

/// ln E of "candidate and stable share the requests as set", tempered: requests of one session come together, so
/// counts are divided by phi.
///
/// `expected_share` is the candidate's, in `0..=1`. Crossing ln(1/0.001) means the split is not followed.
#[must_use]
pub fn split_ln_e(n_c: u64, n_s: u64, expected_share: f64, phi: Phi) -> f64 {
    if expected_share.is_nan() {
        return 0.0;
    }
    let share = expected_share.clamp(SMALLEST_SHARE, 1.0 - SMALLEST_SHARE);
    let arms = [Arm { count: n_c as f64 / phi.get(), share }, Arm { count: n_s as f64 / phi.get(), share: 1.0 - share }];
    dirichlet_ln_e(&arms, CONCENTRATION)
}

/// ln E of "the odds of candidate against stable are as set, or off by at most the factor `tolerance` (1 or more)", tempered as
/// [`split_ln_e`]: against the nearest of the shares that this allows.
#[must_use]
pub fn split_ln_e_within(n_c: u64, n_s: u64, expected_share: f64, tolerance: f64, phi: Phi) -> f64 {
    let share = expected_share.clamp(SMALLEST_SHARE, 1.0 - SMALLEST_SHARE);
    let (odds, tolerance) = (share / (1.0 - share), tolerance.max(1.0));
    let measured = n_c as f64 / (n_s as f64).max(SMALLEST_SHARE);
    let nearest = measured.clamp(odds / tolerance, odds * tolerance);
    split_ln_e(n_c, n_s, nearest / (1.0 + nearest), phi)
}

/// ln E of "the candidate has at most the share s of the failures": the two-arm test with its prior cut to larger
/// shares.
///
/// A closed form, kept as a check of the harm test's grid:
/// `+ ln I_{1-s}(K(1-s) + x_s, K s + x_c) - ln I_{1-s}(K(1-s), K s)`.
#[must_use]
pub fn one_sided_ln_e(x_c: u64, x_s: u64, s: f64, k: f64) -> f64 {
    let (x_c, x_s, not_s) = (x_c as f64, x_s as f64, 1.0 - s);
    let two_sided = dirichlet_ln_e(&[Arm { count: x_c, share: s }, Arm { count: x_s, share: not_s }], k);
    let tail = |failed_c: f64, failed_s: f64| incomplete_beta(k * not_s + failed_s, k * s + failed_c, not_s).ln_value;
    two_sided + tail(x_c, x_s) - tail(0.0, 0.0)
}

/// The interval of ln(odds of `second` against `first`) beyond the set shares, at level `alpha` in `(0, 1)`: contains
/// 0 while the split may be as set.
///
/// Ends are -inf, +inf where an arm's count does not bound them.
#[must_use]
pub fn split_delta(first: Arm, second: Arm, k: f64, alpha: f64) -> (f64, f64) {
    let n = first.count + second.count;
    if n <= 0.0 {
        return (f64::NEG_INFINITY, f64::INFINITY);
    }
    let at_zero = dirichlet_ln_e(&[first, second], k);
    let ln_e = |delta: f64| at_zero + n * ln_tilted(second.share, delta) - second.count * delta;
    let refuted = |delta: f64| ln_e(delta) >= -ln(alpha);
    let best = (ln(second.count) - ln(first.count)) - (ln(second.share) - ln(first.share));
    let best = best.clamp(-FARTHEST, FARTHEST);
    let lo = if refuted(-FARTHEST) { border(-FARTHEST, best, refuted) } else { f64::NEG_INFINITY };
    let hi = if refuted(FARTHEST) { border(best, FARTHEST, |delta| !refuted(delta)) } else { f64::INFINITY };
    (lo, hi)
}
