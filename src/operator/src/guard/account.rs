//! What ended Changes mean for their Guard: the new stable, what is condemned, what is forgotten.

use std::sync::Arc;

use firebreak_api::{
    Change, Guard, GuardStatus,
    change::Phase,
    guard::{Accounted, Condemned, Revision},
    template,
};
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::{Worker, ended, leave::is_held, phase};
use crate::{observe, raw};

/// Condemned templates kept with a Guard.
const MOST_CONDEMNED: usize = 20;

impl Worker {
    /// Takes what ended Changes mean into the Guard's status, once each. The new status, where it changed.
    pub(super) async fn account(&self, guard: &Guard, changes: &[Arc<Change>]) -> Result<Option<GuardStatus>, kube::Error> {
        let old = guard.status.clone().unwrap_or_default();
        let new = unaccounted(&old, changes);
        if new.is_empty() {
            return Ok(None);
        }
        let status = new.into_iter().fold(old, |status, change| after(status, change, self.was_called_off(change)));
        self.write_status(guard, status.clone()).await?;
        Ok(Some(status))
    }

    /// Whether a Change ended because it was deleted: the workload still carries its template, and nobody let that through.
    fn was_called_off(&self, change: &Change) -> bool {
        let deployment = self.view.deployments.get(self.view.namespace(), &change.spec.target.name);
        change.metadata.deletion_timestamp.is_some()
            && deployment.is_some_and(|deployment| {
                let carried = raw::pod_template(&deployment).map(template::hash);
                carried.as_ref() == Some(&change.spec.candidate.template) && !observe::bypassed(&deployment, change)
            })
    }
}

/// The ended Changes that the status does not know of yet, in the order of their ends.
///
/// One that still has its finalizer was not let go, so it is new unless it was the very last. Of the others those are new that
/// ended later: an older one must not count again when newer ones are deleted.
fn unaccounted<'a>(status: &GuardStatus, changes: &'a [Arc<Change>]) -> Vec<&'a Change> {
    let is_new = |change: &&Change| match &status.accounted {
        Some(last) if change.metadata.uid.as_ref() == Some(&last.uid) => false,
        Some(last) => is_held(change) || end(change) > Some(last.ended_at),
        // Of a status that kept no more than a name, only what was not let go is sure to be new.
        None => status.last_change.is_none() || is_held(change),
    };
    let mut new: Vec<&Change> = changes.iter().map(|change| &**change).filter(|change| ended(change)).filter(is_new).collect();
    new.sort_by_key(|change| end(change));
    new
}

fn end(change: &Change) -> Option<Timestamp> {
    change.status.as_ref().and_then(|status| status.ended_at)
}

/// The status of a Guard after one of its Changes ended.
///
/// Whoever deletes a Change calls its template off: what was just taken from users does not go to them again by itself.
fn after(mut status: GuardStatus, change: &Change, called_off: bool) -> GuardStatus {
    let name = change.name_any();
    let candidate = &change.spec.candidate;
    status.active_change = None;
    status.last_change = Some(name.clone());
    let latest = status.accounted.as_ref().map(|last| last.ended_at).max(end(change));
    let ended_at = latest.unwrap_or(Timestamp::UNIX_EPOCH);
    status.accounted = Some(Accounted { uid: change.uid().unwrap_or_default(), ended_at });
    let phase = phase(change);
    match phase {
        Some(Phase::Promoted) => {
            // Once it was proved, a return to it is a return to a good revision.
            clear(&mut status, &candidate.template);
            status.stable = Some(Revision { hash: candidate.hash.clone(), replica_set: candidate.replica_set.clone() });
        }
        Some(Phase::RolledBack | Phase::Withdrawn | Phase::Superseded) if called_off || phase == Some(Phase::RolledBack) => {
            clear(&mut status, &candidate.template);
            status.condemned.push(Condemned { template: candidate.template.clone(), change: name, cleared: false });
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

    #[rstest::rstest]
    #[case(Phase::Withdrawn, true, 1)]
    #[case(Phase::Withdrawn, false, 0)]
    #[case(Phase::RolledBack, false, 1)]
    #[case(Phase::Superseded, true, 1)]
    #[case(Phase::Superseded, false, 0)]
    #[case(Phase::Promoted, true, 0)]
    fn given_an_end_when_accounted_then_the_template_is_condemned_where_it_was_taken_back_or_called_off(
        #[case] phase: Phase,
        #[case] called_off: bool,
        #[case] condemned: usize,
    ) {
        assert_eq!(after(GuardStatus::default(), &ended_as(phase), called_off).condemned.len(), condemned);
    }

    /// A Change of this uid that ended at this second; every one has the same name.
    fn ended_at(second: i64, uid: &str, phase: Phase, held: bool) -> Arc<Change> {
        let mut change = ended_as(phase);
        change.metadata.uid = Some(uid.to_owned());
        change.metadata.finalizers = held.then(|| vec![firebreak_api::names::FINALIZER.to_owned()]);
        change.status.as_mut().unwrap().ended_at = Some(Timestamp::from_second(second).unwrap());
        Arc::new(change)
    }

    fn uids(status: &GuardStatus, changes: &[Arc<Change>]) -> Vec<String> {
        unaccounted(status, changes).iter().map(|change| change.metadata.uid.clone().unwrap()).collect()
    }

    #[rstest::rstest]
    #[case::still_held(true)]
    #[case::let_go(false)]
    fn given_a_deleted_change_when_one_of_the_same_name_ends_then_it_counts_too(#[case] held: bool) {
        let status = after(GuardStatus::default(), &ended_at(10, "first", Phase::Withdrawn, true), false);
        let second = [ended_at(20, "second", Phase::RolledBack, held)];
        assert_eq!(uids(&status, &second), ["second"]);
        let status = after(status, &second[0], false);
        assert_eq!(status.condemned.len(), 1);
        assert!(uids(&status, &second).is_empty(), "once each");
    }

    #[test]
    fn given_a_newer_change_that_vanished_when_accounted_then_an_older_one_does_not_count_again() {
        let older = ended_at(10, "older", Phase::RolledBack, false);
        let status = after(GuardStatus::default(), &older, false);
        let mut status = after(status, &ended_at(20, "newer", Phase::Withdrawn, true), false);
        // A retry cleared it since.
        clear(&mut status, "x");
        assert!(uids(&status, &[older]).is_empty());
    }

    #[test]
    fn given_two_ends_that_were_not_taken_in_when_accounted_then_both_count_in_their_order() {
        let ends = [ended_at(20, "later", Phase::Promoted, false), ended_at(10, "sooner", Phase::RolledBack, false)];
        assert_eq!(uids(&GuardStatus::default(), &ends), ["sooner", "later"]);
    }

    #[test]
    fn given_a_clock_that_went_back_when_a_change_ends_then_it_counts_while_it_is_held() {
        let status = after(GuardStatus::default(), &ended_at(20, "first", Phase::Withdrawn, true), false);
        let second = ended_at(15, "second", Phase::Promoted, true);
        assert_eq!(uids(&status, &[Arc::clone(&second)]), ["second"]);
        assert_eq!(after(status, &second, false).accounted.unwrap().ended_at, Timestamp::from_second(20).unwrap());
    }

    #[test]
    fn given_a_status_that_kept_only_a_name_when_accounted_then_what_was_let_go_does_not_count_again() {
        let status = GuardStatus { last_change: Some("shop-x-1".to_owned()), ..GuardStatus::default() };
        let ends = [ended_at(10, "old", Phase::Promoted, false), ended_at(20, "held", Phase::RolledBack, true)];
        assert_eq!(uids(&status, &ends), ["held"]);
    }

    #[test]
    fn given_a_condemned_template_when_a_retry_of_it_is_promoted_then_it_is_condemned_no_more() {
        let condemned = after(GuardStatus::default(), &ended_as(Phase::RolledBack), false);
        assert_eq!(condemned.condemned.len(), 1);
        let promoted = after(condemned, &ended_as(Phase::Promoted), false);
        assert!(promoted.condemned.is_empty(), "{promoted:?}");
    }

    #[test]
    fn given_a_template_taken_back_again_when_accounted_then_it_is_condemned_once_by_the_newest() {
        let once = after(GuardStatus::default(), &ended_as(Phase::RolledBack), false);
        let twice = after(once, &ended_as(Phase::RolledBack), false);
        assert_eq!(twice.condemned.len(), 1);
    }

    #[test]
    fn given_a_retry_when_the_guard_is_cleared_then_what_is_said_next_does_not_condemn_it_again() {
        let mut guard = fake::guard("shop");
        guard.status = Some(after(GuardStatus::default(), &ended_as(Phase::RolledBack), false));
        assert!(cleared(&guard, "x").status.unwrap().condemned.is_empty());
        assert_eq!(cleared(&guard, "y").status.unwrap().condemned.len(), 1);
    }
}
