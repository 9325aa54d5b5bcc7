//! Kubernetes Events: one reason per kind of decision, on the Change and on the workload. They never hold up a turn.

use firebreak_api::Change;
use firebreak_engine::Note;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client, Resource as _, ResourceExt as _,
    api::DynamicObject,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::sync::mpsc;

/// Events that wait to be written; more are dropped and counted in the log (the record in the Change has them all).
const MOST_WAITING: usize = 256;
/// Longest note the API server takes, in bytes.
const LONGEST_NOTE: usize = 1000;

/// Writes Events in the background.
#[derive(Clone)]
pub(crate) struct Teller {
    queue: mpsc::Sender<(Event, ObjectReference)>,
}

impl Teller {
    /// Begins to write.
    pub(crate) fn start(client: Client, instance: &str) -> Self {
        let reporter = Reporter { controller: "firebreak.dev/operator".to_owned(), instance: Some(instance.to_owned()) };
        let recorder = Recorder::new(client, reporter);
        let (queue, mut waiting) = mpsc::channel::<(Event, ObjectReference)>(MOST_WAITING);
        tokio::spawn(async move {
            while let Some((event, reference)) = waiting.recv().await {
                if let Err(error) = recorder.publish(&event, &reference).await {
                    tracing::warn!(reason = event.reason, %error, "Event not written");
                }
            }
        });
        Self { queue }
    }

    /// Tells about a Change, on it and on its workload.
    pub(crate) fn tell(&self, change: &Change, workload: Option<&DynamicObject>, note: &Note) {
        tracing::info!(change = %change.name_any(), reason = note.reason, "{}", note.message);
        let on_workload = workload.map(|workload| ObjectReference {
            api_version: Some("apps/v1".to_owned()),
            kind: Some("Deployment".to_owned()),
            name: workload.metadata.name.clone(),
            namespace: workload.metadata.namespace.clone(),
            uid: workload.metadata.uid.clone(),
            ..ObjectReference::default()
        });
        for reference in std::iter::once(change.object_ref(&())).chain(on_workload) {
            self.send(note, reference);
        }
    }

    /// Tells about one object.
    pub(crate) fn send(&self, note: &Note, reference: ObjectReference) {
        let text: String = note.message.char_indices().take_while(|(at, _)| *at < LONGEST_NOTE).map(|(_, c)| c).collect();
        let event = Event {
            type_: if note.warning { EventType::Warning } else { EventType::Normal },
            reason: note.reason.clone(),
            note: Some(text),
            action: "Guard".to_owned(),
            secondary: None,
        };
        if self.queue.try_send((event, reference)).is_err() {
            tracing::warn!(reason = note.reason, "too many Events wait; this one is only in the record");
        }
    }
}
