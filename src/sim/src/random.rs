//! The worlds' own generator: the same seed gives the same world on any platform and with any version of any crate.

use std::f64::consts::PI;

use firebreak_engine::stats::special::{ln_gamma, stirling_tail};

/// SplitMix64 (Steele, Lea & Flood, OOPSLA 2014).
pub(crate) struct Random(u64);

impl Random {
    /// One stream of a seed; streams of one seed do not disturb each other.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut mixed = Self(seed);
        Self(mixed.next() ^ stream.wrapping_mul(0xd134_2543_de82_ef95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        ((self.next() >> 11) as f64) < probability * (1_u64 << 53) as f64
    }
}

/// Smallest mean at which Poisson numbers are drawn at once; below, event by event.
const POISSON_AT_ONCE: f64 = 12.0;
/// Smallest expected number at which binomial numbers are drawn at once; below, by the gaps.
const BINOMIAL_AT_ONCE: f64 = 16.0;

impl Random {
    /// Even in 0..1, never 0.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Poisson with this mean: exact, by the gaps between events, or where there are many by rejection.
    pub(crate) fn poisson(&mut self, mean: f64) -> u64 {
        if mean >= POISSON_AT_ONCE {
            return self.poisson_at_once(mean);
        }
        let end = (-mean).exp();
        let (mut events, mut product) = (0, self.unit());
        while product > end {
            events += 1;
            product *= self.unit();
        }
        events
    }

    /// Transformed rejection with squeeze (PTRS; Hörmann 1993): exact for means from 10 on, in a time that does not grow.
    fn poisson_at_once(&mut self, mean: f64) -> u64 {
        let b = 0.931 + 2.53 * mean.sqrt();
        let a = -0.059 + 0.024_83 * b;
        let one_over_alpha = 1.1239 + 1.1328 / (b - 3.4);
        let squeeze = 0.9277 - 3.6224 / (b - 2.0);
        loop {
            let (u, v) = (self.unit() - 0.5, self.unit());
            let near = 0.5 - u.abs();
            let k = ((2.0 * a / near + b) * u + mean + 0.43).floor();
            if near >= 0.07 && v <= squeeze {
                return k as u64;
            }
            if k < 0.0 || (near < 0.013 && v > near) {
                continue;
            }
            let ln_accept = (v * one_over_alpha / (a / (near * near) + b)).ln();
            if ln_accept <= k * mean.ln() - mean - ln_gamma(k + 1.0) {
                return k as u64;
            }
        }
    }

    /// Normal with mean 0 and standard deviation 1 (Box & Muller 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (2.0 * PI * self.unit()).cos()
    }

    /// Binomial: how many of `count` happen, each with this probability. Exact: by the gaps between those that do, and where
    /// many do by transformed rejection (BTRS, Hörmann 1993).
    pub(crate) fn binomial(&mut self, count: u64, probability: f64) -> u64 {
        if count == 0 || probability <= 0.0 {
            return 0;
        }
        if probability > 0.5 {
            return count - self.binomial(count, 1.0 - probability);
        }
        if count as f64 * probability >= BINOMIAL_AT_ONCE {
            return self.many_of(count as f64, probability);
        }
        let none = (-probability).ln_1p();
        let (mut happened, mut left) = (0, count);
        loop {
            let gap = self.unit().ln() / none;
            if gap >= left as f64 {
                return happened;
            }
            happened += 1;
            left -= gap as u64 + 1;
        }
    }

    fn many_of(&mut self, n: f64, p: f64) -> u64 {
        let deviation = (n * p * (1.0 - p)).sqrt();
        let b = deviation.mul_add(2.53, 1.15);
        let a = b.mul_add(0.0248, 0.01_f64.mul_add(p, -0.0873));
        let (quick, alpha) = (0.92 - 4.2 / b, (2.83 + 5.1 / b) * deviation);
        let (odds, mode) = (p / (1.0 - p), ((n + 1.0) * p).floor());
        // ln of what the probability of k is made of, but for a constant.
        let tails = |k: f64| stirling_tail(k + 1.0) + stirling_tail(n - k + 1.0);
        loop {
            let (u, v) = (self.unit() - 0.5, self.unit());
            let us = 0.5 - u.abs();
            let k = ((2.0 * a / us + b).mul_add(u, n * p) + 0.5).floor();
            if us >= 0.07 && v <= quick {
                return k as u64;
            }
            if k < 0.0 || k > n {
                continue;
            }
            let likelihood = (mode + 0.5) * ((mode + 1.0) / (odds * (n - mode + 1.0))).ln()
                + (n + 1.0) * ((n - mode + 1.0) / (n - k + 1.0)).ln()
                + (k + 0.5) * (odds * (n - k + 1.0) / (k + 1.0)).ln()
                + tails(mode)
                - tails(k);
            if (v * alpha / (a / (us * us) + b)).ln() <= likelihood {
                return k as u64;
            }
        }
    }

    /// Negative binomial with this mean and variance/mean = `dispersion`: Poisson bursts of logarithmic size (Quenouille
    /// 1949), so that it is the same process at every time scale.
    pub(crate) fn bursty(&mut self, mean: f64, dispersion: f64) -> u64 {
        if dispersion <= 1.0 {
            return self.poisson(mean);
        }
        let bursts = self.poisson(mean * dispersion.ln() / (dispersion - 1.0));
        (0..bursts).map(|_| self.logarithmic(1.0 - 1.0 / dispersion)).sum()
    }

    /// Logarithmic with parameter `p`: `-p^k/(k ln(1-p))` for k = 1, 2, ... (Kemp 1981, by inversion).
    fn logarithmic(&mut self, p: f64) -> u64 {
        let (mut left, mut term, mut k) = (self.unit(), -p / (-p).ln_1p(), 1);
        while left > term && k < 1_000 {
            left -= term;
            k += 1;
            term *= p * (k - 1) as f64 / k as f64;
        }
        k
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    fn moments(mut draw: impl FnMut() -> u64) -> (f64, f64) {
        let draws: Vec<f64> = (0..200_000).map(|_| draw() as f64).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        (mean, draws.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / draws.len() as f64)
    }

    #[test]
    fn draws_have_their_mean_and_dispersion() {
        let mut random = Random::new(1, 1);
        let cases = [(0.05, 1.0), (3.0, 1.0), (12.0, 1.0), (90.0, 1.0), (2000.0, 1.0), (0.05, 2.0), (3.0, 4.0), (40.0, 2.0)];
        for (mean, dispersion) in cases {
            let (got, variance) = moments(|| random.bursty(mean, dispersion));
            // Six standard errors.
            let error = 6.0 * (mean * dispersion / 200_000.0_f64).sqrt();
            assert!((got - mean).abs() < error, "mean {got}, not {mean}");
            let ratio = variance / (mean * dispersion);
            assert!((ratio - 1.0).abs() < 0.1, "variance/mean {}, not {dispersion}", variance / got);
        }
    }

    #[test]
    fn given_a_mean_around_the_change_of_method_then_each_number_comes_as_often_as_it_should() {
        let mut random = Random::new(2, 1);
        for mean in [11.9, 12.0, 300.0] {
            let mut seen = vec![0_u32; 600];
            (0..200_000).for_each(|_| seen[random.poisson(mean) as usize] += 1);
            let expected = |k: usize| 200_000.0 * (k as f64 * f64::ln(mean) - mean - ln_gamma(k as f64 + 1.0)).exp();
            let often: Vec<usize> = (0..600).filter(|k| expected(*k) >= 10.0).collect();
            let chi_square: f64 = often.iter().map(|k| (f64::from(seen[*k]) - expected(*k)).powi(2) / expected(*k)).sum();
            let freedom = often.len() as f64;
            // Six standard errors of a chi-square.
            assert!(chi_square < freedom + 6.0 * (2.0 * freedom).sqrt(), "mean {mean}: {chi_square} for {freedom}");
        }
    }

    /// Every number as often as it should come, where few come one by one and where many are drawn at once.
    #[test]
    fn large_draws_have_their_probabilities() {
        let mut random = Random::new(3, 1);
        let (n, p, draws) = (80_u32, 0.3_f64, 200_000_u32);
        let choose = |k: f64| ln_gamma(f64::from(n) + 1.0) - ln_gamma(k + 1.0) - ln_gamma(f64::from(n) - k + 1.0);
        let binomial = |k: f64| (choose(k) + k * p.ln() + (f64::from(n) - k) * (1.0 - p).ln()).exp();
        let poisson = |k: f64| (k * 24.0_f64.ln() - 24.0 - ln_gamma(k + 1.0)).exp();
        let mut counts = [[0_u32; 81]; 2];
        for _ in 0..draws {
            counts[0][random.binomial(u64::from(n), p) as usize] += 1;
            counts[1][(random.poisson(24.0) as usize).min(80)] += 1;
        }
        for k in 10..40_u32 {
            let expected = [binomial(f64::from(k)), poisson(f64::from(k))].map(|probability| probability * f64::from(draws));
            for (found, expected) in counts.iter().map(|of| f64::from(of[k as usize])).zip(expected) {
                assert!((found - expected).abs() < 5.0 * expected.sqrt() + 3.0, "{k} came {found} times, not {expected}");
            }
        }
    }

    #[test]
    fn binomial_draws_have_their_mean_and_variance() {
        let mut random = Random::new(2, 1);
        for (count, p) in [(1, 0.3), (20, 0.01), (20, 0.5), (300, 0.9), (40, 0.41), (5000, 0.2), (7, 1.0), (7, 0.0)] {
            let (got, variance) = moments(|| random.binomial(count, p));
            let (mean, expected) = (count as f64 * p, count as f64 * p * (1.0 - p));
            assert!((got - mean).abs() <= 6.0 * (expected / 200_000.0).sqrt(), "mean {got}, not {mean}");
            assert!((variance - expected).abs() <= 0.05 * expected, "variance {variance}, not {expected}");
        }
    }
}
