//! Update as a specification, view as pictures.

use jiff::{SignedDuration, Timestamp};
use ratatui::{Terminal, backend::TestBackend};
use rstest::rstest;

use super::{
    How, Until, lines,
    model::{LINGER, Message, Model, Seen, Source},
    update::update,
    view::view,
};
use crate::{fixtures as fix, look::Look, screen::Trend};
use firebreak_api::{Change, change::Phase};

fn after(seconds: i64) -> Timestamp {
    fix::now() + SignedDuration::from_secs(seconds)
}

fn model(change: Option<Change>, until: Until) -> Model {
    let mut model = Model::new("shop", "checkout", until, fix::now());
    update(&mut model, Message::Guard(Box::new(Seen::All(vec![fix::guard(change.as_ref())]))));
    update(&mut model, Message::Changes(Box::new(Seen::All(change.into_iter().collect()))));
    model
}

fn picture(model: &Model, size: (u16, u16), look: &Look) -> String {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|frame| view(model, look, frame)).unwrap();
    terminal.backend().to_string()
}

#[rstest]
#[case("held", fix::held())]
#[case("judging_healthy", fix::healthy())]
#[case("waiting", fix::waiting())]
#[case("taken_back", fix::rolled_back())]
#[case("promoted", fix::promoted())]
#[case("crowded", fix::crowded())]
#[case("cold", fix::cold())]
fn given_a_change_when_drawn_small_and_large_then_this_picture(#[case] name: &str, #[case] change: Change) {
    let model = model(Some(change), Until::Quit);
    insta::assert_snapshot!(format!("{name}_80x24"), picture(&model, (80, 24), &fix::look()));
    insta::assert_snapshot!(format!("{name}_160x50"), picture(&model, (160, 50), &fix::look()));
}

fn rising() -> Model {
    let mut model = model(Some(fix::healthy()), Until::Quit);
    for step in 1..=14 {
        let mut change = fix::harm_rising();
        let harm = change.status.as_mut().unwrap().harm.as_mut().unwrap();
        harm.evidence = -0.6 + f64::from(step) * 3.8 / 14.0;
        update(&mut model, Message::Tick(after(i64::from(step) * 2)));
        update(&mut model, Message::Changes(Box::new(Seen::One(change))));
    }
    model
}

#[test]
fn given_harm_that_rises_when_drawn_then_it_is_seen_rising() {
    let model = rising();
    assert_eq!(model.trend(), Trend::Rising);
    insta::assert_snapshot!("harm_rising_80x24", picture(&model, (80, 24), &fix::look()));
    insta::assert_snapshot!("harm_rising_160x50", picture(&model, (160, 50), &fix::look()));
}

#[test]
fn given_a_terminal_without_unicode_when_drawn_then_ascii_only() {
    let text = picture(&rising(), (100, 30), &fix::look().ascii());
    // The quotes around the rows are TestBackend's.
    assert!(text.is_ascii(), "{text}");
    insta::assert_snapshot!("harm_rising_ascii_100x30", text);
}

#[test]
fn given_no_change_yet_when_drawn_then_it_says_what_begins_one() {
    insta::assert_snapshot!("no_change_80x24", picture(&model(None, Until::Quit), (80, 10), &fix::look()));
}

#[test]
fn given_a_lost_connection_when_drawn_then_it_is_said_and_the_last_picture_stays() {
    let mut model = model(Some(fix::healthy()), Until::Quit);
    update(&mut model, Message::Lost(Source::Changes, "connection refused".to_owned()));
    update(&mut model, Message::Tick(after(7)));
    update(&mut model, Message::Lost(Source::Changes, "connection refused (os error 111)".to_owned()));
    let text = picture(&model, (80, 24), &fix::look());
    assert!(text.contains("connection lost 7s ago, retrying: connection refused (os error 111)"), "{text}");
    assert!(text.contains("stage 3/5"), "{text}");
    update(&mut model, Message::Changes(Box::new(Seen::All(vec![fix::healthy()]))));
    assert!(!picture(&model, (80, 24), &fix::look()).contains("lost"));
}

#[rstest]
fn given_any_size_when_drawn_then_no_panic_and_something_is_said(
    #[values(1, 39, 40, 57, 79, 119, 120, 300)] width: u16,
    #[values(1, 9, 10, 17, 24, 60)] height: u16,
    #[values(fix::held(), fix::crowded(), fix::rolled_back())] change: Change,
) {
    let text = picture(&model(Some(change), Until::Quit), (width, height), &fix::look());
    assert!(text.chars().any(char::is_alphabetic), "{text}");
}

#[test]
fn given_a_small_screen_when_crowded_then_phase_reason_plan_and_keys_are_there() {
    let text = picture(&model(Some(fix::crowded()), Until::Quit), (80, 24), &fix::look());
    for needed in ["Progressing", "Waits (WaitingForHuman", "roll back", "more signals", "Blast radius", "Arms", "Plan", "q quit"]
    {
        assert!(text.contains(needed), "{needed} is missing in\n{text}");
    }
}

#[test]
fn given_text_of_the_cluster_with_escape_sequences_when_drawn_then_they_do_not_reach_the_terminal() {
    let mut change = fix::waiting();
    change.status.as_mut().unwrap().waiting.as_mut().unwrap().message = "bad \u{1b}[2J\u{7} words".to_owned();
    let text = picture(&model(Some(change), Until::Quit), (80, 24), &fix::look());
    assert!(text.contains("bad") && !text.contains(['\u{1b}', '\u{7}']), "{text}");
}

#[test]
fn given_until_ended_when_the_change_ends_then_the_view_ends_a_moment_later() {
    let mut model = model(Some(fix::healthy()), Until::Ended);
    update(&mut model, Message::Changes(Box::new(Seen::One(fix::promoted()))));
    update(&mut model, Message::Tick(after(1)));
    assert!(model.end.is_none(), "its end must be seen");
    update(&mut model, Message::Tick(after(1) + LINGER));
    let end = model.end.unwrap();
    assert_eq!(end.how, How::Ended);
    assert!(end.promoted());
}

#[test]
fn given_until_ended_and_an_old_change_when_the_next_begins_and_ends_then_the_next_counts() {
    let old = fix::named(fix::rolled_back(), "checkout-old-1", "2026-07-01T09:00:00Z");
    let mut model = model(Some(old), Until::Ended);
    update(&mut model, Message::Tick(after(60)));
    assert!(model.end.is_none(), "an end of before is not awaited");
    update(&mut model, Message::Changes(Box::new(Seen::One(fix::healthy()))));
    update(&mut model, Message::Changes(Box::new(Seen::One(fix::rolled_back()))));
    update(&mut model, Message::Tick(after(70)));
    let end = model.end.unwrap();
    assert_eq!(end.change.as_ref().unwrap().metadata.name.as_deref(), Some("checkout-bcdfghjkmn-1"));
    assert!(!end.promoted());
    assert!(end.sentence().contains("is Rolled back: Stable serves all requests"), "{}", end.sentence());
}

#[test]
fn given_until_ended_when_a_newer_change_begins_then_the_followed_one_stays_on_the_screen() {
    let mut model = model(Some(fix::healthy()), Until::Ended);
    let newer = fix::named(fix::held(), "checkout-newer-1", "2026-07-01T12:09:59Z");
    update(&mut model, Message::Changes(Box::new(Seen::One(newer))));
    update(&mut model, Message::Changes(Box::new(Seen::One(fix::in_phase(Phase::Superseded)))));
    assert_eq!(model.shown().unwrap().metadata.name.as_deref(), Some("checkout-bcdfghjkmn-1"));
}

#[test]
fn given_until_ended_when_the_change_is_deleted_then_the_view_ends() {
    let mut model = model(Some(fix::healthy()), Until::Ended);
    update(&mut model, Message::Changes(Box::new(Seen::Gone("checkout-bcdfghjkmn-1".to_owned()))));
    assert_eq!(model.end.unwrap().how, How::Gone);
}

#[test]
fn given_until_quit_when_the_change_ends_then_the_view_stays_until_told() {
    let mut model = model(Some(fix::promoted()), Until::Quit);
    update(&mut model, Message::Tick(after(600)));
    assert!(model.end.is_none());
    update(&mut model, Message::Quit);
    assert_eq!(model.end.unwrap().how, How::Quit);
}

#[test]
fn given_a_running_and_a_newer_ended_change_when_shown_then_the_one_that_runs() {
    let mut model = model(Some(fix::healthy()), Until::Quit);
    let newer = fix::named(fix::rolled_back(), "checkout-newer-1", "2026-07-01T12:09:00Z");
    update(&mut model, Message::Changes(Box::new(Seen::One(newer))));
    assert_eq!(model.shown().unwrap().metadata.name.as_deref(), Some("checkout-bcdfghjkmn-1"));
}

#[test]
fn given_changes_of_another_guard_when_seen_then_they_are_not_shown() {
    let mut other = fix::healthy();
    other.spec.guard = "payments".to_owned();
    let mut model = model(None, Until::Quit);
    update(&mut model, Message::Changes(Box::new(Seen::All(vec![other.clone()]))));
    update(&mut model, Message::Changes(Box::new(Seen::One(other))));
    assert!(model.shown().is_none());
}

#[test]
fn given_more_scrolling_than_decisions_then_the_last_stays_visible() {
    let mut model = model(Some(fix::healthy()), Until::Quit);
    update(&mut model, Message::Scroll(1_000));
    assert_eq!(model.scroll, 3);
    let text = picture(&model, (80, 24), &fix::look());
    assert!(text.contains("Decisions ── 3 newer above") && text.contains("ChangeDetected"), "{text}");
    update(&mut model, Message::Scroll(isize::MIN));
    assert_eq!(model.scroll, 0);
}

#[test]
fn given_no_terminal_when_only_numbers_change_then_no_new_line() {
    let mut model = model(Some(fix::waiting()), Until::Quit);
    let before = lines::state(&model);
    assert_eq!(before.key, "checkout-bcdfghjkmn-1 Progressing stage 4/5 weight 50 % waits (WaitingForHuman)");
    let mut next = fix::waiting();
    next.status.as_mut().unwrap().waiting.as_mut().unwrap().message = "other numbers".to_owned();
    update(&mut model, Message::Changes(Box::new(Seen::One(next))));
    assert_eq!(lines::state(&model).key, before.key);
    update(&mut model, Message::Changes(Box::new(Seen::One(fix::promoted()))));
    let state = lines::state(&model);
    assert_eq!(state.key, "checkout-bcdfghjkmn-1 Promoted stage 5/5 weight 100 %");
    assert!(state.more.starts_with("The candidate is the new stable"), "{}", state.more);
}
