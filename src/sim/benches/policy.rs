//! A policy of fifty rules, asked once of a change with every list of its difference full; compiling it; and the dearest rules
//! that are allowed.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use firebreak_engine::policy::{
    Diff, Effects, Facts, Policy, Rule,
    diff::{Amount, Container, Edit, Env, Image, Resource, Security, Volume, most},
    facts::{History, Workload},
};

/// Conditions as people write them; each asks of other facts.
const CONDITIONS: [&str; 10] = [
    "diff.env.exists(e, e.secret && e.change == \"removed\")",
    "diff.images.exists(i, i.repositoryChanged || !i.pinned)",
    "diff.security.exists(s, s.weakens && s.setting in [\"privileged\", \"hostNetwork\", \"hostPID\"])",
    "has(history.shareTakenBack) && history.shareTakenBack > 0.3 && history.changes >= 3",
    "time.weekday >= 6 || (time.weekday == 5 && time.hour >= 15)",
    "claims.machineWritten && size(claims.reviewers) == 0",
    "diff.resources.exists(r, r.resource == \"memory\" && r.change in [\"down\", \"removed\"])",
    "\"regulated\" in workload.labels || workload.name.startsWith(\"payments-\")",
    "size(diff.volumes.filter(v, v.kind == \"hostPath\")) > 0",
    "size(diff.env) + size(diff.other) + size(diff.images) > 40",
];

fn rules(count: usize, conditions: &[&str]) -> Vec<Rule> {
    let effects = Effects { raise: 1, ..Effects::default() };
    let rule =
        |(at, when): (usize, &&str)| Rule { name: format!("rule-{at}"), when: (*when).to_owned(), effects: effects.clone() };
    conditions.iter().cycle().take(count).enumerate().map(rule).collect()
}

/// Facts with every list as long as it can be.
fn facts() -> Facts {
    let name = |at: usize| format!("container-with-a-usual-name-{at}");
    let diff = Diff {
        images: (0..most::IMAGES)
            .map(|at| Image { container: name(at), to: "registry/shop:1".into(), pinned: true, ..Image::default() })
            .collect(),
        containers: (0..most::CONTAINERS)
            .map(|at| Container { name: name(at), init: false, sidecar: false, change: Edit::Added })
            .collect(),
        security: (0..most::SECURITY)
            .map(|at| Security {
                container: name(at),
                setting: "seccompProfile".into(),
                value: "x".into(),
                change: Edit::Changed,
                weakens: true,
            })
            .collect(),
        env: (0..most::ENV).map(|at| Env { container: name(at), name: name(at), secret: false, change: Edit::Added }).collect(),
        volumes: (0..most::VOLUMES)
            .map(|at| Volume { container: name(at), name: name(at), kind: "mount".into(), change: Edit::Added })
            .collect(),
        resources: (0..most::RESOURCES)
            .map(|at| Resource {
                container: name(at),
                kind: "limits".into(),
                resource: "cpu".into(),
                change: Amount::Up,
                from: None,
                to: None,
            })
            .collect(),
        other: (0..most::OTHER).map(name).collect(),
        ..Diff::default()
    };
    let labels = (0..64).map(|at| (name(at), name(at))).collect();
    let history = History { changes: 5, share_taken_back: Some(0.2), ..History::default() };
    Facts { diff, history, workload: Workload { labels, ..Workload::default() }, ..Facts::default() }
}

fn policy(criterion: &mut Criterion) {
    let facts = facts();
    let fifty = rules(50, &CONDITIONS);
    let compiled = Policy::compile(&fifty).unwrap();
    criterion.bench_function("policy of 50 rules, evaluated", |bencher| bencher.iter(|| compiled.evaluate(black_box(&facts))));
    criterion
        .bench_function("policy of 50 rules, compiled", |bencher| bencher.iter(|| Policy::compile(black_box(&fifty)).unwrap()));
    let dear = "diff.env.exists(a, diff.containers.exists(b, a.secret && a.container == b.name))"
        .replace("a.secret && a", "a.name != b.name && a");
    let dearest = (1..=64).map_while(|count| Policy::compile(&rules(count, &[&dear])).ok()).last().unwrap();
    let name = format!("dearest policy that is allowed ({} steps)", dearest.steps());
    criterion.bench_function(&name, |bencher| bencher.iter(|| dearest.evaluate(black_box(&facts))));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = policy
}
criterion_main!(benches);
