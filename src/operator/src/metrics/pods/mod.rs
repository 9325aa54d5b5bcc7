//! The second source: the pods' own metrics pages, read every second while a Change runs. No Prometheus is asked.
//!
//! [`start`] reads the pods of a target and gives every signal its [`Subscription`], as a [`super::Hub`] does for Prometheus.
//! `reader` goes round and says what fell and what began anew; `sample` picks the pods where there are many; `fetch` gets a page
//! (`access`: how; `words`: what is wrong); `page` reads the format, `counted` finds a signal's counters in it. One page serves
//! all signals of a Change. Of a sample, only what was read is told: who judges is told as well how much that is.

mod access;
mod counted;
mod fetch;
mod page;
mod reader;
mod sample;
mod words;

#[cfg(test)]
mod tests;

use std::{net::IpAddr, sync::Arc};

pub use access::{Access, Kept, Key, KeyError, ReadKey, Trust};
pub use sample::{Before, Part, Sampled};
use tokio::sync::watch;

use self::{counted::Counted, reader::Reader};
use super::{
    hub::Subscription,
    poller::Latest,
    shape::{Selectors, SignalShape, Target},
    trouble::Trouble,
};

/// A pod that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Its name.
    pub pod: String,
    /// Where it is.
    pub ip: IpAddr,
    /// Whether it is to get requests.
    pub ready: bool,
}

/// The pods that are there now.
pub type Addresses = Arc<dyn Fn() -> Vec<Address> + Send + Sync>;

/// Where pods have their pages, and how these are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The port.
    pub port: u16,
    /// The path, with its slash.
    pub path: String,
    /// How it is asked for.
    pub access: Access,
    /// Most pods of one arm that are read.
    pub most_per_arm: usize,
}

/// What a reader works with.
#[derive(Clone)]
pub struct Job {
    /// Whose pods are read.
    pub target: Target,
    /// Where their pages are.
    pub page: Page,
    /// Which of them are there.
    pub addresses: Addresses,
    /// Where tokens and authorities are read.
    pub read_key: ReadKey,
    /// What was read before.
    pub before: Before,
}

/// What a reader gives.
#[derive(Debug)]
pub struct Started {
    /// One a shape, in their order.
    pub subscriptions: Vec<Subscription>,
    /// How many pods are read, where not all are; at least as new as every answer that was taken from a subscription before.
    pub sampled: watch::Receiver<Option<Arc<Sampled>>>,
}

/// Reads the pods of a target until all subscriptions are dropped.
///
/// # Errors
/// [`Trouble::BadSelector`]; [`Trouble::PagesUnread`] where no client can be made; [`Trouble::TooMany`].
///
/// # Panics
/// Outside a tokio runtime.
pub fn start(shapes: &[SignalShape], job: Job) -> Result<Started, Trouble> {
    let signals = shapes.iter().map(|shape| Counted::of(&Selectors::parse(shape)?)).collect::<Result<Vec<_>, _>>()?;
    let (senders, receivers): (Vec<_>, Vec<_>) = shapes.iter().map(|_| watch::channel::<Latest>(None)).unzip();
    let (sampled, seen) = watch::channel(None);
    let reader = Reader::new(signals, job, senders, sampled)?;
    let task = Arc::new(AbortOnDrop(tokio::spawn(reader.run())));
    let subscriptions = receivers.into_iter().map(|latest| Subscription::kept(latest, Arc::clone(&task))).collect();
    Ok(Started { subscriptions, sampled: seen })
}

/// Whether a signal can be counted on pages.
///
/// # Errors
/// [`Trouble::BadSelector`], with the field and what to write there.
pub fn validate(shape: &SignalShape) -> Result<(), Trouble> {
    Counted::of(&Selectors::parse(shape)?).map(drop)
}

/// Ends the task with the last subscription.
#[derive(Debug)]
pub(super) struct AbortOnDrop(pub(super) tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
