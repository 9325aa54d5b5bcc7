//! Why a Guard cannot work.

use firebreak_api::Guard;
use kube::ResourceExt as _;

use super::{Worker, say::Word};
use crate::{convert, metrics, raw};

impl Worker {
    /// Why this Guard cannot work, with the remedy.
    pub(super) async fn refusal(&self, guard: &Guard) -> Option<Word> {
        let rivals = self.shared.guards.all();
        let older = rivals.iter().find(|other| {
            other.namespace() == guard.namespace()
                && other.name_any() != guard.name_any()
                && other.spec.target_ref == guard.spec.target_ref
                && (&other.metadata.creation_timestamp, other.name_any()) < (&guard.metadata.creation_timestamp, guard.name_any())
        });
        if let Some(other) = older {
            let (target, other) = (&guard.spec.target_ref.name, other.name_any());
            let message = format!("Guard {other} guards Deployment {target} already and was there first; delete one of the two");
            return Some(Word::stalled("TargetAlreadyGuarded", message));
        }
        for signal in &guard.spec.metrics.signals {
            let of_pods = guard.spec.metrics.pods.is_some();
            let validate = if of_pods { metrics::validate_pages } else { metrics::validate };
            let valid = convert::shape(signal).map(|shape| validate(&shape));
            if let Some(Err(trouble)) = valid {
                let message = format!("spec.metrics.signals, {}: {trouble}", signal.name);
                return Some(Word::stalled("BadSignal", message));
            }
        }
        for dependent in &guard.spec.dependents {
            let troubles =
                dependent.signals.iter().filter_map(|signal| Some((signal, metrics::validate(&convert::shape(signal)?).err()?)));
            if let Some((signal, trouble)) = troubles.into_iter().next() {
                let message = format!("spec.dependents, {}, signal {}: {trouble}", dependent.name, signal.name);
                return Some(Word::stalled("BadSignal", message));
            }
        }
        let deployment = self.view.deployments.get(self.view.namespace(), &guard.spec.target_ref.name)?;
        let strategy = raw::at(&deployment, "/spec/strategy/type").and_then(serde_json::Value::as_str);
        if strategy == Some("Recreate") {
            let message = format!(
                "Deployment {} has strategy Recreate: two revisions must never run together, so it cannot go up in stages; \
                 set spec.strategy.type to RollingUpdate or delete this Guard",
                deployment.name_any()
            );
            return Some(Word::stalled("StrategyRecreate", message));
        }
        None
    }
}
