//! Answers to Interventions: what became of a human's act, written to its status, in the background.
//!
//! They never hold up a turn: a turn only puts them into a bounded queue. An answered act is owned by its Change (or by its
//! Guard, where the Change is gone), so it goes when that goes.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use firebreak_api::{
    Intervention,
    intervention::{InterventionStatus, Outcome},
    names,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::sync::mpsc;

/// Answers that wait to be written; more are left for a later turn, in which the act is still open.
const MOST_WAITING: usize = 256;
/// One write ends within this.
const WRITE_WITHIN: Duration = Duration::from_secs(5);
/// An answer is tried this often.
const MOST_TRIES: u32 = 3;
/// Time between two tries.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Longest message, in characters.
const LONGEST_MESSAGE: usize = 2000;

/// What became of one act.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) namespace: String,
    pub(crate) act: String,
    pub(crate) outcome: Outcome,
    pub(crate) message: String,
    /// Whose the Intervention is from now on.
    pub(crate) owner: Option<OwnerReference>,
}

/// Acts whose answer is on its way, by namespace and name.
type Waiting = Arc<Mutex<BTreeSet<(String, String)>>>;

/// Writes answers in the background.
#[derive(Clone)]
pub(crate) struct Answers {
    queue: mpsc::Sender<Reply>,
    waiting: Waiting,
}

impl Answers {
    /// Begins to write.
    pub(crate) fn start(client: Client) -> Self {
        let (queue, mut replies) = mpsc::channel::<Reply>(MOST_WAITING);
        let waiting = Waiting::default();
        let done = Arc::clone(&waiting);
        tokio::spawn(async move {
            while let Some(reply) = replies.recv().await {
                write(&client, &reply).await;
                held(&done).remove(&key(&reply));
            }
        });
        Self { queue, waiting }
    }

    /// Takes an answer; returns at once. An act whose answer is on its way already gets no second one.
    pub(crate) fn give(&self, reply: Reply) {
        let key = key(&reply);
        if !held(&self.waiting).insert(key.clone()) {
            return;
        }
        if let Err(error) = self.queue.try_send(reply) {
            held(&self.waiting).remove(&key);
            tracing::warn!(intervention = key.1, namespace = key.0, %error, "more than {MOST_WAITING} answers wait; not answered yet");
        }
    }
}

fn key(reply: &Reply) -> (String, String) {
    (reply.namespace.clone(), reply.act.clone())
}

fn held(waiting: &Waiting) -> std::sync::MutexGuard<'_, BTreeSet<(String, String)>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn write(client: &Client, reply: &Reply) {
    for tried in 1..=MOST_TRIES {
        match tokio::time::timeout(WRITE_WITHIN, once(client, reply)).await {
            Ok(Ok(())) => return,
            // Deleted by whoever made it: nobody waits for this any more.
            Ok(Err(kube::Error::Api(status))) if status.is_not_found() => return,
            Ok(Err(error)) => tracing::warn!(intervention = reply.act, tried, %error, "not answered yet"),
            Err(_) => {
                tracing::warn!(
                    intervention = reply.act,
                    tried,
                    "not answered yet: no answer within {} s",
                    WRITE_WITHIN.as_secs()
                );
            }
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

/// The status first: a human waits for it.
async fn once(client: &Client, reply: &Reply) -> kube::Result<()> {
    let api: Api<Intervention> = Api::namespaced(client.clone(), &reply.namespace);
    let message: String = reply.message.chars().take(LONGEST_MESSAGE).collect();
    let status = InterventionStatus { outcome: Some(reply.outcome), message: Some(message) };
    let params = PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    api.patch_status(&reply.act, &params, &Patch::Merge(json!({"status": status}))).await?;
    if let Some(owner) = &reply.owner {
        let patch = json!({"metadata": {"ownerReferences": [owner]}});
        api.patch_metadata(&reply.act, &params, &Patch::Merge(patch)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use kube::Resource as _;

    use super::*;
    use crate::fake;

    fn reply(act: &str) -> Reply {
        Reply {
            namespace: "shop".to_owned(),
            act: act.to_owned(),
            outcome: Outcome::Refused,
            message: "handed over already".to_owned(),
            owner: fake::change("shop-x-1").owner_ref(&()),
        }
    }

    fn answered(asked: &fake::Asked) -> (u16, serde_json::Value) {
        let spec = json!({"guard": "shop", "change": "shop-x-1", "action": "Abort"});
        let object =
            json!({"apiVersion": "firebreak.dev/v1alpha1", "kind": "Intervention", "metadata": {"name": "a"}, "spec": spec});
        let partial = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": "a"}});
        (200, if asked.path.contains("/status") { object } else { partial })
    }

    async fn until(log: &fake::Log, count: usize) -> Vec<fake::Asked> {
        let enough = async {
            while fake::asked(log).len() < count {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), enough).await.unwrap();
        fake::asked(log)
    }

    #[tokio::test(start_paused = true)]
    async fn given_an_answer_when_written_then_it_says_outcome_and_message_and_the_change_owns_the_act() {
        let (client, log) = fake::client(|asked| async move { answered(&asked) });
        Answers::start(client).give(reply("a"));
        let asked = until(&log, 2).await;
        assert_eq!(asked[0].body["status"], json!({"outcome": "Refused", "message": "handed over already"}));
        assert_eq!(asked[1].body["metadata"]["ownerReferences"][0]["uid"], "shop-x-1-uid");
    }

    #[tokio::test(start_paused = true)]
    async fn given_a_status_endpoint_that_hangs_when_a_turn_answers_then_it_goes_on_at_once_and_asks_once_an_act() {
        let (client, log) = fake::client(|_| async { std::future::pending().await });
        let answers = Answers::start(client);
        let begun = tokio::time::Instant::now();
        for turn in 0..1000 {
            answers.give(reply(&format!("act-{}", turn % 3)));
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(held(&answers.waiting).len(), 3);
        assert_eq!(until(&log, 1).await.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn given_a_full_queue_when_an_answer_comes_then_it_is_left_for_a_later_turn() {
        let (client, _) = fake::client(|_| async { std::future::pending().await });
        let answers = Answers::start(client);
        for act in 0..2 * MOST_WAITING {
            answers.give(reply(&format!("act-{act}")));
        }
        assert_eq!(held(&answers.waiting).len(), MOST_WAITING);
    }

    #[tokio::test(start_paused = true)]
    async fn given_a_write_that_fails_when_it_is_tried_again_then_it_is_answered() {
        let tries = Arc::new(AtomicUsize::new(0));
        let (client, log) = fake::client(move |asked| {
            let first = tries.fetch_add(1, Ordering::SeqCst) == 0;
            async move { if first { fake::failure(500, "InternalError") } else { answered(&asked) } }
        });
        Answers::start(client).give(reply("a"));
        assert_eq!(until(&log, 3).await[1].body["status"]["outcome"], "Refused");
    }
}
