//! The worlds' own generator: the same seed gives the same world on any platform and with any version of any crate.

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

/// Largest mean at which Poisson numbers are drawn event by event; above, as the sum of two halves.
const POISSON_AT_ONCE: f64 = 24.0;

impl Random {
    /// Even in 0..1, never 0.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Poisson with this mean: exact, by the gaps between events.
    pub(crate) fn poisson(&mut self, mean: f64) -> u64 {
        if mean > POISSON_AT_ONCE {
            // A sum of Poisson numbers is one; so are its even parts.
            let parts = (mean / POISSON_AT_ONCE).ceil();
            return (0..parts as u64).map(|_| self.poisson(mean / parts)).sum();
        }
        let end = (-mean).exp();
        let (mut events, mut product) = (0, self.unit());
        while product > end {
            events += 1;
            product *= self.unit();
        }
        events
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
    use super::*;

    fn moments(mut draw: impl FnMut() -> u64) -> (f64, f64) {
        let draws: Vec<f64> = (0..200_000).map(|_| draw() as f64).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        (mean, draws.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / draws.len() as f64)
    }

    #[test]
    fn draws_have_their_mean_and_dispersion() {
        let mut random = Random::new(1, 1);
        for (mean, dispersion) in [(0.05, 1.0), (3.0, 1.0), (90.0, 1.0), (0.05, 2.0), (3.0, 4.0), (40.0, 2.0)] {
            let (got, variance) = moments(|| random.bursty(mean, dispersion));
            // Six standard errors.
            let error = 6.0 * (mean * dispersion / 200_000.0_f64).sqrt();
            assert!((got - mean).abs() < error, "mean {got}, not {mean}");
            let ratio = variance / (mean * dispersion);
            assert!((ratio - 1.0).abs() < 0.1, "variance/mean {}, not {dispersion}", variance / got);
        }
    }
}
