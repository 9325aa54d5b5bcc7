//! What people are told: Kubernetes Events, one reason per kind of decision, on the Change and on the workload; and answers to
//! what they asked for. Neither ever holds up a turn.

use std::{collections::HashMap, time::Duration};

use firebreak_api::{
    Change,
    brief::{self, Brief},
};
use firebreak_engine::Note;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client, Resource as _, ResourceExt as _,
    api::DynamicObject,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::sync::mpsc;

use crate::answers::{Answers, Reply};

/// Events that wait to be written; more are dropped and counted in the log (the record in the Change has them all).
const MOST_WAITING: usize = 256;
/// Objects and reasons of which is remembered what was said last.
const MOST_REASONS: usize = 4096;
/// One Event is written within this.
const WRITE_WITHIN: Duration = Duration::from_secs(5);
/// Longest note the API server takes, in bytes.
const LONGEST_NOTE: usize = 1000;

/// A recorder counts Events of one reason as one and keeps the words of the first: what is said anew would never be read. So
/// each has its own, and only the same words again are counted.
struct Recorders {
    client: Client,
    reporter: Reporter,
    /// By the object's uid and the reason: what was said last.
    last: HashMap<(String, String), (Option<String>, Recorder)>,
}

impl Recorders {
    fn of(&mut self, event: &Event, reference: &ObjectReference) -> Recorder {
        if self.last.len() >= MOST_REASONS {
            self.last.clear();
        }
        let about = (reference.uid.clone().unwrap_or_default(), event.reason.clone());
        match self.last.get(&about) {
            Some((note, recorder)) if *note == event.note => recorder.clone(),
            _ => {
                let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
                self.last.insert(about, (event.note.clone(), recorder.clone()));
                recorder
            }
        }
    }
}

/// Writes Events, and answers to people, in the background.
#[derive(Clone)]
pub(crate) struct Teller {
    queue: mpsc::Sender<(Event, ObjectReference)>,
    answers: Answers,
}

impl Teller {
    /// Begins to write.
    pub(crate) fn start(client: Client, instance: &str) -> Self {
        let reporter = Reporter { controller: "firebreak.dev/operator".to_owned(), instance: Some(instance.to_owned()) };
        let answers = Answers::start(client.clone());
        let mut recorders = Recorders { client, reporter, last: HashMap::new() };
        let (queue, mut waiting) = mpsc::channel::<(Event, ObjectReference)>(MOST_WAITING);
        tokio::spawn(async move {
            while let Some((event, reference)) = waiting.recv().await {
                // One connection that hangs must not stop all the others' Events.
                let recorder = recorders.of(&event, &reference);
                match tokio::time::timeout(WRITE_WITHIN, recorder.publish(&event, &reference)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!(reason = event.reason, %error, "Event not written"),
                    Err(_) => {
                        tracing::warn!(reason = event.reason, "Event not written: no answer within {} s", WRITE_WITHIN.as_secs());
                    }
                }
            }
        });
        Self { queue, answers }
    }

    /// Tells a human what became of their act.
    pub(crate) fn answer(&self, reply: Reply) {
        self.answers.give(reply);
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
        let at = change.metadata.namespace.as_deref().map_or(String::new(), |namespace| format!(" -n {namespace}"));
        let message = brief::with_guard(&note.message, &format!("{}{at}", change.spec.guard));
        let note = &Note { message, ..note.clone() };
        let briefed = briefed(change, note);
        for reference in std::iter::once(change.object_ref(&())).chain(on_workload) {
            self.send(briefed.as_ref().unwrap_or(note), reference);
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

/// Who is asked gets what a decision takes, not only that they are asked. The record keeps the words of the decision.
fn briefed(change: &Change, note: &Note) -> Option<Note> {
    let brief = Brief::of(change, Timestamp::now(), "").filter(|_| brief::asks(&note.reason))?;
    Some(Note { message: brief.event(), ..note.clone() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::fake;

    #[tokio::test(start_paused = true)]
    async fn given_a_connection_that_hangs_when_events_wait_then_the_next_is_written_all_the_same() {
        let (client, log) = fake::client(|asked: fake::Asked| async move {
            if asked.body["reason"] == "First" {
                std::future::pending::<()>().await;
            }
            (201, asked.body)
        });
        let teller = Teller::start(client, "test");
        for reason in ["First", "Second"] {
            let note = Note { reason: reason.to_owned(), message: reason.to_owned(), warning: false };
            teller.send(&note, fake::change("shop-x-1").object_ref(&()));
        }
        let second = async {
            while !fake::asked(&log).iter().any(|asked| asked.body["reason"] == "Second") {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(WRITE_WITHIN * 2, second).await.unwrap();
    }

    #[tokio::test]
    async fn given_the_same_reason_when_it_says_something_new_then_that_is_an_event_of_its_own() {
        let (client, log) = fake::client(|asked: fake::Asked| async move { (201, asked.body) });
        let teller = Teller::start(client, "test");
        for message in ["stage 1", "stage 1", "stage 2"] {
            let note = Note { reason: "StageStarted".to_owned(), message: message.to_owned(), warning: false };
            teller.send(&note, fake::change("shop-x-1").object_ref(&()));
        }
        let all = async {
            while fake::asked(&log).len() < 3 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(WRITE_WITHIN, all).await.unwrap();
        let asked = fake::asked(&log);
        let methods: Vec<&str> = asked.iter().map(|asked| asked.method.as_str()).collect();
        assert_eq!(methods, ["POST", "PATCH", "POST"]);
        assert_eq!(asked[2].body["note"], "stage 2");
    }
}
