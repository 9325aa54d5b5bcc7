//! What is said besides the claims.

use firebreak_claims::{Progress, claims::Read};
use rstest::rstest;

use super::*;

fn claims(annotations: &[(&str, &str)]) -> Claims {
    let annotations = annotations.iter().map(|(name, value)| (format!("firebreak.dev/{name}"), (*value).to_owned())).collect();
    let read = Read { commits: 120, whole_history: true, changes_compared_with: 80 };
    Claims {
        annotations,
        score: None,
        reasons: vec!["41 files touched".to_owned()],
        measures: Vec::new(),
        read,
        notes: Vec::new(),
    }
}

#[test]
fn given_claims_when_printed_then_it_is_said_how_firebreak_reads_them() {
    let claims = claims(&[("risk-score", "0.90"), ("ai-contribution", "ai")]);
    assert_eq!(
        beside(&claims, ClaimsFormat::Patch),
        ["Firebreak reads this as critical, before what the policy adds: risk score 0.90 among changes means at least high; \
          machine-written without a named reviewer: high becomes critical."]
    );
}

#[test]
fn given_helm_arguments_when_printed_then_the_reasons_stand_beside_them() {
    let lines = beside(&claims(&[("risk-score", "0.10")]), ClaimsFormat::Helm);
    assert!(lines.contains(&"- 41 files touched".to_owned()), "{lines:?}");
    assert!(lines.contains(&"Read before the change: 120 commits (all there are).".to_owned()), "{lines:?}");
}

#[rstest]
#[case(Progress::Commits { read: 3_000 }, "history: 3000 commits listed")]
#[case(Progress::Changes { done: 512, of: 3_000 }, "history: 512 of 3000 commits read")]
#[case(Progress::Lines { done: 7, of: 1_000 }, "lines: 7 of 1000 earlier changes counted")]
fn given_progress_when_shown_then_in_words(#[case] progress: Progress, #[case] words: &str) {
    assert_eq!(progress::words(progress), words);
}

#[rstest]
#[case("1", Some(1))]
#[case("100000", Some(100_000))]
#[case("0", None)]
#[case("100001", None)]
#[case("all", None)]
fn given_a_number_of_commits_when_read_then_within_its_bounds(#[case] text: &str, #[case] number: Option<usize>) {
    assert_eq!(commits(text).ok(), number);
}
