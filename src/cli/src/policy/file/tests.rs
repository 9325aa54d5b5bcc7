//! What is read as a policy, and what is said of what is not.

use firebreak_api::plan as convert;
use firebreak_engine::{Plan, risk::Level};
use rstest::rstest;

use super::*;
use crate::policy::{name as words, plan};

fn parse(text: &str) -> Result<Effective, String> {
    policies(&parsed(text)?)
}

fn manifest(change: impl Fn(&mut Value)) -> String {
    let level = |name| serde_json::to_value(convert::level(None, name)).unwrap();
    let mut policy = serde_json::json!({
        "apiVersion": "firebreak.dev/v1alpha1", "kind": "ClusterRiskPolicy", "metadata": {"name": "shop"},
        "spec": {"levels": {"low": level(Level::Low), "medium": level(Level::Medium), "high": level(Level::High),
            "critical": level(Level::Critical)}}
    });
    change(&mut policy);
    serde_yaml_ng::to_string(&policy).unwrap()
}

#[test]
fn given_the_built_in_policy_as_a_manifest_when_read_then_the_same_plans() {
    let policy = parse(&manifest(|_| {})).unwrap();
    for level in [Level::Low, Level::Medium, Level::High, Level::Critical] {
        let (built_in, _) = Plan::built_in(level);
        assert_eq!(plan(&policy, level, None), built_in);
        assert_eq!(plan(&Effective::default(), level, None), built_in);
    }
    assert_eq!(words(&policy, Level::High), "policy shop, level high");
}

#[rstest]
#[case("/spec/levels/low/alpha", "0.0", "spec.levels.low.alpha: a probability above 0")]
#[case("/spec/levels/high/beta", "0.6", "spec.levels.high.beta: a probability above 0")]
#[case("/spec/levels/low/margin", "0.9", "spec.levels.low.margin: a ratio from 1 to 10")]
#[case("/spec/levels/low/budgetPercent", "50.0", "spec.levels.low.budgetPercent: a percentage above 0 and below 50")]
#[case("/spec/levels/low/sloFactor", "2.0", "spec.levels.low.sloFactor: a factor above 0")]
#[case("/spec/levels/medium/stages", "[5, 5, 100]", "spec.levels.medium.stages: whole percentages, rising")]
#[case("/spec/levels/medium/stages", "[5, 50]", "spec.levels.medium.stages: whole percentages, rising")]
#[case("/spec/levels/medium/stages", "[]", "spec.levels.medium.stages: whole percentages, rising")]
#[case("/spec/levels/critical/approvalAt", "[33]", "spec.levels.critical.approvalAt: name stages")]
#[case("/spec/levels/low/approval", "{\"at\": [33]}", "spec.levels.low.approval.at: name stages")]
#[case("/spec/levels/critical/approval", "{\"at\": [100]}", "write the stages once: in approval.at, or in approvalAt")]
#[case("/spec/levels/low/approval", "{\"at\": [100], \"count\": 11}", "spec.levels.low.approval.count: from 1 to 10")]
#[case("/spec/levels/critical/holdbackPercent", "50", "spec.levels.critical.holdbackPercent: from 0 to 20")]
#[case("/spec/levels/low/minBake", "\"2h\"", "spec.levels.low.minBake must not be longer than maxBake")]
#[case("/spec/levels/low", "{}", "is no ClusterRiskPolicy")]
#[case("/kind", "\"Guard\"", "has kind Guard: write a ClusterRiskPolicy")]
fn given_a_policy_that_the_api_server_would_refuse_when_read_then_it_says_what_to_write(
    #[case] place: &str,
    #[case] value: &str,
    #[case] words: &str,
) {
    let (parent, field) = place.rsplit_once('/').unwrap();
    let text = manifest(|policy| policy.pointer_mut(parent).unwrap()[field] = serde_json::from_str(value).unwrap());
    let error = parse(&text).unwrap_err();
    assert!(error.contains(words), "{error}");
}

#[test]
fn given_a_field_that_is_not_known_when_read_then_it_is_named() {
    let text = manifest(|policy| policy["spec"]["levels"]["low"]["holdback"] = 5.into());
    assert!(parse(&text).unwrap_err().starts_with("spec.levels.low.holdback is no field"), "{:?}", parse(&text));
    let error = parse("kind: [Guard").unwrap_err();
    assert!(error.contains("is no YAML or JSON"), "{error}");
}

#[test]
fn given_both_kinds_in_one_file_when_read_then_only_where_one_tightens_the_other() {
    let both =
        |spec: &str| parse(&format!("{}---\nkind: RiskPolicy\nmetadata: {{name: team}}\nspec: {{{spec}}}\n", manifest(|_| {})));
    assert_eq!(both("atLeast: high, clusterPolicy: shop").unwrap().name(), "shop + team");
    let error = both("atLeast: high, clusterPolicy: other").unwrap_err();
    assert!(error.contains("tightens ClusterRiskPolicy other, which is not in the file"), "{error}");
    let error = both("atLeast: high").unwrap_err();
    assert!(
        error.contains("RiskPolicy team has no spec.clusterPolicy") && error.contains("write spec.clusterPolicy: shop"),
        "{error}"
    );
    let error = parse(&format!("{0}---\n{0}", manifest(|_| {}))).unwrap_err();
    assert!(error.contains("two policies of one kind"), "{error}");
}
