//! What the real-cluster tests share: one lab for the whole run ([`World`]), a namespace of its own for each test
//! ([`Scene`]) with its own operator process, and a [`chronicle`] of what happened, by which the invariants are checked.

pub mod chronicle;
mod grounds;
pub mod harm;
mod machine;
pub mod manifests;
pub mod operator;
pub mod person;
pub mod record;
pub mod scene;
pub mod world;

use std::time::Duration;

pub use chronicle::Chronicle;
pub use machine::Machine;
pub use operator::Operator;
pub use person::Person;
pub use scene::Scene;
pub use world::World;

/// Most waits are so many of it.
pub const MINUTE: Duration = Duration::from_secs(60);
