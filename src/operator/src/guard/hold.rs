//! Which hold a Guard has, found out by trying; and what is said of a workload that is held.

use std::time::Duration;

use firebreak_api::{Guard, guard::Hold, names};
use kube::{
    Api, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::json;
use tokio::time::Instant;

use super::{Worker, patch_params, within};
use crate::raw;

/// The first time after which the hold is tried again: an API server that just started does not apply policies for up to
/// half a minute.
const SOONEST: Duration = Duration::from_secs(30);
/// While nothing changes the time doubles up to this: a thousand Guards then cost two calls a second.
const LATEST: Duration = Duration::from_secs(600);

/// The last try of the hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tried {
    hold: Hold,
    at: Instant,
    again_after: Duration,
    /// The Guard and the workload that it was tried with.
    with: Generations,
}

/// Generations of a Guard and of its workload.
type Generations = (Option<i64>, Option<i64>);

impl Tried {
    /// What a try means; `found` is none where the API server did not say, as for a webhook that refuses dry runs.
    fn after(last: Option<Self>, found: Option<Hold>, with: Generations, at: Instant) -> Self {
        let hold = found.or(last.map(|last| last.hold)).unwrap_or(Hold::Late);
        let again_after = match (hold, found, last.filter(|last| last.with == with && last.hold == hold)) {
            (Hold::Admission, Some(_), _) => LATEST,
            (_, _, Some(last)) => (last.again_after * 2).min(LATEST),
            (_, _, None) => SOONEST,
        };
        Self { hold, at, again_after, with }
    }

    /// Whether it is to be tried again: its time has come, or it was tried with others than these.
    fn is_due(&self, with: Generations, now: Instant) -> bool {
        let wait = if self.with == with { self.again_after } else { SOONEST };
        now.duration_since(self.at) >= wait
    }
}

impl Worker {
    /// Finds out by trying whether the API server holds a template change: a dry run that changes nothing.
    pub(super) async fn hold_of(&mut self, guard: &Guard, deployment: &DynamicObject) -> Hold {
        let with = (guard.metadata.generation, deployment.metadata.generation);
        if let Some(tried) = self.tried.filter(|tried| !tried.is_due(with, Instant::now())) {
            return tried.hold;
        }
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), self.view.namespace(), &crate::world::deployment());
        let patch = json!({"spec": {"template": {"metadata": {"annotations": {"firebreak.dev/dry-run": "true"}}}}});
        let params = PatchParams { dry_run: true, ..patch_params() };
        let found = match within(api.patch(&deployment.name_any(), &params, &Patch::Merge(patch))).await {
            Ok(answer) if raw::annotation(&answer, names::HELD).is_some() => Some(Hold::Admission),
            Ok(_) => Some(Hold::Late),
            Err(error) => {
                tracing::warn!(guard = self.name, %error, "cannot try whether the API server holds template changes");
                None
            }
        };
        let tried = Tried::after(self.tried, found, with, Instant::now());
        self.tried = Some(tried);
        tried.hold
    }

    /// When the hold is tried again.
    pub(super) fn tried_again_after(&self) -> Duration {
        self.tried.map_or(SOONEST, |tried| tried.again_after)
    }
}

/// Whether the workload is held for this Guard.
pub(super) fn is_ours(deployment: &DynamicObject, guard: &str) -> bool {
    raw::paused(deployment) && raw::annotation(deployment, names::HELD) == Some(guard)
}

/// What a Guard that cannot work says of the template that is held for it all the same.
pub(super) fn way_out(deployment: &DynamicObject, guard: &str, namespace: &str) -> String {
    let whose = raw::annotation(deployment, names::CHANGED_BY).map_or(String::new(), |by| format!(" of {by}"));
    let name = deployment.name_any();
    format!(
        "until then the new template{whose} is held: Deployment {name} is paused and nothing runs from it. To run it unguarded: \
         kubectl delete guard {guard} -n {namespace}, then kubectl rollout resume deployment/{name} -n {namespace}"
    )
}

/// What a Guard says of its hold.
pub(super) fn words(hold: Hold) -> &'static str {
    match hold {
        Hold::Admission => "a dry run of a template change came back held: nothing runs from a new template before it is judged",
        Hold::Late => {
            "a dry run of a template change came back unheld, so the operator pauses the workload when it sees a change, and \
             pods can start before; Kubernetes 1.36 and the chart's admission policy (admission.enabled) hold in time"
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SAME: Generations = (Some(1), Some(1));

    fn tries(found: &[Option<Hold>]) -> Vec<u64> {
        let mut last = None;
        let one = |found: &Option<Hold>| {
            let tried = Tried::after(last, *found, SAME, Instant::now());
            last = Some(tried);
            tried.again_after.as_secs()
        };
        found.iter().map(one).collect()
    }

    #[test]
    fn given_a_late_hold_that_stays_when_tried_then_ever_less_often() {
        assert_eq!(tries(&[Some(Hold::Late); 7]), [30, 60, 120, 240, 480, 600, 600]);
    }

    #[test]
    fn given_a_dry_run_that_is_refused_when_tried_then_it_is_remembered_like_any_other() {
        assert_eq!(tries(&[None; 3]), [30, 60, 120]);
        let tried = Tried::after(None, None, SAME, Instant::now());
        assert!(!tried.is_due(SAME, tried.at + Duration::from_secs(29)) && tried.is_due(SAME, tried.at + SOONEST));
    }

    #[test]
    fn given_a_hold_that_is_found_when_tried_then_the_time_begins_anew() {
        assert_eq!(tries(&[Some(Hold::Late), Some(Hold::Late), Some(Hold::Admission), Some(Hold::Late)]), [30, 60, 600, 30]);
    }

    #[test]
    fn given_another_guard_or_workload_when_looked_at_then_it_is_tried_soon_but_not_for_every_event() {
        let tried = Tried::after(None, Some(Hold::Admission), SAME, Instant::now());
        let other = (Some(1), Some(2));
        assert!(!tried.is_due(SAME, tried.at + SOONEST));
        assert!(tried.is_due(other, tried.at + SOONEST) && !tried.is_due(other, tried.at + SOONEST / 2));
    }

    fn deployment(paused: bool, held: &str) -> DynamicObject {
        let annotations = json!({(names::HELD): held, (names::CHANGED_BY): "ann"});
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "batch", "annotations": annotations}, "spec": {"paused": paused}});
        serde_json::from_value(object).unwrap()
    }

    #[rstest::rstest]
    #[case(true, "shop", true)]
    #[case(false, "shop", false)]
    #[case(true, "other", false)]
    fn given_a_workload_when_asked_then_it_is_held_for_the_guard_of_the_mark(
        #[case] paused: bool,
        #[case] held: &str,
        #[case] ours: bool,
    ) {
        assert_eq!(is_ours(&deployment(paused, held), "shop"), ours);
    }

    #[test]
    fn given_a_held_workload_of_a_guard_that_refuses_when_it_speaks_then_it_says_so_and_how_to_get_out() {
        let words = way_out(&deployment(true, "shop"), "shop", "prod");
        assert!(words.contains("new template of ann is held"), "{words}");
        assert!(
            words.ends_with("kubectl delete guard shop -n prod, then kubectl rollout resume deployment/batch -n prod"),
            "{words}"
        );
    }
}
