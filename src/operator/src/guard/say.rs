//! What a Guard says of itself: conditions, the rest of its status, an Event when it cannot go on.

use firebreak_api::{
    Guard, GuardStatus,
    conditions::{self, Set, kind},
    guard::{Condemned, Hold},
};
use jiff::Timestamp;
use kube::{Api, Resource as _, api::Patch};
use serde_json::json;

use super::{Worker, hold, patch_params, within};

/// What a Guard says of itself.
pub(super) struct Word {
    ready: bool,
    works: bool,
    stalled: bool,
    reason: &'static str,
    message: String,
}

impl Word {
    pub(super) fn ready(reason: &'static str, message: String) -> Self {
        Self { ready: true, works: false, stalled: false, reason, message }
    }

    pub(super) fn works(reason: &'static str, message: String) -> Self {
        Self { ready: false, works: true, stalled: false, reason, message }
    }

    pub(super) fn stalled(reason: &'static str, message: String) -> Self {
        Self { ready: false, works: false, stalled: true, reason, message }
    }

    /// Says more.
    pub(super) fn and_say(&mut self, more: &str) {
        self.message = format!("{}; {more}", self.message);
    }

    /// Says the trouble of another word as well.
    pub(super) fn and(&mut self, other: &Self) {
        self.and_say(&other.message);
    }
}

/// What a Guard says of a workload that carries a condemned template.
pub(super) fn condemned(condemned: &Condemned, guard: &str, namespace: &str) -> Word {
    let change = &condemned.change;
    if condemned.cleared {
        let message = format!(
            "this template was taken back by Change {change} and cleared since; it stays held until it is shipped again, or: kubectl \
             firebreak retry {guard} -n {namespace} --reason '...'"
        );
        return Word::stalled("Cleared", message);
    }
    let message = format!(
        "this template was taken back by Change {change} and stays held; ship another one, or to try it again: kubectl firebreak retry {guard} -n {namespace} --reason '...'"
    );
    Word::stalled("Condemned", message)
}

impl Worker {
    /// Sets conditions and what else is to be said, if it is not said already.
    pub(super) async fn say(&self, guard: &Guard, change: impl FnOnce(&mut GuardStatus), word: &Word) -> Result<(), kube::Error> {
        let old = guard.status.clone().unwrap_or_default();
        let mut status = old.clone();
        status.observed_generation = guard.metadata.generation;
        change(&mut status);
        let sets = [(kind::READY, word.ready), (kind::RECONCILING, word.works), (kind::STALLED, word.stalled)];
        for (kind, value) in sets {
            let set = Set { kind, status: value, reason: word.reason, message: &word.message };
            conditions::set(&mut status.conditions, guard.metadata.generation, Timestamp::now(), &set);
        }
        if let Some(hold) = status.hold {
            let (value, reason) = (hold == Hold::Admission, if hold == Hold::Admission { "Held" } else { "HeldLate" });
            let set = Set { kind: kind::HOLDS, status: value, reason, message: hold::words(hold) };
            conditions::set(&mut status.conditions, guard.metadata.generation, Timestamp::now(), &set);
        }
        self.say_policy(guard, &mut status);
        if status == old {
            return Ok(());
        }
        let newly_stalled = word.stalled
            && conditions::get(&old.conditions, kind::STALLED).is_none_or(|condition| condition.reason != word.reason);
        self.write_status(guard, status).await?;
        if newly_stalled {
            let note = firebreak_engine::Note { reason: word.reason.to_owned(), message: word.message.clone(), warning: true };
            self.teller.send(&note, guard.object_ref(&()));
        }
        Ok(())
    }

    /// Says whether the policy that the Guard names is in force as it is written now.
    fn say_policy(&self, guard: &Guard, status: &mut GuardStatus) {
        if guard.spec.policy_ref.is_none() {
            status.conditions.retain(|condition| condition.type_ != kind::POLICY);
            return;
        }
        let (value, reason, message) = match self.shared.policies.of(guard) {
            Ok(held) if held.former.is_empty() => (true, "InForce", format!("policy {} is in force", held.effective.name())),
            Ok(held) => (false, "FormerInForce", held.former.join("; ")),
            Err(nothing) => (false, nothing.reason, nothing.message),
        };
        let set = Set { kind: kind::POLICY, status: value, reason, message: &message };
        conditions::set(&mut status.conditions, guard.metadata.generation, Timestamp::now(), &set);
    }

    pub(super) async fn write_status(&self, guard: &Guard, status: GuardStatus) -> Result<(), kube::Error> {
        let api: Api<Guard> = Api::namespaced(self.client.clone(), self.view.namespace());
        let mut next = guard.clone();
        next.metadata.managed_fields = None;
        // The Guard's status has one writer, the leader, so its own newest word holds whatever the cache has.
        next.metadata.resource_version = None;
        next.status = Some(status);
        let patch = json!({"status": full_status(next.status.as_ref())});
        within(api.patch_status(&self.name, &patch_params(), &Patch::Merge(patch))).await.map(|_| ())
    }
}

/// The status with every optional field spelled out, so that a merge patch also takes away.
fn full_status(status: Option<&GuardStatus>) -> serde_json::Value {
    let mut value = serde_json::to_value(status).unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        for field in ["activeChange", "lastChange", "accounted", "stable", "hold", "condemned", "forgottenUntil", "bypasses"] {
            map.entry(field).or_insert(serde_json::Value::Null);
        }
    }
    value
}
