//! The mixture of bets behind every harm test, and the factor one interval multiplies each bet by.
//!
//! A bet g says: the candidate fails g times as often as the margin allows. J = 48 bets lie on a geometric grid from
//! 1.05 to 200 with prior weight proportional to 1/g, so harm of any size is found near the speed of the bet that fits.
//!
//! With s = r0 n_c/(r0 n_c + n_s), the share of failures the candidate would have at p_c = r0 p_s, the factor is
//! `L(g) = g^x_c / (1 + s(g-1))^x`: the likelihood ratio of "share s g/(1 + s(g-1))" against "share s" for the x
//! failures of the interval. Its mean is at most 1 when p_c <= r0 p_s, whatever p_s is and however the split moves,
//! so the mixture is an e-process (Turner, Ly & Grunwald, JSPI 2024, for r0 = 1; a margin r0 is that test with the
//! share s).
//!
//! Bursts (failures that come several at a time, variance/mean = phi > 1) break it. [`Factor::Tempered`] takes the
//! root L^(1/phi): exact only if failures come in independent blocks of at most phi. [`Factor::BurstExact`] weighs
//! each failure by the u, v at which negative binomial counts of that dispersion have mean exactly 1 at the null:
//! with `ln E exp(zX) = -m ln(1 - (phi-1)(e^z - 1))/(phi-1)` these make `(m/phi)(g/D - 1)` and `(m/phi)(1/D - 1)`, D
//! = 1 + s(g-1), whose expectations cancel at p_c = r0 p_s. Smaller phi gives a mean below 1.

use std::array;
use std::f64::consts::LN_2;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::bits;
use super::dispersion::Phi;
use super::elementary::{exp, exp_m1, ln_1p, max, sum};
use super::interval::Counts;
use super::portable::{ln, pow};
use super::special::log_add_exp;
use super::start::Starts;

/// Number of bets J.
pub(crate) const BETS: usize = 48;
const SMALLEST_BET: f64 = 1.05;
const LARGEST_BET: f64 = 200.0;

/// Below this phi the burst-exact weights are those of independent failures: their formula becomes 0/0.
const BURSTS_FROM: f64 = 1.001;

/// How many times stable's failure rate a harmless candidate may have: r0 in `1..=1000`, 1.25 by default.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(from = "f64", into = "f64")]
pub struct Margin(f64);

impl Margin {
    const LARGEST: f64 = 1000.0;

    /// The margin; values outside the range, and what is no number, become the nearest end (NaN becomes 1).
    #[must_use]
    pub fn new(r0: f64) -> Self {
        Self(if r0.is_nan() { 1.0 } else { r0.clamp(1.0, Self::LARGEST) })
    }

    /// r0.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl Default for Margin {
    fn default() -> Self {
        Self(1.25)
    }
}

impl From<f64> for Margin {
    fn from(r0: f64) -> Self {
        Self::new(r0)
    }
}

impl From<Margin> for f64 {
    fn from(margin: Margin) -> Self {
        margin.0
    }
}

/// How an interval's failures are weighed, with the dispersion known before the interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Factor {
    /// L(g)^(1/phi).
    Tempered(Phi),
    /// The exact factor for negative binomial counts with variance/mean = phi.
    BurstExact(Phi),
}

/// One number per bet.
pub(crate) type PerBet = [f64; BETS];

/// The grid: g_j = 1.05 (200/1.05)^(j/47), prior pi_j proportional to 1/g_j.
#[derive(Debug)]
pub(crate) struct Bets {
    g_minus_1: PerBet,
    ln_g: PerBet,
    ln_prior: PerBet,
}

impl Bets {
    pub(crate) fn grid() -> &'static Self {
        static GRID: OnceLock<Bets> = OnceLock::new();
        GRID.get_or_init(|| {
            let step = |j: usize| pow(LARGEST_BET / SMALLEST_BET, j as f64 / (BETS - 1) as f64);
            let g: PerBet = array::from_fn(|j| SMALLEST_BET * step(j));
            let ln_total = ln(g.iter().map(|g| 1.0 / g).sum::<f64>());
            Self { g_minus_1: g.map(|g| g - 1.0), ln_g: g.map(ln), ln_prior: g.map(|g| -ln(g) - ln_total) }
        })
    }

    /// A value for every bet from its g - 1 and ln g.
    pub(crate) fn map(&self, mut value: impl FnMut(f64, f64) -> f64) -> PerBet {
        let mut values = [0.0; BETS];
        for ((to, g_minus_1), ln_g) in values.iter_mut().zip(&self.g_minus_1).zip(&self.ln_g) {
            *to = value(*g_minus_1, *ln_g);
        }
        values
    }
}

/// Two arms' failures against the share the candidate would have at the border of harmlessness.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparison {
    pub(crate) share: f64,
    pub(crate) other_share: f64,
    pub(crate) x_c: f64,
    pub(crate) x_s: f64,
}

impl Comparison {
    /// The comparison an interval makes at a margin; `None` where the factor is exactly 1 (one arm without requests,
    /// or no failure).
    pub(crate) fn of(counts: Counts, margin: Margin) -> Option<Self> {
        if !counts.compares() || counts.failures() == 0 {
            return None;
        }
        let (candidate, stable) = (margin.get() * counts.n_c as f64, counts.n_s as f64);
        Some(Self {
            share: candidate / (candidate + stable),
            other_share: stable / (candidate + stable),
            x_c: counts.x_c as f64,
            x_s: counts.x_s as f64,
        })
    }

    /// ln of the factor of every bet.
    pub(crate) fn ln_factors(&self, factor: Factor) -> PerBet {
        match factor {
            Factor::BurstExact(phi) if bursts(phi) > 1.0 => self.burst_exact(phi.get()),
            Factor::BurstExact(_) => self.tempered(1.0),
            Factor::Tempered(phi) => self.tempered(phi.get()),
        }
    }

    fn tempered(&self, phi: f64) -> PerBet {
        let (x_c, x) = (self.x_c / phi, (self.x_c + self.x_s) / phi);
        Bets::grid().map(|g_minus_1, ln_g| x_c * ln_g - x * ln_1p(self.share * g_minus_1))
    }

    fn burst_exact(&self, phi: f64) -> PerBet {
        let weight = BurstWeight::new(phi);
        let mut ln = [0.0; BETS];
        let mut add = |x: f64, share: f64| {
            let mut weights = Bets::grid().map(|g_minus_1, _| share * g_minus_1 / (1.0 + self.share * g_minus_1));
            weight.of_all(&mut weights);
            ln.iter_mut().zip(&weights).for_each(|(ln, weight)| *ln += x * weight);
        };
        if self.x_c > 0.0 {
            add(self.x_c, self.other_share);
        }
        if self.x_s > 0.0 {
            add(self.x_s, -self.share);
        }
        ln
    }
}

/// The dispersion the burst-exact weights are made for: 1 where it is too near 1 for their formula.
pub(crate) fn bursts(phi: Phi) -> f64 {
    if phi.get() < BURSTS_FROM { 1.0 } else { phi.get() }
}

/// The weight per failure that multiplies a negative binomial mean by 1 + excess in the exponent:
/// ln(1 + (1 - exp(-k excess))/(phi - 1)), k = (phi - 1)/phi; at most ln(phi/(phi-1)). For phi > 1.
pub(crate) struct BurstWeight {
    minus_k: f64,
    minus_scale: f64,
}

impl BurstWeight {
    pub(crate) fn new(phi: f64) -> Self {
        Self { minus_k: -(phi - 1.0) / phi, minus_scale: -1.0 / (phi - 1.0) }
    }

    #[inline]
    pub(crate) fn of(&self, excess: f64) -> f64 {
        ln_1p(self.minus_scale * exp_m1(self.minus_k * excess))
    }

    /// Every excess becomes its weight, as [`Self::of`] has it, bit for bit. Two passes: the chain of one bet is so long
    /// that a processor holds only one or two of them at a time, while it holds many of either half.
    fn of_all(&self, excesses: &mut PerBet) {
        excesses.iter_mut().for_each(|v| *v = self.minus_scale * exp_m1(self.minus_k * *v));
        excesses.iter_mut().for_each(|v| *v = ln_1p(*v));
    }
}

/// One mixture over all bets at one margin: log weights and what they came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mixture {
    #[serde(with = "bits")]
    ln_weights: PerBet,
    ln_e: f64,
}

impl Mixture {
    pub(crate) const fn new() -> Self {
        Self { ln_weights: [f64::NEG_INFINITY; BETS], ln_e: 0.0 }
    }

    pub(crate) const fn ln_e(&self) -> f64 {
        self.ln_e
    }

    /// Half of the bet: what goes on the candidate alone, and what stays with the comparison.
    pub(crate) fn halved(&self) -> Self {
        let mut half = self.clone();
        half.ln_weights.iter_mut().for_each(|weight| *weight -= LN_2);
        half.ln_e -= LN_2;
        half
    }

    /// Both halves together again.
    pub(crate) fn join(&mut self, other: &Self) {
        for (weight, other) in self.ln_weights.iter_mut().zip(&other.ln_weights) {
            *weight = log_add_exp(*weight, *other);
        }
        self.ln_e = log_add_exp(self.ln_e, other.ln_e);
    }

    /// Places start mass, multiplies every bet by its factor, and sums up with the reserve.
    pub(crate) fn multiply(&mut self, placed: Placed, ln_factors: &PerBet) {
        // ln(exp(weight) + exp(new)), in passes for the reason of `BurstWeight::of_all`; at most one of both is -inf, since
        // mass comes with the first comparison.
        let mut smaller = [0.0; BETS];
        for ((weight, prior), smaller) in self.ln_weights.iter_mut().zip(&Bets::grid().ln_prior).zip(&mut smaller) {
            let new = placed.ln_mass + prior;
            let high = if *weight > new { *weight } else { new };
            let low = if *weight > new { new } else { *weight };
            *weight = high;
            *smaller = low - high;
        }
        smaller.iter_mut().for_each(|v| *v = exp(*v));
        smaller.iter_mut().for_each(|v| *v = ln_1p(*v));
        for ((weight, smaller), ln_factor) in self.ln_weights.iter_mut().zip(&smaller).zip(ln_factors) {
            *weight = *weight + smaller + ln_factor;
        }
        let largest = max(&self.ln_weights);
        let mut parts = self.ln_weights;
        parts.iter_mut().for_each(|v| *v = exp(*v - largest));
        self.ln_e = log_add_exp(largest + ln(sum(&parts)), placed.ln_reserve);
    }
}

/// The start mass placed before a factor, and the reserve after it; -inf for none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed {
    ln_mass: f64,
    ln_reserve: f64,
}

impl Placed {
    pub(crate) fn take(starts: &mut Starts) -> Self {
        Self { ln_mass: ln(starts.take()), ln_reserve: ln(starts.reserve()) }
    }

    /// For either half of the bet.
    pub(crate) fn halved(self) -> Self {
        Self { ln_mass: self.ln_mass - LN_2, ln_reserve: self.ln_reserve - LN_2 }
    }
}
