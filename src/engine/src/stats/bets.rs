//! The grid of bets behind every harm test.
//!
//! A bet g says: the candidate fails g times as often as the margin allows. J = 48 bets lie on a geometric grid from
//! 1.05 to 200 with prior weight proportional to 1/g, so harm of any size is found near the speed of the bet that fits.
//!
//! What is done to all bets is done in plain loops over arrays of 48, without branches inside, so that the compiler makes
//! vector code of them.

use std::array;
use std::sync::OnceLock;

use super::portable::{ln, pow};

/// Number of bets J.
pub(crate) const BETS: usize = 48;
const SMALLEST_BET: f64 = 1.05;
const LARGEST_BET: f64 = 200.0;

/// One number per bet.
pub(crate) type PerBet = [f64; BETS];

/// The grid: g_j = 1.05 (200/1.05)^(j/47), prior pi_j proportional to 1/g_j.
#[derive(Debug)]
pub(crate) struct Bets {
    pub(crate) g: PerBet,
    pub(crate) g_minus_1: PerBet,
    pub(crate) ln_g: PerBet,
    pub(crate) prior: PerBet,
    pub(crate) ln_prior: PerBet,
}

impl Bets {
    pub(crate) fn grid() -> &'static Self {
        static GRID: OnceLock<Bets> = OnceLock::new();
        GRID.get_or_init(|| {
            let step = |j: usize| pow(LARGEST_BET / SMALLEST_BET, j as f64 / (BETS - 1) as f64);
            let g: PerBet = array::from_fn(|j| SMALLEST_BET * step(j));
            let total = g.iter().map(|g| 1.0 / g).sum::<f64>();
            Self {
                g,
                g_minus_1: g.map(|g| g - 1.0),
                ln_g: g.map(ln),
                prior: g.map(|g| 1.0 / (g * total)),
                ln_prior: g.map(|g| -ln(g) - ln(total)),
            }
        })
    }

    /// A value for every bet from its g - 1 and ln g.
    #[inline]
    pub(crate) fn map(&self, mut value: impl FnMut(f64, f64) -> f64) -> PerBet {
        let mut values = [0.0; BETS];
        for ((to, g_minus_1), ln_g) in values.iter_mut().zip(&self.g_minus_1).zip(&self.ln_g) {
            *to = value(*g_minus_1, *ln_g);
        }
        values
    }
}
