//! Which Changes are not let go yet: those that still have the operator's finalizer, whatever became of their Guards.
//!
//! A Change can outlive its Guard (whose finalizer was taken off by hand, or not written yet) while no operator runs; its
//! candidate goes on with its share, and nothing but a worker lets it go. Only metadata is watched, so a Change that this
//! build cannot read is here too, and only of Changes that are held, so it costs what runs, not what ran.

use firebreak_api::{Change, names};
use futures::{StreamExt as _, future};
use kube::{
    Api, ResourceExt as _,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt as _, reflector,
        watcher::{self, watcher},
    },
};
use tokio::task::JoinSet;

use super::{Bell, Cache, PAGE};

/// The Changes that are not let go.
pub(crate) struct Held {
    changes: Cache<PartialObjectMeta<Change>>,
}

impl Held {
    /// Begins to watch; the watch ends with the task set. The bell rings for whole lists alone, since a Change at work is
    /// written every other second.
    pub(crate) fn watch(tasks: &mut JoinSet<()>, api: Api<PartialObjectMeta<Change>>, bell: Bell) -> Self {
        let writer = reflector::store::Writer::<PartialObjectMeta<Change>>::new(());
        let changes = Cache { store: writer.as_reader(), dynamic: () };
        let config = watcher::Config::default().page_size(PAGE);
        let stream = watcher(api, config).filter_map(|event| {
            future::ready(match event {
                Ok(event) => held_alone(event).map(Ok),
                Err(error) => Some(Err(error)),
            })
        });
        let mut stream = Box::pin(stream.modify(trim).default_backoff().reflect(writer));
        tasks.spawn(async move {
            while let Some(event) = stream.next().await {
                match event {
                    Ok(watcher::Event::InitDone) => bell.send_modify(|count| *count = count.wrapping_add(1)),
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(%error, "watch of the Changes that are not let go interrupted; it is begun again");
                    }
                }
            }
        });
        Self { changes }
    }

    /// Namespace and name of every Guard that has such a Change.
    pub(crate) fn guards(&self) -> impl Iterator<Item = (String, String)> {
        self.changes.all().into_iter().filter_map(|change| Some((change.namespace()?, guard(&change)?)))
    }

    /// Namespace and name of every such Change, and its Guard's name.
    pub(crate) fn changes(&self) -> impl Iterator<Item = (String, String, Option<String>)> {
        self.changes.all().into_iter().filter_map(|change| Some((change.namespace()?, change.name_any(), guard(&change))))
    }

    /// Whether the first list has come.
    pub(crate) fn is_listed(&self) -> bool {
        self.changes.is_listed()
    }

    /// Whether this Guard may have one: before the first list came, any may.
    pub(crate) fn may_have(&self, namespace: &str, name: &str) -> bool {
        !self.changes.is_listed() || self.guards().any(|(other, guard)| other == namespace && guard == name)
    }

    /// Waits for the first list.
    #[cfg(test)]
    pub(crate) async fn ready(&self) -> bool {
        self.changes.ready().await
    }
}

/// What an event means for the Changes that are held: one that is let go is gone.
fn held_alone(event: watcher::Event<PartialObjectMeta<Change>>) -> Option<watcher::Event<PartialObjectMeta<Change>>> {
    let is_held = |change: &PartialObjectMeta<Change>| change.finalizers().iter().any(|name| name == names::FINALIZER);
    match event {
        watcher::Event::InitApply(change) => is_held(&change).then_some(watcher::Event::InitApply(change)),
        watcher::Event::Apply(change) if !is_held(&change) => Some(watcher::Event::Delete(change)),
        other => Some(other),
    }
}

fn trim(change: &mut PartialObjectMeta<Change>) {
    change.metadata.managed_fields = None;
    change.metadata.annotations = None;
}

/// The Guard that a Change names: its label, or where someone took that off, its owner.
fn guard(change: &PartialObjectMeta<Change>) -> Option<String> {
    let label = change.labels().get(names::GUARD_LABEL).cloned();
    label.or_else(|| change.owner_references().iter().find(|owner| owner.kind == "Guard").map(|owner| owner.name.clone()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use kube::core::metadata::PartialObjectMetaExt as _;
    use watcher::Event;

    use super::*;
    use crate::fake;

    fn change(held: bool) -> PartialObjectMeta<Change> {
        let mut metadata = fake::change("shop-x-1").metadata;
        metadata.finalizers = held.then(|| vec![names::FINALIZER.to_owned()]);
        metadata.into_response_partial::<Change>()
    }

    #[test]
    fn given_events_of_changes_when_kept_then_only_those_that_are_held() {
        assert!(matches!(held_alone(Event::InitApply(change(true))), Some(Event::InitApply(_))));
        assert!(held_alone(Event::InitApply(change(false))).is_none());
        assert!(matches!(held_alone(Event::Apply(change(true))), Some(Event::Apply(_))));
        assert!(matches!(held_alone(Event::Apply(change(false))), Some(Event::Delete(_))));
        assert!(matches!(held_alone(Event::Delete(change(true))), Some(Event::Delete(_))));
    }
}
