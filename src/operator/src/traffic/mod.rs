//! Dividing traffic, as pure functions over objects as the API server gives them.
//!
//! Holds: what to write into the routes ([`route`]) and the Services ([`service`]) so that the candidate gets its
//! share and no more, and how to take that back. Objects are JSON: fields
//! this build does not know survive. Does not hold: a client, a clock, an order of steps (that is the actor's), any
//! decision (that is the engine's). Answers are facts, or a [`Patch`] that says on which reading it rests; a refusal
//! says what to write instead. Start at [`route::split`]; how the user's own weights are told from ours is in
//! `wanted.rs`, the arithmetic in `weights.rs`.

mod patch;
pub mod route;
mod rule;
pub mod service;
mod wanted;
mod weights;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;

pub use patch::Patch;

/// Share of the Service's traffic that the candidate may receive, in thousandths: 0 to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u16);

impl Weight {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// All of the Service's traffic.
    pub const FULL: Self = Self(1000);

    /// From thousandths; more than 1000 is everything.
    #[must_use]
    pub fn from_permille(permille: u32) -> Self {
        u16::try_from(permille).map_or(Self::FULL, |permille| Self(permille.min(1000)))
    }

    /// In thousandths.
    #[must_use]
    pub fn permille(self) -> u32 {
        u32::from(self.0)
    }
}

/// The Service of the guard and the second Service beside it, which selects the candidate. Both are in the route's
/// namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backends<'a> {
    /// Name of the Service whose traffic is divided.
    pub service: &'a str,
    /// Name of the Service that selects the candidate.
    pub candidate: &'a str,
}
