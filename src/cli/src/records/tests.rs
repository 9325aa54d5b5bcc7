//! Histories as people read them, exports as auditors keep them, and what makes a CDEvent one.

use firebreak_api::{
    Change, Guard, Intervention,
    change::{DecisionRecord, HumanAct},
    intervention::Action,
};
use serde_json::{Value, json};

use super::*;
use crate::fixtures as fix;

fn act(change: &mut Change, at: &str, reason: &str, act: Option<HumanAct>) {
    let status = change.status.as_mut().unwrap();
    let message = act.as_ref().map_or_else(|| "so it was".to_owned(), |act| format!("{} by {:?}", act.intervention, act.by));
    status.decisions.push(DecisionRecord {
        at: at.parse().unwrap(),
        reason: reason.to_owned(),
        message,
        act,
        stage: Some(4),
        weight_percent: Some(50.0),
        basis: None,
    });
    status.decisions.sort_by_key(|decision| decision.at);
}

fn human(name: &str, action: Action, by: Option<&str>, reason: Option<&str>) -> HumanAct {
    let (by, reason) = (by.map(str::to_owned), reason.map(str::to_owned));
    HumanAct { intervention: name.to_owned(), action, by, at: None, reason }
}

/// Approved by Ana and promoted; its revision is claimed.
fn promoted() -> Change {
    let mut change = fix::promoted();
    change.metadata.uid = Some("uid-promoted".to_owned());
    change.spec.stable_images = vec!["registry.example/checkout:2.3.9".to_owned()];
    change.spec.claims.annotations.insert("firebreak.dev/revision".to_owned(), "0123456789abcdef0123".to_owned());
    let approve = human("approve-1", Action::Approve, Some("ana@example.org"), Some("read the diff"));
    act(&mut change, "2026-07-01T12:09:00Z", "Approved", Some(approve));
    change
}

/// Aborted by someone whom nobody vouches for, before that a refused promote.
fn aborted() -> Change {
    let mut change = fix::named(fix::rolled_back(), "checkout-xwvtsrqpnm-3", "2026-07-01T12:00:00Z");
    change.metadata.uid = Some("uid-aborted".to_owned());
    change.spec.cleared = Some(HumanAct {
        at: Some("2026-07-01T11:58:00Z".parse().unwrap()),
        ..human("retry-1", Action::Retry, Some("olga"), Some("the database was down"))
    });
    let status = change.status.as_mut().unwrap();
    status.decisions.retain(|decision| decision.reason != "HarmProved");
    status.dropped = 12;
    status.way_back =
        serde_json::from_value(json!({"reason": "Aborted", "message": "x", "since": "2026-07-01T12:09:12Z"})).unwrap();
    act(
        &mut change,
        "2026-07-01T12:09:10Z",
        "Refused",
        Some(human("promote-1", Action::Promote, Some("coder-7"), Some("in a hurry"))),
    );
    act(&mut change, "2026-07-01T12:09:12Z", "Aborted", Some(human("abort-1", Action::Abort, None, Some("wrong build"))));
    change
}

/// Superseded before it had any traffic, held late.
fn superseded() -> Change {
    let mut change = fix::named(fix::held(), "checkout-bbbbbbbbbb-1", "2026-06-30T09:00:00Z");
    change.metadata.uid = Some("uid-superseded".to_owned());
    change.spec.hold = firebreak_api::guard::Hold::Late;
    fix::patch(&mut change, json!({"phase": "Superseded", "endedAt": "2026-06-30T09:02:05Z", "waiting": null}));
    act(&mut change, "2026-07-01T12:02:05Z", "Ended", None);
    change
}

fn bypassed() -> Guard {
    let mut guard = fix::guard(None);
    guard.metadata.uid = Some("uid-guard".to_owned());
    let bypass = json!([{"at": "2026-07-01T08:00:00Z", "by": "root", "reason": "INC-123: the fix", "from": {"hash": "a", "replicaSet": "checkout-a"},
        "to": {"hash": "b", "replicaSet": "checkout-b"}, "images": ["registry.example/checkout:2.3.9"]}]);
    guard.status.as_mut().unwrap().bypasses = serde_json::from_value(bypass).unwrap();
    guard
}

fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> =
        [promoted(), aborted(), superseded(), fix::waiting()].iter().map(|change| Row::of(change, &Acts::default())).collect();
    rows.extend(Row::bypasses(&bypassed()));
    rows
}

/// An act of olga's that was done.
fn applied(name: &str, made: &str, change: &str, action: &str, why: &str) -> Intervention {
    serde_json::from_value(json!({
        "apiVersion": "firebreak.dev/v1alpha1", "kind": "Intervention",
        "metadata": {"name": name, "namespace": "shop", "creationTimestamp": made},
        "spec": {"guard": "checkout", "change": change, "action": action, "by": "olga", "reason": why},
        "status": {"outcome": "Applied", "message": "the template is cleared"},
    }))
    .unwrap()
}

#[test]
fn given_changes_that_ended_in_every_way_when_listed_then_this_table() {
    insta::assert_snapshot!("table", table::text(&rows(), false, false, fix::now(), &fix::look()));
    insta::assert_snapshot!("table_wide_of_all_namespaces", table::text(&rows(), true, true, fix::now(), &fix::look()));
}

#[test]
fn given_a_change_when_its_record_is_shown_then_who_did_what_when_and_why() {
    let late = applied("clear-1", "2026-07-01T12:09:50Z", "checkout-xwvtsrqpnm-3", "Clear", "certificate renewed");
    let mut acts = Acts::default();
    acts.add(late);
    insta::assert_snapshot!("record", table::record(&Row::of(&aborted(), &acts), 120, fix::now(), &fix::look()));
    insta::assert_snapshot!("record_of_a_bypass", table::record(&Row::bypasses(&bypassed())[0], 100, fix::now(), &fix::look()));
}

#[test]
fn given_text_that_steers_a_terminal_when_shown_then_it_does_not() {
    let mut change = aborted();
    act(&mut change, "2026-07-01T12:09:20Z", "Paused", Some(human("p", Action::Pause, Some("\u{1b}[2Jroot"), Some("\u{7}now"))));
    let row = Row::of(&change, &Acts::default());
    let text = table::record(&row, 100, fix::now(), &fix::look()) + &table::text(&[row], true, true, fix::now(), &fix::look());
    assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "{text:?}");
}

fn asks(format: ExportFormat) -> Export {
    Export { all_namespaces: true, guard: None, since: None, until: None, format, source: "/firebreak".to_owned() }
}

fn exported(args: &Export, changes: &[Change]) -> Vec<Value> {
    let mut sorted = Sorted::default();
    for change in changes {
        sorted.add(line::of_change(change, &[]), args).unwrap();
    }
    sorted.add(line::of_guard(&bypassed()), args).unwrap();
    sorted.into_text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn given_records_when_exported_then_a_line_an_entry_by_time_whatever_the_order_they_are_read_in() {
    let args = asks(ExportFormat::Jsonl);
    let lines = exported(&args, &[promoted(), aborted()]);
    assert_eq!(lines, exported(&args, &[aborted(), promoted()]), "exported twice it is the same");
    let at = |line: &Value| line["at"].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert!(lines.windows(2).all(|pair| at(&pair[0]) <= at(&pair[1])));
    let ids: std::collections::BTreeSet<&str> = lines.iter().map(|line| line["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), lines.len(), "ids are of one entry each");
    let find = |what: &str| lines.iter().find(|line| line["what"] == what).unwrap();
    insta::assert_snapshot!("line_of_an_approval", serde_json::to_string_pretty(find("Approved")).unwrap());
    assert_eq!(find("Aborted")["actor"], json!({"kind": "Unattested"}), "a missing name is a value");
    assert_eq!(find("Bypassed")["actor"], json!({"kind": "Person", "name": "root"}));
    assert_eq!(find("Retried")["why"], "the database was down");
}

/// The Change that was condemned has the Intervention, the one after it has its words: that is one act.
#[test]
fn given_a_retry_between_two_changes_when_exported_then_it_is_one_line() {
    let retry = applied("retry-1", "2026-07-01T11:58:00Z", "checkout-xwvtsrqpnm-2", "Retry", "the database was down");
    let mut former = fix::named(fix::rolled_back(), "checkout-xwvtsrqpnm-2", "2026-07-01T11:00:00Z");
    former.metadata.uid = Some("uid-former".to_owned());
    let args = asks(ExportFormat::Jsonl);
    let export = |with_former: bool| {
        let mut sorted = Sorted::default();
        if with_former {
            sorted.add(line::of_change(&former, std::slice::from_ref(&retry)), &args).unwrap();
        }
        sorted.add(line::of_change(&aborted(), &[]), &args).unwrap();
        let lines = sorted.into_text();
        let retried = lines.lines().filter(|line| line.contains("Retried")).map(|line| serde_json::from_str(line).unwrap());
        retried.collect::<Vec<Value>>()
    };
    let (both, one) = (export(true), export(false));
    assert_eq!((both.len(), one.len()), (1, 1));
    assert_eq!(both[0]["id"], one[0]["id"], "also when the former Change is gone");
}

#[test]
fn given_times_when_exported_then_only_what_happened_between_them() {
    let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
    let args = Export { since: at("2026-07-01T12:09:00Z"), until: at("2026-07-01T12:09:30Z"), ..asks(ExportFormat::Jsonl) };
    let lines = exported(&args, &[promoted()]);
    let whats: Vec<&str> = lines.iter().map(|line| line["what"].as_str().unwrap()).collect();
    assert_eq!(whats, ["Approved"], "until is not part of it");
}

/// The fields that the schemas of CDEvents 0.5 ask for and allow, for events of services and for custom events.
fn is_a_cdevent(event: &Value) {
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let text = |value: &Value| assert!(value.as_str().is_some_and(|text| !text.is_empty()), "{event:#}");
    assert_eq!(
        keys(event),
        ["context", "subject", "customData", "customDataContentType"].map(str::to_owned).to_vec().tap_sorted()
    );
    let context = &event["context"];
    assert_eq!(keys(context), ["chainId", "id", "source", "specversion", "timestamp", "type"]);
    ["chainId", "id", "source", "type"].iter().for_each(|key| text(&context[*key]));
    assert_eq!(context["specversion"], "0.5.0");
    context["timestamp"].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert_eq!(keys(&event["subject"]), ["content", "id", "source"], "0.5 has no subject.type");
    let content = &event["subject"]["content"];
    text(&event["subject"]["id"]);
    text(&content["environment"]["id"]);
    assert_eq!(keys(&content["environment"]), ["id"]);
    let kind = context["type"].as_str().unwrap();
    if kind == "dev.cdevents.service.removed.0.3.0" {
        return assert_eq!(keys(content), ["environment"]);
    }
    assert!(content["artifactId"].as_str().unwrap().starts_with("pkg:"), "{event:#}");
    if let Some(predicate) = kind.strip_prefix("dev.cdevents.service.") {
        assert!(["deployed.0.3.0", "upgraded.0.3.0", "rolledback.0.3.0"].contains(&predicate), "{kind}");
        assert_eq!(keys(content), ["artifactId", "environment"]);
    } else {
        let (subject, rest) = kind.strip_prefix("dev.cdeventsx.").unwrap().split_once('.').unwrap();
        let (tool, name) = subject.split_once('-').unwrap();
        let letters = |text: &str| !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphabetic());
        let (predicate, version) = rest.split_once('.').unwrap();
        assert!(letters(tool) && letters(name) && letters(predicate) && version == "0.1.0", "{kind}");
    }
}

trait Sorts {
    fn tap_sorted(self) -> Self;
}

impl Sorts for Vec<String> {
    fn tap_sorted(mut self) -> Self {
        self.sort();
        self
    }
}

#[test]
fn given_records_when_exported_as_cdevents_then_each_is_one_and_says_what_served_users() {
    let events = exported(&asks(ExportFormat::Cdevents), &[promoted(), aborted(), superseded()]);
    events.iter().for_each(is_a_cdevent);
    let told: Vec<String> = events
        .iter()
        .map(|event| {
            let kind = event["context"]["type"].as_str().unwrap();
            let artifact = event["subject"]["content"]["artifactId"].as_str().unwrap();
            format!("{} {kind} {artifact}", event["context"]["chainId"].as_str().unwrap())
        })
        .collect();
    insta::assert_snapshot!("cdevents", told.join("\n"));
    let approval =
        events.iter().find(|event| event["context"]["type"] == "dev.cdeventsx.firebreak-approval.given.0.1.0").unwrap();
    assert_eq!(approval["subject"]["content"]["user"], "ana@example.org");
    let aborted =
        events.iter().find(|event| event["context"]["type"] == "dev.cdeventsx.firebreak-intervention.aborted.0.1.0").unwrap();
    assert_eq!(aborted["subject"]["content"].get("user"), None);
}

#[test]
fn given_a_change_that_was_superseded_with_traffic_when_exported_as_cdevents_then_it_was_removed() {
    let mut change = fix::healthy();
    change.metadata.uid = Some("uid-superseded".to_owned());
    fix::patch(&mut change, json!({"phase": "Superseded", "endedAt": "2026-07-01T12:08:00Z"}));
    act(&mut change, "2026-07-01T12:08:00Z", "Ended", None);
    let events = exported(&asks(ExportFormat::Cdevents), &[change]);
    events.iter().for_each(is_a_cdevent);
    assert_eq!(events.last().unwrap()["context"]["type"], "dev.cdevents.service.removed.0.3.0");
}

#[test]
fn given_a_change_that_never_had_traffic_when_exported_as_cdevents_then_nothing_was_rolled_back() {
    let mut change = aborted();
    change.status.as_mut().unwrap().decisions.retain(|decision| decision.reason != "StageStarted");
    let events = exported(&asks(ExportFormat::Cdevents), &[change]);
    assert!(events.iter().all(|event| event["context"]["type"] != "dev.cdevents.service.rolledback.0.3.0"));
}
