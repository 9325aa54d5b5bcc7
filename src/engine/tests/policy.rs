//! Rules over facts: what is refused before it runs, what follows when it runs, and what can never happen.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use firebreak_engine::{
    policy::{
        Diff, Effects, Facts, Policy, Rule, Went,
        diff::{Amount, Command, Container, Edit, Env, Image, Probe, Resource, Security, ServiceAccount, Volume, most},
        facts::{Changer, Clock, History, Workload},
        rule::{LONGEST_CONDITION, MOST_RULES, MOST_STEPS},
        schema::{Field, ROOTS, Type},
    },
    risk::{Level, assess},
};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::Value;

fn rule(name: &str, when: &str, effects: Effects) -> Rule {
    Rule { name: name.to_owned(), when: when.to_owned(), effects }
}

fn raise(raise: u8) -> Effects {
    Effects { raise, ..Effects::default() }
}

fn least(level: Level) -> Effects {
    Effects { at_least: Some(level), ..Effects::default() }
}

fn compiled(when: &str) -> Policy {
    Policy::compile(&[rule("r", when, raise(1))]).unwrap()
}

fn refused(when: &str) -> String {
    Policy::compile(&[rule("r", when, raise(1))]).unwrap_err()[0].to_string()
}

fn edit() -> Edit {
    Edit::Changed
}

/// Facts of which none is absent.
fn full() -> Facts {
    let text = |text: &str| text.to_owned();
    let labels = || BTreeMap::from([("tier".to_owned(), "front".to_owned())]);
    let claims = [
        ("risk", "low"),
        ("risk-score", "0.25"),
        ("ai-contribution", "mixed"),
        ("ai-agents", "writer, helper"),
        ("reviewed-by", "ann, bob"),
        ("author", "carol"),
        ("revision", "abc"),
        ("change-url", "https://example.org/1"),
        ("summary", "faster"),
    ];
    Facts {
        annotations: claims.iter().map(|(name, value)| (format!("firebreak.dev/{name}"), text(value))).collect(),
        workload: Workload {
            name: text("shop"),
            in_namespace: text("prod"),
            replicas: 6,
            labels: labels(),
            namespace_labels: Some(labels()),
        },
        diff: Diff {
            images: vec![Image {
                container: text("app"),
                from: Some(text("shop:1")),
                to: text("shop:2"),
                tag_changed: true,
                ..Image::default()
            }],
            containers: vec![Container { name: text("log"), init: true, sidecar: true, change: edit() }],
            security: vec![Security {
                container: text("app"),
                setting: text("privileged"),
                value: text("true"),
                change: edit(),
                weakens: true,
            }],
            env: vec![Env { container: text("app"), name: text("DB"), secret: true, change: edit() }],
            volumes: vec![Volume { container: text("app"), name: text("data"), kind: text("secret"), change: edit() }],
            resources: vec![Resource {
                container: text("app"),
                kind: text("limits"),
                resource: text("cpu"),
                change: Amount::Up,
                from: Some(text("1")),
                to: Some(text("2")),
            }],
            probes: vec![Probe { container: text("app"), probe: text("liveness"), change: edit() }],
            commands: vec![Command { container: text("app"), part: text("args"), change: edit() }],
            service_account: Some(ServiceAccount { from: text("a"), to: text("b") }),
            other: vec![text("spec.nodeSelector")],
            cut: 0,
        },
        time: Clock { zone: text("UTC"), year: 2026, month: 7, day: 31, weekday: 5, hour: 17, minute: 30 },
        history: History {
            changes: 4,
            taken_back: 1,
            share_taken_back: Some(0.25),
            hours_since_last: Some(2.5),
            last_taken_back: Some(false),
            complete: true,
        },
        changer: Changer { name: Some(text("ann")) },
    }
}

/// What the schema says of a value that is there.
fn agrees(path: &str, kind: &Type, value: &Value) {
    match (kind, value) {
        (Type::Bool, Value::Bool(_)) | (Type::Text, Value::String(_)) => {}
        (Type::Int, Value::Number(number)) => assert!(number.is_i64(), "{path}"),
        (Type::Double, Value::Number(number)) => assert!(number.is_f64(), "{path}"),
        (Type::List(of, _), Value::Array(elements)) => {
            assert!(!elements.is_empty() || path == "facts.claims.problems", "{path}: the test knows no element");
            elements.iter().for_each(|element| agrees(path, of, element));
        }
        (Type::Labels, Value::Object(labels)) => assert!(labels.values().all(Value::is_string), "{path}"),
        (Type::Object(fields), Value::Object(map)) => {
            let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
            map.keys().for_each(|name| assert!(known.contains(&name.as_str()), "{path}.{name} is no fact of the schema"));
            for Field { name, kind, .. } in *fields {
                agrees(&format!("{path}.{name}"), kind, map.get(*name).unwrap_or_else(|| panic!("{path}.{name} is not there")));
            }
        }
        (kind, value) => panic!("{path}: {value} is no {kind:?}"),
    }
}

#[test]
fn given_facts_of_which_none_is_absent_when_shown_then_the_schema_names_each_with_its_type() {
    agrees("facts", &Type::Object(ROOTS), &serde_json::to_value(full().shown().0).unwrap());
}

#[test]
fn given_facts_of_which_most_are_absent_when_shown_then_only_those_are_that_the_schema_says_can_be() {
    fn there(path: &str, fields: &[Field], value: &Value) {
        for field in fields {
            let place = format!("{path}.{}", field.name);
            match (value.get(field.name), &field.kind) {
                (None, _) => assert!(field.optional, "{place} is absent"),
                (Some(value), Type::Object(fields)) => there(&place, fields, value),
                (Some(_), _) => assert!(!field.optional, "{place} is there"),
            }
        }
    }
    there("facts", ROOTS, &serde_json::to_value(Facts::default().shown().0).unwrap());
}

#[rstest]
#[case("diff.imgs.size() > 0", "column 5: there is no fact diff.imgs; did you mean images?")]
#[case("difference.images.size() > 0", "there is no fact difference; did you mean diff?")]
#[case("size(diff.images) > 0 && diff.images.exists(i, i.repoChanged)", "did you mean repositoryChanged?")]
#[case("diff.env.exists(e, e.value == \"x\")", "there is no fact value; known here: container, name, secret, change")]
#[case("history.changes", "the condition is a whole number, not true or false")]
#[case("claims.risk == 3", "== does not go with a text and a whole number; compare like with like")]
#[case("diff.images == diff.images", "compare size(...), or ask of the elements")]
#[case("claims.summary.matches(\"(a+)+\")", "there is no function matches here; Functions are has, size")]
#[case("diff.env.exist(e, e.secret)", "there is no function exist here; did you mean exists?")]
#[case("diff.env.secret", "a list has no part secret; ask of its elements")]
#[case("history.shareTakenBack == null", "no fact is null; ask whether a fact is there: has(")]
#[case("size(diff.images) > ", "it is no CEL")]
#[case("(", "it is no CEL")]
#[case("", "it is no CEL")]
#[case("diff.env + diff.env == diff.env", "does not go with a list and a list")]
#[case("\"a\" + \"b\" == \"ab\"", "+ does not go with a text and a text")]
#[case("{\"a\": 1}.a == 1", "a map is of no use")]
#[case("[1, \"a\"].size() > 0", "a list of different types")]
#[case("history.changes > 1u", "no fact is an unsigned number")]
#[case("diff.env.exists(time, time.secret)", "time is the name of facts already")]
#[case("history.hoursSinceLast + 1 > 2.0", "make both the same")]
#[case("true &&\n  diff.imgs.size() > 0", "line 2, column 7: there is no fact diff.imgs")]
fn given_a_condition_that_cannot_be_used_when_compiled_then_it_says_where_and_what_to_write(
    #[case] when: &str,
    #[case] words: &str,
) {
    let error = refused(when);
    assert!(error.starts_with("rule r") && error.contains(words), "{error}");
}

#[test]
fn given_a_condition_that_costs_too_much_when_compiled_then_it_is_refused_with_its_steps() {
    let nested = "diff.env.exists(a, diff.env.exists(b, a.name == b.name && a.container != b.container && a.secret && b.secret))";
    let error = refused(nested);
    assert!(error.contains("steps") && error.contains(&format!("keep it below {MOST_STEPS}")), "{error}");
    let deeper = "diff.env.exists(a, diff.images.exists(b, diff.images.exists(c, c.pinned)))";
    assert!(refused(deeper).contains("more than 2 of exists"), "{}", refused(deeper));
}

#[test]
fn given_many_rules_that_cost_too_much_together_when_compiled_then_the_dearest_is_named() {
    let cheap = rule("cheap", "size(diff.env) > 0", raise(1));
    let dear =
        |at: usize| rule(&format!("dear-{at}"), "diff.env.exists(a, diff.containers.exists(b, a.container == b.name))", raise(1));
    let rules: Vec<Rule> = std::iter::once(cheap).chain((0..40).map(dear)).collect();
    let errors = Policy::compile(&rules).unwrap_err();
    assert!(errors[0].to_string().contains("all rules together can need"), "{}", errors[0]);
}

#[test]
fn given_a_condition_too_long_or_too_deep_when_compiled_then_it_is_refused_before_it_is_parsed() {
    let long = format!("true {}", "&& true ".repeat(LONGEST_CONDITION / 8));
    assert!(refused(&long).contains("characters"));
    assert!(refused(&format!("{}true{}", "(".repeat(500), ")".repeat(500))).contains("brackets"));
    let _ = Policy::compile(&[rule("r", &format!("{}true", "!".repeat(1000)), raise(1))]);
    let _ = Policy::compile(&[rule("r", &format!("true{}", " ? true : true".repeat(70)), raise(1))]);
}

#[test]
fn given_two_rules_of_one_name_or_too_many_when_compiled_then_it_is_said() {
    let two = [rule("a", "true", raise(1)), rule("a", "false", raise(1))];
    assert!(Policy::compile(&two).unwrap_err()[0].to_string().contains("its name is that of another rule"));
    let many: Vec<Rule> = (0..=MOST_RULES).map(|at| rule(&format!("r{at}"), "true", raise(1))).collect();
    assert!(Policy::compile(&many).unwrap_err()[0].to_string().contains("at most 64 rules"));
}

#[rstest]
#[case("diff.images.exists(i, i.tagChanged && !i.pinned)", true)]
#[case("diff.images.all(i, i.to.startsWith(\"shop:\"))", true)]
#[case("diff.images.exists_one(i, i.container == \"app\")", true)]
#[case("size(diff.env.filter(e, e.secret)) == 1", true)]
#[case("\"DB\" in diff.env.map(e, e.name)", true)]
#[case("has(diff.serviceAccount) && diff.serviceAccount.to == \"b\"", true)]
#[case("time.weekday >= 5 && time.hour >= 16", true)]
#[case("workload.labels[\"tier\"] == \"front\"", true)]
#[case("\"tier\" in workload.namespaceLabels && \"none\" in workload.labels", false)]
#[case("claims.machineWritten && claims.aiContribution in [\"ai\", \"mixed\"]", true)]
#[case("claims.riskScore > 0.2 && claims.riskScore < 1", true)]
#[case("history.shareTakenBack >= 0.25 && history.hoursSinceLast < 3.0", true)]
#[case("double(history.takenBack) / double(history.changes) > 0.2", true)]
#[case("risk.rank >= 1 || risk.level == \"critical\"", false)]
#[case("\"ann\" in claims.reviewers && changer.name == \"ann\"", true)]
#[case("diff.other.exists(p, p.startsWith(\"spec.node\"))", true)]
#[case("diff.env.size() > 0 ? diff.env[0].secret : false", true)]
#[case("diff.resources.exists(r, r.kind == \"limits\" && r.change == \"up\")", true)]
fn given_a_condition_when_evaluated_then_it_holds_or_not(#[case] when: &str, #[case] holds: bool) {
    let outcome = compiled(when).evaluate(&full());
    assert_eq!(outcome.rules[0].went, if holds { Went::Held } else { Went::NotHeld }, "{:?}", outcome.rules);
}

#[test]
fn given_a_rule_that_cannot_be_told_when_evaluated_then_it_counts_as_if_it_held_and_says_why() {
    let effects = Effects { approval_at: vec![0], refuse: Some("no".to_owned()), ..raise(1) };
    let policy = Policy::compile(&[rule("share", "history.shareTakenBack > 0.5", effects)]).unwrap();
    let outcome = policy.evaluate(&Facts::default());
    assert!(
        matches!(&outcome.rules[0].went, Went::Failed { reason, .. } if reason.contains("history.shareTakenBack is not known"))
    );
    assert_eq!((outcome.level, outcome.approval_at.as_slice(), outcome.refused.len()), (Level::High, [0].as_slice(), 1));
    let factor = outcome.factors.iter().find(|factor| factor.name == "rule share").unwrap();
    assert!(
        factor.effect.contains("counts as if it did") && factor.effect.contains("has(history.shareTakenBack) && ..."),
        "{}",
        factor.effect
    );
    let asked =
        Policy::compile(&[rule("share", "has(history.shareTakenBack) && history.shareTakenBack > 0.5", raise(1))]).unwrap();
    assert_eq!(asked.evaluate(&Facts::default()).rules[0].went, Went::NotHeld);
}

#[rstest]
#[case(&[("a", least(Level::High)), ("b", raise(1))], Level::Critical)]
#[case(&[("b", raise(1)), ("a", least(Level::High))], Level::Critical)]
#[case(&[("a", raise(1))], Level::High)]
#[case(&[("a", raise(3)), ("b", raise(3))], Level::Critical)]
#[case(&[("a", least(Level::Low))], Level::Medium)]
#[case(&[], Level::Medium)]
fn given_rules_that_hold_when_evaluated_then_the_least_first_and_then_the_raises(
    #[case] effects: &[(&str, Effects)],
    #[case] level: Level,
) {
    let rules: Vec<Rule> = effects.iter().map(|(name, effects)| rule(name, "true", effects.clone())).collect();
    assert_eq!(Policy::compile(&rules).unwrap().evaluate(&Facts::default()).level, level);
}

#[test]
fn given_more_differences_than_rules_are_shown_when_evaluated_then_the_level_is_high_at_least() {
    let diff = Diff { other: (0..100).map(|at| format!("spec.x{at}")).collect(), ..Diff::default() }.bounded();
    assert_eq!((diff.other.len(), diff.cut), (most::OTHER, 100 - 32));
    let facts = Facts { diff, ..Facts::default() };
    let outcome = compiled("size(diff.images) > 0").evaluate(&facts);
    assert_eq!(outcome.level, Level::High);
    assert!(outcome.factors.iter().any(|factor| factor.name == "too-many-differences"));
    assert_eq!(Policy::compile(&[]).unwrap().evaluate(&facts).level, Level::Medium, "no rule, so none missed anything");
}

#[test]
fn given_a_rule_when_compiled_then_it_knows_which_facts_it_asks_of() {
    let policy = compiled("diff.env.exists(e, e.secret) && has(history.shareTakenBack) && workload.labels[\"a\"] == claims.risk");
    let inputs = policy.evaluate(&full()).rules[0].inputs.clone();
    assert_eq!(inputs, ["diff.env", "history.shareTakenBack", "workload.labels", "claims.risk"]);
}

/// A way in which a change can be riskier: what a rule asks for, and what it does to the facts.
type Riskier = (&'static str, fn(&mut Facts));

/// Facts that say more risk the more of them are there: each is what a rule below asks for.
fn risky() -> Vec<Riskier> {
    vec![
        ("diff.env.exists(e, e.secret)", |facts| {
            facts.diff.env.push(Env { container: "app".into(), name: "S".into(), secret: true, change: Edit::Added });
        }),
        ("diff.images.exists(i, i.repositoryChanged)", |facts| {
            facts.diff.images.push(Image { repository_changed: true, ..Image::default() });
        }),
        ("diff.security.exists(s, s.weakens)", |facts| {
            facts.diff.security.push(Security {
                container: String::new(),
                setting: "hostNetwork".into(),
                value: "true".into(),
                change: Edit::Added,
                weakens: true,
            });
        }),
        ("claims.machineWritten", |facts| {
            facts.annotations.insert("firebreak.dev/ai-contribution".into(), "ai".into());
        }),
        ("has(history.shareTakenBack) && history.shareTakenBack > 0.2", |facts| facts.history.share_taken_back = Some(0.5)),
        ("size(claims.problems) > 0", |facts| {
            facts.annotations.insert("firebreak.dev/risk".into(), "severe".into());
        }),
        ("diff.volumes.exists(v, v.kind == \"hostPath\")", |facts| {
            facts.diff.volumes.push(Volume {
                container: String::new(),
                name: "h".into(),
                kind: "hostPath".into(),
                change: Edit::Added,
            });
        }),
        ("time.weekday >= 6", |facts| facts.time.weekday = 7),
    ]
}

fn effects() -> impl Strategy<Value = Effects> {
    let level = prop::option::of(prop::sample::select(vec![Level::Low, Level::Medium, Level::High, Level::Critical]));
    (0..=3_u8, level, prop::collection::vec(0..=100_u8, 0..3), any::<bool>()).prop_map(
        |(raise, at_least, approval_at, refuse)| Effects {
            raise,
            at_least,
            approval_at,
            refuse: refuse.then(|| "no".to_owned()),
            factor: None,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A risky fact more never lowers the level, never asks fewer humans, never lets through what was refused.
    #[test]
    fn given_a_risky_fact_more_then_nothing_is_looser(
        all in prop::collection::vec(effects(), 8),
        there in prop::collection::vec(any::<bool>(), 8),
        more in 0..8_usize,
    ) {
        let known = risky();
        let rules: Vec<Rule> = known.iter().zip(all).enumerate()
            .map(|(at, ((when, _), effects))| rule(&format!("r{at}"), when, effects)).collect();
        let policy = Policy::compile(&rules).unwrap();
        let mut facts = Facts::default();
        facts.time.weekday = 1;
        known.iter().zip(&there).filter(|(_, there)| **there).for_each(|((_, put), _)| put(&mut facts));
        let before = policy.evaluate(&facts);
        prop_assert_eq!(&policy.evaluate(&facts), &before, "the same facts, the same outcome");
        known[more].1(&mut facts);
        let after = policy.evaluate(&facts);
        prop_assert!(after.level >= before.level, "{:?} -> {:?}", before, after);
        prop_assert!(before.approval_at.iter().all(|percent| after.approval_at.contains(percent)));
        prop_assert!(before.refused.iter().all(|why| after.refused.contains(why)));
    }

    /// Rules never make a change less risky than its claims do, nor does one rule more.
    #[test]
    fn given_any_rules_then_the_level_is_no_lower_than_the_claims_alone(all in prop::collection::vec(effects(), 0..6), claim in "(low|medium|high|critical|x)?") {
        let mut facts = full();
        facts.annotations.insert("firebreak.dev/risk".into(), claim);
        let rules: Vec<Rule> = all.into_iter().enumerate()
            .map(|(at, effects)| rule(&format!("r{at}"), if at % 2 == 0 { "true" } else { "history.changes > 100" }, effects)).collect();
        let mut last = assess(&facts.annotations).level;
        for count in 0..=rules.len() {
            let outcome = Policy::compile(&rules[..count]).unwrap().evaluate(&facts);
            prop_assert!(outcome.level >= last);
            last = outcome.level;
        }
    }

    /// Whatever is written as a condition is refused with words or runs: nothing panics, and what compiles is bounded.
    #[test]
    fn given_any_text_as_a_condition_then_it_is_refused_or_runs(text in "\\PC{0,80}") {
        if let Ok(policy) = Policy::compile(&[rule("r", &text, raise(1))]) {
            prop_assert!(policy.steps() <= MOST_STEPS);
            let _ = policy.evaluate(&full());
        }
    }

    /// The same of what looks more like a condition.
    #[test]
    fn given_any_words_of_the_language_as_a_condition_then_it_is_refused_or_runs(
        words in prop::collection::vec(prop::sample::select(vec![
            "diff", ".", "images", "env", "exists", "(", ")", "e", ",", "e.secret", "&&", "||", "!", "==", "1", "\"a\"", "[", "]", "size",
            "has", "history.changes", ">", "?", ":", "in", "map", "filter", "-", "time.hour", "claims.reviewers", "{", "}", "%", "0", "/",
        ]), 0..20),
    ) {
        if let Ok(policy) = Policy::compile(&[rule("r", &words.join(" "), raise(1))]) {
            prop_assert!(policy.steps() <= MOST_STEPS);
            let _ = policy.evaluate(&full());
            let _ = policy.evaluate(&Facts::default());
        }
    }

    /// Any facts are judged: nothing panics, and no text of theirs is taken for more than a text.
    #[test]
    fn given_any_facts_then_they_are_judged(
        texts in prop::collection::vec("\\PC{0,40}", 8),
        numbers in prop::collection::vec(any::<i64>(), 4),
        share in any::<f64>(),
    ) {
        let mut facts = full();
        for (name, value) in ["risk", "risk-score", "ai-contribution", "ai-agents", "reviewed-by", "author", "summary"].iter().zip(&texts) {
            facts.annotations.insert(format!("firebreak.dev/{name}"), value.clone());
        }
        facts.workload.labels = texts.iter().map(|text| (text.clone(), text.clone())).collect();
        facts.diff.env[0].name.clone_from(&texts[0]);
        facts.history.changes = numbers[0];
        facts.time.hour = numbers[1];
        facts.history.share_taken_back = Some(share);
        let conditions = ["history.changes * 2 > time.hour", "history.shareTakenBack > 0.5", "\"a\" in workload.labels",
            "workload.labels[\"a\"] == \"b\"", "time.hour / history.changes > 1", "diff.env.exists(e, e.name.contains(claims.author))"];
        let rules: Vec<Rule> = conditions.iter().enumerate().map(|(at, when)| rule(&format!("r{at}"), when, raise(1))).collect();
        let policy = Policy::compile(&rules).unwrap();
        let outcome = policy.evaluate(&facts);
        prop_assert!(outcome.level >= assess(&facts.annotations).level);
        let bits = |facts: &Facts| serde_json::to_string(&policy.evaluate(facts)).unwrap();
        prop_assert_eq!(bits(&facts), bits(&facts));
    }
}
