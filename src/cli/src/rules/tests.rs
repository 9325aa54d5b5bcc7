//! What people see of a policy and a change.

use std::path::PathBuf;

use firebreak_api::in_force::{Basis, Effective};
use firebreak_engine::policy::Went;

use super::{report::*, source, text};
use crate::{args, fixtures as fix, look::Look, screen::ansi};

fn shipped(name: &str) -> String {
    format!("{}/../../charts/firebreak/policies/{name}.yaml", env!("CARGO_MANIFEST_DIR"))
}

fn written(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("firebreak-policy-{}-{name}.yaml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

fn deployment(image: &str, claims: &str, more: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: shop\n  namespace: shop\n  annotations: {{{claims}}}\nspec:\n  replicas: 3\n  \
         template:\n    metadata:\n      labels: {{app: shop}}\n    spec:\n      containers:\n      - name: app\n        image: {image}\n{more}"
    )
}

const SECRET: &str = "        env: [{name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}]\n";

async fn asked(name: &str, policy: Option<String>, claims: &str) -> source::Asked {
    let args = args::PolicyTest {
        name: None,
        policy,
        from: Some(written(&format!("{name}-old"), &deployment("shop:1.4", "", ""))),
        to: Some(written(&format!("{name}-new"), &deployment("shop:1.5", claims, SECRET))),
        at: Some("2026-07-31T15:30:00Z".parse().unwrap()),
        changer: Some("ann".to_owned()),
        namespace_labels: None,
        output: None,
    };
    let mut asked = source::of(&args::Global::default(), &args, jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    asked.of = "old.yaml → new.yaml".to_owned();
    asked
}

async fn report(name: &str, claims: &str) -> Report {
    let source::Asked { policy, facts, of, recorded, at } = asked(name, Some(shipped(name)), claims).await;
    Report::new(policy, &facts, of, recorded, at).unwrap()
}

fn page(lines: &[ratatui::text::Line<'static>]) -> String {
    ansi::text(lines, false)
}

#[tokio::test]
async fn given_two_manifests_and_the_bank_when_tested_then_every_rule_with_its_inputs() {
    let report = report("bank", "firebreak.dev/risk: low, firebreak.dev/reviewed-by: bob").await;
    insta::assert_snapshot!("test_bank", page(&text::test(&report, 100, &Look::plain())));
}

#[rstest::rstest]
#[case::nobody("", "ann", true)]
#[case::its_author("ann", "ann", true)]
#[case::another("bob", "ann", false)]
#[case::its_author_and_another("ann, bob", "ann", false)]
#[case::both_of_two_authors("Bob <bob@bank>, Ann <ann@bank>", "Ann <ann@bank>, Bob <bob@bank>", true)]
#[case::one_of_two_authors("Bob <bob@bank>", "Ann <ann@bank>, Bob <bob@bank>", true)]
#[case::one_of_two_authors_and_another("Bob <bob@bank>, Eve <eve@bank>", "Ann <ann@bank>, Bob <bob@bank>", false)]
#[case::an_author_by_address_alone("bob@bank", "Ann <ann@bank>, Bob <bob@bank>", true)]
#[case::an_author_with_more_words("Ann <ann@bank>", "ann@bank", true)]
#[case::no_author_is_claimed("bob", "", false)]
#[tokio::test]
async fn given_authors_and_reviewers_when_the_bank_is_asked_then_one_who_wrote_none_of_it_has_to_read_it(
    #[case] reviewers: &str,
    #[case] author: &str,
    #[case] raised: bool,
) {
    let claim =
        |name: &str, value: &str| if value.is_empty() { String::new() } else { format!("firebreak.dev/{name}: '{value}', ") };
    let claims = format!("{}{}firebreak.dev/risk: low", claim("reviewed-by", reviewers), claim("author", author));
    // Cases run side by side, each with files of its own.
    let name: String =
        format!("bank {reviewers} by {author}").chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
    let source::Asked { policy, facts, of, recorded, at } = asked(&name, Some(shipped("bank")), &claims).await;
    let report = Report::new(policy, &facts, of, recorded, at).unwrap();
    let rule = report.rules.iter().find(|rule| rule.name == "reviewed-by-its-author").unwrap();
    assert_eq!(rule.went, if raised { Went::Held } else { Went::NotHeld }, "{claims}");
}

#[tokio::test]
async fn given_two_manifests_and_strict_ai_when_tested_for_machines_then_data() {
    let report = report("strict-ai", "firebreak.dev/ai-contribution: ai, firebreak.dev/ai-agents: writer").await;
    assert_eq!((report.level.as_str(), report.plan.approval_at.as_slice()), ("critical", [1, 10, 100].as_slice()));
    let value = serde_json::to_value(&report).unwrap();
    assert_eq!(value["rules"][1]["went"], "held");
    assert_eq!(value["rules"][1]["inputs"]["claims.machineWritten"], true);
    assert_eq!(value["facts"]["diff"]["env"][0]["name"], "DB_PASSWORD");
}

#[tokio::test]
async fn given_no_policy_when_tested_then_the_built_in_one() {
    let source::Asked { policy, facts, of, at, .. } = asked("none", None, "").await;
    let report = Report::new(policy, &facts, of, None, at).unwrap();
    assert_eq!((report.policy.as_str(), report.level.as_str(), report.rules.len()), ("built-in", "medium", 0));
}

#[tokio::test]
async fn given_the_start_up_when_explained_then_each_level_and_rule() {
    let policy = source::policy(Some(&shipped("start-up")), None).await.unwrap().unwrap();
    let levels = Levels::new(policy, Some(99.9), "2026-07-31T15:30:00Z".parse().unwrap()).unwrap();
    insta::assert_snapshot!("explain_start_up", page(&text::levels(&levels, 100, &Look::plain())));
}

#[tokio::test]
async fn given_a_recorded_change_when_tested_by_its_own_policy_then_the_same_comes_out() {
    let source::Asked { policy, facts, .. } = asked("recorded", Some(shipped("bank")), "firebreak.dev/risk: low").await;
    let judged = policy.clone().compile().unwrap().judge(&facts);
    let mut change = fix::healthy();
    change.spec.risk_basis = Some(Basis { facts, policy }.pack().unwrap());
    (change.spec.risk, change.spec.plan) = (judged.risk(), judged.plan);
    let again = source::of_change(&change, None).unwrap();
    let report = Report::new(again.policy, &again.facts, again.of, again.recorded, again.at).unwrap();
    assert_eq!(report.same_as_recorded, Some(true));
    let other = source::of_change(&change, Some(Effective::default())).unwrap();
    assert!(other.recorded.is_none() && other.facts.time.zone == "UTC");
}

#[test]
fn given_a_change_that_recorded_no_facts_when_tested_then_it_says_what_to_name() {
    let error = source::of_change(&fix::healthy(), None).unwrap_err().to_string();
    assert!(error.contains("name manifests instead"), "{error}");
}

#[rstest::rstest]
#[case("kind: Guard", "has kind Guard: write a ClusterRiskPolicy or a RiskPolicy")]
#[case("kind: RiskPolicy\nmetadata: {name: a}\nspec: {atLeast: high, lower: 1}\n", "spec.lower is no field of a RiskPolicy")]
#[case(
    "kind: RiskPolicy\nmetadata: {name: a}\nspec: {atLeast: high, clusterPolicy: b}\n",
    "tightens ClusterRiskPolicy b, which is not in the file"
)]
#[case("", "holds no policy")]
#[tokio::test]
async fn given_a_file_that_is_no_policy_when_read_then_it_says_what_to_write(#[case] text: &str, #[case] words: &str) {
    let path = written(&format!("bad-{}", words.len()), text);
    let error = source::policy(Some(path.to_str().unwrap()), None).await.unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}

#[tokio::test]
async fn given_a_rule_that_cannot_be_used_when_tested_then_its_place_and_the_remedy() {
    let text = "kind: RiskPolicy\napiVersion: firebreak.dev/v1alpha1\nmetadata: {name: team}\nspec:\n  rules:\n  - {name: r, when: size(diff.imgs) > 0, raise: 1}\n";
    let path = written("rule", text);
    let policy = source::policy(Some(path.to_str().unwrap()), None).await.unwrap().unwrap();
    let error = Levels::new(policy, None, jiff::Timestamp::UNIX_EPOCH).unwrap_err().to_string();
    assert!(error.contains("rule team/r, column 10: there is no fact diff.imgs; did you mean images?"), "{error}");
}
