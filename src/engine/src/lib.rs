//! The engine: from what a change says and what its traffic shows to what happens next. Pure: no clock, no network, no
//! randomness, so every decision can be computed again from what was recorded.
//!
//! Start at [`decide`]: `decide(&Setup, &Memory, &Observation) -> Decision`. It judges the newest [`observation::Look`]
//! ([`judge`], over [`counters`] and [`stats`]; [`checks`] and [`dependents`] beside it), moves the Change along its
//! [`plan::Plan`], and says as data what is to be done ([`effect`]). [`risk`] makes the level of the claims, [`policy`] what rules
//! make of it, [`plan`] the stages; [`people`] says who may let it through, [`gates`] what a policy sets before it beside that.
//! [`memory`] is all that outlives a look.

mod again;
pub mod checks;
pub mod counters;
pub mod curve;
pub mod decide;
pub mod dependents;
pub mod effect;
pub mod gates;
pub mod judge;
pub mod memory;
pub mod observation;
pub mod people;
pub mod plan;
pub mod policy;
pub mod retreat;
pub mod risk;
pub mod stats;
pub mod units;
mod witnesses;

pub use decide::{Basis, Decision, decide};
pub use effect::{Effect, Note};
pub use memory::Memory;
pub use observation::Observation;
pub use plan::{Plan, Setup};
