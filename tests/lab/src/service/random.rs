//! A small, fast random source: good enough to fail every fifth request, useless for secrets.

use std::f64::consts::TAU;
use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Debug, Clone)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    /// A source whose whole sequence follows from `seed`.
    pub(super) const fn from_seed(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A source that differs between pods and between starts of one pod.
    pub(super) fn for_pod(name: &str) -> Self {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let nanos = u64::from(clock.subsec_nanos()) ^ (clock.as_secs() << 30);
        Self::from_seed(hash(name) ^ nanos ^ (u64::from(std::process::id()) << 48))
    }

    /// The next number, uniform in `[0, 1)`.
    pub(super) fn unit(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        to_unit(mix(self.state))
    }

    /// The next number of the standard normal distribution (Box and Muller, 1958).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }
}

/// Where a name falls in `[0, 1)`: the same on every machine and in every build.
pub(super) fn rank(name: &str) -> f64 {
    to_unit(mix(hash(name)))
}

/// FNV-1a, 64 bits.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3))
}

const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// The upper 53 bits as a fraction: every such value is exact in an f64.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
const fn to_unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_numbers_are_uniform_and_in_range() {
        let mut random = Random::from_seed(7);
        let numbers: Vec<f64> = (0..10_000).map(|_| random.unit()).collect();
        assert!(numbers.iter().all(|n| (0.0..1.0).contains(n)));
        let mean = numbers.iter().sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
    }

    #[test]
    fn normal_numbers_have_mean_zero_and_variance_one() {
        let mut random = Random::from_seed(11);
        let numbers: Vec<f64> = (0..10_000).map(|_| random.normal()).collect();
        let mean = numbers.iter().sum::<f64>() / 10_000.0;
        let variance = numbers.iter().map(|n| n * n).sum::<f64>() / 10_000.0;
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.06, "{mean} {variance}");
    }

    #[test]
    fn ranks_of_pod_names_spread_over_the_whole_range() {
        let quarter = (0..400).filter(|n| rank(&format!("shop-7d9c5b-{n:05}")) < 0.25).count();
        assert!((60..140).contains(&quarter), "{quarter}");
    }
}
