//! The binary: what it prints and how it exits.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

fn run(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_firebreak-sim")).args(words).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn given_a_row_that_is_kept_then_it_is_told_with_its_bar_and_the_exit_is_0() {
    let output = run(&["accept", "--runs", "20", "--only", "every request fails"]);
    let told = text(&output.stdout);
    assert!(output.status.success() && told.contains("bar   60.0") && told.contains("0 missed"), "{told}");
}

#[test]
fn given_two_rules_in_a_world_then_they_are_compared_and_the_exit_is_0() {
    let output = run(&["compare", "--runs", "2", "--level", "low", "--only", "every request fails: 200 rps, p 1 %"]);
    let told = text(&output.stdout);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("stages 10 %, 50 %, 100 %") && told.contains("Flagger-like 60 s"), "{told}");
}

#[test]
fn given_words_that_mean_nothing_then_the_usage_is_told_and_the_exit_is_2() {
    for words in [
        &[][..],
        &["guess"],
        &["accept", "--runs"],
        &["accept", "--runs", "many"],
        &["accept", "--level", "low"],
        &["compare", "--level", "huge"],
    ] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(text(&output.stderr).contains("usage: firebreak-sim accept"), "{words:?}");
    }
}
