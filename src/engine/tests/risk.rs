//! Claims to levels, as a table; and the built-in plans.

#![allow(clippy::unwrap_used, clippy::panic, clippy::too_many_arguments)]

use std::collections::BTreeMap;

use firebreak_engine::{
    Plan,
    risk::{Level, assess},
    units::Weight,
};
use proptest::prelude::*;
use rstest::rstest;

fn claims(text: &str) -> BTreeMap<String, String> {
    let pair = |part: &str| part.split_once('=').map(|(name, value)| (format!("firebreak.dev/{name}"), value.to_owned()));
    text.split(';').filter_map(pair).collect()
}

#[rstest]
#[case("", Level::Medium, "no-claim", 0)]
#[case("risk=low", Level::Low, "claimed-risk", 0)]
#[case("risk=medium", Level::Medium, "claimed-risk", 0)]
#[case("risk=high", Level::High, "claimed-risk", 0)]
#[case("risk=critical", Level::Critical, "claimed-risk", 0)]
#[case("risk=Low", Level::High, "malformed-claims", 1)]
#[case("risk=", Level::High, "malformed-claims", 1)]
#[case("risk=severe", Level::High, "malformed-claims", 1)]
#[case("risk-score=0.00", Level::Low, "risk-score", 0)]
#[case("risk-score=0.49", Level::Low, "risk-score", 0)]
#[case("risk-score=0.50", Level::Medium, "risk-score", 0)]
#[case("risk-score=0.85", Level::High, "risk-score", 0)]
#[case("risk-score=0.97", Level::Critical, "risk-score", 0)]
#[case("risk-score=1.00", Level::Critical, "risk-score", 0)]
#[case("risk-score=1.01", Level::High, "malformed-claims", 1)]
#[case("risk-score=-0.1", Level::High, "malformed-claims", 1)]
#[case("risk-score=1e-1", Level::High, "malformed-claims", 1)]
#[case("risk-score=NaN", Level::High, "malformed-claims", 1)]
#[case("risk=low;risk-score=0.90", Level::High, "risk-score", 0)]
#[case("risk=high;risk-score=0.10", Level::High, "claimed-risk", 0)]
#[case("risk=low;ai-contribution=ai", Level::Medium, "unreviewed-machine-authorship", 0)]
#[case("risk=low;ai-contribution=mixed", Level::Medium, "unreviewed-machine-authorship", 0)]
#[case("risk=low;ai-contribution=ai;reviewed-by=ann", Level::Low, "claimed-risk", 0)]
#[case("risk=low;ai-contribution=human", Level::Low, "claimed-risk", 0)]
#[case("risk=low;ai-contribution=unknown", Level::Low, "claimed-risk", 0)]
#[case("risk=critical;ai-contribution=ai", Level::Critical, "unreviewed-machine-authorship", 0)]
#[case("ai-contribution=ai", Level::High, "unreviewed-machine-authorship", 0)]
#[case("risk=low;ai-contribution=robot", Level::High, "malformed-claims", 1)]
#[case("risk=low;change-url=ftp://x", Level::High, "malformed-claims", 1)]
#[case("risk=low;change-url=https://example.org/1", Level::Low, "claimed-risk", 0)]
#[case("risk=low;author= ", Level::High, "malformed-claims", 1)]
#[case("risk=severe;risk-score=2;ai-contribution=robot", Level::High, "malformed-claims", 3)]
fn given_claims_then_level_factor_and_problems(
    #[case] text: &str,
    #[case] level: Level,
    #[case] factor: &str,
    #[case] problems: usize,
) {
    let assessed = assess(&claims(text));
    assert_eq!(assessed.level, level, "{assessed:?}");
    assert!(assessed.factors.iter().any(|named| named.name == factor), "{assessed:?}");
    assert_eq!(assessed.problems.len(), problems, "{assessed:?}");
    assert!(assessed.problems.iter().all(|problem| problem.contains("firebreak.dev/") && problem.contains("write")));
}

#[test]
fn given_a_level_with_none_above_when_it_would_be_raised_then_the_words_do_not_say_it_was() {
    let words = |text: &str| assess(&claims(text)).factors.last().unwrap().effect.clone();
    assert!(words("risk=critical;ai-contribution=ai").ends_with("critical stays, there is none above"));
    assert!(words("risk=low;ai-contribution=ai").ends_with("low becomes medium"));
}

proptest! {
    /// Machine authorship never lowers a level, and the same claims give the same answer.
    #[test]
    fn given_any_claims_then_machine_authorship_never_lowers(risk in "(low|medium|high|critical|x)?", score in "[0-9.]{0,4}") {
        let mut annotations = claims(&format!("risk={risk};risk-score={score}"));
        let without = assess(&annotations);
        annotations.insert("firebreak.dev/ai-contribution".to_owned(), "ai".to_owned());
        let with = assess(&annotations);
        prop_assert!(with.level >= without.level);
        prop_assert_eq!(assess(&annotations), with);
    }
}

#[rstest]
#[case(Level::Low, 0.005, 0.10, 1.5, 0.0020, &[10, 50, 100], [60.0, 600.0, 0.0], &[], 0.2)]
#[case(Level::Medium, 0.01, 0.05, 1.25, 0.0010, &[5, 20, 50, 100], [120.0, 1800.0, 300.0], &[], 0.1)]
#[case(Level::High, 0.02, 0.05, 1.25, 0.0005, &[1, 5, 20, 50, 100], [300.0, 3600.0, 1800.0], &[100], 0.05)]
#[case(Level::Critical, 0.05, 0.01, 1.1, 0.0002, &[1, 2, 5, 10, 25, 50, 100], [900.0, 14400.0, 7200.0], &[10, 100], 0.02)]
fn given_a_level_then_the_built_in_plan(
    #[case] level: Level,
    #[case] alpha: f64,
    #[case] beta: f64,
    #[case] margin: f64,
    #[case] budget: f64,
    #[case] stages: &[i32],
    #[case] bakes: [f64; 3],
    #[case] approval: &[i32],
    #[case] k: f64,
) {
    let (plan, factor) = Plan::built_in(level);
    let weights = |percents: &[i32]| percents.iter().map(|&percent| Weight::percent(percent)).collect::<Vec<_>>();
    assert_eq!((plan.alpha, plan.beta, plan.margin, factor), (alpha, beta, margin, k));
    assert!((plan.budget - budget).abs() < 1e-12);
    assert_eq!((plan.stages.clone(), plan.approval_at.clone()), (weights(stages), weights(approval)));
    assert_eq!([plan.min_bake_seconds, plan.max_bake_seconds, plan.final_bake_seconds], bakes);
    let with = plan.clone().with_objective(Some(0.999), k);
    assert!((with.budget - budget.min(k * 0.001)).abs() < 1e-12, "the smaller of the two budgets");
}
