//! The record under many decisions, decisions told twice, and the acts behind decisions.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use firebreak_engine::{Decision, decide, risk::Level};

use super::*;

fn decision(number: usize, human: bool) -> DecisionRecord {
    let act = human.then(|| HumanAct {
        intervention: format!("pause-{number}"),
        action: Action::Pause,
        by: Some("ann".to_owned()),
        at: None,
        reason: None,
    });
    let at = timestamp(Millis(i64::try_from(number).unwrap() * 1000));
    let basis = Some("x".repeat(100));
    DecisionRecord { at, reason: "Noted".to_owned(), message: number.to_string(), act, stage: None, weight_percent: None, basis }
}

fn numbers(decisions: &[DecisionRecord]) -> Vec<usize> {
    decisions.iter().map(|decision| decision.message.parse().unwrap()).collect()
}

#[test]
fn given_more_decisions_than_are_kept_when_thinned_then_the_first_the_newest_and_what_humans_did_stay() {
    let mut decisions: Vec<_> = (0..300).map(|number| decision(number, number % 20 == 5)).collect();
    assert_eq!(thin(&mut decisions), 200);
    let kept = numbers(&decisions);
    assert_eq!(kept.len(), MOST);
    assert_eq!(kept[..FIRST], (0..FIRST).collect::<Vec<_>>());
    assert_eq!(kept[MOST - NEWEST..], (300 - NEWEST..300).collect::<Vec<_>>());
    for number in (0..300).filter(|number| number % 20 == 5) {
        assert!(kept.contains(&number), "{number} is gone: {kept:?}");
    }
}

#[test]
fn given_more_acts_of_humans_than_are_kept_when_thinned_then_it_is_bounded_all_the_same() {
    let mut decisions: Vec<_> = (0..150).map(|number| decision(number, true)).collect();
    assert_eq!(thin(&mut decisions), 50);
    assert_eq!((decisions.len(), decisions.last().unwrap().message.as_str()), (MOST, "149"));
}

#[test]
fn given_refused_acts_when_thinned_then_they_go_before_what_was_done() {
    let mut decisions: Vec<_> = (0..150).map(|number| decision(number, true)).collect();
    decisions.iter_mut().skip(FIRST).step_by(2).for_each(|decision| decision.reason = REFUSED.to_owned());
    thin(&mut decisions);
    let middle = &decisions[FIRST..MOST - NEWEST];
    assert!(middle.iter().filter(|decision| decision.reason == REFUSED).count() < 5, "{:?}", numbers(middle));
}

#[test]
fn given_a_long_record_when_bounded_then_only_the_newest_keep_what_they_were_computed_from() {
    let mut decisions: Vec<_> = (0..60).map(|number| decision(number, false)).collect();
    bound_bases(&mut decisions);
    assert_eq!(decisions.iter().filter(|decision| decision.basis.is_some()).count(), MOST_BASES);
    assert!(decisions[..20].iter().all(|decision| decision.basis.is_none()));
    decisions[59].basis = Some("x".repeat(MOST_BASIS_BYTES));
    bound_bases(&mut decisions);
    assert_eq!(decisions.iter().filter(|decision| decision.basis.is_some()).count(), 1);
}

#[test]
fn given_words_without_end_when_bounded_then_the_record_fits_an_object() {
    let mut decisions: Vec<_> = (0..MOST).map(|number| decision(number, true)).collect();
    for decision in &mut decisions {
        decision.act.as_mut().unwrap().reason = Some("ü".repeat(4000));
        decision.message = "ü".repeat(3000);
        decision.basis = Some("x".repeat(20_000));
    }
    assert_eq!(thin(&mut decisions), u32::try_from(MOST - FIRST - NEWEST).unwrap());
    bound_bases(&mut decisions);
    let bytes: usize = decisions.iter().map(|one| words(one) + one.basis.as_ref().map_or(0, String::len)).sum();
    assert!(bytes < 1_200_000, "{bytes}");
}

#[test]
fn given_notes_of_several_approvals_when_told_then_each_is_of_the_one_it_names() {
    let act = |by: &str| Act {
        name: format!("approve-{by}"),
        action: Asked::Approve,
        by: Some(by.to_owned()),
        groups: Vec::new(),
        reason: None,
        stage: None,
        at: None,
    };
    let note = |reason: &str, message: &str| Note { reason: reason.to_owned(), message: message.to_owned(), warning: false };
    for (reason, message, of) in [
        ("Approved", "bob approved 20 % (1 of 1)", Some("bob")),
        (EXCEPTED, "ann asked for an exception; freeze audit lets it through", Some("ann")),
        ("Approved", "annette approved 20 %", None),
        ("StageStarted", "ann started it", None),
    ] {
        let (ann, bob) = (act("ann"), act("bob"));
        let named: Vec<&str> = [&ann, &bob]
            .into_iter()
            .filter(|act| tells_of(&note(reason, message), act))
            .filter_map(|act| act.by.as_deref())
            .collect();
        assert_eq!(named, of.into_iter().collect::<Vec<_>>(), "{message}");
    }
}

#[test]
fn given_the_same_decision_twice_when_added_then_it_is_one() {
    let mut decisions = Vec::new();
    add(&mut decisions, vec![decision(1, true), decision(2, false)]);
    add(&mut decisions, vec![decision(2, false), decision(3, false)]);
    assert_eq!(numbers(&decisions), [1, 2, 3]);
    // Two people at the same moment are two.
    let mut other = decision(1, true);
    other.act.as_mut().unwrap().by = Some("bob".to_owned());
    add(&mut decisions, vec![other]);
    assert_eq!(decisions.len(), 4);
}

/// A Change at work on which humans act.
struct Way {
    cluster: firebreak_sim::Cluster,
    decisions: Vec<DecisionRecord>,
}

impl Way {
    fn begin() -> Self {
        let mut cluster = firebreak_sim::Cluster::new(firebreak_sim::setup(Level::Medium, 4));
        for _ in 0..5 {
            cluster.next_second();
            cluster.turn();
        }
        Self { cluster, decisions: Vec::new() }
    }

    /// A turn in which these acts are open; what it decided.
    fn turn(&mut self, acts: Vec<Act>, earlier: &[Unrecorded]) -> Decision {
        self.cluster.next_second();
        let mut seen = self.cluster.observe();
        seen.acts = acts;
        let setup = self.cluster.setup.clone();
        let before = self.cluster.memory.clone();
        let decision = decide(&setup, &before, &seen);
        let turn = Turned {
            setup: &setup,
            before: &before,
            memory: &decision.memory,
            seen: &seen,
            notes: &decision.notes,
            earlier,
            routes: Vec::new(),
        };
        self.decisions = after(&self.decisions, 0, &turn).unwrap().decisions;
        self.cluster.memory = decision.memory.clone();
        decision
    }

    fn told(&self) -> Vec<(&str, Option<&str>, Option<&str>)> {
        let told = self.decisions.iter().filter_map(|decision| {
            let act = decision.act.as_ref()?;
            Some((decision.reason.as_str(), act.by.as_deref(), act.reason.as_deref()))
        });
        told.collect()
    }
}

fn act(name: &str, action: Asked, by: Option<&str>, reason: Option<&str>) -> Act {
    let (by, reason) = (by.map(str::to_owned), reason.map(str::to_owned));
    Act { name: name.to_owned(), action, by, groups: Vec::new(), reason, stage: None, at: Some(Millis(1_000)) }
}

#[test]
fn given_acts_of_humans_when_recorded_then_who_and_why_stand_with_what_followed_once_each() {
    let mut way = Way::begin();
    let pause = act("p", Asked::Pause, Some("ann"), Some("incident in payments"));
    let resume = act("r", Asked::Resume, None, None);
    way.turn(vec![pause.clone(), resume], &[]);
    // Still open, since its answer is on its way: heard, and not told again.
    way.turn(vec![pause], &[]);
    way.turn(vec![act("a", Asked::Abort, None, Some("wrong build"))], &[]);
    let expected =
        [("Refused", None, None), ("Paused", Some("ann"), Some("incident in payments")), ("Aborted", None, Some("wrong build"))];
    assert_eq!(way.told(), expected);
    let refused = way.decisions.iter().find(|decision| decision.reason == REFUSED).unwrap();
    assert!(refused.message.starts_with("resume: "), "{}", refused.message);
    let aborted = way.decisions.iter().find(|decision| decision.reason == "Aborted").unwrap();
    assert_eq!((aborted.weight_percent, aborted.act.as_ref().unwrap().at), (Some(0.0), Some(timestamp(Millis(1_000)))));
}

/// Replays match the notes of a turn, from its last record back: an act that was refused stands before them.
#[test]
fn given_a_turn_with_a_refused_act_when_decided_again_then_its_notes_are_those_before_its_basis() {
    let mut way = Way::begin();
    way.turn(vec![act("p", Asked::Promote, None, None), act("a", Asked::Abort, Some("ann"), None)], &[]);
    let place = way.decisions.iter().rposition(|decision| decision.basis.is_some()).unwrap();
    let basis: Basis = firebreak_api::packed::unpack("basis", way.decisions[place].basis.as_ref().unwrap()).unwrap();
    let notes = basis.decide().notes;
    let told = &way.decisions[place + 1 - notes.len()..=place];
    assert!(notes.iter().zip(told).all(|(note, told)| note.reason == told.reason && note.message == told.message));
    assert_eq!(way.decisions[place - notes.len()].reason, REFUSED);
}

#[test]
fn given_an_abort_whose_record_failed_when_recorded_with_the_next_then_who_asked_is_told() {
    let mut way = Way::begin();
    let (before, setup) = (way.cluster.memory.clone(), way.cluster.setup.clone());
    let mut seen = way.cluster.observe();
    seen.acts = vec![act("a", Asked::Abort, Some("ann"), Some("wrong build"))];
    let decision = decide(&setup, &before, &seen);
    let basis = Basis { setup, memory: before, observation: seen.clone() };
    let unrecorded = [Unrecorded { at: seen.now, notes: decision.notes, basis: Some(basis) }];
    way.cluster.memory = decision.memory;
    way.turn(Vec::new(), &unrecorded);
    assert_eq!(way.told(), [("Aborted", Some("ann"), Some("wrong build"))]);
}
