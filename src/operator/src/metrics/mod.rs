//! Evidence from Prometheus, or from anything that speaks its query API: raw cumulative counters, pod by pod.
//!
//! A [`Hub`] is asked to watch a [`SignalShape`] for a [`Target`] (the pods of both arms). One poller per backend and shape reads
//! all targets in **one query at one explicit instant**, so that both arms are cut at the same moment and one request and its failure are
//! seen together; each [`Subscription`] gets the [`Answer`] for its own target. Nothing is differenced, rated or judged here:
//! [`Trouble`] says what keeps an answer from being judged and what to do about it, and an answer that is not whole is a trouble, never a number.
//!
//! Start at `hub` (who watches what) and `poller` (one look); `selector` and `promql` make the query, `client` and `reply` read
//! the answer, `reading` turns rows into samples, `history` reads the past, `asking` asks any query for absolute checks; `pods` reads the pods' own pages instead. No Kubernetes in here, and nothing of the rest of the operator.

mod asking;
mod client;
mod edges;
mod history;
mod hub;
mod memory;
mod pace;
mod pods;
mod poller;
mod promql;
mod reading;
mod reply;
mod selector;
mod shape;
mod stats;
mod trouble;

#[cfg(test)]
mod tests;

pub use asking::{Asking, Told, Values};
pub use client::Limits;
pub use history::{History, Span, Step};
pub use hub::{Hub, Subscription};
pub use pods::{
    Access, Address, Addresses, Before, Job, Kept, Key, KeyError, Page, Part, ReadKey, Sampled, Started, Trust,
    start as read_pods, validate as validate_pages,
};
pub use poller::Answer;
pub use reading::PodSample;
pub(crate) use selector::Selector;
pub use shape::{Among, SignalShape, Target, validate};
pub use stats::Stats;
pub use trouble::{Class, Trouble};
