//! The load generator: a constant rate of requests, and an exact account of what became of each.
//!
//! Open loop: request `n` is due at `n / rate` after the start, whatever happened to the ones before, so a stall of the
//! service shows as late and failed requests and not as a lower rate. What could not be sent in time is counted, as
//! slippage or as unsent. A load runs on a thread of its own, so a busy test does not disturb its beat.
//!
//! What may not live here: anything that knows Kubernetes or the operator; any target that is not on this machine.
//! Start at [`Load`] for running one, at [`Report`] for what it found.

mod config;
mod counts;
mod driver;
mod pool;
mod recorder;
mod report;
mod slippage;
mod target;
mod text;

pub use config::{Config, ConfigError};
pub use counts::{Cell, Counts};
pub use driver::Load;
pub use report::{BUCKET, Exposure, NO_VERSION, Report, VersionSeries};
pub use slippage::{LATE_AFTER, Slippage};
pub use target::{Endpoint, TargetError};
pub use text::{second_line, table};

#[cfg(test)]
mod tests;
