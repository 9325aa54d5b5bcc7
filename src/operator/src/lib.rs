//! The operator: watch → observe → decide → record intent → act → record outcome.
//!
//! Start at [`run`]; it wins the lease and starts the supervisor: one task a Guard (`guard`), which begins a Change (`begin`)
//! and takes its turns (`turn`). A turn reads the caches (`world`, `observe`) and the metrics source (`eyes`, [`metrics`]),
//! asks the engine (`gates`: with the freezes and the queue as they are), stores what it decided ([`record`]) and carries it out
//! (`act`, over the pure functions of [`traffic`]). No decision is made here, and nothing here is remembered that is not in a
//! resource.

mod act;
mod answers;
mod attest;
mod begin;
mod convert;
pub mod crds;
mod error_budget;
mod events;
mod eyes;
#[cfg(test)]
mod fake;
mod fit;
mod gates;
mod guard;
mod http;
mod keys;
mod lease;
pub mod metrics;
mod observe;
mod policies;
mod raised;
mod raw;
pub mod record;
pub mod run;
mod supervisor;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
pub mod traffic;
mod turn;
mod unreadable;
mod world;
