//! Interventions that no running Change answers: retries of condemned templates, and what comes too late.

use firebreak_api::{
    Guard,
    guard::Condemned,
    intervention::{Action, Outcome},
};
use kube::ResourceExt as _;

use super::{Worker, account};
use crate::turn;

impl Worker {
    /// The Guard without its condemned template, where a human asked to try that one again.
    pub(super) async fn retried(&self, guard: &Guard, condemned: &Condemned) -> Result<Option<Guard>, kube::Error> {
        let asked = self.view.interventions.all().into_iter().find(|act| {
            act.spec.guard == self.name
                && act.spec.action == Action::Retry
                && act.spec.change == condemned.change
                && act.status.as_ref().is_none_or(|status| status.outcome.is_none())
        });
        let Some(act) = asked else { return Ok(None) };
        let guard = account::cleared(guard, &condemned.template);
        self.write_status(&guard, guard.status.clone().unwrap_or_default()).await?;
        let message = format!("template of Change {} is cleared; a new Change begins", condemned.change);
        turn::answer(&self.client, self.view.namespace(), &act.name_any(), Outcome::Applied, &message).await;
        Ok(Some(guard))
    }

    /// Interventions for Changes that do not run (any more) are answered, not left hanging.
    pub(super) async fn refuse_late_acts(&self, guard: &Guard) {
        let condemned = guard.status.iter().flat_map(|status| &status.condemned);
        let condemned: Vec<&String> = condemned.map(|condemned| &condemned.change).collect();
        for act in self.view.interventions.all() {
            let open = act.status.as_ref().is_none_or(|status| status.outcome.is_none());
            if act.spec.guard != self.name || !open {
                continue;
            }
            let retry = act.spec.action == Action::Retry;
            if retry && condemned.contains(&&act.spec.change) {
                continue;
            }
            let message = if retry {
                format!(
                    "Change {} did not condemn the template that the workload carries; there is nothing to retry",
                    act.spec.change
                )
            } else {
                format!("Change {} does not run; see kubectl firebreak status {}", act.spec.change, self.name)
            };
            turn::answer(&self.client, self.view.namespace(), &act.name_any(), Outcome::Refused, &message).await;
        }
    }
}
