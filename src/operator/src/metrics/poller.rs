//! Looks at all targets of one shape at one backend, again and again.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};

use super::{
    client::{Backend, Client},
    memory::Memory,
    pace::{self, Pace},
    promql,
    reading::{self, PodSample, Pods},
    reply,
    shape::{Selectors, Target},
    trouble::Trouble,
};

/// What one look found for one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The instant that was asked for, in milliseconds of the operator's clock.
    pub at_ms: i64,
    /// From that instant until the answer was there.
    pub took: Duration,
    /// Time between two readings of one pod, once learned.
    pub scrape_interval: Option<Duration>,
    /// How far the backend's clock is ahead of the operator's, in milliseconds to within a second; `None` if it does not say.
    pub backend_ahead_ms: Option<i64>,
    /// The pods that were found, or why there is nothing to be judged.
    pub result: Result<Vec<PodSample>, Trouble>,
}

/// The newest answer, if there is one.
pub(crate) type Latest = Option<Arc<Answer>>;

/// Someone who wants answers.
#[derive(Debug, Clone)]
pub(crate) struct Watcher {
    pub(crate) id: u64,
    pub(crate) target: Target,
    pub(crate) answers: watch::Sender<Latest>,
}

/// Most targets in one query: its regular expressions stay a few kilobytes long.
const TARGETS_PER_QUERY: usize = 32;
/// Most queries of one look, when some target's data spoil the answers of others.
const QUERIES_PER_LOOK: usize = 64;
/// Shortest pause between two looks, whatever they took.
const BREATH: Duration = Duration::from_millis(100);
/// How long the bounds of a histogram's buckets are taken to be the same.
const EDGES_LAST: Duration = Duration::from_secs(60);

/// Looks at one backend for one shape.
pub(crate) struct Poller {
    client: Client,
    backend: Backend,
    selectors: Selectors,
    known: BTreeMap<u64, Known>,
    turn: usize,
    told: bool,
}

/// What is known of one watcher's target.
#[derive(Debug, Default)]
struct Known {
    pace: Pace,
    memory: Memory,
    edges: Option<(Instant, String, Vec<String>)>,
}

/// When a look was asked for.
#[derive(Debug, Clone, Copy)]
struct Begun {
    at_ms: i64,
    clock: Instant,
}

/// An answer that could be read.
struct Read {
    pods: Pods,
    ahead_ms: Option<i64>,
}

impl Poller {
    pub(crate) const fn new(client: Client, backend: Backend, selectors: Selectors) -> Self {
        Self { client, backend, selectors, known: BTreeMap::new(), turn: 0, told: false }
    }

    /// Looks until nobody watches. `wake` calls for a look at once; `watchers` says who watches.
    pub(crate) async fn run(mut self, wake: Arc<Notify>, watchers: impl Fn() -> Vec<Watcher>) {
        loop {
            let begun = Instant::now();
            let watchers = watchers();
            if watchers.is_empty() {
                return;
            }
            let trouble = self.look(watchers).await;
            let fastest = self.known.values().filter_map(|known| known.pace.scrape_interval()).min();
            // A look that took longer than the period is followed by the next one, never by several.
            let rested = Instant::now() + BREATH;
            tokio::select! {
                () = sleep_until(rested.max(begun + pace::period(fastest, trouble))) => {}
                () = wake.notified() => sleep_until(rested.max(begun + pace::SHORTEST)).await,
            }
        }
    }

    /// One look for all watchers; whether there was any trouble.
    async fn look(&mut self, mut watchers: Vec<Watcher>) -> bool {
        self.known.retain(|id, _| watchers.iter().any(|w| w.id == *id));
        // Where one query does not hold all targets, each takes its turn to be first: the first are served even if time runs out.
        self.turn = (self.turn + TARGETS_PER_QUERY) % watchers.len().max(1);
        watchers.rotate_left(self.turn);
        let begun = Begun { at_ms: now_ms(), clock: Instant::now() };
        let mut waiting: Vec<&[Watcher]> = watchers.chunks(TARGETS_PER_QUERY).rev().collect();
        let (mut queries, mut any_trouble) = (0, false);
        while let Some(batch) = waiting.pop() {
            queries += 1;
            match self.ask(batch, begun.at_ms).await {
                Ok(read) => any_trouble |= self.tell(batch, begun, &read).await,
                Err(trouble) if trouble.may_be_anothers() && batch.len() > 1 && queries < QUERIES_PER_LOOK => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    waiting.extend([second, first]);
                }
                Err(trouble) => {
                    any_trouble = true;
                    let rest = if trouble.may_be_anothers() { Vec::new() } else { std::mem::take(&mut waiting) };
                    for watcher in rest.into_iter().chain([batch]).flatten() {
                        self.publish(watcher, begun, None, Err(trouble.clone()));
                    }
                }
            }
        }
        any_trouble
    }

    /// One query for the targets of `batch`.
    async fn ask(&mut self, batch: &[Watcher], at_ms: i64) -> Result<Read, Trouble> {
        let query = promql::look(&self.selectors, batch.iter().map(|w| &w.target));
        let body = self.client.query(&self.backend, &query, at_ms).await?;
        let ahead_ms = body.date.as_deref().and_then(ahead_of_us);
        let reply = reply::vector(&body.bytes)?;
        if !reply.infos.is_empty() && !std::mem::replace(&mut self.told, true) {
            tracing::info!(backend = self.backend.shown(), query, infos = ?reply.infos, "Prometheus has remarks on a query");
        }
        Ok(Read { pods: reading::by_pod(reply.rows)?, ahead_ms })
    }

    /// Tells each watcher what an answer says of its target; whether there was any trouble.
    ///
    /// Whoever can be told at once is told first: a target that needs a further query keeps no other one waiting.
    async fn tell(&mut self, batch: &[Watcher], begun: Begun, read: &Read) -> bool {
        let (mut doubtful, mut edgeless, mut any_trouble) = (Vec::new(), Vec::new(), false);
        for watcher in batch {
            let known = self.known.entry(watcher.id).or_default();
            let target = reading::of_target(&watcher.target, &read.pods);
            known.pace.learn(target.filter_map(|(pod, rows)| Some((pod, rows.read_at_ms()?))));
            let result = match reading::samples(&self.selectors, &watcher.target, &read.pods) {
                Ok(samples) => {
                    let fallen: Vec<String> = known.memory.fallen(&samples, begun.at_ms).into_iter().map(str::to_owned).collect();
                    if !fallen.is_empty() {
                        doubtful.push((watcher, samples, fallen));
                        continue;
                    }
                    self.remembered(watcher, samples, begun)
                }
                Err(Trouble::NoSuchEdge { pod, edge_seconds, .. }) => {
                    edgeless.push((watcher, pod, edge_seconds));
                    continue;
                }
                Err(trouble) => Err(trouble),
            };
            any_trouble |= result.is_err();
            self.publish(watcher, begun, read.ahead_ms, result);
        }
        if !doubtful.is_empty() {
            let anew = self.began_anew(doubtful.iter().map(|(watcher, ..)| &watcher.target), begun.at_ms).await;
            for (watcher, samples, fallen) in doubtful {
                let sound = anew.as_ref().map_err(Clone::clone).and_then(|anew| all_began_anew(&watcher.target, fallen, anew));
                let result = sound.and_then(|()| self.remembered(watcher, samples, begun));
                any_trouble |= result.is_err();
                self.publish(watcher, begun, read.ahead_ms, result);
            }
        }
        any_trouble |= !edgeless.is_empty();
        for (watcher, pod, edge_seconds) in edgeless {
            let nearest = self.nearest_edges(watcher, &pod, edge_seconds, begun.at_ms).await;
            self.publish(watcher, begun, read.ahead_ms, Err(Trouble::NoSuchEdge { pod, edge_seconds, nearest }));
        }
        any_trouble
    }

    /// The samples, mended by what was seen before.
    fn remembered(&mut self, watcher: &Watcher, mut samples: Vec<PodSample>, begun: Begun) -> Result<Vec<PodSample>, Trouble> {
        let known = self.known.entry(watcher.id).or_default();
        known.memory.apply(&mut samples, begun.at_ms).map(|()| samples)
    }

    /// Which pods' counters began anew, of all targets in one query.
    async fn began_anew<'t>(&self, targets: impl Iterator<Item = &'t Target>, at_ms: i64) -> Result<Pods, Trouble> {
        let body = self.client.query(&self.backend, &promql::resets(&self.selectors, targets), at_ms).await?;
        reading::by_pod(reply::vector(&body.bytes)?.rows)
    }

    /// The bounds that the histogram has; empty if they cannot be had.
    async fn nearest_edges(&mut self, watcher: &Watcher, pod: &str, edge_seconds: f64, at_ms: i64) -> Vec<String> {
        let known = self.known.entry(watcher.id).or_default();
        if let Some((at, of, edges)) = &known.edges
            && at.elapsed() < EDGES_LAST
            && of == pod
        {
            return edges.clone();
        }
        let Some(query) = promql::edges(&self.selectors, &watcher.target) else { return Vec::new() };
        let answer = self.client.query(&self.backend, &query, at_ms).await.and_then(|body| reply::vector(&body.bytes));
        let edges = answer.map(|reply| reading::nearest_edges(&reply.rows, pod, edge_seconds)).unwrap_or_default();
        known.edges = Some((Instant::now(), pod.to_owned(), edges.clone()));
        edges
    }

    fn publish(&self, watcher: &Watcher, begun: Begun, backend_ahead_ms: Option<i64>, result: Result<Vec<PodSample>, Trouble>) {
        let scrape_interval = self.known.get(&watcher.id).and_then(|known| known.pace.scrape_interval());
        let answer = Answer { at_ms: begun.at_ms, took: begun.clock.elapsed(), scrape_interval, backend_ahead_ms, result };
        watcher.answers.send_replace(Some(Arc::new(answer)));
    }
}

/// Whether the requests of all `fallen` pods fell because their counters began anew.
fn all_began_anew(target: &Target, fallen: Vec<String>, anew: &Pods) -> Result<(), Trouble> {
    let began = |pod: &String| reading::of_target(target, anew).any(|(name, rows)| name == pod && rows.began_anew());
    match fallen.into_iter().find(|pod| !began(pod)) {
        None => Ok(()),
        Some(pod) => Err(Trouble::Incoherent {
            pod,
            detail: "requests fell although no counter began anew: some of their series have vanished".to_owned(),
        }),
    }
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// How far a `Date` header is ahead of now. It is cut to whole seconds, so half a second is added.
fn ahead_of_us(date: &str) -> Option<i64> {
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(date.as_millisecond() + 500 - now_ms())
}
