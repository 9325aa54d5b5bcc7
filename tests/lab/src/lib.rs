//! A real Kubernetes on one machine, and the tools to trouble it.
//!
//! | module | holds |
//! |---|---|
//! | [`parts`] | the programs a lab is made of: pinned, fetched and built once |
//! | [`cluster`] | [`Lab`]: starting them as a cluster, handing out clients and addresses, taking everything down again |
//! | [`faults`] | what goes wrong on purpose: dead processes, a metrics source that lies, a GitOps tool that insists |
//! | [`Companion`] | a program beside the cluster that ends with this process, however that ends |
//! | [`service`], [`load`] | the service the cluster runs and the traffic it gets |
//!
//! Nothing in here knows what Firebreak decides; tests do. Start reading at [`Lab::up`].

// A test ends where its setting fails.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod cluster;
mod companion;
mod exec;
pub mod faults;
pub mod load;
pub mod parts;
pub mod service;
mod signals;

pub use cluster::{Component, Lab, Options, Size};
pub use companion::Companion;
