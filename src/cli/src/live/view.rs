//! Draws the model. Pure: the same model and size, the same picture.
//!
//! 80 columns by 24 lines must hold all that a decision needs; more room shows more of the record, from [`WIDE`] on beside
//! the rest. Where there is too little room, first signals with much evidence go, then decisions.

use firebreak_api::change::Phase;
use jiff::SignedDuration;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{
    Until,
    model::{LINGER, Model},
};
use crate::{
    facts::{self, Facts},
    look::Look,
    screen::{self, Shown, evidence, header, heading, parts},
    words::{self, cut, span, width},
};

/// Width from which on the decisions stand beside the rest.
pub const WIDE: u16 = 120;
/// Smallest picture that says anything.
const SMALLEST: (u16, u16) = (40, 10);
/// Lines of the reason that always find room.
const REASON: usize = 2;

/// Draws the model.
pub fn view(model: &Model, look: &Look, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = format!("{}/{}: make the window larger (q quits)", model.namespace, model.guard_name);
        frame.render_widget(Paragraph::new(words::wrap(&text, usize::from(area.width.max(1))).join("\n")), area);
        return;
    }
    let [body, foot] = Layout::vertical([Constraint::Min(1), Constraint::Length(1)]).areas(area);
    frame.render_widget(Paragraph::new(footer(model, look, usize::from(foot.width))), foot);
    let history: Vec<f64> = model.history.iter().map(|(_, harm)| *harm).collect();
    let facts = model.shown().map(|change| Facts::new(change, model.now));
    let shown = Shown {
        namespace: &model.namespace,
        guard_name: &model.guard_name,
        guard: model.guard.as_ref(),
        facts,
        history: &history,
        trend: model.trend(),
        look,
    };
    match facts {
        Some(facts) if body.width >= WIDE => wide(model, &shown, &facts, frame, body),
        Some(facts) => narrow(model, &shown, &facts, frame, body),
        None => frame.render_widget(Paragraph::new(empty(model, &shown, usize::from(body.width))), body),
    }
}

fn empty(model: &Model, shown: &Shown<'_>, to: usize) -> Vec<Line<'static>> {
    let mut lines = header::title(shown, to);
    if model.loaded() {
        lines.extend(header::no_change(shown, to));
    } else {
        lines.push(Line::raw("Reading Guards and Changes from the API server"));
    }
    lines
}

/// The top: what, where, why; at most `height` lines, with the origin of the change where there is room for it.
fn top(shown: &Shown<'_>, facts: &Facts<'_>, to: usize, reason_lines: usize, origin: bool) -> Vec<Line<'static>> {
    let look = shown.look;
    let mut lines = header::title(shown, to);
    lines.push(header::headline(facts, to, look));
    if origin {
        lines.extend(header::origin(facts, to, look));
    }
    lines.extend(shorten(header::why(facts, to, look), reason_lines, to, look));
    lines
}

/// The first `most` lines; the last of them shows when more was said.
fn shorten(mut lines: Vec<Line<'static>>, most: usize, to: usize, look: &Look) -> Vec<Line<'static>> {
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            let text = format!("{last} {}", look.glyphs.ellipsis);
            let text = if width(&text) > to { cut(&text, to, look.glyphs.ellipsis) } else { text };
            *last = Line::styled(text, last.spans.last().map_or(last.style, |span| span.style));
        }
    }
    lines
}

fn narrow(model: &Model, shown: &Shown<'_>, facts: &Facts<'_>, frame: &mut Frame<'_>, area: Rect) {
    let (to, height) = (usize::from(area.width), usize::from(area.height));
    let look = shown.look;
    let signals = facts.status.evidence.len();
    let build = |most: usize, reason_lines: usize, origin: bool| {
        let mut lines = top(shown, facts, to, reason_lines, origin);
        lines.extend(evidence::lines(shown, facts, to, most));
        lines.extend(parts::blast(facts, to, look));
        lines.extend(parts::arms(facts, to, look, most));
        lines.extend(parts::plan(facts, to, look));
        lines
    };
    // Most of all signals and of the reason that leave room for the heading and two decisions.
    let roomy = [(signals, 6, true), (signals, 4, true), (signals, 4, false), (signals, REASON, false)];
    let tight = (1..signals).rev().map(|most| (most, REASON, false));
    let mut lines = Vec::new();
    for (most, reason_lines, origin) in roomy.into_iter().chain(tight) {
        lines = build(most, reason_lines, origin);
        if lines.len() + 3 <= height {
            break;
        }
    }
    let left = height.saturating_sub(lines.len() + 1);
    if left > 0 {
        let whole = if left > 12 { usize::MAX } else { 1 };
        lines.push(decisions_heading(model, to, look));
        lines.extend(parts::decisions(facts, to, look, model.scroll, whole).into_iter().take(left));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn wide(model: &Model, shown: &Shown<'_>, facts: &Facts<'_>, frame: &mut Frame<'_>, area: Rect) {
    let look = shown.look;
    let head = top(shown, facts, usize::from(area.width), 4, true);
    let head_lines = u16::try_from(head.len() + 1).unwrap_or(u16::MAX);
    let [over, below] = Layout::vertical([Constraint::Length(head_lines), Constraint::Min(1)]).areas(area);
    frame.render_widget(Paragraph::new(head), over);
    let [left, _, right] = Layout::horizontal([Constraint::Fill(3), Constraint::Length(2), Constraint::Fill(2)]).areas(below);
    let (to, height) = (usize::from(left.width), usize::from(left.height));
    let signals = facts.status.evidence.len().max(1);
    let mut lines = Vec::new();
    for most in (1..=signals).rev() {
        let mut blocks = vec![
            evidence::lines(shown, facts, to, most),
            parts::blast(facts, to, look),
            parts::arms(facts, to, look, most),
            parts::plan(facts, to, look),
        ];
        blocks.retain(|block| !block.is_empty());
        let needed: usize = blocks.iter().map(Vec::len).sum();
        let gap = needed + blocks.len() <= height;
        let risk = parts::risk(facts, to, look);
        if gap && needed + blocks.len() + risk.len() <= height {
            blocks.push(risk);
        }
        lines = blocks.into_iter().flat_map(|block| block.into_iter().chain(gap.then(|| Line::raw("")))).collect();
        if needed <= height {
            break;
        }
    }
    frame.render_widget(Paragraph::new(lines), left);
    let to = usize::from(right.width);
    let mut record = vec![decisions_heading(model, to, look)];
    record.extend(parts::decisions(facts, to, look, model.scroll, usize::MAX));
    frame.render_widget(Paragraph::new(record), right);
}

fn decisions_heading(model: &Model, to: usize, look: &Look) -> Line<'static> {
    let note = if model.scroll > 0 { format!("{} newer above", model.scroll) } else { String::new() };
    heading("Decisions", &note, to, look)
}

/// The last line: the connection where it is lost, else the keys and what to type.
fn footer(model: &Model, look: &Look, to: usize) -> Line<'static> {
    if let Some(lost) = model.lost_first() {
        let time = span(words::since(lost.since, model.now));
        let text = format!("connection lost {time} ago, retrying: {}", words::plain(&lost.why));
        return Line::styled(cut(&text, to, look.glyphs.ellipsis), look.bad().patch(look.strong()));
    }
    if let Some(note) = &model.note {
        return Line::styled(cut(&words::plain(note), to, look.glyphs.ellipsis), look.warn());
    }
    if let Some(since) = model.over_since.filter(|_| model.until == Until::Ended) {
        let left = (LINGER - model.now.duration_since(since)).max(SignedDuration::ZERO);
        return Line::styled(format!("The Change is over: this view closes in {}", span(left)), look.strong());
    }
    let mut spans = vec![Span::styled("q", look.strong()), Span::raw(" quit  ")];
    spans.push(Span::styled(format!("{}{}", look.glyphs.up, look.glyphs.down), look.strong()));
    spans.push(Span::raw(" decisions"));
    if let Some(change) = model.shown() {
        let over = |phase: Phase| phase.ended() || matches!(phase, Phase::RollingBack | Phase::Promoting);
        let asked = Facts::new(change, model.now).next_needs_approval();
        let acts = match (over(facts::status(change).phase), asked) {
            (true, _) => "explain",
            (false, true) => "approve|pause|abort|explain",
            (false, false) => "promote|pause|abort|explain",
        };
        let at = facts::in_command(&model.guard_name, Some(&model.namespace));
        let used: usize = spans.iter().map(Span::width).sum();
        let text = [at.as_str(), &model.guard_name].map(|at| format!("  kubectl firebreak {acts} {at}"));
        if let Some(text) = text.into_iter().find(|text| used + width(text) <= to) {
            spans.push(Span::styled(text, look.command()));
        }
    }
    Line::from(spans)
}

/// What stays on the normal screen after the view is gone: the picture as it was last.
#[must_use]
pub fn last_picture(model: &Model, look: &Look, to: usize) -> Vec<Line<'static>> {
    let facts = model.shown().map(|change| Facts::new(change, model.now));
    let shown = Shown {
        namespace: &model.namespace,
        guard_name: &model.guard_name,
        guard: model.guard.as_ref(),
        facts,
        history: &[],
        trend: screen::Trend::Steady,
        look,
    };
    match facts {
        Some(facts) => {
            let mut lines = top(&shown, &facts, to, 8, false);
            if let Some(radius) = &facts.status.blast_radius {
                let text = format!("Blast radius: {}", parts::blast_words(&facts, radius, &format!(" {} ", look.glyphs.dot)));
                lines.extend(words::wrap(&words::plain(&text), to).into_iter().map(Line::raw));
            }
            lines
        }
        None => empty(model, &shown, to),
    }
}
