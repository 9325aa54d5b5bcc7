//! The simulation as a picture: a row for each release and rule; on the left how soon it was over, on the right how many
//! requests failed because of it. Both scales are logarithmic: releases differ by thousands.

use jiff::SignedDuration;

use super::outcome::{Outcome, Release, Under};
use crate::{
    picture::{Color, Picture, Stands, cut, width},
    words::{self, plain},
};

const INK: Color = Color(31, 41, 55);
const FAINT: Color = Color(107, 114, 128);
const GRID: Color = Color(229, 231, 235);
const BAND: Color = Color(248, 250, 252);
/// One for each rule; told apart without colour by their marks.
const RULES: [Color; 3] = [Color(194, 65, 12), Color(37, 99, 235), Color(75, 85, 99)];

/// Size, and where things stand in it.
const WIDTH: f32 = 1120.0;
const TOP: f32 = 128.0;
const ROW: f32 = 20.0;
const BETWEEN: f32 = 12.0;
const FOOT: f32 = 62.0;
const FOOT_LINE: f32 = 16.0;
/// From, to: the scale of time, what became of it, the scale of failed requests.
const TIME: (f32, f32) = (170.0, 560.0);
const BECAME: f32 = 578.0;
const FAILED: (f32, f32) = (770.0, 1010.0);
/// Seconds that are marked.
const TIMES: [(f64, &str); 8] = [
    (1.0, "1 s"),
    (10.0, "10 s"),
    (60.0, "1 min"),
    (600.0, "10 min"),
    (3600.0, "1 h"),
    (21_600.0, "6 h"),
    (86_400.0, "1 d"),
    (604_800.0, "7 d"),
];

/// A logarithmic scale.
struct Scale {
    from: f32,
    to: f32,
    least: f64,
    most: f64,
}

impl Scale {
    /// The place of a value; what is less than the least stands there.
    fn place(&self, value: f64) -> f32 {
        let part = (value.max(self.least) / self.least).ln() / (self.most / self.least).ln();
        #[allow(clippy::cast_possible_truncation)] // 0..=1
        let part = part.clamp(0.0, 1.0) as f32;
        part.mul_add(self.to - self.from, self.from)
    }
}

/// Draws the simulation.
#[must_use]
pub fn draw(outcome: &Outcome) -> Picture {
    let rules = outcome.rules.len().max(1) as f32;
    let block = rules.mul_add(ROW, BETWEEN);
    let bottom = (outcome.releases.len() as f32).mul_add(block, TOP);
    let mut picture = Picture::new(WIDTH, rules.mul_add(FOOT_LINE, bottom + FOOT), in_words(outcome));
    head(&mut picture, outcome);
    let (time, failed) = (time_scale(outcome), failed_scale(outcome));
    for (nth, _) in outcome.releases.iter().enumerate().filter(|(nth, _)| nth % 2 == 0) {
        let top = (nth as f32).mul_add(block, TOP);
        picture.bar((0.0, top), (WIDTH, top + block), BAND);
    }
    let marks = TIMES.iter().filter(|(seconds, _)| *seconds <= time.most).map(|(seconds, words)| (*seconds, (*words).to_owned()));
    grid(&mut picture, &time, marks, bottom);
    let tens = std::iter::successors(Some(1.0), |tens| Some(tens * 10.0)).take_while(|tens| *tens <= failed.most);
    grid(&mut picture, &failed, tens.map(|tens| (tens, words::estimate(tens))), bottom);
    for (nth, release) in outcome.releases.iter().enumerate() {
        let top = (nth as f32).mul_add(block, TOP) + BETWEEN / 2.0;
        let middle = rules.mul_add(ROW / 2.0, top);
        picture.text((20.0, middle), 15.0, Stands::Right, INK, &name(release));
        picture.text(
            (20.0, middle + 16.0),
            11.0,
            Stands::Right,
            FAINT,
            &format!("{} fail", words::failure_rate(release.failing_percent)),
        );
        for (rule, under) in release.under.iter().enumerate() {
            let y = (rule as f32).mul_add(ROW, top) + ROW / 2.0;
            row(&mut picture, rule, release, under, y, (&time, &failed));
        }
    }
    foot(&mut picture, outcome, bottom);
    picture
}

fn name(release: &Release) -> String {
    release.name.replace('x', " ×")
}

fn head(picture: &mut Picture, outcome: &Outcome) {
    let title = format!(
        "{}: {} requests a second, {} fail",
        plain(&outcome.service),
        words::estimate(outcome.requests_per_second),
        words::failure_rate(outcome.failing_percent)
    );
    let room = WIDTH - 40.0;
    picture.text((20.0, 34.0), 20.0, Stands::Right, INK, &cut(&title, 20.0, room));
    let stages: Vec<String> = outcome.plan.stages.iter().map(ToString::to_string).collect();
    let policy = format!("{}; stages {} %", plain(&outcome.policy), stages.join(", "));
    picture.text((20.0, 56.0), 13.0, Stands::Right, FAINT, &cut(&policy, 13.0, room));
    let mut x = 20.0;
    for (nth, rule) in outcome.rules.iter().enumerate() {
        mark(picture, nth, (x + 6.0, 80.0));
        picture.text((x + 18.0, 84.5), 13.0, Stands::Right, INK, &rule.name);
        x += width(&rule.name, 13.0) + 44.0;
    }
    picture.text((TIME.0, 108.0), 13.0, Stands::Right, INK, "Time until it is taken back (harmless: promoted)");
    picture.text((FAILED.0, 108.0), 13.0, Stands::Right, INK, "Requests that fail because of it");
}

fn time_scale(outcome: &Outcome) -> Scale {
    let spreads = outcome.releases.iter().flat_map(|release| &release.under);
    let times = spreads.flat_map(|under| [under.promoted_after, under.taken_back_after]).flatten();
    let most = times.map(|spread| spread.p90).fold(60.0, f64::max);
    Scale { from: TIME.0, to: TIME.1, least: 1.0, most: most * 1.3 }
}

fn failed_scale(outcome: &Outcome) -> Scale {
    let failed = outcome.releases.iter().flat_map(|release| &release.under).map(|under| under.failed_requests);
    let most = failed.map(|failed| failed.mean).fold(10.0, f64::max);
    Scale { from: FAILED.0, to: FAILED.1, least: 1.0, most }
}

fn grid(picture: &mut Picture, scale: &Scale, marks: impl Iterator<Item = (f64, String)>, bottom: f32) {
    for (value, words) in marks {
        let x = scale.place(value);
        picture.bar((x - 0.5, TOP - 6.0), (x + 0.5, bottom), GRID);
        picture.text((x, bottom + 18.0), 11.0, Stands::Middle, FAINT, &words);
    }
}

fn row(picture: &mut Picture, rule: usize, release: &Release, under: &Under, y: f32, (time, failed): (&Scale, &Scale)) {
    let color = color(rule);
    let harmless = release.failing_an_hour <= 0.0;
    let spread = if harmless { under.promoted_after } else { under.taken_back_after };
    if let Some(spread) = spread {
        let (from, to) = (time.place(spread.median), time.place(spread.p90));
        picture.bar((from, y - 1.0), (to.max(from), y + 1.0), color);
        picture.bar((to - 0.75, y - 4.0), (to + 0.75, y + 4.0), color);
        mark(picture, rule, (from, y));
    }
    let style = if spread.is_some() { color } else { FAINT };
    picture.text((BECAME, y + 4.0), 12.0, Stands::Right, style, &became(harmless, under));
    if harmless {
        return;
    }
    let requests = under.failed_requests;
    let to = failed.place(requests.mean);
    picture.bar((FAILED.0, y - 4.0), (to.max(FAILED.0 + 1.0), y + 4.0), color);
    let mean = words::estimate(requests.mean.max(0.0).round());
    // A promoted one has not ended.
    let open = if under.promoted.percent > 0.0 { " and on" } else { "" };
    picture.text((to + 6.0, y + 4.0), 11.0, Stands::Right, INK, &format!("{mean}{open}"));
}

/// What is to be hoped for, and the most of what else came of it.
fn became(harmless: bool, under: &Under) -> String {
    let all = [
        (under.promoted.percent, "promoted"),
        (under.taken_back.percent, "taken back"),
        (under.given_up.percent, "given up"),
        (under.still_waits.percent, "wait"),
    ];
    let hoped = if harmless { "promoted" } else { "taken back" };
    let (wanted, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, what)| *what == hoped);
    let most = others.into_iter().filter(|(percent, _)| *percent >= 1.0).max_by(|one, other| one.0.total_cmp(&other.0));
    let said: Vec<String> =
        wanted.into_iter().chain(most).map(|(percent, what)| format!("{:.0} % {what}", percent.floor())).collect();
    said.join(", ")
}

fn color(rule: usize) -> Color {
    RULES.get(rule).copied().unwrap_or(INK)
}

/// A disc, a square, a diamond.
fn mark(picture: &mut Picture, rule: usize, (x, y): (f32, f32)) {
    let color = color(rule);
    match rule {
        0 => picture.disc((x, y), 5.5, color),
        1 => picture.bar((x - 4.5, y - 4.5), (x + 4.5, y + 4.5), color),
        _ => picture.shape(color, &[(x, y - 6.0), (x + 6.0, y), (x, y + 6.0), (x - 6.0, y)]),
    }
}

fn foot(picture: &mut Picture, outcome: &Outcome, bottom: f32) {
    let line = format!(
        "{} simulated rollouts each. Mark: half of them were over by then; line: nine of ten. Failed requests: on average, within {}; \
         \"and on\": some were promoted and go on failing.",
        words::count(u64::from(outcome.runs)),
        words::span(SignedDuration::try_from_secs_f64(outcome.longest_seconds).unwrap_or_default())
    );
    let settings = outcome.rules.iter().map(|rule| format!("{}: {}.", rule.name, plain(&rule.settings)));
    for (nth, line) in std::iter::once(line).chain(settings).enumerate() {
        let y = (nth as f32).mul_add(FOOT_LINE, bottom + 46.0);
        picture.text((20.0, y), 11.0, Stands::Right, FAINT, &cut(&line, 11.0, WIDTH - 40.0));
    }
}

/// The picture for who cannot see it.
fn in_words(outcome: &Outcome) -> String {
    let rows = outcome.releases.iter().flat_map(|release| {
        release.under.iter().map(move |under| {
            let (back, promoted) = (under.taken_back.percent.floor(), under.promoted.percent.floor());
            format!(
                "{} under {}: {back:.0} % taken back, {promoted:.0} % promoted, {} requests failed",
                release.name,
                under.rule,
                words::estimate(under.failed_requests.mean.max(0.0).round())
            )
        })
    });
    format!("{}. {}.", plain(&outcome.policy), rows.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests;
