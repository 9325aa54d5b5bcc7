//! exp, expm1 and log1p over whole arrays of bets: pure arithmetic, without branches, so that the compiler makes
//! vector code of them.
//!
//! A look takes some 1500 to 3000 of these per Change and signal; one at a time from the platform's library they are
//! most of what a look costs. They are IEEE additions, multiplications and divisions only, so they give the same bits
//! on any platform. Errors are a few units in the last place. Argument reduction as in fdlibm (Sun 1993), Taylor series.

use std::f64::consts::LOG2_E;

/// Upper part of ln 2: its last 20 bits are 0, so that multiples up to 2^20 are exact.
const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
/// ln 2 - LN_2_HIGH.
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
/// 1.5 * 2^52: adding it rounds to an integer, which then stands in the low bits.
const ROUNDER: f64 = 6_755_399_441_055_744.0;
/// 2^52: a small integer in the low bits of this is that integer added to it.
const TWO_52: f64 = 4_503_599_627_370_496.0;
const EXPONENT_BIAS: u64 = 1023;
/// Bits of 1 minus bits of sqrt(1/2): moves the border of exponents to sqrt(1/2).
const TO_SQRT_HALF: u64 = 0x3ff0_0000_0000_0000 - 0x3fe6_a09e_667f_3bcd;

/// Below this exp is taken as its value there, 1e-304: nothing beside 1, and not so small that arithmetic gets slow.
const EXP_LOW: f64 = -700.0;
const EXP_HIGH: f64 = 709.0;

/// 1/2!, 1/4!, ..., 1/14!.
const EVEN_FACTORIALS: [f64; 7] =
    [1.0 / 2.0, 1.0 / 24.0, 1.0 / 720.0, 1.0 / 40_320.0, 1.0 / 3_628_800.0, 1.0 / 479_001_600.0, 1.0 / 87_178_291_200.0];

/// 1/3!, 1/5!, ..., 1/13!.
const ODD_FACTORIALS: [f64; 6] =
    [1.0 / 6.0, 1.0 / 120.0, 1.0 / 5_040.0, 1.0 / 362_880.0, 1.0 / 39_916_800.0, 1.0 / 6_227_020_800.0];

/// Every second coefficient of atanh, 1/3, 1/7, ... and 1/5, 1/9, ...: two short chains run side by side.
const ATANH_FIRST: [f64; 5] = [1.0 / 3.0, 1.0 / 7.0, 1.0 / 11.0, 1.0 / 15.0, 1.0 / 19.0];
const ATANH_SECOND: [f64; 5] = [1.0 / 5.0, 1.0 / 9.0, 1.0 / 13.0, 1.0 / 17.0, 1.0 / 21.0];

#[inline]
fn polynomial(coefficients: &[f64], at: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| c + at * sum)
}

/// exp(v) as (expm1(r), 2^k) with v = k ln 2 + r, |r| <= ln(2)/2.
#[inline]
fn reduced_exp(v: f64) -> (f64, f64) {
    let v = if v > EXP_LOW { v } else { EXP_LOW };
    let v = if v < EXP_HIGH { v } else { EXP_HIGH };
    let rounded = v * LOG2_E + ROUNDER;
    let k = rounded - ROUNDER;
    let r = (v - k * LN_2_HIGH) - k * LN_2_LOW;
    let power = f64::from_bits((rounded.to_bits() << 52).wrapping_add(EXPONENT_BIAS << 52));
    let square = r * r;
    let series = polynomial(&EVEN_FACTORIALS, square) + r * polynomial(&ODD_FACTORIALS, square);
    (r + square * series, power)
}

/// exp(v) for any v but NaN; not below 1e-304, not above 8e307.
#[inline]
pub(crate) fn exp(v: f64) -> f64 {
    let (m1, power) = reduced_exp(v);
    power + power * m1
}

/// exp(v) - 1 for v <= 709, exact near 0.
#[inline]
pub(crate) fn exp_m1(v: f64) -> f64 {
    let (m1, power) = reduced_exp(v);
    power * m1 + (power - 1.0)
}

/// ln(1 + v) for finite v > -1, exact near 0.
#[inline]
pub(crate) fn ln_1p(v: f64) -> f64 {
    let u = 1.0 + v;
    let lost = (v - (u - 1.0)) / u;
    let bits = u.to_bits();
    let biased = bits.wrapping_add(TO_SQRT_HALF) >> 52;
    let k = f64::from_bits(TWO_52.to_bits() | biased) - (TWO_52 + EXPONENT_BIAS as f64);
    let m = f64::from_bits(bits.wrapping_sub(biased.wrapping_sub(EXPONENT_BIAS) << 52));
    let f = m - 1.0;
    let s = f / (2.0 + f);
    let square = s * s;
    let fourth = square * square;
    let series = polynomial(&ATANH_FIRST, fourth) + square * polynomial(&ATANH_SECOND, fourth);
    // ln m = 2 atanh(s) with 2s = f - s f: the large part stays exact.
    k * LN_2_HIGH + (f - (s * (f - 2.0 * square * series) - (k * LN_2_LOW + lost)))
}

/// Sum in a fixed order of four strands, which does not wait for every addition.
pub(crate) fn sum(values: &[f64]) -> f64 {
    let mut strands = [0.0; 4];
    for group in values.chunks(4) {
        strands.iter_mut().zip(group).for_each(|(strand, v)| *strand += v);
    }
    strands.iter().sum()
}

/// The largest value, -inf for none.
pub(crate) fn max(values: &[f64]) -> f64 {
    let mut strands = [f64::NEG_INFINITY; 4];
    for group in values.chunks(4) {
        strands.iter_mut().zip(group).for_each(|(strand, v)| *strand = if *v > *strand { *v } else { *strand });
    }
    strands.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// The smallest value, +inf for none.
pub(crate) fn min(values: &[f64]) -> f64 {
    let mut strands = [f64::INFINITY; 4];
    for group in values.chunks(4) {
        strands.iter_mut().zip(group).for_each(|(strand, v)| *strand = if *v < *strand { *v } else { *strand });
    }
    strands.iter().copied().fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::super::portable;
    use super::*;

    fn close(got: f64, want: f64) -> bool {
        (got - want).abs() <= 4.0 * f64::EPSILON * want.abs()
    }

    #[test]
    fn they_agree_with_the_library() {
        for step in -60_000..60_000 {
            let v = f64::from(step) * 0.01 + 0.001;
            assert!(close(exp(v), portable::exp(v)), "exp({v})");
            assert!(close(exp_m1(v), portable::exp_m1(v)), "exp_m1({v})");
            let small = v * 1e-4 * v.abs().min(1.0);
            assert!(close(exp_m1(small), portable::exp_m1(small)), "exp_m1({small})");
            let above = small.abs() + v.abs().powi(9) * 1e-9 * f64::from(step % 2);
            for w in [above.abs(), -above.abs().min(0.999_99), small * 1e-12] {
                assert!(close(ln_1p(w), portable::ln_1p(w)), "ln_1p({w})");
            }
        }
        assert_eq!((exp(0.0), exp_m1(0.0), ln_1p(0.0)), (1.0, 0.0, 0.0));
        assert!(exp(f64::NEG_INFINITY) < 1e-300 && close(ln_1p(1e300), portable::ln_1p(1e300)));
    }

    #[test]
    fn sums_and_maxima_take_every_value() {
        let values: Vec<f64> = (1..=11).map(f64::from).collect();
        assert_eq!((sum(&values), max(&values), sum(&[]), max(&[])), (66.0, 11.0, 0.0, f64::NEG_INFINITY));
    }
}
