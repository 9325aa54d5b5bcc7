//! The words people see, those of each kind that this world can bring about: what happened, what Firebreak does about it, what to do next.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use firebreak_engine::{
    Observation, decide,
    memory::Phase,
    observation::{Act, Action, Template},
    plan::{Inconclusive, NoData},
    risk::Level,
    units::Weight,
};
use firebreak_sim::{Cluster, setup};

/// What was told and what was waited for, by reason; the first of each.
#[derive(Default)]
struct Words(BTreeMap<String, String>);

impl Words {
    /// So many seconds of a Change, in which what is seen is changed first.
    fn of(&mut self, cluster: &mut Cluster, seconds: usize, change: impl Fn(&mut Observation)) {
        for _ in 0..seconds {
            cluster.turn();
            let mut seen = cluster.observe();
            seen.now = seen.now.plus_seconds(0.5);
            seen.look = seen.look.map(|look| firebreak_engine::observation::Look { at: seen.now, ..look });
            change(&mut seen);
            let decision = decide(&cluster.setup, &cluster.memory, &seen);
            decision.effects.iter().for_each(|effect| cluster.carry_out(effect));
            cluster.memory = decision.memory;
            for note in cluster.log.last().unwrap().2.iter() {
                let (reason, message) = note.split_once(": ").unwrap();
                self.say(reason, "told", message);
            }
            decision.notes.iter().for_each(|note| self.say(&note.reason, "told", &note.message));
            if let Some(waiting) = cluster.memory.waiting.clone() {
                self.say(&waiting.reason, "waiting", &waiting.message);
            }
        }
    }

    fn say(&mut self, reason: &str, how: &str, message: &str) {
        self.0.entry(format!("{reason} ({how})")).or_insert_with(|| message.to_owned());
    }

    fn text(&self) -> String {
        self.0.iter().map(|(reason, message)| format!("{reason}: {message}\n")).collect()
    }
}

fn exposed(level: Level) -> Cluster {
    let mut cluster = Cluster::new(setup(level, 2));
    (0..8).for_each(|_| cluster.turn());
    assert_eq!(cluster.memory.phase, Phase::Progressing);
    cluster
}

fn acting(action: Action) -> impl Fn(&mut Observation) {
    move |seen| {
        seen.acts = vec![Act {
            name: format!("{action:?}"),
            action,
            by: Some("ann".into()),
            reason: Some("a reason".into()),
            stage: None,
            groups: Vec::new(),
            at: None,
        }];
    }
}

#[test]
fn given_each_way_on_then_its_words() {
    let mut words = Words::default();
    words.of(&mut Cluster::new(setup(Level::Medium, 2)), 120, |_| {});
    let mut cluster = exposed(Level::High);
    words.of(&mut cluster, 1, acting(Action::Pause));
    words.of(&mut cluster, 1, acting(Action::Resume));
    words.of(&mut cluster, 1, acting(Action::Promote));
    let mut cluster = exposed(Level::High);
    cluster.setup.plan.stages = vec![Weight::percent(20), Weight::FULL];
    (cluster.rate, cluster.setup.plan.budget) = (2000, 0.2);
    words.of(&mut cluster, 200, |_| {});
    for inconclusive in [Inconclusive::Promote, Inconclusive::Hold] {
        let mut cluster = exposed(Level::Low);
        (cluster.rate, cluster.setup.plan.inconclusive, cluster.setup.plan.max_bake_seconds) = (0, inconclusive, 20.0);
        words.of(&mut cluster, 30, |_| {});
    }
    assert!(words.0.contains_key("WaitingForHuman (told)"), "{}", words.text());
    insta::assert_snapshot!(words.text());
}

#[test]
fn given_each_way_back_then_its_words() {
    let mut words = Words::default();
    for per_mille in [1000, 60] {
        let mut cluster = exposed(Level::Medium);
        cluster.failing.0 = per_mille;
        words.of(&mut cluster, 60, |_| {});
    }
    // Evidence beyond any chance comes later than the fast path.
    let mut cluster = exposed(Level::Medium);
    (cluster.failing.0, cluster.setup.plan.alpha) = (1000, 1e-300);
    words.of(&mut cluster, 20, |_| {});
    words.of(&mut exposed(Level::Medium), 20, acting(Action::Abort));
    words.of(&mut exposed(Level::Medium), 20, |seen| seen.workload.template = Template::Newer);
    words.of(&mut exposed(Level::Medium), 20, |seen| seen.workload.template = Template::Stable);
    words.of(&mut exposed(Level::Medium), 1, |seen| seen.workload.template = Template::Missing);
    words.of(&mut exposed(Level::Medium), 1, |seen| (seen.workload.held, seen.workload.bypassed) = (false, true));
    words.of(&mut exposed(Level::Medium), 1, |seen| seen.workload.guard_leaves = true);
    words.of(&mut exposed(Level::Medium), 1, |seen| seen.workload.raised = Some(Level::Critical));
    words.of(&mut Cluster::new(setup(Level::Medium, 2)), 1, |seen| seen.workload.guard_changed = true);
    words.of(&mut exposed(Level::Medium), 1, |seen| {
        (seen.candidate.crash_looping, seen.candidate.broken) = (9, Some("pod c-0: CrashLoopBackOff".into()));
    });
    let mut cluster = exposed(Level::Critical);
    (cluster.setup.plan.no_data, cluster.metrics) = (NoData::RollBack, false);
    words.of(&mut cluster, 70, |_| {});
    let mut cluster = exposed(Level::Critical);
    (cluster.rate, cluster.setup.plan.max_bake_seconds) = (0, 20.0);
    words.of(&mut cluster, 30, |_| {});
    assert!(words.0.contains_key("MostRequestsFail (told)"), "{}", words.text());
    insta::assert_snapshot!(words.text());
}

#[test]
fn given_each_hold_then_its_words() {
    let mut words = Words::default();
    let mut cluster = Cluster::new(setup(Level::Medium, 2));
    words.of(&mut cluster, 1, |_| {});
    let (mut unseen, mut memory) = (cluster.observe(), cluster.memory.clone());
    unseen.seen.clear();
    for _ in 0..80 {
        unseen.now = unseen.now.plus_seconds(1.0);
        unseen.look = unseen.look.map(|look| firebreak_engine::observation::Look { at: unseen.now, ..look });
        let decision = decide(&cluster.setup, &memory, &unseen);
        decision.notes.iter().for_each(|note| words.say(&note.reason, "told", &note.message));
        memory = decision.memory;
    }
    words.of(&mut Cluster::new(setup(Level::Medium, 2)), 1, |seen| {
        seen.traffic.as_mut().unwrap().problem = Some("HTTPRoute shop is missing; make it or name another".into());
    });
    let mut cluster = Cluster::new(setup(Level::Medium, 2));
    cluster.replicas = 0;
    words.of(&mut cluster, 1, |_| {});
    words.of(&mut exposed(Level::Medium), 1, |seen| seen.traffic.as_mut().unwrap().contention = Some("argocd".into()));
    let mut cluster = exposed(Level::Medium);
    cluster.metrics = false;
    words.of(&mut cluster, 3, |_| {});
    let mut cluster = exposed(Level::Medium);
    cluster.metrics = true;
    let (setup, memory, mut silent) = (cluster.setup.clone(), cluster.memory.clone(), cluster.observe());
    (silent.now, silent.look) = (silent.now.plus_seconds(20.0), None);
    let waiting = decide(&setup, &memory, &silent).memory.waiting.unwrap();
    words.say(&waiting.reason, "waiting", &waiting.message);
    let mut cluster = exposed(Level::Medium);
    (cluster.setup.availability, cluster.failing) = (Some(0.999), (500, 500));
    words.of(&mut cluster, 20, |_| {});
    insta::assert_snapshot!(words.text());
}
