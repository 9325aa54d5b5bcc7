//! The numbers of a simulation: the same for the same question, and what the policy promises.

use super::*;
use crate::simulate::traffic::Traffic;

/// A policy of a few minutes, so that many runs take seconds.
pub(crate) fn asked(runs: u32) -> Asked {
    let (plan, _) = Plan::built_in(firebreak_engine::risk::Level::Medium);
    let plan = Plan { min_bake_seconds: 30.0, max_bake_seconds: 240.0, final_bake_seconds: 60.0, budget: 0.005, ..plan };
    Asked {
        service: "shop/checkout".to_owned(),
        traffic: Traffic { requests: 200.0, failing: 0.001, from: "as given".to_owned() },
        bursts: 1.0,
        plan,
        policy: "policy quick, level medium".to_owned(),
        metrics_delay: 1.0,
        runs,
        seed: 7,
    }
}

/// Numbers as a simulation gives them, the same on every machine.
pub(crate) fn outcome() -> Outcome {
    let rules = ["Firebreak", "Flagger-like 60 s", "Argo-like, limit 0"];
    let chance = |percent: f64| Chance { percent, error: 0.5 };
    let under = |rule: usize, promoted: f64, back: f64, seconds: f64, mean: f64| {
        let spread = |share: f64| (share > 0.0).then_some(Spread { median: seconds, p90: seconds * 1.4 });
        Under {
            rule: rules[rule].to_owned(),
            promoted: chance(promoted),
            taken_back: chance(back),
            given_up: chance(0.0),
            still_waits: chance(100.0 - promoted - back),
            promoted_after: spread(promoted),
            taken_back_after: spread(back),
            failed_requests: Failed { mean, error: 1.0, p90: mean * 1.6 + 3.0 },
        }
    };
    let release = |name: &str, failing_percent: f64, under: Vec<Under>| Release {
        name: name.to_owned(),
        failing_percent,
        failing_an_hour: (failing_percent - 0.1) * 7200.0,
        under,
    };
    Outcome {
        service: "shop/checkout".to_owned(),
        requests_per_second: 200.0,
        failing_percent: 0.1,
        traffic_from: "mean of the last 30m in Prometheus".to_owned(),
        bursts: 1.0,
        policy: "policy built-in, level medium, objective 99.9 %".to_owned(),
        plan: Settings::of(&Plan::built_in(firebreak_engine::risk::Level::Medium).0),
        metrics_delay_seconds: 5.0,
        longest_seconds: 7500.0,
        runs: 200,
        seed: 1,
        rules: rules.map(|name| RuleWords { name: name.to_owned(), settings: format!("settings of {name}") }).into(),
        releases: vec![
            release(
                "harmless",
                0.1,
                vec![under(0, 99.5, 0.5, 1155.0, -1.2), under(1, 100.0, 0.0, 190.0, 0.0), under(2, 100.0, 0.0, 930.0, 0.3)],
            ),
            release(
                "1.5x",
                0.15,
                vec![under(0, 5.0, 20.0, 6000.0, 286.0), under(1, 100.0, 0.0, 190.0, 741.0), under(2, 100.0, 0.0, 930.0, 680.0)],
            ),
            release(
                "all fail",
                100.0,
                vec![under(0, 0.0, 100.0, 7.0, 69.0), under(1, 0.0, 100.0, 360.0, 3619.0), under(2, 0.0, 100.0, 60.0, 597.0)],
            ),
        ],
    }
}

#[test]
fn given_the_same_question_when_computed_again_then_the_same_numbers() {
    let first = Outcome::compute(&asked(11), &mut Progress::silent());
    assert_eq!(first, Outcome::compute(&asked(11), &mut Progress::silent()));
    let other = Outcome::compute(&Asked { seed: 8, ..asked(11) }, &mut Progress::silent());
    assert_ne!(first.releases, other.releases);
}

#[test]
fn given_releases_when_simulated_then_the_harmless_is_promoted_and_the_worse_the_sooner_taken_back() {
    let outcome = Outcome::compute(&asked(20), &mut Progress::silent());
    let firebreak: Vec<&Under> = outcome.releases.iter().map(|release| &release.under[0]).collect();
    let [harmless, .., five, twenty, all] = firebreak.as_slice() else { panic!("{firebreak:?}") };
    assert!(harmless.promoted.percent > 90.0 && harmless.taken_back_after.is_none(), "{harmless:?}");
    assert!(five.taken_back.percent > 50.0, "{five:?}");
    assert_eq!((twenty.taken_back.percent, all.taken_back.percent), (100.0, 100.0));
    let median = |under: &Under| under.taken_back_after.unwrap().median;
    assert!(median(five) > median(twenty) && median(twenty) >= median(all), "{firebreak:?}");
    assert_eq!(outcome.releases.iter().map(|release| release.under.len()).collect::<Vec<_>>(), [3; 6]);
    // 0.4 % more of 200 requests a second.
    assert!((outcome.releases[3].failing_an_hour - 2880.0).abs() < 1e-6);
}

/// A budget worked out of an objective has what the conversion left in its last digits.
#[test]
fn given_a_budget_of_an_objective_when_told_then_without_dirt() {
    let plan = Plan { budget: 0.05 * (1.0 - 99.9 / 100.0), ..asked(1).plan };
    assert_eq!(Settings::of(&plan).budget_percent.to_bits(), 0.005_f64.to_bits());
    let rollout = Rollout::new(plan, Load::even(200.0, 0.001));
    let settings = RuleKind::Firebreak.settings(&rollout);
    assert!(settings.contains("budget 0.005 %"), "{settings}");
}
