//! The factor one interval multiplies each bet by.
//!
//! With s = r0 n_c/(r0 n_c + n_s), the share of failures the candidate would have at p_c = r0 p_s, the factor is
//! `L(g) = g^x_c / (1 + s(g-1))^x`: the likelihood ratio of "share s g/(1 + s(g-1))" against "share s" for the x
//! failures of the interval. Its mean is at most 1 when p_c <= r0 p_s, whatever p_s is and however the split moves,
//! so a mixture of bets is an e-process (Turner, Ly & Grunwald, JSPI 2024, for r0 = 1; a margin r0 is that test with the
//! share s).
//!
//! Bursts (failures that come several at a time, variance/mean = phi > 1) break it. [`Factor::Tempered`] takes the
//! root L^(1/phi): exact only if failures come in independent blocks of at most phi. [`Factor::BurstExact`] weighs
//! each failure by the u, v at which negative binomial counts of that dispersion have mean exactly 1 at the null:
//! with `ln E exp(zX) = -m ln(1 - (phi-1)(e^z - 1))/(phi-1)` these make `(m/phi)(g/D - 1)` and `(m/phi)(1/D - 1)`, D
//! = 1 + s(g-1), whose expectations cancel at p_c = r0 p_s. Smaller phi gives a mean below 1.

use serde::{Deserialize, Serialize};

use super::bets::{BETS, Bets, PerBet};
use super::dispersion::Phi;
use super::elementary::{exp_m1, ln_1p};
use super::interval::Counts;

/// Below this phi the burst-exact weights are those of independent failures: their formula becomes 0/0.
const BURSTS_FROM: f64 = 1.001;

/// Most failures of an arm whose factor is a product; 256 roundings are beyond the twelfth digit.
const MOST_PLAIN: f64 = 256.0;

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

/// A factor with its special case told apart.
enum Weighing {
    Tempered(f64),
    Independent,
    Bursts(BurstWeight),
}

impl Factor {
    fn weighing(self) -> Weighing {
        match self {
            Self::BurstExact(phi) if bursts(phi) > 1.0 => Weighing::Bursts(BurstWeight::new(phi.get())),
            Self::BurstExact(_) => Weighing::Independent,
            Self::Tempered(phi) => Weighing::Tempered(phi.get()),
        }
    }
}

/// Two arms' failures against the share the candidate would have at the border of harmlessness.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparison {
    /// The candidate's failures, and stable's.
    pub(crate) x_c: f64,
    pub(crate) x_s: f64,
    /// The share that the candidate's failures are weighed by.
    pub(crate) of_candidate: Share,
    /// The one that stable's are weighed by: the same in one interval, another where several were gathered.
    pub(crate) of_stable: f64,
}

/// s = r0 n_c/(r0 n_c + n_s), and 1 - s, which near 1 is not the difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Share {
    pub(crate) share: f64,
    pub(crate) other: f64,
}

impl Share {
    /// Of counts with requests in both arms.
    #[inline]
    pub(crate) fn of(counts: Counts, margin: Margin) -> Self {
        let (candidate, stable) = (margin.get() * counts.n_c as f64, counts.n_s as f64);
        let whole = candidate + stable;
        Self { share: candidate / whole, other: stable / whole }
    }
}

impl Comparison {
    /// So many failures at one share.
    pub(crate) const fn at(share: Share, x_c: f64, x_s: f64) -> Self {
        Self { x_c, x_s, of_candidate: share, of_stable: share.share }
    }

    /// The comparison an interval makes at a margin; `None` where the factor is exactly 1 (one arm without requests,
    /// or no failure).
    pub(crate) fn of(counts: Counts, margin: Margin) -> Option<Self> {
        if !counts.compares() || counts.failures() == 0 {
            return None;
        }
        Some(Self::at(Share::of(counts, margin), counts.x_c as f64, counts.x_s as f64))
    }

    /// ln of the factor of every bet.
    pub(crate) fn ln_factors(&self, factor: Factor) -> PerBet {
        match factor.weighing() {
            Weighing::Bursts(weight) => self.ln_with_bursts(&weight),
            Weighing::Independent => self.ln_tempered(1.0),
            Weighing::Tempered(phi) => self.ln_tempered(phi),
        }
    }

    /// The factor of every bet as a product; `None` with many failures, or where it is a root.
    #[inline]
    pub(crate) fn factors(&self, factor: Factor) -> Option<PerBet> {
        if self.x_c > MOST_PLAIN || self.x_s > MOST_PLAIN {
            return None;
        }
        match factor.weighing() {
            Weighing::Bursts(weight) => Some(self.with_bursts(&weight)),
            Weighing::Independent => Some(self.independent()),
            Weighing::Tempered(_) => None,
        }
    }

    fn independent(&self) -> PerBet {
        let bets = Bets::grid();
        let mut product = [1.0; BETS];
        if self.x_c > 0.0 {
            let mut per_failure = [0.0; BETS];
            for ((to, g), g_minus_1) in per_failure.iter_mut().zip(&bets.g).zip(&bets.g_minus_1) {
                *to = g / (1.0 + self.of_candidate.share * g_minus_1);
            }
            multiply(&mut product, per_failure, self.x_c);
        }
        if self.x_s > 0.0 {
            multiply(&mut product, bets.map(|g_minus_1, _| 1.0 / (1.0 + self.of_stable * g_minus_1)), self.x_s);
        }
        product
    }

    fn with_bursts(&self, weight: &BurstWeight) -> PerBet {
        let bets = Bets::grid();
        let mut product = [1.0; BETS];
        if self.x_c > 0.0 {
            let Share { share, other } = self.of_candidate;
            let one = bets.map(|g_minus_1, _| weight.factor(other * g_minus_1 / (1.0 + share * g_minus_1)));
            multiply(&mut product, one, self.x_c);
        }
        if self.x_s > 0.0 {
            let share = self.of_stable;
            let one = bets.map(|g_minus_1, _| weight.factor(-share * g_minus_1 / (1.0 + share * g_minus_1)));
            multiply(&mut product, one, self.x_s);
        }
        product
    }

    fn ln_tempered(&self, phi: f64) -> PerBet {
        let (x_c, x_s, share) = (self.x_c / phi, self.x_s / phi, self.of_candidate.share);
        if share == self.of_stable {
            return Bets::grid().map(|g_minus_1, ln_g| x_c * ln_g - (x_c + x_s) * ln_1p(share * g_minus_1));
        }
        Bets::grid().map(|g_minus_1, ln_g| x_c * (ln_g - ln_1p(share * g_minus_1)) - x_s * ln_1p(self.of_stable * g_minus_1))
    }

    fn ln_with_bursts(&self, weight: &BurstWeight) -> PerBet {
        let mut ln = [0.0; BETS];
        let mut add = |x: f64, numerator: f64, share: f64| {
            let mut weights = Bets::grid().map(|g_minus_1, _| numerator * g_minus_1 / (1.0 + share * g_minus_1));
            weight.of_all(&mut weights);
            ln.iter_mut().zip(&weights).for_each(|(ln, weight)| *ln += x * weight);
        };
        if self.x_c > 0.0 {
            add(self.x_c, self.of_candidate.other, self.of_candidate.share);
        }
        if self.x_s > 0.0 {
            add(self.x_s, -self.of_stable, self.of_stable);
        }
        ln
    }
}

/// Multiplies by `times` failures' factors: squares and products, so 10 failures cost five of them.
#[inline]
fn multiply(product: &mut PerBet, mut one: PerBet, times: f64) {
    let mut left = times as u32;
    loop {
        if left & 1 == 1 {
            product.iter_mut().zip(&one).for_each(|(to, one)| *to *= one);
        }
        left >>= 1;
        if left == 0 {
            return;
        }
        one.iter_mut().for_each(|v| *v *= *v);
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

    pub(crate) fn of(&self, excess: f64) -> f64 {
        ln_1p(self.minus_scale * exp_m1(self.minus_k * excess))
    }

    /// exp of the weight: what one failure multiplies a bet by.
    #[inline]
    fn factor(&self, excess: f64) -> f64 {
        1.0 + self.minus_scale * exp_m1(self.minus_k * excess)
    }

    /// Every excess becomes its weight, as [`Self::of`] has it, bit for bit. Two passes: the chain of one bet is so long
    /// that a processor holds only one or two of them at a time, while it holds many of either half.
    fn of_all(&self, excesses: &mut PerBet) {
        excesses.iter_mut().for_each(|v| *v = self.minus_scale * exp_m1(self.minus_k * *v));
        excesses.iter_mut().for_each(|v| *v = ln_1p(*v));
    }
}
