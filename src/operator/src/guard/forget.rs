//! How much of the past is kept: ended Changes beyond the Guard's bounds are deleted, and of older ones only the words are kept.
//!
//! What an ended Change means (stable, condemned templates) is in the Guard's status by then, so nothing that is refused needs it.
//! What is deleted is written to the Guard first: rules that look at the past are told that they do not see all of it.

use std::sync::Arc;

use firebreak_api::{Change, Guard, GuardStatus, guard::History, names};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams, Preconditions},
};

use super::{Worker, ended, leave::is_held, within};

/// Changes that are deleted, and Changes whose record is reduced to its words, in one turn.
const MOST_A_TURN: usize = 5;
/// The newest ended Changes that keep what their decisions were computed from; a record without it holds some 50 kB.
const MOST_WHOLE: usize = 10;

impl Worker {
    /// Deletes the ended Changes beyond the Guard's bounds, and with them their ReplicaSets and Interventions. `digest` is of the
    /// template that the workload carries. The Guard, where that had to be written to it first.
    pub(super) async fn forget(
        &self,
        guard: &Guard,
        changes: &[Arc<Change>],
        digest: Option<&str>,
    ) -> Result<Option<Guard>, kube::Error> {
        let status = guard.status.clone().unwrap_or_default();
        let kept = guard.spec.history.clone().unwrap_or_default();
        let surplus = surplus(changes, &kept, &status, digest, Timestamp::now());
        let until = surplus.iter().map(|change| change.spec.detected_at).max().max(status.forgotten_until);
        if until != status.forgotten_until {
            let mut guard = guard.clone();
            guard.status = Some(GuardStatus { forgotten_until: until, ..status });
            self.write_status(&guard, guard.status.clone().unwrap_or_default()).await?;
            return Ok(Some(guard));
        }
        let api: Api<Change> = Api::namespaced(self.client.clone(), self.view.namespace());
        for change in surplus {
            // Only this one: another may have its name by now.
            let preconditions = Some(Preconditions { uid: change.uid(), resource_version: None });
            let params = DeleteParams { preconditions, ..DeleteParams::default() };
            match within(api.delete(&change.name_any(), &params)).await {
                Ok(_) => tracing::info!(change = %change.name_any(), "past the Guard's history; deleted"),
                Err(error) => tracing::debug!(change = %change.name_any(), %error, "old Change not deleted yet"),
            }
        }
        for change in whole(changes) {
            if let Err(error) = self.reduce(&api, change).await {
                tracing::debug!(change = %change.name_any(), %error, "its record is not reduced to its words yet");
            }
        }
        Ok(None)
    }

    /// Takes from a record what only computing again reads.
    async fn reduce(&self, api: &Api<Change>, change: &Change) -> Result<(), kube::Error> {
        let mut stored = within(api.get(&change.name_any())).await?;
        let same = stored.metadata.uid == change.metadata.uid;
        let Some(status) = stored.status.as_mut().filter(|status| same && status.phase.ended()) else { return Ok(()) };
        status.memory = None;
        status.words_only = true;
        status.decisions.iter_mut().for_each(|decision| decision.basis = None);
        stored.metadata.managed_fields = None;
        let params = PostParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PostParams::default() };
        within(api.replace_status(&change.name_any(), &params, &stored)).await.map(|_| ())
    }
}

fn end(change: &Change) -> Timestamp {
    change.status.as_ref().and_then(|status| status.ended_at).unwrap_or(change.spec.detected_at)
}

/// The ended Changes, the newest end first.
fn newest_first(changes: &[Arc<Change>]) -> Vec<&Change> {
    let mut over: Vec<&Change> = changes.iter().map(|change| &**change).filter(|change| ended(change)).collect();
    over.sort_by_key(|change| std::cmp::Reverse((end(change), change.name_any())));
    over
}

/// The ended Changes that go, the oldest first and so many as one turn deletes.
///
/// Never the newest; nor one that the Guard's status has not taken in yet, or that its finalizer holds; nor the one that a human
/// is told of, because the workload carries the template that it condemned.
fn surplus<'a>(
    changes: &'a [Arc<Change>],
    kept: &History,
    status: &GuardStatus,
    digest: Option<&str>,
    now: Timestamp,
) -> Vec<&'a Change> {
    let most = usize::try_from(kept.changes.max(1)).unwrap_or(usize::MAX);
    let oldest = kept.days.and_then(|days| now.checked_sub(SignedDuration::from_hours(24 * i64::from(days.max(1)))).ok());
    let taken_in = |change: &Change| status.accounted.as_ref().is_some_and(|last| end(change) <= last.ended_at);
    let told_of = |change: &Change| {
        let condemns = status.condemned.iter().filter(|condemned| Some(condemned.template.as_str()) == digest);
        condemns.into_iter().any(|condemned| condemned.change == change.name_any())
    };
    let over = newest_first(changes).into_iter().enumerate().skip(1);
    let beyond = over.filter(|(place, change)| *place >= most || oldest.is_some_and(|oldest| end(change) < oldest));
    let mut gone: Vec<&Change> = beyond
        .map(|(_, change)| change)
        .filter(|change| taken_in(change) && !told_of(change) && !is_held(change) && change.metadata.deletion_timestamp.is_none())
        .collect();
    gone.reverse();
    gone.truncate(MOST_A_TURN);
    gone
}

/// The ended Changes that still have more than words and are not among the newest, the oldest first and so many as one turn reduces.
fn whole(changes: &[Arc<Change>]) -> Vec<&Change> {
    let reduced = |change: &&Change| change.status.as_ref().is_some_and(|status| status.words_only);
    let going = |change: &&Change| is_held(change) || change.metadata.deletion_timestamp.is_some();
    let older = newest_first(changes).into_iter().skip(MOST_WHOLE);
    let mut whole: Vec<&Change> = older.filter(|change| !reduced(change) && !going(change)).collect();
    whole.reverse();
    whole.truncate(MOST_A_TURN);
    whole
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use firebreak_api::{
        ChangeStatus,
        change::Phase,
        guard::{Accounted, Condemned},
    };

    use super::*;
    use crate::fake;

    const DAY: i64 = 86_400;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A Change that ended on this day; of day 0 one that runs.
    fn of_day(day: i64) -> Arc<Change> {
        let mut change = fake::change(&format!("shop-x-{day}"));
        change.spec.detected_at = second(day * DAY - 60);
        let phase = if day == 0 { Phase::Progressing } else { Phase::RolledBack };
        let ended_at = (day > 0).then(|| second(day * DAY));
        change.status = Some(ChangeStatus { phase, ended_at, ..ChangeStatus::default() });
        Arc::new(change)
    }

    fn days(changes: &[&Change]) -> Vec<i64> {
        changes.iter().map(|change| change.name_any().strip_prefix("shop-x-").unwrap().parse().unwrap()).collect()
    }

    /// A Guard that took in what ended until this day, and whose workload carries the template that one Change condemned.
    fn status(taken_in: i64, condemned: Option<i64>) -> GuardStatus {
        GuardStatus {
            accounted: Some(Accounted { uid: "u".to_owned(), ended_at: second(taken_in * DAY) }),
            condemned: condemned
                .map(|day| Condemned { template: "carried".to_owned(), change: format!("shop-x-{day}"), cleared: false })
                .into_iter()
                .collect(),
            ..GuardStatus::default()
        }
    }

    #[rstest::rstest]
    #[case::within_both(&[1, 2, 3], 3, None, 9, None, &[])]
    #[case::by_count(&[1, 2, 3, 0], 2, None, 9, None, &[1])]
    #[case::whatever_their_order(&[3, 1, 2], 1, None, 9, None, &[1, 2])]
    #[case::by_age(&[1, 2, 90, 99], 20, Some(10), 99, None, &[1, 2])]
    #[case::the_newest_stays_however_old(&[1, 2], 1, Some(1), 9, None, &[1])]
    #[case::one_that_runs_stays(&[0], 1, Some(1), 9, None, &[])]
    #[case::not_taken_in_yet(&[1, 2, 3], 1, None, 1, None, &[1])]
    #[case::the_workload_carries_what_it_condemned(&[1, 2, 3], 1, None, 9, Some(1), &[2])]
    #[case::so_many_a_turn(&[1, 2, 3, 4, 5, 6, 7, 8], 1, None, 9, None, &[1, 2, 3, 4, 5])]
    fn given_ended_changes_when_tidied_then_the_oldest_beyond_the_bounds_go(
        #[case] there: &[i64],
        #[case] changes: u32,
        #[case] days_kept: Option<u32>,
        #[case] taken_in: i64,
        #[case] condemned: Option<i64>,
        #[case] gone: &[i64],
    ) {
        let there: Vec<Arc<Change>> = there.iter().map(|day| of_day(*day)).collect();
        let kept = History { changes, days: days_kept };
        let status = status(taken_in, condemned);
        assert_eq!(days(&surplus(&there, &kept, &status, Some("carried"), second(100 * DAY))), gone);
    }

    #[test]
    fn given_a_guard_that_has_taken_in_nothing_when_tidied_then_all_stay() {
        let there = [of_day(1), of_day(2)];
        let kept = History { changes: 1, days: None };
        assert!(surplus(&there, &kept, &GuardStatus::default(), None, second(9 * DAY)).is_empty());
    }

    #[test]
    fn given_more_than_the_newest_ten_when_tidied_then_the_others_keep_their_words_alone() {
        let mut there: Vec<Arc<Change>> = (1..=13).map(of_day).collect();
        assert_eq!(days(&whole(&there)), [1, 2, 3]);
        let reduced = Arc::make_mut(there.first_mut().unwrap());
        reduced.status.as_mut().unwrap().words_only = true;
        assert_eq!(days(&whole(&there)), [2, 3]);
    }
}
