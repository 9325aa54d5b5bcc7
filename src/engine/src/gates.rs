//! What keeps a Change from going on although its evidence would let it: freeze windows, and limits that are full.
//!
//! Both come from outside, worked out from policies, the clock and the other Changes; here they are plain values of an
//! observation. What follows from them is in `decide::gates`.

use serde::{Deserialize, Serialize};

use crate::{
    memory::{Memory, Phase},
    units::Millis,
};

/// Reasons to wait while pods come up that are part of the usual way: what waits for anything else has no place.
pub const ON_ITS_WAY: [&str; 3] = ["WaitingForPods", "WaitingForMetrics", "CountingLatePods"];

/// Why a Change waits in a freeze that lets no exception through.
pub const FROZEN: &str = "Frozen";
/// Why it waits in one that people can let it through.
pub const FROZEN_UNLESS_APPROVED: &str = "FrozenUnlessApproved";

/// Whether a freeze is what a Change waits for with this reason.
#[must_use]
pub fn is_frozen(reason: &str) -> bool {
    [FROZEN, FROZEN_UNLESS_APPROVED].contains(&reason)
}

/// A freeze window that is open and holds for the Change's level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// Name of the freeze.
    pub name: String,
    /// When the window began: another window of the same freeze begins at another instant.
    pub since: Millis,
    /// When it ends.
    pub until: Millis,
    /// When it ends, as the clocks of its time zone show it.
    pub until_words: String,
    /// What becomes of a Change that has a share of the traffic.
    pub running: Running,
    /// Whether people may let a Change through.
    pub exception: bool,
}

/// What a freeze does to a Change that has a share of the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Running {
    /// It stays at its stage.
    Hold,
    /// It goes on.
    Finish,
}

/// A place in the queue before a limit that is full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// Its place, from 1.
    pub position: u32,
    /// How many wait.
    pub of: u32,
    /// The limit that is full, and what fills it, in words.
    pub limit: String,
    /// Some of those before it, in order.
    pub behind: Vec<String>,
}

/// A human's yes to a Change in a freeze window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excepted {
    /// Who, as the API server knows them.
    pub by: String,
    /// The freeze.
    pub freeze: String,
    /// When its window began.
    pub since: Millis,
    /// When they said so.
    pub at: Millis,
}

impl Memory {
    /// Whether it takes one of the places that a limit gives: it has a candidate and goes on with it, or takes it back. One that
    /// waits for a human, a freeze, metrics or anything else before its first stage takes none.
    #[must_use]
    pub fn takes_place(&self) -> bool {
        match self.phase {
            Phase::Held | Phase::Ended(_) => false,
            Phase::Preparing => self.waiting.as_ref().is_none_or(|waiting| ON_ITS_WAY.contains(&waiting.reason.as_str())),
            Phase::Progressing | Phase::Baking | Phase::Promoting | Phase::Retreating => true,
        }
    }
}
