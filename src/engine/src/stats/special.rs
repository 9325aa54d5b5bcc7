//! Logarithms of the gamma and beta functions, of sums, and of both tails of the incomplete beta function.
//!
//! Counts reach 10^7 and more, where `ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b)` has lost seven digits. So every
//! ratio of gamma functions here is written with [`stirling_tail`]: the large terms are cancelled on paper, and what
//! is left is small (the way of TOMS 708, Didonato & Morris 1992).

use std::f64::consts::PI;

use super::elementary;
use super::portable::{exp, exp_m1, ln, ln_1p};

/// Euler's constant.
const EULER: f64 = 0.577_215_664_901_532_9;

/// zeta(k) - 1 for k = 2, 3, ...: the Taylor coefficients of ln Gamma about 2 (DLMF 5.7.3).
const ZETA_MINUS_1: [f64; 30] = [
    0.644_934_066_848_226_4,
    0.202_056_903_159_594_3,
    0.082_323_233_711_138_19,
    0.036_927_755_143_369_93,
    0.017_343_061_984_449_14,
    0.008_349_277_381_922_827,
    0.004_077_356_197_944_34,
    0.002_008_392_826_082_214_3,
    0.000_994_575_127_818_085_3,
    0.000_494_188_604_119_464_5,
    0.000_246_086_553_308_048_3,
    0.000_122_713_347_578_489_15,
    6.124_813_505_870_483e-5,
    3.058_823_630_702_049e-5,
    1.528_225_940_865_187e-5,
    7.637_197_637_899_763e-6,
    3.817_293_264_999_84e-6,
    1.908_212_716_553_939e-6,
    9.539_620_338_727_962e-7,
    4.769_329_867_878_064e-7,
    2.384_505_027_277_33e-7,
    1.192_199_259_653_110_6e-7,
    5.960_818_905_125_948e-8,
    2.980_350_351_465_228e-8,
    1.490_155_482_836_504e-8,
    7.450_711_789_835_43e-9,
    3.725_334_024_788_457e-9,
    1.862_659_723_513_049e-9,
    9.313_274_324_196_682e-10,
    4.656_629_065_033_784e-10,
];

/// Coefficients of 1/x, 1/x^3, ... in Stirling's series (DLMF 5.11.1); from x = 10 on good to 10^-17.
const STIRLING: [f64; 9] = [
    1.0 / 12.0,
    -1.0 / 360.0,
    1.0 / 1260.0,
    -1.0 / 1680.0,
    1.0 / 1188.0,
    -691.0 / 360_360.0,
    1.0 / 156.0,
    -3617.0 / 122_400.0,
    43867.0 / 244_188.0,
];

/// From here on Stirling's series is used.
const STIRLING_FROM: f64 = 10.0;

/// Terms of the continued fraction; about sqrt(max(a, b)) are needed, 10^4 at 10^8.
const MAX_FRACTION_TERMS: u32 = 100_000;

/// ln Gamma(x) for x > 0; +inf at 0, below it and for what is no number.
///
/// Taylor series about 2 near 1 and 2 (where the value vanishes), recurrence up to 10, Stirling's series above.
#[must_use]
pub fn ln_gamma(x: f64) -> f64 {
    if x.is_nan() || x <= 0.0 || x.is_infinite() {
        return f64::INFINITY;
    }
    if x >= STIRLING_FROM {
        return (x - 0.5) * (ln(x) - 1.0) + (0.5 * ln(2.0 * PI) - 0.5) + stirling_series(x);
    }
    if x < 0.5 {
        return ln_gamma_near_2(x) - ln_1p(x) - ln(x);
    }
    if x < 1.5 {
        return ln_gamma_near_2(x - 1.0) - ln_1p(x - 1.0);
    }
    let (mut y, mut product) = (x, 1.0);
    while y > 2.5 {
        y -= 1.0;
        product *= y;
    }
    ln_gamma_near_2(y - 2.0) + ln(product)
}

/// ln Gamma(2 + z) for |z| <= 1/2.
fn ln_gamma_near_2(z: f64) -> f64 {
    let series = ZETA_MINUS_1.iter().enumerate().rev().fold(0.0, |sum, (at, zeta)| zeta / (at as f64 + 2.0) - z * sum);
    z * ((1.0 - EULER) + z * series)
}

fn stirling_series(x: f64) -> f64 {
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    inverse * STIRLING.iter().rev().fold(0.0, |sum, c| c + square * sum)
}

/// ln Gamma(x) - ((x - 1/2) ln x - x + ln(2 pi)/2), what Stirling's formula leaves, for x > 0.
#[must_use]
pub fn stirling_tail(x: f64) -> f64 {
    if x >= STIRLING_FROM { stirling_series(x) } else { ln_gamma(x) - ((x - 0.5) * ln(x) - x + 0.5 * ln(2.0 * PI)) }
}

/// ln B(a, b) = ln Gamma(a) + ln Gamma(b) - ln Gamma(a + b) for a, b > 0.
#[must_use]
pub fn ln_beta(a: f64, b: f64) -> f64 {
    let (small, large) = if a < b { (a, b) } else { (b, a) };
    let total = small + large;
    small * ln(small / total) - large * ln_1p(small / large) + 0.5 * ln(total / large) - 0.5 * ln(small)
        + 0.5 * ln(2.0 * PI)
        + stirling_tail(small)
        + stirling_tail(large)
        - stirling_tail(total)
}

/// Both tails of the regularized incomplete beta function, each accurate on its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IncompleteBeta {
    /// I_x(a, b), in `0..=1`.
    pub value: f64,
    /// 1 - I_x(a, b), in `0..=1`, computed on its own side.
    pub complement: f64,
    /// ln I_x(a, b), down to -inf.
    pub ln_value: f64,
    /// ln(1 - I_x(a, b)), down to -inf.
    pub ln_complement: f64,
}

impl IncompleteBeta {
    fn from_ln_tail(ln_tail: f64) -> Self {
        let ln_tail = ln_tail.min(0.0);
        Self { value: exp(ln_tail), complement: -exp_m1(ln_tail), ln_value: ln_tail, ln_complement: ln_1p(-exp(ln_tail)) }
    }

    fn mirrored(self) -> Self {
        Self { value: self.complement, complement: self.value, ln_value: self.ln_complement, ln_complement: self.ln_value }
    }
}

/// I_x(a, b) for a, b > 0; x is clamped to `0..=1`.
///
/// A continued fraction on the side where it converges fast; each tail from its own side.
#[must_use]
pub fn incomplete_beta(a: f64, b: f64, x: f64) -> IncompleteBeta {
    let zero = IncompleteBeta { value: 0.0, complement: 1.0, ln_value: f64::NEG_INFINITY, ln_complement: 0.0 };
    if x.is_nan() || x <= 0.0 {
        return zero;
    }
    if x >= 1.0 {
        return zero.mirrored();
    }
    let y = 1.0 - x;
    let ln_prefix = ln_beta_prefix(a, b, x, y);
    if x < (a + 1.0) / (a + b + 2.0) {
        IncompleteBeta::from_ln_tail(ln_prefix + ln(fraction(a, b, x, y)))
    } else {
        IncompleteBeta::from_ln_tail(ln_prefix + ln(fraction(b, a, y, x))).mirrored()
    }
}

/// ln(x^a y^b / B(a, b)) with y = 1 - x: deviations from the mode a/(a+b) instead of large logarithms.
fn ln_beta_prefix(a: f64, b: f64, x: f64, y: f64) -> f64 {
    let total = a + b;
    let d = x * b - a * y;
    let part = |weight: f64, share: f64, relative: f64| {
        let ln = if relative.abs() < 0.5 { ln_1p(relative) } else { ln(share) + ln(total / weight) };
        weight * ln
    };
    part(a, x, d / a) + part(b, y, -d / b) + 0.5 * (ln(a) + ln(b / total))
        - 0.5 * ln(2.0 * PI)
        - stirling_tail(a)
        - stirling_tail(b)
        + stirling_tail(total)
}

/// I_x(a, b) without its prefix x^a y^b / B(a, b): the continued fraction of TOMS 708 (BFRAC).
///
/// It is every second convergent of the common fraction, written with a y - b x, so that nothing cancels where x is
/// near the mode.
fn fraction(a: f64, b: f64, x: f64, y: f64) -> f64 {
    let c = 1.0 + (a * y - b * x);
    let c1 = 1.0 + 1.0 / a;
    let (mut p, mut s) = (1.0, a + 1.0);
    let (mut before, mut now) = ((0.0, 1.0), (1.0, c / c1));
    let mut value = c1 / c;
    for term in 1..=MAX_FRACTION_TERMS {
        let n = f64::from(term);
        let t = n / a;
        let w = n * (b - n) * x;
        let alpha = p * (p + b / a) * (a / s).powi(2) * (w * x);
        let beta = n + w / s + (t + 1.0) / (c1 + t + t) * (c + n * (y + 1.0));
        (p, s) = (1.0 + t, s + 2.0);
        let next = (alpha * before.0 + beta * now.0, alpha * before.1 + beta * now.1);
        let last = value;
        value = next.0 / next.1;
        (before, now) = ((now.0 / next.1, now.1 / next.1), (value, 1.0));
        if (value - last).abs() <= 1e-16 * value {
            break;
        }
    }
    value
}

/// ln(sum of exp(v)); -inf for an empty sum or one of nothing but -inf.
///
/// The largest term is taken out and the others enter through `ln_1p`, so that small ones are not lost beside it.
#[must_use]
pub fn log_sum_exp(values: &[f64]) -> f64 {
    let (at, max) =
        values.iter().copied().enumerate().fold((0, f64::NEG_INFINITY), |best, (at, v)| if v > best.1 { (at, v) } else { best });
    if max.is_infinite() {
        return max;
    }
    let others = |from: &[f64]| from.iter().map(|v| elementary::exp(v - max)).sum::<f64>();
    let (before, after) = values.split_at_checked(at).unwrap_or((values, &[]));
    max + ln_1p(others(before) + others(after.split_first().map_or(&[], |(_, rest)| rest)))
}

/// ln(exp(a) + exp(b)); infinities are values like others.
#[must_use]
pub fn log_add_exp(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if high.is_infinite() || low == f64::NEG_INFINITY { high } else { high + ln_1p(exp(low - high)) }
}

/// ln(1 - share + share * exp(e)) for a share in `0..=1`: the log of a mixture whose part `share` is scaled by exp(e).
///
/// Does not overflow for large e; this is the normaliser of every two-arm likelihood here.
#[must_use]
pub fn ln_tilted(share: f64, e: f64) -> f64 {
    if e <= 1.0 { ln_1p(share * exp_m1(e)) } else { e + ln((share + (1.0 - share) * exp(-e)).max(f64::MIN_POSITIVE)) }
}
