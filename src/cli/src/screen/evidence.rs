//! The evidence as bars: toward taking back, and of each signal toward the next stage.

use firebreak_api::change::{Evidence, Phase};
use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::{Shown, Trend, bar, heading};
use crate::{
    facts::{self, Facts},
    look::Look,
    words::{self, chance, ln_e, pad, share, width},
};

/// Cells of ` 3.2 of 4.6   69 %`.
const NUMBERS: usize = 20;
/// Cells of `  ^ rising `.
const TREND: usize = 11;
/// Cells of `  if harmless, at most 0.25 %`, shown where there is room.
const CHANCE: usize = 28;
/// Width from which on it is shown how seldom chance alone shows so much.
const ROOMY: usize = 92;
/// Longest label of a bar, in cells.
const LABEL: usize = 18;

/// Heading and bars; at most `most` signals, those with the least safety evidence.
#[must_use]
pub fn lines(shown: &Shown<'_>, facts: &Facts<'_>, to: usize, most: usize) -> Vec<Line<'static>> {
    let look = shown.look;
    let status = facts.status;
    let next = facts.next_stage().filter(|_| facts.phase() == Phase::Progressing);
    let note = next.map_or_else(
        || "toward taking it back".to_owned(),
        |next| format!("toward taking it back, and of each signal toward {next} %"),
    );
    let mut lines = vec![heading("Evidence", &note, to, look)];
    if status.harm.is_none() && status.evidence.is_empty() {
        lines.push(Line::styled("none yet: no request has reached the candidate", look.faint()));
        return lines;
    }
    let signals = if next.is_some() { weakest(&status.evidence, most) } else { Vec::new() };
    let label = |signal: &str| next.map_or_else(String::new, |next| format!("{next} %: {signal}"));
    let longest = signals.iter().map(|evidence| width(&label(&evidence.signal))).max().unwrap_or(0);
    let column = longest.clamp(9, LABEL);
    if let Some(harm) = status.harm {
        let part = facts.harm_share().unwrap_or(0.0);
        let row = Row {
            label: "roll back",
            column,
            have: harm.evidence,
            needed: harm.needed,
            part,
            style: look.harm(part),
            unlikely: "harmless",
            unsure: 0.0,
        };
        lines.push(row.line(shown.trend, to, look));
        if harm.proved_ratio > 0.0 {
            let text = format!("proved: it fails at least {} times as often as stable", ratio(harm.proved_ratio));
            lines.push(Line::styled(text, look.bad()));
        }
        lines.extend(curve(shown, column, to));
    }
    for evidence in signals.iter().filter(|evidence| evidence.safety_needed > 0.0) {
        let part = facts::safety_share(evidence);
        let label = label(&evidence.signal);
        let style = if part >= 1.0 { look.good() } else { look.command() };
        let row = Row {
            label: &label,
            column,
            have: evidence.safety,
            needed: evidence.safety_needed,
            part,
            style,
            unlikely: "harmful",
            unsure: facts.unsure(),
        };
        lines.push(row.line(Trend::Steady, to, look));
    }
    let left_out = status.evidence.len().saturating_sub(signals.len());
    if next.is_some() && left_out > 0 {
        let signals = if left_out == 1 { "signal" } else { "signals" };
        lines.push(Line::styled(format!("and {left_out} more {signals} with more evidence"), look.faint()));
    }
    lines
}

/// At most `most` signals: all in their own order, or those with the least safety evidence.
#[must_use]
pub fn weakest(evidence: &[Evidence], most: usize) -> Vec<&Evidence> {
    let mut all: Vec<&Evidence> = evidence.iter().collect();
    if all.len() > most {
        all.sort_by(|left, right| facts::safety_share(left).total_cmp(&facts::safety_share(right)));
        all.truncate(most);
    }
    all
}

fn ratio(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

struct Row<'a> {
    label: &'a str,
    column: usize,
    have: f64,
    needed: f64,
    part: f64,
    style: Style,
    /// The release that would seldom show so much.
    unlikely: &'static str,
    /// Probability that what the evidence rests on does not hold.
    unsure: f64,
}

impl Row<'_> {
    fn line(&self, trend: Trend, to: usize, look: &Look) -> Line<'static> {
        let roomy = to >= ROOMY;
        let taken = self.column + 1 + NUMBERS + TREND + if roomy { CHANCE } else { 0 };
        let mut spans = vec![Span::raw(format!("{} ", pad(self.label, self.column, look.glyphs.ellipsis)))];
        spans.extend(bar(self.part, to.saturating_sub(taken).max(4), self.style, look));
        let numbers = format!("{} of {}", ln_e(self.have), ln_e(self.needed));
        spans.push(Span::raw(format!("  {numbers:<12} {:>5}", share(self.part))));
        let (sign, word) = match trend {
            Trend::Steady => ("", ""),
            Trend::Rising => (look.glyphs.up, "rising"),
            Trend::Falling => (look.glyphs.down, "falling"),
        };
        spans.push(Span::styled(pad(&format!("  {sign} {word}"), TREND, ""), self.style));
        if roomy {
            let words = chance(self.have, self.unsure)
                .map_or_else(String::new, |chance| format!("  if {}, at most {chance}", self.unlikely));
            spans.push(Span::styled(words, look.faint()));
        }
        Line::from(spans)
    }
}

/// Harm evidence so far, as a curve below its bar, where there is room.
fn curve(shown: &Shown<'_>, column: usize, to: usize) -> Option<Line<'static>> {
    let look = shown.look;
    let needed = shown.facts?.status.harm?.needed;
    if to < ROOMY || shown.history.len() < 4 {
        return None;
    }
    let cells = to.saturating_sub(column + 1 + NUMBERS + TREND + CHANCE).max(4);
    let skip = shown.history.len().saturating_sub(cells);
    let points: String = shown
        .history
        .iter()
        .skip(skip)
        .filter_map(|&value| {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped to 0..=7
            let level = ((value / needed).clamp(0.0, 1.0) * 7.0).round() as usize;
            look.glyphs.levels.get(level).copied()
        })
        .collect();
    let style = look.harm(shown.facts?.harm_share().unwrap_or(0.0));
    Some(Line::from(vec![
        Span::styled(format!("{} ", words::pad("so far", column, "")), look.faint()),
        Span::styled(points, style),
    ]))
}
