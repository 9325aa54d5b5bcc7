//! Claims that were edited on a workload while its Change runs: whether more is asked of it now.

use std::collections::BTreeMap;

use firebreak_api::{Change, in_force::Basis};
use firebreak_engine::risk::{self, Level};
use kube::api::DynamicObject;

use crate::{begin, raw};

/// What the newest claims of one Change's workload mean. Its policy is asked once for each edit.
#[derive(Default)]
pub(crate) struct Raised {
    last: Option<(BTreeMap<String, String>, Option<Level>)>,
}

impl Raised {
    /// The level that the claims mean now, where that is more than the Change began with.
    pub(crate) fn level(&mut self, deployment: Option<&DynamicObject>, change: &Change) -> Option<Level> {
        let deployment = deployment?;
        let claims = begin::claims(deployment, raw::pod_template(deployment)?).annotations;
        if let Some((_, level)) = self.last.as_ref().filter(|(last, _)| *last == claims) {
            return *level;
        }
        let level = read(&claims, change);
        self.last = Some((claims, level));
        level
    }
}

/// Whether the workload claims what it did when the Change began: another that began now would be asked for no less.
pub(crate) fn as_it_began(deployment: Option<&DynamicObject>, change: &Change) -> bool {
    let claimed = |deployment: &DynamicObject| Some(begin::claims(deployment, raw::pod_template(deployment)?).annotations);
    deployment.and_then(claimed).is_some_and(|claims| claims == change.spec.claims.annotations)
}

/// The level that the claims on the workload mean now, where someone edited them so that more is asked of the Change: what
/// asks for less than it began with changes nothing, nor does a version of Firebreak that makes more of the same claims.
fn read(claims: &BTreeMap<String, String>, change: &Change) -> Option<Level> {
    if *claims == change.spec.claims.annotations {
        return None;
    }
    let then = risk::assess(&change.spec.claims.annotations).level;
    let now = risk::assess(claims).level;
    let began = Level::read(&change.spec.risk.level)?.max(then);
    let basis = change.spec.risk_basis.as_deref().and_then(|basis| Basis::unpack(basis).ok());
    let Some(mut basis) = basis.filter(|basis| basis.policy.has_rules()) else { return (now > began).then_some(now) };
    // By the same policy and the same facts, but for the claims.
    basis.facts.annotations = claims.clone();
    let Ok(judged) = basis.judge() else { return (now > began).then_some(now) };
    let asks = |stage: &i32| change.spec.plan.approval_at.contains(stage);
    let level = judged.outcome.level;
    let more = level > began
        || (level == began && !judged.plan.approval_at.iter().all(asks))
        || (change.spec.risk.refused.is_empty() && !judged.outcome.refused.is_empty());
    more.then_some(level)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[rstest::rstest]
    #[case::lower("low", None)]
    #[case::as_it_began("medium", None)]
    #[case::higher("critical", Some(Level::Critical))]
    #[case::unreadable("none of them", Some(Level::High))]
    fn given_a_claim_that_was_edited_when_read_then_only_a_higher_level_counts(
        #[case] risk: &str,
        #[case] expected: Option<Level>,
    ) {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "shop", "annotations": {"firebreak.dev/risk": risk}}, "spec": {"template": {}}});
        let deployment: DynamicObject = serde_json::from_value(object).unwrap();
        let mut change = crate::fake::change("shop-x-1");
        change.spec.risk.level = "medium".to_owned();
        assert!(!as_it_began(Some(&deployment), &change) && !as_it_began(None, &change));
        let mut raised = Raised::default();
        for _ in 0..2 {
            assert_eq!(raised.level(Some(&deployment), &change), expected);
        }
    }
}
