//! Interventions that no running Change answers: retries of condemned templates, and what comes too late.

use firebreak_api::{
    Guard, Intervention,
    guard::Condemned,
    intervention::{Action, Outcome},
};
use kube::{Resource as _, ResourceExt as _};

use super::{Worker, account};
use crate::answers::Reply;

impl Worker {
    /// The Guard without its condemned template, where a human asked to try that one again.
    pub(super) async fn retried(&self, guard: &Guard, condemned: &Condemned) -> Result<Option<Guard>, kube::Error> {
        let asked = self.open_acts().into_iter().find(|act| retries(act, condemned));
        let Some(act) = asked else { return Ok(None) };
        let guard = account::cleared(guard, &condemned.template);
        self.write_status(&guard, guard.status.clone().unwrap_or_default()).await?;
        let message = format!("template of Change {} is cleared; a new Change begins", condemned.change);
        self.answer(&guard, &act, Outcome::Applied, message);
        Ok(Some(guard))
    }

    /// Interventions that nothing can come of any more are refused, not left open: `digest` is of the template that the
    /// workload carries now.
    ///
    /// An open retry of another template would run by itself whenever that template came back, on a word that was given for
    /// another day.
    pub(super) fn refuse_late_acts(&self, guard: &Guard, digest: Option<&str>) {
        let condemned = guard.status.as_ref().map_or(&[][..], |status| &status.condemned);
        for act in self.open_acts() {
            if let Some(why) = refusal(&act, condemned, digest, guard) {
                self.answer(guard, &act, Outcome::Refused, why);
            }
        }
    }

    fn open_acts(&self) -> Vec<std::sync::Arc<Intervention>> {
        let open = |act: &Intervention| act.status.as_ref().is_none_or(|status| status.outcome.is_none());
        self.view.interventions.all().into_iter().filter(|act| act.spec.guard == self.name && open(act)).collect()
    }

    fn answer(&self, guard: &Guard, act: &Intervention, outcome: Outcome, message: String) {
        let namespace = self.view.namespace().to_owned();
        let change = self.view.changes.get(&namespace, &act.spec.change);
        let owner = change.and_then(|change| change.owner_ref(&())).or_else(|| guard.owner_ref(&()));
        self.teller.answer(Reply { namespace, act: act.name_any(), outcome, message, owner });
    }
}

fn retries(act: &Intervention, condemned: &Condemned) -> bool {
    act.spec.action == Action::Retry && act.spec.change == condemned.change
}

/// Why nothing comes of an act while no Change runs; `None` for the retry of the template that waits for it.
fn refusal(act: &Intervention, condemned: &[Condemned], digest: Option<&str>, guard: &Guard) -> Option<String> {
    let (name, namespace) = (guard.name_any(), guard.namespace().unwrap_or_default());
    let change = &act.spec.change;
    if act.spec.action != Action::Retry {
        return Some(format!("Change {change} does not run; see kubectl firebreak status {name} -n {namespace}"));
    }
    match condemned.iter().find(|condemned| retries(act, condemned)) {
        Some(condemned) if digest == Some(&condemned.template) => None,
        Some(_) => Some(format!(
            "Deployment {} does not carry the template that Change {change} condemned, so there is nothing to try again now; \
             ship that template, then kubectl firebreak retry {name} -n {namespace}",
            guard.spec.target_ref.name
        )),
        None => Some(format!(
            "no template is condemned by Change {change}, so there is nothing to clear; to begin a Change, ship a template"
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use firebreak_api::InterventionSpec;

    use super::*;
    use crate::fake;

    fn act(action: Action) -> Intervention {
        let (guard, change) = ("shop".to_owned(), "shop-x-1".to_owned());
        Intervention::new("act", InterventionSpec { guard, change, action, stage: None, reason: None, by: None })
    }

    #[rstest::rstest]
    #[case::waits_for_it(Action::Retry, Some("x"), "x", None)]
    #[case::another_template_was_shipped(Action::Retry, Some("x"), "good", Some("does not carry the template"))]
    #[case::nothing_is_condemned(Action::Retry, None, "good", Some("no template is condemned"))]
    #[case::no_change_runs(Action::Abort, Some("x"), "x", Some("does not run; see kubectl firebreak status shop -n shop"))]
    fn given_no_running_change_when_an_act_is_open_then_it_waits_only_for_its_own_template(
        #[case] action: Action,
        #[case] condemned: Option<&str>,
        #[case] carried: &str,
        #[case] refused: Option<&str>,
    ) {
        let condemned: Vec<Condemned> = condemned
            .map(|template| Condemned { template: template.to_owned(), change: "shop-x-1".to_owned() })
            .into_iter()
            .collect();
        let why = refusal(&act(action), &condemned, Some(carried), &fake::guard("shop"));
        match refused {
            None => assert_eq!(why, None),
            Some(part) => assert!(why.clone().unwrap().contains(part), "{why:?}"),
        }
    }

    #[test]
    fn given_a_workload_that_is_gone_when_a_retry_is_open_then_it_is_refused() {
        let condemned = [Condemned { template: "x".to_owned(), change: "shop-x-1".to_owned() }];
        assert!(refusal(&act(Action::Retry), &condemned, None, &fake::guard("shop")).is_some());
    }
}
