//! The demo service: a small HTTP/1.1 server that misbehaves on demand.
//!
//! It is what the lab's pods run. Its knobs come from flags or from the environment, so that a pod template sets them:
//! how often it fails, how slow it is, whether it crashes, when it becomes ready, how long it drains. A test can also
//! steer running pods through a [`ControlServer`], without a new template.
//!
//! What may not live here: anything that knows Kubernetes or the operator. Start at [`Knobs`] for what can be asked for,
//! at `behaviour` for how one request is decided (pure), and at [`Service`] for how it is served.

mod behaviour;
mod control;
mod http;
mod knobs;
mod metrics;
mod pause;
mod poll;
mod random;
mod server;
mod values;

pub use control::{Control, ControlServer, Override, SeenPod};
pub use knobs::Knobs;
pub use pause::pause;
pub use server::{Ending, Service};
pub use values::{Burst, BurstPhase, Latency, Onset, Share, VersionName};

#[cfg(test)]
mod tests;
