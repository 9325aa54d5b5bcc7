//! The absolute checks of one Change: each asks its query again and again, and says what came.

use std::sync::Arc;

use firebreak_api::Change;
use firebreak_engine::{
    checks::{CheckLook, Found},
    units::Millis,
};
use futures::future::select_all;

use crate::{
    error_budget,
    metrics::{Asking, Hub, Trouble, Values},
};

/// Largest number that is told: JSON has no infinity, and every limit is below.
const LARGEST: f64 = f64::MAX;

/// Questions of one Change, one a check.
pub(super) struct Checks {
    asking: Vec<Asking>,
    /// Instants of the answers that were given out.
    given: Vec<i64>,
}

impl Checks {
    /// Begins to ask.
    pub(super) fn open(hub: &Arc<Hub>, change: &Change, namespace: &str) -> Self {
        let url = change.spec.prometheus_url.as_deref();
        // In the order of the engine's setup.
        let asked = change.spec.checks.iter().map(|check| (check.query.clone(), check.every.0));
        let burns = error_budget::burns(&change.spec).map(|burn| (burn.query, error_budget::EVERY));
        let asking: Vec<Asking> =
            asked.chain(burns).map(|(query, every)| hub.ask(url, &written(&query, change, namespace), every)).collect();
        Self { given: vec![i64::MIN; asking.len()], asking }
    }

    /// Resolves when a check has a new answer; never where there is none.
    pub(super) async fn changed(&mut self) {
        let waits: Vec<_> = self.asking.iter_mut().map(|asking| Box::pin(asking.changed())).collect();
        if waits.is_empty() {
            std::future::pending::<()>().await;
        }
        select_all(waits).await;
    }

    /// The answers that were not given out before.
    pub(super) fn looks(&mut self) -> Vec<CheckLook> {
        let mut looks = Vec::new();
        for (check, (asking, given)) in self.asking.iter().zip(&mut self.given).enumerate() {
            let Some(answer) = asking.latest().filter(|answer| answer.at_ms != *given) else { continue };
            *given = answer.at_ms;
            looks.push(CheckLook { check, at: Millis(answer.at_ms), found: found(&answer.result) });
        }
        looks
    }
}

fn found(result: &Result<Values, Trouble>) -> Found {
    match result {
        Err(trouble) => Found::Nothing(trouble.to_string()),
        Ok(Values { series: 0, .. }) => {
            Found::Nothing("the query found no series; correct it, or set onMissing: Ignore if that is no trouble".to_owned())
        }
        Ok(Values { least, most, .. }) if least.is_nan() || most.is_nan() => {
            Found::Nothing("the query gave NaN (0/0, most likely: there were no requests)".to_owned())
        }
        Ok(Values { least, most, .. }) => {
            Found::Values { least: least.clamp(-LARGEST, LARGEST), most: most.clamp(-LARGEST, LARGEST) }
        }
    }
}

/// The query with the Change's own names in the place of its variables. All are names of Kubernetes objects: nothing in them
/// ends a string of PromQL.
fn written(query: &str, change: &Change, namespace: &str) -> String {
    let spec = &change.spec;
    // The longer names first, where one begins with the other.
    let named = [
        ("$candidateHash", spec.candidate.hash.as_str()),
        ("$stableHash", spec.stable.hash.as_str()),
        ("$namespace", namespace),
        ("$workload", spec.target.name.as_str()),
        ("$candidate", spec.candidate.replica_set.as_str()),
        ("$stable", spec.stable.replica_set.as_str()),
    ];
    named.iter().fold(query.to_owned(), |query, (variable, name)| query.replace(variable, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;

    #[test]
    fn given_variables_then_the_changes_own_names_stand_there() {
        let mut change = fake::change("shop-x-1");
        change.spec.candidate.hash = "c1".into();
        change.spec.candidate.replica_set = "shop-c1".into();
        change.spec.stable.replica_set = "shop-s1".into();
        let query = r#"max(x{namespace="$namespace",pod=~"$candidate-.*",hash="$candidateHash",old=~"$stable-.*"})"#;
        let expected = r#"max(x{namespace="shop",pod=~"shop-c1-.*",hash="c1",old=~"shop-s1-.*"})"#;
        assert_eq!(written(query, &change, "shop"), expected);
    }

    #[rstest::rstest]
    #[case(Values { series: 0, least: f64::INFINITY, most: f64::NEG_INFINITY }, None)]
    #[case(Values { series: 1, least: f64::NAN, most: f64::NAN }, None)]
    #[case(Values { series: 2, least: 0.5, most: f64::INFINITY }, Some((0.5, f64::MAX)))]
    fn given_what_a_query_gave_then_it_is_numbers_or_nothing(#[case] values: Values, #[case] expected: Option<(f64, f64)>) {
        match (found(&Ok(values)), expected) {
            (Found::Values { least, most }, Some(expected)) => assert_eq!((least, most), expected),
            (Found::Nothing(why), None) => assert!(!why.is_empty()),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }
}
