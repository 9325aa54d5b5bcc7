//! Any PromQL, asked again and again: what absolute checks are made of.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, sleep_until},
};

use super::{
    client::{Backend, Client},
    pods::AbortOnDrop,
    poller::now_ms,
    reply,
    trouble::Trouble,
};

/// Shortest time between two questions.
const SHORTEST: Duration = Duration::from_secs(1);

/// What a query gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Values {
    /// How many series, or 1 for a scalar.
    pub series: usize,
    /// The smallest value; NaN if any is.
    pub least: f64,
    /// The largest value; NaN if any is.
    pub most: f64,
}

/// What one question got.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The instant that was asked for, in milliseconds of the operator's clock.
    pub at_ms: i64,
    /// The values, or why there are none.
    pub result: Result<Values, Trouble>,
}

/// A query that is asked again and again. Dropping it ends that.
#[derive(Debug)]
pub struct Asking {
    latest: watch::Receiver<Option<Arc<Told>>>,
    _task: Option<AbortOnDrop>,
}

impl Asking {
    /// What can be told at once, for good.
    pub(super) fn refused(trouble: Trouble) -> Self {
        let told = Told { at_ms: now_ms(), result: Err(trouble) };
        Self { latest: watch::channel(Some(Arc::new(told))).1, _task: None }
    }

    /// Asks `query` every so often.
    pub(super) fn start(client: Client, backend: Backend, query: String, every: Duration, place: OwnedSemaphorePermit) -> Self {
        let (sender, latest) = watch::channel(None);
        let task = tokio::spawn(async move {
            let _place = place;
            loop {
                let begun = Instant::now();
                let at_ms = now_ms();
                let answer = client.query(&backend, &query, at_ms).await;
                let result = answer.and_then(|body| reply::values(&body.bytes));
                sender.send_replace(Some(Arc::new(Told { at_ms, result })));
                sleep_until(begun + every.max(SHORTEST)).await;
            }
        });
        Self { latest, _task: Some(AbortOnDrop(task)) }
    }

    /// The newest answer; `None` before the first.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Told>> {
        self.latest.borrow().clone()
    }

    /// Waits for an answer that was not waited for before.
    pub async fn changed(&mut self) {
        if self.latest.changed().await.is_err() {
            // Nothing is asked any more: what was told stays.
            std::future::pending::<()>().await;
        }
    }
}
