//! The next stage's proof with other guards around stable's rate than the engine's: what they cost, and what they save.
//!
//! The engine widens its bounds of stable's rate by half on either side, since a rate moves after it was learnt. Here the
//! same test is computed with any guards, from the engine's own statistics; with the engine's guards it opens when the
//! engine does, which a test holds it to.

use firebreak_engine::{
    observation::Past,
    plan::Plan,
    stats::{Counts, Phi, PromotionInput, PromotionProcess, rate_bounds},
};

/// An interval closes with so many requests of each arm, or after so many seconds if the candidate had one.
const CLOSE: (u64, f64) = (5, 30.0);
/// Part of beta with which each bound of stable's rate may miss.
const LEVEL_PART: f64 = 1.0 / 20.0;
/// Stable's rates are computed anew when there is so much more to compute from.
const RENEW: f64 = 1.1;

/// Factors on the upper and the lower bound of stable's rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guards {
    /// On the upper bound, 1 or more.
    pub upper: f64,
    /// On the lower bound, 1 or less.
    pub lower: f64,
}

impl Guards {
    /// The engine's.
    pub const ENGINE: Self = Self { upper: 1.5, lower: 0.5 };
    /// None: the bounds as they were learnt.
    pub const NONE: Self = Self { upper: 1.0, lower: 1.0 };
}

/// Upper and lower bound of stable's failure probability, and its best guess.
#[derive(Clone, Copy)]
struct Rates {
    upper: f64,
    lower: f64,
    rate: f64,
}

/// The proof of one signal, stage by stage.
pub(crate) struct Opening {
    guards: Guards,
    past: Past,
    process: PromotionProcess,
    open: Counts,
    open_since: Option<f64>,
    stage: Counts,
    rates: Option<(u64, Rates)>,
    frozen: bool,
}

impl Opening {
    pub(crate) fn new(guards: Guards, past: Past) -> Self {
        Self {
            guards,
            past,
            process: PromotionProcess::new(),
            open: Counts::default(),
            open_since: None,
            stage: Counts::default(),
            rates: None,
            frozen: false,
        }
    }

    /// Safety is proved anew.
    pub(crate) fn begin_stage(&mut self) {
        self.process = PromotionProcess::new();
        self.stage = Counts::default();
        self.rates = None;
    }

    /// Takes in what came until a second; while promotion is `frozen` it proves nothing.
    pub(crate) fn look(&mut self, second: f64, counts: Counts, plan: &Plan, w_next: f64, phi: Phi, frozen: bool) {
        if self.frozen && !frozen {
            self.begin_stage();
        }
        self.frozen = frozen;
        self.open = self.open.plus(counts);
        let since = *self.open_since.get_or_insert(second);
        let (requests, seconds) = CLOSE;
        let enough = self.open.n_c >= requests && self.open.n_s >= requests;
        if !enough && (second - since < seconds || self.open.n_c == 0) {
            return;
        }
        self.open_since = None;
        let interval = std::mem::take(&mut self.open);
        if !frozen {
            let Rates { upper, lower, rate } = self.rates(plan.beta, phi);
            let input = PromotionInput { budget: plan.budget, w_next, upper, lower, stable_rate: rate, phi };
            self.process.update(interval, &input);
        }
        self.stage = self.stage.plus(interval);
    }

    pub(crate) fn is_open(&self, beta: f64) -> bool {
        self.process.is_open(beta)
    }

    fn rates(&mut self, beta: f64, phi: Phi) -> Rates {
        let (x, n) = (self.past.failures + self.stage.x_s, self.past.requests + self.stage.n_s);
        if let Some((at, rates)) = self.rates.filter(|(at, _)| n as f64 <= *at as f64 * RENEW) {
            self.rates = Some((at, rates));
            return rates;
        }
        let bounds = rate_bounds(x.min(n), n, beta * LEVEL_PART, phi);
        let upper = (bounds.hi * self.guards.upper).min(1.0);
        let rate = if n > 0 { x as f64 / n as f64 } else { upper };
        let rates = Rates { upper, lower: bounds.lo * self.guards.lower, rate };
        self.rates = Some((n, rates));
        rates
    }
}
