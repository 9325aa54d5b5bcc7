//! What someone let through unjudged: kept with the Guard, since no Change tells of it.

use firebreak_api::{
    GuardStatus,
    guard::{Bypass, Revision},
    names,
};
use jiff::Timestamp;
use kube::api::DynamicObject;

use crate::raw;

/// Bypasses kept with a Guard.
const MOST: usize = 20;
/// Longest reason that is kept, in characters; an annotation can hold 256 kB.
const LONGEST_REASON: usize = 1024;
/// Longest name of who asked that is kept, in characters.
const LONGEST_NAME: usize = 512;

/// Keeps the bypass that a workload is marked with, if it is, as the revision it let through becomes stable. Told
/// twice it is kept once.
pub(super) fn keep(status: &mut GuardStatus, deployment: &DynamicObject, to: &Revision, now: Timestamp) {
    let cut = |text: &str, most: usize| text.trim().chars().take(most).collect::<String>();
    let Some(reason) = raw::annotation(deployment, names::BYPASSED).map(|reason| cut(reason, LONGEST_REASON)) else { return };
    let by = raw::annotation(deployment, names::CHANGED_BY).map(|name| cut(name, LONGEST_NAME));
    let kept = |last: &Bypass| last.to == *to && last.reason == reason && last.by == by;
    if reason.is_empty() || status.bypasses.last().is_some_and(kept) {
        return;
    }
    let images = raw::pod_template(deployment).map(raw::images).unwrap_or_default();
    let from = status.stable.clone().filter(|from| from != to);
    status.bypasses.push(Bypass { at: now, by, reason, from, to: to.clone(), images });
    let surplus = status.bypasses.len().saturating_sub(MOST);
    status.bypasses.drain(..surplus);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use serde_json::json;

    use super::*;

    fn marked(reason: &str) -> DynamicObject {
        serde_json::from_value(json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "shop", "annotations": {(names::BYPASSED): reason, (names::CHANGED_BY): "ann"}},
            "spec": {"template": {"spec": {"containers": [{"name": "app", "image": "shop:2"}]}}}}))
        .unwrap()
    }

    fn revision(hash: &str) -> Revision {
        Revision { hash: hash.to_owned(), replica_set: format!("shop-{hash}") }
    }

    #[test]
    fn given_a_marked_workload_when_its_revision_becomes_stable_then_who_and_why_are_kept_once() {
        let mut status = GuardStatus { stable: Some(revision("old")), ..GuardStatus::default() };
        keep(&mut status, &marked("INC-123: the fix"), &revision("new"), Timestamp::UNIX_EPOCH);
        keep(&mut status, &marked("INC-123: the fix"), &revision("new"), Timestamp::MAX);
        assert_eq!(status.bypasses.len(), 1);
        let kept = &status.bypasses[0];
        assert_eq!((kept.by.as_deref(), kept.reason.as_str(), kept.at), (Some("ann"), "INC-123: the fix", Timestamp::UNIX_EPOCH));
        assert_eq!((kept.from.clone(), kept.images.clone()), (Some(revision("old")), vec!["shop:2".to_owned()]));
    }

    #[test]
    fn given_no_mark_or_many_when_kept_then_none_or_the_newest() {
        let mut status = GuardStatus::default();
        keep(&mut status, &marked(" "), &revision("new"), Timestamp::UNIX_EPOCH);
        assert!(status.bypasses.is_empty());
        for number in 0..MOST + 3 {
            keep(&mut status, &marked(&"why ".repeat(1000)), &revision(&number.to_string()), Timestamp::UNIX_EPOCH);
        }
        assert_eq!((status.bypasses.len(), status.bypasses[0].to.hash.as_str()), (MOST, "3"));
        assert!(status.bypasses[0].reason.chars().count() <= LONGEST_REASON);
    }
}
