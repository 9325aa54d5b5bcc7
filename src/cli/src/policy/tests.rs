//! What is read as a setting, and what is said of a difference.

use rstest::rstest;

use serde_json::Value;

use super::*;

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
    let (medium, high) = (plan(&Effective::default(), Level::Medium, None), plan(&Effective::default(), Level::High, None));
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
