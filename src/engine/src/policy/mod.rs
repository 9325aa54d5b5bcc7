//! Risk policy: rules in CEL over the facts of one change, compiled once, evaluated in bounded time.
//!
//! Holds: the facts ([`facts`], [`diff`]), what of them rules may name ([`schema`]), what a rule may ask ([`rule`]), the check
//! of a condition before it ever runs (`check`), and what follows from facts and rules ([`outcome`]).
//! Does not hold: where facts come from (the clock, labels and history are handed in), what a level means (the plan), or
//! anything that is remembered. The same facts and rules give the same outcome, bit for bit.
//! Start at [`Policy::compile`] and [`Policy::evaluate`].

mod check;
pub mod diff;
pub mod facts;
mod nearest;
pub mod outcome;
pub mod rule;
mod run;
pub mod schema;

pub use diff::Diff;
pub use facts::Facts;
pub use outcome::{Outcome, Refusal, RuleOutcome, Went};
pub use rule::{Effects, Policy, Rule, RuleError};
