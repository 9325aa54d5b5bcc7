//! The simulation as text: what was asked, a table, and what its numbers do not say.

use jiff::SignedDuration;

use super::outcome::{Chance, Outcome, Release, Spread, Under};
use crate::words::{self, count, pad, percent, plain, span, wrap};

/// Cells of the columns: rule, promoted, after, taken back, after, failed requests.
const COLUMNS: [usize; 6] = [21, 9, 18, 11, 18, 16];

/// The simulation as text of a width; the table has its own.
#[must_use]
pub fn text(outcome: &Outcome, width: usize) -> String {
    let mut text = String::new();
    let paragraph =
        |text: &mut String, words: &str| wrap(&plain(words), width).iter().for_each(|row| text.push_str(&format!("{row}\n")));
    paragraph(
        &mut text,
        &format!(
            "{}: {} requests a second, {} of them fail ({}). {}; stages {} %.",
            outcome.service,
            number(outcome.requests_per_second),
            words::failure_rate(outcome.failing_percent),
            outcome.traffic_from,
            outcome.policy,
            outcome.plan.stages.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        ),
    );
    for rule in &outcome.rules {
        paragraph(&mut text, &format!("{}: {}.", rule.name, rule.settings));
    }
    text.push('\n');
    let names = ["", "promoted", "after (9 of 10)", "taken back", "after (9 of 10)", "failed (9 of 10)"];
    text.push_str(&row(&names.map(str::to_owned)));
    for release in &outcome.releases {
        text.push_str(&format!("{}\n", head(release)));
        release.under.iter().for_each(|under| text.push_str(&line(under)));
    }
    text.push('\n');
    for note in notes(outcome) {
        paragraph(&mut text, &note);
    }
    text
}

fn head(release: &Release) -> String {
    format!("{} ({} of its requests fail)", release.name, words::failure_rate(release.failing_percent))
}

fn line(under: &Under) -> String {
    let after = |spread: Option<Spread>| {
        spread.map_or_else(|| "-".to_owned(), |spread| format!("{} ({})", seconds(spread.median), seconds(spread.p90)))
    };
    let failed = under.failed_requests;
    let whole = |value: f64| words::estimate(value.max(0.0).round());
    let mut text = row(&[
        format!("  {}", under.rule),
        share(under.promoted),
        after(under.promoted_after),
        share(under.taken_back),
        after(under.taken_back_after),
        format!("{} ({})", whole(failed.mean), whole(failed.p90)),
    ]);
    let others = [(under.still_waits, "still wait"), (under.given_up, "are given up as inconclusive")];
    let others: Vec<String> = others
        .iter()
        .filter(|(chance, _)| chance.percent > 0.0)
        .map(|(chance, what)| format!("{} {what}", share(*chance)))
        .collect();
    if !others.is_empty() {
        text = format!("{}  {}\n", text.trim_end(), others.join(", "));
    }
    text
}

/// What the numbers rest on, and what they do not say.
fn notes(outcome: &Outcome) -> Vec<String> {
    let bursts = if outcome.bursts > 1.0 {
        format!("Failures come in bursts, variance {} times the mean", outcome.bursts)
    } else {
        "Failures come one by one".to_owned()
    };
    let mut notes = vec![
        format!(
            "{0} runs of each release under each rule, all with the same requests, for {1} at most. \"after\" is what half of the runs \
             stayed below, in brackets nine of ten; \"failed\" are the requests that failed because of the release in {1}, on \
             average: until it was taken back, or all the time. None of {0} runs means less than {2} with 95 % confidence.",
            count(u64::from(outcome.runs)),
            seconds(outcome.longest_seconds),
            percent(300.0 / f64::from(outcome.runs.max(1)))
        ),
        format!(
            "{bursts}; metrics hold what happened after {} s; one signal is judged, routes divide the requests, and a human who is \
             asked agrees at once.",
            outcome.metrics_delay_seconds
        ),
    ];
    let let_through =
        |release: &&Release| release.failing_an_hour > 0.5 && release.under.iter().any(|under| under.promoted.percent > 0.0);
    let through: Vec<String> = outcome
        .releases
        .iter()
        .filter(let_through)
        .map(|release| format!("{}: {}", release.name, words::estimate(release.failing_an_hour)))
        .collect();
    if !through.is_empty() {
        notes.push(format!("A bad release that is promoted goes on failing; requests an hour: {}.", through.join(", ")));
    }
    notes
}

fn row(cells: &[String; 6]) -> String {
    let row: Vec<String> = cells.iter().zip(COLUMNS).map(|(cell, width)| pad(cell, width.max(words::width(cell)), "")).collect();
    format!("{}\n", row.join(" ").trim_end())
}

fn share(chance: Chance) -> String {
    let value = chance.percent;
    // Only all is 100 %, and only none is 0 %.
    let near = (value > 0.0 && value < 1.0) || (value > 99.0 && value < 100.0);
    if near { format!("{value:.1} %") } else { format!("{value:.0} %") }
}

fn seconds(value: f64) -> String {
    span(SignedDuration::try_from_secs_f64(value).unwrap_or(SignedDuration::MAX))
}

fn number(value: f64) -> String {
    if value >= 10.0 {
        words::estimate(value)
    } else {
        format!("{value:.2}").trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

#[cfg(test)]
mod tests;
