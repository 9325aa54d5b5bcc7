//! One mixture over all bets at one margin: what each bet has come to, and what they are together.
//!
//! `W_t(j) = L_t(g_j) (W_{t-1}(j) + a_t pi_j)`, `E_t = sum_j W_t(j) + R_t`. A look with few failures is a product per bet.
//! Where many failures, or many looks without a restart, leave the range of doubles, the same is done in logs, which
//! costs several times as much; the weights go back when all of them are in range again. Which of both it is follows from
//! the counts alone, so a replay takes the same way.

use serde::{Deserialize, Serialize};

use super::bets::{BETS, Bets, PerBet};
use super::bits;
use super::elementary::{self, exp, max, min, sum};
use super::factor::{Comparison, Factor};
use super::portable::{self, ln};
use super::special::log_add_exp;
use super::start::Starts;

/// No plain weight is below this: smaller doubles lose digits.
const SMALLEST: f64 = f64::MIN_POSITIVE;
/// No plain weight is above this: there is room for their sum, and for a look's factor.
const LARGEST: f64 = 1e300;
/// Weights whose logs are all nearer to 0 than this become plain: there is room for a look's factor.
const LARGEST_LN: f64 = 500.0;

/// What each bet has come to.
#[derive(Debug, Clone, PartialEq)]
enum Weights {
    Plain(PerBet),
    Ln(PerBet),
}

/// All bets, and ln E of them together with the reserve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Recorded", into = "Recorded")]
pub(crate) struct Mixture {
    weights: Weights,
    ln_e: f64,
}

impl Mixture {
    pub(crate) const fn new() -> Self {
        Self { weights: Weights::Plain([0.0; BETS]), ln_e: 0.0 }
    }

    pub(crate) const fn ln_e(&self) -> f64 {
        self.ln_e
    }

    /// Half of the bet: what goes on the candidate alone, and what stays with the comparison.
    pub(crate) fn halved(&self) -> Self {
        let mut half = self.clone();
        match &mut half.weights {
            Weights::Plain(weights) => weights.iter_mut().for_each(|weight| *weight *= 0.5),
            Weights::Ln(weights) => weights.iter_mut().for_each(|weight| *weight -= std::f64::consts::LN_2),
        }
        half.ln_e -= std::f64::consts::LN_2;
        half
    }

    /// Both halves together again.
    pub(crate) fn join(&mut self, other: &Self) {
        let mut weights = self.ln_weights();
        weights.iter_mut().zip(&other.ln_weights()).for_each(|(weight, other)| *weight = log_add_exp(*weight, *other));
        self.weights = Weights::Ln(weights);
        self.ln_e = log_add_exp(self.ln_e, other.ln_e);
    }

    /// Places start mass, multiplies every bet by its factor, and sums up with the reserve.
    #[inline]
    pub(crate) fn judge(&mut self, placed: Placed, comparison: &Comparison, factor: Factor) {
        self.make_plain();
        if let Weights::Plain(weights) = &self.weights
            && let Some(factors) = comparison.factors(factor)
        {
            let mut after = *weights;
            for ((weight, prior), factor) in after.iter_mut().zip(&Bets::grid().prior).zip(&factors) {
                *weight = (*weight + placed.mass * prior) * factor;
            }
            let together = sum(&after);
            // A sum that is no number is not in range either.
            if min(&after) >= SMALLEST && together <= LARGEST {
                self.weights = Weights::Plain(after);
                self.ln_e = ln(together + placed.reserve);
                return;
            }
        }
        self.multiply_ln(placed.mass, &comparison.ln_factors(factor));
        self.sum_up(placed.reserve);
    }

    /// The same with the factors' logs, whatever they are.
    pub(crate) fn multiply_ln(&mut self, mass: f64, ln_factors: &PerBet) {
        let (mut weights, ln_mass) = (self.ln_weights(), ln(mass));
        // ln(exp(weight) + exp(new)), in passes for the reason of `BurstWeight::of_all`; at most one of both is -inf, since
        // mass comes with the first comparison.
        let mut smaller = [0.0; BETS];
        for ((weight, prior), smaller) in weights.iter_mut().zip(&Bets::grid().ln_prior).zip(&mut smaller) {
            let new = ln_mass + prior;
            let high = if *weight > new { *weight } else { new };
            let low = if *weight > new { new } else { *weight };
            *weight = high;
            *smaller = low - high;
        }
        smaller.iter_mut().for_each(|v| *v = exp(*v));
        smaller.iter_mut().for_each(|v| *v = elementary::ln_1p(*v));
        for ((weight, smaller), ln_factor) in weights.iter_mut().zip(&smaller).zip(ln_factors) {
            *weight = *weight + smaller + ln_factor;
        }
        self.weights = Weights::Ln(weights);
    }

    /// What all bets and the reserve are together.
    #[inline]
    pub(crate) fn sum_up(&mut self, reserve: f64) {
        self.ln_e = match &self.weights {
            Weights::Plain(weights) => ln(sum(weights) + reserve),
            Weights::Ln(weights) => {
                let largest = max(weights);
                let mut parts = *weights;
                parts.iter_mut().for_each(|v| *v = exp(*v - largest));
                log_add_exp(largest + ln(sum(&parts)), ln(reserve))
            }
        };
    }

    fn ln_weights(&self) -> PerBet {
        match &self.weights {
            Weights::Plain(weights) => weights.map(ln),
            Weights::Ln(weights) => *weights,
        }
    }

    fn make_plain(&mut self) {
        if let Weights::Ln(weights) = &self.weights {
            let fits = |weight: &f64| weight.abs() <= LARGEST_LN || *weight == f64::NEG_INFINITY;
            if weights.iter().all(fits) {
                self.weights = Weights::Plain(weights.map(portable::exp));
            }
        }
    }
}

/// A mixture as it is recorded: weights either plain or as logs.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Recorded {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weights: Option<RecordedBets>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ln_weights: Option<RecordedBets>,
    ln_e: f64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
struct RecordedBets(#[serde(with = "bits")] PerBet);

impl From<Mixture> for Recorded {
    fn from(mixture: Mixture) -> Self {
        let (weights, ln_weights) = match mixture.weights {
            Weights::Plain(weights) => (Some(RecordedBets(weights)), None),
            Weights::Ln(weights) => (None, Some(RecordedBets(weights))),
        };
        Self { weights, ln_weights, ln_e: mixture.ln_e }
    }
}

impl TryFrom<Recorded> for Mixture {
    type Error = &'static str;

    fn try_from(recorded: Recorded) -> Result<Self, Self::Error> {
        let weights = match (recorded.weights, recorded.ln_weights) {
            (Some(RecordedBets(weights)), None) => Weights::Plain(weights),
            (None, Some(RecordedBets(weights))) => Weights::Ln(weights),
            _ => return Err("a recorded mixture has either weights or their logs"),
        };
        Ok(Self { weights, ln_e: recorded.ln_e })
    }
}

/// The start mass placed before a factor, and the reserve after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed {
    pub(crate) mass: f64,
    pub(crate) reserve: f64,
}

impl Placed {
    pub(crate) fn take(starts: &mut Starts) -> Self {
        Self { mass: starts.take(), reserve: starts.reserve() }
    }

    /// For either half of the bet.
    pub(crate) fn halved(self) -> Self {
        Self { mass: 0.5 * self.mass, reserve: 0.5 * self.reserve }
    }
}
