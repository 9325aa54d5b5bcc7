//! Watches on one Guard and on Changes, as messages. Each watch is made again by itself when it breaks.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use firebreak_api::{Change, Guard};
use futures::{Stream, StreamExt as _};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::DeserializeGuard,
    runtime::watcher::{self, Event},
};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc, task::JoinSet};

use super::model::{Message, Seen, Source};
use crate::cluster;

/// Messages that wait to be shown: more than a burst of a watch holds.
pub(super) const QUEUE: usize = 256;
/// Without any event for so long the objects are read again: a connection that died in silence is found like that.
const QUIET_LIMIT: Duration = Duration::from_secs(10);
/// Longest wait for the first list of a watch: shorter than for a command, since it is tried again by itself.
const LIST_LIMIT: Duration = Duration::from_secs(8);
/// A watch that lived so long is made again at once when it ends.
const SETTLED: Duration = Duration::from_secs(5);
/// Waits between attempts to connect: the first at once, so that a watch the server closed is no loss to a reader.
const RETRY: [Duration; 5] =
    [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// Starts both watches; they end when the set is dropped or nobody listens any more.
pub(super) fn start(client: &Client, namespace: &str, guard: &str, to: &mpsc::Sender<Message>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let guards: Api<DeserializeGuard<Guard>> = Api::namespaced(client.clone(), namespace);
    let changes: Api<DeserializeGuard<Change>> = Api::namespaced(client.clone(), namespace);
    let only = watcher::Config::default().fields(&format!("metadata.name={guard}"));
    tasks.spawn(follow(guards, only, Source::Guard, to.clone(), |seen| Message::Guard(Box::new(seen))));
    let all = watcher::Config::default().page_size(100);
    tasks.spawn(follow(changes, all, Source::Changes, to.clone(), |seen| Message::Changes(Box::new(seen))));
    tasks
}

async fn follow<K>(
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
    source: Source,
    to: mpsc::Sender<Message>,
    wrap: fn(Seen<K>) -> Message,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut failures = 0;
    while !to.is_closed() {
        let wait = RETRY.get(failures).or(RETRY.last()).copied().unwrap_or_default();
        tokio::time::sleep(wait).await;
        let stream = std::pin::pin!(watcher::watcher(api.clone(), config.clone()));
        let began = Instant::now();
        let (listed, why) = once(stream, &to, wrap).await;
        failures = if listed && began.elapsed() >= SETTLED { 0 } else { failures + 1 };
        // A watch that had worked is tried again once before anybody is told.
        if !listed && to.send(Message::Lost(source, why)).await.is_err() {
            return;
        }
    }
}

/// One life of a watch: whether all was read, and why it ended.
async fn once<K, S>(mut stream: std::pin::Pin<&mut S>, to: &mpsc::Sender<Message>, wrap: fn(Seen<K>) -> Message) -> (bool, String)
where
    K: Resource<DynamicType = ()> + Clone + Debug,
    S: Stream<Item = watcher::Result<Event<DeserializeGuard<K>>>>,
{
    let mut listed = false;
    let mut all = Vec::new();
    loop {
        let limit = if listed { QUIET_LIMIT } else { LIST_LIMIT };
        let event = match tokio::time::timeout(limit, stream.next()).await {
            Ok(Some(Ok(event))) => event,
            Ok(Some(Err(error))) => return (listed, cluster::chain(&error)),
            Ok(None) => return (listed, "the API server closed the watch".to_owned()),
            Err(_) => return (listed, format!("no answer within {} s", limit.as_secs())),
        };
        let message = match event {
            Event::Init => {
                all.clear();
                continue;
            }
            Event::InitApply(DeserializeGuard(Ok(object))) => {
                all.push(object);
                continue;
            }
            Event::InitDone => {
                listed = true;
                wrap(Seen::All(std::mem::take(&mut all)))
            }
            Event::Apply(DeserializeGuard(Ok(object))) => wrap(Seen::One(object)),
            Event::Delete(object) => wrap(Seen::Gone(object.name_any())),
            Event::InitApply(DeserializeGuard(Err(broken))) | Event::Apply(DeserializeGuard(Err(broken))) => {
                Message::Unreadable(cluster::unreadable(&K::plural(&()), &broken))
            }
        };
        if to.send(message).await.is_err() {
            return (true, String::new());
        }
    }
}
