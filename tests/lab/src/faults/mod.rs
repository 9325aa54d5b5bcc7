//! What goes wrong on purpose.
//!
//! - [`processes`]: a component hangs, dies, comes back, with or without its memory.
//! - [`MetricsProxy`]: stands between the operator and Prometheus and tells the truth, a part of it, or nothing.
//! - [`GitOps`]: puts back what a repository says, again and again, as such tools do.
//!
//! Each fault ends when its value is dropped, so a failing test does not trouble the next one.

mod gitops;
mod metrics_proxy;
pub mod processes;

pub use gitops::{GitOps, Manner};
pub use metrics_proxy::{MetricsProxy, Mode};
