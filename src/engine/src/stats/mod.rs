//! The statistics: what two arms' counts say, as evidence that stays valid however often it is looked at.
//!
//! Nothing here knows of Changes, stages, policies or time beyond "seconds since judging began": numbers go in,
//! numbers come out, all natural logs, all in f64, never NaN. Start with [`harm`] (is the candidate worse by more than
//! the margin?) and [`promotion`] (is it refuted that the next stage would harm more than the budget?), both over
//! [`interval::Counts`]. [`exposure`] checks the traffic split, [`confidence`] bounds rates and ratios, [`blast`] and
//! [`growth`] size the harm, [`dispersion`] measures bursts (phi) and [`rates`] bounds stable from its history.
//! [`special`] and [`bits`] are their tools.
//!
//! c is the candidate, s is stable; n counts requests, x failed requests; p = x/n; rho = n_c/(n_c + n_s).
//! Sources: Lindon & Malek (NeurIPS 2022); Lindon, Sanden & Shirikian (KDD 2022); Howard, Ramdas, McAuliffe & Sekhon
//! (Annals of Statistics 2021); Turner, Ly & Grunwald (JSPI 2024); the rest is derived in the modules' headers.

mod backlog;
mod bets;
pub mod bits;
pub mod blast;
pub mod confidence;
pub mod dispersion;
mod elementary;
pub mod exposure;
pub mod factor;
pub mod growth;
pub mod harm;
pub mod interval;
pub mod margins;
mod mixture;
pub(crate) mod one_arm;
pub mod past;
pub(crate) mod portable;
pub mod promotion;
pub mod rates;
mod solve;
pub mod special;
pub mod start;

pub use blast::BlastRadius;
pub use confidence::{Bounds, RatioSequence, rate_bounds};
pub use dispersion::Phi;
pub use factor::{Factor, Margin};
pub use growth::Growth;
pub use harm::HarmProcess;
pub use interval::{Counts, Mark};
pub use margins::MarginGrid;
pub use past::PastProcess;
pub use promotion::{PromotionInput, PromotionProcess};
pub use rates::StableRates;
pub use start::StartMass;
