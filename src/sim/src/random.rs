//! The worlds' own generator: the same seed gives the same world on any platform and with any version of any crate.

use std::f64::consts::PI;

use firebreak_engine::stats::special::ln_gamma;

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

    /// One of `0..count`; 0 where there is none.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % (count.max(1) as u64)).unwrap_or(0)
    }
}

/// Smallest mean at which Poisson numbers are drawn at once; below, event by event.
const POISSON_AT_ONCE: f64 = 12.0;

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
}
