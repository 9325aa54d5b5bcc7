//! The table and the detailed view as people read them, the row as machines do, and which Guard is watched.

use firebreak_api::{Change, Guard};

use super::{Rows, row::Row, table, to_watch};
use crate::{
    args::Format,
    cluster::Snapshot,
    error::USAGE,
    facts::{self, Facts},
    fixtures as fix, output,
    screen::{self, Shown, Trend, ansi},
};

fn of(name: &str, change: Option<Change>) -> (Guard, Option<Change>) {
    let change = change.map(|mut change| {
        change.spec.guard = name.to_owned();
        change.metadata.name = Some(format!("{name}-bcdfghjkmn-1"));
        change
    });
    let mut guard = fix::guard(change.as_ref());
    guard.metadata.name = Some(name.to_owned());
    guard.spec.target_ref.name = name.to_owned();
    (guard, change)
}

fn shop() -> Snapshot {
    let mut paused = fix::healthy();
    paused.status.as_mut().unwrap().paused = true;
    let (mut unseen, _) = of("unseen", None);
    unseen.status = None;
    let (mut wrong, _) = of("wrong", None);
    let ready = &mut wrong.status.as_mut().unwrap().conditions[0];
    (ready.status, ready.reason) = ("False".to_owned(), "ServiceNotFound".to_owned());
    let mut snapshot = Snapshot::default();
    for (guard, change) in [
        of("checkout", Some(fix::harm_rising())),
        of("catalog", Some(fix::waiting())),
        of("payments", Some(fix::rolled_back())),
        of("search", Some(fix::promoted())),
        of("mail", Some(paused)),
        of("idle", None),
        (unseen, None),
        (wrong, None),
    ] {
        snapshot.guards.push(guard);
        snapshot.changes.extend(change);
    }
    snapshot
}

#[test]
fn given_guards_in_every_state_when_listed_then_this_table() {
    let snapshot = shop();
    let rows: Vec<Row<'_>> = snapshot.guards.iter().map(|guard| Row::new(&snapshot, guard, fix::now())).collect();
    insta::assert_snapshot!(table::text(&rows, true, fix::now(), &fix::look()));
}

#[test]
fn given_a_guard_when_listed_for_machines_then_numbers_and_names() {
    let snapshot = fix::snapshot(vec![fix::harm_rising()]);
    let rows = Rows { items: vec![Row::new(&snapshot, &snapshot.guards[0], fix::now())] };
    insta::assert_snapshot!(output::text(&rows, Format::Yaml).unwrap());
    let json: serde_json::Value = serde_json::from_str(&output::text(&rows, Format::Json).unwrap()).unwrap();
    assert_eq!(json["items"][0]["change"]["stage"], 3);
}

#[test]
fn given_a_guard_when_shown_in_detail_then_all_parts() {
    let snapshot = fix::snapshot(vec![fix::harm_rising()]);
    let guard = &snapshot.guards[0];
    let changes = snapshot.changes_of(guard);
    let look = fix::look();
    let shown = Shown {
        namespace: "shop",
        guard_name: "checkout",
        guard: Some(guard),
        facts: facts::shown(&changes, Some(guard)).map(|change| Facts::new(change, fix::now())),
        history: &[],
        trend: Trend::Steady,
        look: &look,
    };
    insta::assert_snapshot!(ansi::text(&screen::whole(&shown, 100), false));
}

#[test]
fn given_no_name_when_watched_then_the_only_guard_with_a_running_change_or_a_question() {
    let one = fix::snapshot(vec![fix::promoted()]);
    assert_eq!(to_watch(&one, None, "shop").unwrap(), "checkout", "there is no other");
    let error = to_watch(&shop(), None, "shop").unwrap_err();
    assert_eq!(error.exit_code(), USAGE);
    assert!(error.to_string().contains("kubectl firebreak status GUARD -n shop -w. Guards there: checkout, "), "{error}");
    let mut calm = shop();
    calm.changes.retain(|change| change.spec.guard == "mail");
    assert_eq!(to_watch(&calm, None, "shop").unwrap(), "mail");
    assert!(to_watch(&calm, Some("nobody"), "shop").unwrap_err().to_string().starts_with("no Guard nobody in namespace shop"));
}
