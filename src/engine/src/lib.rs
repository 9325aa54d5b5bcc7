//! (header to come)
pub mod stats;
