//! Who watches what: one poller for everyone who asks the same backend for the same shape.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore, watch},
    task::JoinHandle,
};

use super::{
    asking::Asking,
    client::{Backend, Client, Limits},
    edges::{self, Bucket},
    history::{self, Asked, History, Span},
    pods::AbortOnDrop,
    poller::{Answer, Latest, Poller, Watcher},
    reply::{self, Row, Value},
    shape::{Selectors, SignalShape, Target},
    stats::Stats,
    trouble::Trouble,
};

/// Most pollers at once, each with at most one query in flight: more would load the backends more than the evidence is worth.
const MAX_POLLERS: usize = 512;
/// Most targets of one poller.
const MAX_TARGETS: usize = 512;
/// Most ReplicaSets of a target: two arms and some that are being scaled away.
const MAX_REPLICA_SETS: usize = 16;
/// Most queries that are asked for absolute checks at once.
const MAX_ASKED: usize = 1024;
/// Most histories read at once.
const MAX_HISTORIES: usize = 4;

/// The metrics source. Cheap to clone; use one for the whole operator, inside a tokio runtime.
#[derive(Debug, Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    default_url: Option<String>,
    stats: Arc<Stats>,
    histories: Semaphore,
    asked: Arc<Semaphore>,
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    last_id: u64,
    pollers: BTreeMap<Key, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    backend: Backend,
    shape: SignalShape,
}

#[derive(Debug)]
struct Entry {
    watchers: BTreeMap<u64, Watcher>,
    wake: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Hub {
    /// A source that asks `default_url` where a Guard names none.
    #[must_use]
    pub fn new(default_url: Option<String>, limits: Limits) -> Self {
        let stats = Arc::new(Stats::default());
        let client = Client::new(limits, Arc::clone(&stats));
        let shared = Shared {
            client,
            default_url,
            stats,
            histories: Semaphore::new(MAX_HISTORIES),
            asked: Arc::new(Semaphore::new(MAX_ASKED)),
            running: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Watches a signal for a target until the subscription is dropped. The first answer comes within a second or so.
    ///
    /// # Errors
    /// What can be told at once: [`Trouble::BadSelector`], [`Trouble::BadUrl`], [`Trouble::NoUrl`], [`Trouble::TooMany`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn watch(&self, url: Option<&str>, shape: &SignalShape, target: Target) -> Result<Subscription, Trouble> {
        let (key, selectors) = self.prepare(url, shape, &target)?;
        let (answers, latest) = watch::channel(None);
        let mut running = self.shared.running();
        if running.pollers.len() >= MAX_POLLERS && !running.pollers.contains_key(&key) {
            return Err(Trouble::TooMany { what: "different signals", limit: MAX_POLLERS });
        }
        running.last_id += 1;
        let id = running.last_id;
        let entry = running.pollers.entry(key.clone()).or_insert_with(|| self.start(&key, &selectors));
        if entry.watchers.len() >= MAX_TARGETS {
            return Err(Trouble::TooMany { what: "targets of one signal", limit: MAX_TARGETS });
        }
        entry.watchers.insert(id, Watcher { id, target, answers });
        entry.wake.notify_one();
        drop(running);
        let watching = Watching { shared: Arc::clone(&self.shared), key, id };
        Ok(Subscription { latest, _source: Source::Poller(watching) })
    }

    /// Reads what a target's pods counted in `span`, step by step.
    ///
    /// # Errors
    /// Any [`Trouble`] but [`Trouble::NoSuchEdge`] and [`Trouble::ScrapedTwice`], which looks report; steps without counts are `None`.
    pub async fn history(&self, url: Option<&str>, shape: &SignalShape, target: &Target, span: Span) -> Result<History, Trouble> {
        let (key, selectors) = self.prepare(url, shape, target)?;
        let _permit = self.shared.histories.acquire().await;
        history::read(&self.shared.client, Asked { backend: &key.backend, selectors: &selectors, target, span }).await
    }

    /// Asks any query every so often (at least a second), until what is returned is dropped. What can be told at once is its
    /// first and only answer.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn ask(&self, url: Option<&str>, query: &str, every: Duration) -> Asking {
        let url = url.or(self.shared.default_url.as_deref()).ok_or(Trouble::NoUrl);
        let backend = match url.and_then(Backend::parse) {
            Ok(backend) => backend,
            Err(trouble) => return Asking::refused(trouble),
        };
        match Arc::clone(&self.shared.asked).try_acquire_owned() {
            Ok(place) => Asking::start(self.shared.client.clone(), backend, query.to_owned(), every, place),
            Err(_) => Asking::refused(Trouble::TooMany { what: "absolute checks", limit: MAX_ASKED }),
        }
    }

    /// The edges of a histogram that are worth judging, in thousandths of its unit, by what a target's pods counted in the
    /// window before `at_ms`; none of counters.
    ///
    /// # Errors
    /// What keeps the backend from answering.
    pub async fn edges(
        &self,
        url: Option<&str>,
        shape: &SignalShape,
        target: &Target,
        window: Duration,
        at_ms: i64,
    ) -> Result<Vec<u64>, Trouble> {
        let (key, selectors) = self.prepare(url, shape, target)?;
        let Selectors::Histogram { edge_ms, .. } = &selectors else { return Ok(Vec::new()) };
        let Some(query) = edges::past(&selectors, target, window.as_secs()) else { return Ok(Vec::new()) };
        let rows = reply::vector(&self.shared.client.query(&key.backend, &query, at_ms).await?.bytes)?.rows;
        let bucket = |row: &Row| match row.value {
            Value::Number(within) => Bucket::of(&row.labels.le, within),
            Value::Histogram => None,
        };
        Ok(edges::choose(*edge_ms, &rows.iter().filter_map(bucket).collect::<Vec<_>>()))
    }

    /// What was asked so far, and what it cost.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    /// How many pollers run now.
    #[must_use]
    pub fn pollers(&self) -> usize {
        self.shared.running().pollers.len()
    }

    fn prepare(&self, url: Option<&str>, shape: &SignalShape, target: &Target) -> Result<(Key, Selectors), Trouble> {
        let selectors = Selectors::parse(shape)?;
        let url = url.or(self.shared.default_url.as_deref()).ok_or(Trouble::NoUrl)?;
        if target.replica_sets.len() > MAX_REPLICA_SETS {
            return Err(Trouble::TooMany { what: "ReplicaSets of a target", limit: MAX_REPLICA_SETS });
        }
        Ok((Key { backend: Backend::parse(url)?, shape: shape.clone() }, selectors))
    }

    fn start(&self, key: &Key, selectors: &Selectors) -> Entry {
        let wake = Arc::new(Notify::new());
        let poller = Poller::new(self.shared.client.clone(), key.backend.clone(), selectors.clone());
        let (shared, of) = (Arc::clone(&self.shared), key.clone());
        let task = tokio::spawn(poller.run(Arc::clone(&wake), move || shared.watchers(&of)));
        Entry { watchers: BTreeMap::new(), wake, task }
    }
}

impl Shared {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watchers(&self, key: &Key) -> Vec<Watcher> {
        self.running().pollers.get(key).map(|entry| entry.watchers.values().cloned().collect()).unwrap_or_default()
    }

    /// Forgets a watcher, and its poller with the last one.
    fn forget(&self, key: &Key, id: u64) {
        let mut running = self.running();
        if let Some(entry) = running.pollers.get_mut(key) {
            entry.watchers.remove(&id);
            if entry.watchers.is_empty() {
                entry.task.abort();
                running.pollers.remove(key);
            }
        }
    }
}

/// A watched signal of one target. Dropping it ends the watch.
#[derive(Debug)]
pub struct Subscription {
    latest: watch::Receiver<Latest>,
    _source: Source,
}

/// What ends with a subscription.
#[derive(Debug)]
#[expect(dead_code, reason = "held for what happens when they go")]
enum Source {
    Poller(Watching),
    Pods(Arc<AbortOnDrop>),
}

/// A place among the watchers of a poller.
#[derive(Debug)]
struct Watching {
    shared: Arc<Shared>,
    key: Key,
    id: u64,
}

impl Subscription {
    /// To what a task of its own reads.
    pub(super) const fn kept(latest: watch::Receiver<Latest>, task: Arc<AbortOnDrop>) -> Self {
        Self { latest, _source: Source::Pods(task) }
    }

    /// The newest answer; `None` before the first.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Answer>> {
        self.latest.borrow().clone()
    }

    /// Time between two readings of one pod, once learned.
    #[must_use]
    pub fn scrape_interval(&self) -> Option<Duration> {
        self.latest.borrow().as_ref()?.scrape_interval
    }

    /// Waits for an answer that was not waited for before.
    pub async fn changed(&mut self) {
        if self.latest.changed().await.is_err() {
            // The sender lives as long as the subscription; should that ever change, nothing comes any more.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.shared.forget(&self.key, self.id);
    }
}
