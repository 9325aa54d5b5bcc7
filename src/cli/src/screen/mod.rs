//! The picture of one Change as lines of text, for the live view and for `status GUARD`.
//!
//! Each part ([`header`], [`evidence`], [`parts`]) makes its own lines for a given width; what is left out where there is
//! little room is decided by the caller. Start at [`Shown`] and [`whole`].

pub mod ansi;
pub mod chart;
pub mod evidence;
pub mod header;
pub mod parts;

use firebreak_api::Guard;
use ratatui::{
    style::Style,
    text::{Line, Span},
};

use crate::{
    facts::Facts,
    look::Look,
    words::{self, cut, width},
};

/// What is drawn, and how.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// Namespace of the Guard.
    pub namespace: &'a str,
    /// Name of the Guard.
    pub guard_name: &'a str,
    /// The Guard, where it exists.
    pub guard: Option<&'a Guard>,
    /// The Change, where there is one.
    pub facts: Option<Facts<'a>>,
    /// Harm evidence so far, the oldest first.
    pub history: &'a [f64],
    /// Where the harm evidence is going.
    pub trend: Trend,
    /// How things look.
    pub look: &'a Look,
}

/// Where harm evidence is going.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trend {
    /// It stays, or not enough was seen.
    #[default]
    Steady,
    /// More of it.
    Rising,
    /// Less of it.
    Falling,
}

/// A heading across the width: `── Title ── note ────`.
#[must_use]
pub fn heading(title: &str, note: &str, to: usize, look: &Look) -> Line<'static> {
    let rule = look.glyphs.rule;
    let mut spans = vec![
        Span::styled(format!("{rule}{rule} "), look.faint()),
        Span::styled(title.to_owned(), look.strong()),
        Span::styled(" ".to_owned(), look.faint()),
    ];
    let used = 4 + width(title);
    let mut left = to.saturating_sub(used);
    if !note.is_empty() && left > 12 {
        let note = cut(note, left.saturating_sub(5), look.glyphs.ellipsis);
        left = left.saturating_sub(width(&note) + 4);
        spans.push(Span::styled(format!("{rule}{rule} "), look.faint()));
        spans.push(Span::raw(format!("{note} ")));
    }
    spans.push(Span::styled(rule.repeat(left), look.faint()));
    Line::from(spans)
}

/// A bar that is full at a share of 1.
#[must_use]
pub fn bar(share: f64, cells: usize, style: Style, look: &Look) -> Vec<Span<'static>> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // 0..=cells
    let full = ((share.clamp(0.0, 1.0) * cells as f64).round() as usize).min(cells);
    vec![Span::styled(look.glyphs.full.repeat(full), style), Span::styled(look.glyphs.empty.repeat(cells - full), look.faint())]
}

/// The whole picture without a limit of height, as `status GUARD` prints it.
#[must_use]
pub fn whole(shown: &Shown<'_>, to: usize) -> Vec<Line<'static>> {
    let look = shown.look;
    let mut lines = header::title(shown, to);
    let Some(facts) = shown.facts else {
        lines.extend(header::no_change(shown, to));
        return lines;
    };
    lines.push(header::headline(&facts, to, look));
    lines.extend(header::origin(&facts, to, look));
    lines.extend(header::why(&facts, to, look));
    lines.extend(evidence::lines(shown, &facts, to, usize::MAX));
    lines.extend(parts::blast(&facts, to, look));
    lines.extend(parts::arms(&facts, to, look, usize::MAX));
    lines.extend(parts::plan(&facts, to, look));
    lines.extend(parts::risk(&facts, to, look));
    lines.push(heading("Decisions", "the newest first", to, look));
    lines.extend(parts::decisions(&facts, to, look, 0, 12).into_iter().take(16));
    if !facts.phase().ended() {
        lines.push(Line::raw(""));
        let at = facts.in_command();
        let mut spans = vec![Span::raw("Live: ")];
        spans.push(Span::styled(format!("kubectl firebreak status {at} -w"), look.command()));
        spans.push(Span::raw("   In words: "));
        spans.push(Span::styled(format!("kubectl firebreak explain {at}"), look.command()));
        lines.push(Line::from(spans));
    }
    lines
}

/// Words of the cluster in lines of a width, in a style, after a styled beginning.
pub(crate) fn paragraph(start: Span<'static>, text: &str, style: Style, to: usize) -> Vec<Line<'static>> {
    let head = start.content.to_string();
    let all = format!("{head} {}", words::plain(text));
    let lines = words::wrap(&all, to);
    lines
        .into_iter()
        .enumerate()
        .map(|(at, line)| match line.strip_prefix(head.as_str()) {
            Some(rest) if at == 0 => Line::from(vec![start.clone(), Span::styled(rest.to_owned(), style)]),
            _ => Line::styled(line, style),
        })
        .collect()
}
