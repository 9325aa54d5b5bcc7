//! What ended Changes mean for their Guard: the new stable, what is condemned, what is forgotten.

use std::sync::Arc;

use firebreak_api::{
    Change, Guard, GuardStatus,
    change::Phase,
    guard::{Condemned, Revision},
};
use kube::{Api, ResourceExt as _, api::DeleteParams};

use super::{Worker, ended, within};

/// Condemned templates kept with a Guard.
const MOST_CONDEMNED: usize = 20;
/// Ended Changes kept with a Guard.
const MOST_ENDED: usize = 10;

impl Worker {
    /// Takes what ended Changes mean into the Guard's status. The new status, where it changed.
    pub(super) async fn account(&self, guard: &Guard, changes: &[Arc<Change>]) -> Result<Option<GuardStatus>, kube::Error> {
        let Some(newest) = changes.iter().rev().find(|change| ended(change)) else { return Ok(None) };
        let old = guard.status.clone().unwrap_or_default();
        if old.last_change.as_ref() == Some(&newest.name_any()) {
            return Ok(None);
        }
        let status = after(old, newest);
        self.write_status(guard, status.clone()).await?;
        Ok(Some(status))
    }

    /// Deletes the oldest ended Changes beyond the limit, and with them their ReplicaSets.
    pub(super) async fn forget(&self, changes: &[Arc<Change>]) {
        let ended: Vec<_> = changes.iter().filter(|change| ended(change)).collect();
        let surplus = ended.len().saturating_sub(MOST_ENDED);
        let api: Api<Change> = Api::namespaced(self.client.clone(), self.view.namespace());
        for change in ended.iter().take(surplus) {
            if let Err(error) = within(api.delete(&change.name_any(), &DeleteParams::default())).await {
                tracing::debug!(change = %change.name_any(), %error, "old Change not deleted yet");
            }
        }
    }
}

/// The status of a Guard after one of its Changes ended.
fn after(mut status: GuardStatus, change: &Change) -> GuardStatus {
    let name = change.name_any();
    let candidate = &change.spec.candidate;
    status.active_change = None;
    status.last_change = Some(name.clone());
    match change.status.as_ref().map(|status| status.phase) {
        Some(Phase::Promoted) => {
            // Once it was proved, a return to it is a return to a good revision.
            clear(&mut status, &candidate.template);
            status.stable = Some(Revision { hash: candidate.hash.clone(), replica_set: candidate.replica_set.clone() });
        }
        Some(Phase::RolledBack) => {
            clear(&mut status, &candidate.template);
            status.condemned.push(Condemned { template: candidate.template.clone(), change: name });
            let surplus = status.condemned.len().saturating_sub(MOST_CONDEMNED);
            status.condemned.drain(..surplus);
        }
        _ => {}
    }
    status
}

/// Takes a template from the condemned ones.
pub(super) fn clear(status: &mut GuardStatus, template: &str) {
    status.condemned.retain(|condemned| condemned.template != template);
}

/// The Guard with a template taken from its condemned ones.
pub(super) fn cleared(guard: &Guard, template: &str) -> Guard {
    let mut guard = guard.clone();
    if let Some(status) = guard.status.as_mut() {
        clear(status, template);
    }
    guard
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use firebreak_api::change::Candidate;

    use super::*;
    use crate::fake;

    fn ended_as(phase: Phase) -> Change {
        let mut change = fake::change("shop-x-1");
        change.spec.candidate = Candidate { template: "x".to_owned(), ..change.spec.candidate };
        change.status = Some(firebreak_api::ChangeStatus { phase, ..Default::default() });
        change
    }

    #[test]
    fn given_a_condemned_template_when_a_retry_of_it_is_promoted_then_it_is_condemned_no_more() {
        let condemned = after(GuardStatus::default(), &ended_as(Phase::RolledBack));
        assert_eq!(condemned.condemned.len(), 1);
        let promoted = after(condemned, &ended_as(Phase::Promoted));
        assert!(promoted.condemned.is_empty(), "{promoted:?}");
    }

    #[test]
    fn given_a_template_taken_back_again_when_accounted_then_it_is_condemned_once_by_the_newest() {
        let once = after(GuardStatus::default(), &ended_as(Phase::RolledBack));
        let twice = after(once, &ended_as(Phase::RolledBack));
        assert_eq!(twice.condemned.len(), 1);
    }

    #[test]
    fn given_a_retry_when_the_guard_is_cleared_then_what_is_said_next_does_not_condemn_it_again() {
        let mut guard = fake::guard("shop");
        guard.status = Some(after(GuardStatus::default(), &ended_as(Phase::RolledBack)));
        assert!(cleared(&guard, "x").status.unwrap().condemned.is_empty());
        assert_eq!(cleared(&guard, "y").status.unwrap().condemned.len(), 1);
    }
}
