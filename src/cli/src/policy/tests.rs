//! What is read as a policy, and what is said of what is not.

use rstest::rstest;

use super::*;

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
        assert_eq!(plan(Some(&policy), level, None), built_in);
        assert_eq!(plan(None, level, None), built_in);
    }
    assert_eq!(name(Some(&policy), Level::High), "policy shop, level high");
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
    let error = parse("kind: Guard\n---\nkind: Guard\n").unwrap_err();
    assert!(error.contains("not one YAML or JSON document"), "{error}");
}

#[rstest]
#[case("0.02", Some(0.02))]
#[case("2%", Some(0.02))]
#[case("2 %", Some(0.02))]
#[case("0", None)]
#[case("0.6", None)]
#[case("nan", None)]
#[case("a", None)]
fn given_a_probability_when_read_then_within_its_range(#[case] text: &str, #[case] value: Option<f64>) {
    assert_eq!(probability(text).ok(), value);
}

#[test]
fn given_a_budget_when_read_then_only_with_its_sign() {
    assert_eq!(budget("0.1%"), Ok(0.001));
    assert!(budget("0.1").unwrap_err().contains("with its sign, for example 0.1%"));
    assert!(budget("0%").is_err() && budget("50%").is_err());
    assert!(margin("0.9").is_err() && margin("inf").is_err());
    assert_eq!(margin("1.25"), Ok(1.25));
}

#[test]
fn given_two_plans_when_compared_then_every_difference_is_said() {
    let (medium, high) = (plan(None, Level::Medium, None), plan(None, Level::High, None));
    assert!(differences(&medium, &medium).is_empty());
    insta::assert_snapshot!(differences(&medium, &high).join("\n"), @"
    alpha 0.02 (was 0.01)
    budget 0.05 % (was 0.1 %)
    stages 1 %, 5 %, 20 %, 50 %, 100 % (was 5 %, 20 %, 50 %, 100 %)
    shortest time at a stage 5m00s (was 2m00s)
    longest time at a stage 1h00m (was 30m00s)
    time at the last stage 30m00s (was 5m00s)
    a human asked before 100 % (was nowhere)
    without metrics hold and warn (was hold)
    ");
    // No setting is left out of the comparison.
    let kept = serde_json::to_value(&medium).unwrap();
    for (name, value) in kept.as_object().unwrap() {
        let mut other = kept.clone();
        other[name] = match value {
            Value::Array(_) => serde_json::json!([370, 1000]),
            Value::Object(_) => serde_json::json!({"count": 2, "groups": ["release"], "expires_after_seconds": 60.0}),
            Value::String(_) => "RollBack".into(),
            Value::Number(number) if number.is_u64() => 130.into(),
            _ => (value.as_f64().unwrap() * 1.5).into(),
        };
        let other: Plan = serde_json::from_value(other).unwrap();
        assert_eq!(differences(&medium, &other).len(), 1, "{name}");
    }
}
