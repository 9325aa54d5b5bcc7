//! A curve on a scale with one threshold, drawn with dots finer than a cell where the terminal has them.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use crate::{
    look::Look,
    words::{cut, ln_e, pad, width},
};

/// Cells of the scale on the left: `-12.3 `.
const SCALE: usize = 6;
/// What is drawn above the threshold at least, so that a curve that crosses it is seen to, and what above it and below zero at
/// most, in parts of the threshold: beyond, the curve runs along the edge.
const HEADROOM: f64 = 1.25;
const ABOVE: f64 = 1.6;
const BELOW: f64 = -0.5;

/// What is drawn.
#[derive(Clone, Debug)]
pub struct Chart<'a> {
    /// What the curve is, above it.
    pub title: String,
    /// Each unbroken run of the curve: places from 0 to 1 from left to right, and values.
    pub runs: Vec<Vec<(f64, f64)>>,
    /// The value that has an effect.
    pub threshold: f64,
    /// The effect, at the threshold's line.
    pub effect: &'a str,
    /// How the curve looks.
    pub style: Style,
    /// Words below: a place from 0 to 1 and what begins there.
    pub marks: &'a [(f64, String)],
    /// At the left and right end below.
    pub ends: (String, String),
}

impl Chart<'_> {
    /// The chart as lines of exactly `to` cells: a title, `rows` lines of curve, the marks, the ends.
    #[must_use]
    pub fn lines(&self, to: usize, rows: usize, look: &Look) -> Vec<Line<'static>> {
        let cells = to.saturating_sub(SCALE + 1).max(4);
        let (low, high) = self.range();
        let canvas = self.draw(cells, rows, low, high, look);
        let row_of = |value: f64| canvas.row(value, low, high) / canvas.fine.1;
        let (threshold, zero) = (row_of(self.threshold), row_of(0.0));
        let mut lines = vec![Line::styled(pad(&self.title, to, look.glyphs.ellipsis), look.strong())];
        for row in 0..rows {
            let scale = if row == threshold {
                ln_e(self.threshold)
            } else if row == zero {
                "0".to_owned()
            } else {
                String::new()
            };
            let mut spans =
                vec![Span::styled(format!("{scale:>width$} {}", look.glyphs.upright, width = SCALE - 1), look.faint())];
            let effect = if row == threshold { Some(self.effect) } else { None };
            spans.extend(canvas.spans(row, effect, self.style, look));
            lines.push(Line::from(spans));
        }
        lines.push(Line::styled(pad(&self.marks_line(cells, look), to, ""), look.faint()));
        let (left, right) = &self.ends;
        let between = cells.saturating_sub(width(left) + width(right));
        lines.push(Line::styled(format!("{}{left}{}{right}", " ".repeat(SCALE + 1), " ".repeat(between)), look.faint()));
        lines
    }

    /// The values at the bottom and at the top.
    fn range(&self) -> (f64, f64) {
        let values = || self.runs.iter().flatten().map(|(_, value)| *value);
        let low = values().fold(0.0, f64::min).max(BELOW * self.threshold);
        let high = values().fold(HEADROOM * self.threshold, f64::max).min(ABOVE * self.threshold);
        (low, high)
    }

    fn draw(&self, cells: usize, rows: usize, low: f64, high: f64, look: &Look) -> Canvas {
        let mut canvas = Canvas::new(cells, rows, look);
        for run in &self.runs {
            let mut before = None;
            for &(place, value) in run {
                let at = (canvas.column(place), canvas.row(value, low, high));
                canvas.line(before.unwrap_or(at), at);
                before = Some(at);
            }
        }
        canvas
    }

    /// What begins where; what finds no room is left out.
    fn marks_line(&self, cells: usize, look: &Look) -> String {
        let mut line = format!("{}{}", " ".repeat(SCALE), look.glyphs.corner);
        for (place, words) in self.marks {
            let at = SCALE + 1 + rounded(place * (cells - 1) as f64);
            if (at >= width(&line) + usize::from(width(&line) > SCALE + 1)) && at + width(words) <= SCALE + 1 + cells {
                line = pad(&line, at, "") + words;
            }
        }
        cut(&line, SCALE + 1 + cells, "")
    }
}

/// Dots; of a cell `fine.0` beside each other and `fine.1` below each other.
struct Canvas {
    cells: usize,
    rows: usize,
    fine: (usize, usize),
    dots: Vec<bool>,
}

impl Canvas {
    fn new(cells: usize, rows: usize, look: &Look) -> Self {
        let fine = if look.glyphs.braille { (2, 4) } else { (1, 1) };
        Self { cells, rows, fine, dots: vec![false; cells * fine.0 * rows * fine.1] }
    }

    fn size(&self) -> (usize, usize) {
        (self.cells * self.fine.0, self.rows * self.fine.1)
    }

    fn column(&self, place: f64) -> usize {
        rounded(place.clamp(0.0, 1.0) * (self.size().0 - 1) as f64)
    }

    /// From the top.
    fn row(&self, value: f64, low: f64, high: f64) -> usize {
        let part = ((value - low) / (high - low).max(f64::EPSILON)).clamp(0.0, 1.0);
        rounded((1.0 - part) * (self.size().1 - 1) as f64)
    }

    fn set(&mut self, column: usize, row: usize) {
        let at = row * self.size().0 + column;
        if let Some(dot) = self.dots.get_mut(at) {
            *dot = true;
        }
    }

    fn is_set(&self, column: usize, row: usize) -> bool {
        self.dots.get(row * self.size().0 + column).copied().unwrap_or(false)
    }

    fn line(&mut self, from: (usize, usize), to: (usize, usize)) {
        let steps = from.0.abs_diff(to.0).max(from.1.abs_diff(to.1)).max(1);
        for step in 0..=steps {
            let along = |from: usize, to: usize| {
                let part = step as f64 / steps as f64;
                rounded(from as f64 + (to as f64 - from as f64) * part)
            };
            self.set(along(from.0, to.0), along(from.1, to.1));
        }
    }

    /// One line of cells; the effect's words stand where the curve leaves them room.
    fn spans(&self, row: usize, effect: Option<&str>, style: Style, look: &Look) -> Vec<Span<'static>> {
        let glyphs: Vec<Option<char>> = (0..self.cells).map(|cell| self.glyph(cell, row)).collect();
        let dashed = look.glyphs.dashed;
        let room = |words: &String| {
            let free = glyphs.windows(width(words).max(1)).position(|cells| cells.iter().all(Option::is_none))?;
            Some((free, words.chars().collect::<Vec<char>>()))
        };
        let written = effect.map_or_else(Vec::new, |effect| vec![format!("{dashed}{dashed} {effect} "), effect.to_owned()]);
        let (from, words) = written.iter().find_map(room).unwrap_or_default();
        let mut spans: Vec<Span<'static>> = Vec::new();
        for (cell, glyph) in glyphs.into_iter().enumerate() {
            let letter = cell.checked_sub(from).and_then(|nth| words.get(nth));
            let behind = match (effect, letter) {
                (None, _) => " ".to_owned(),
                (Some(_), Some(letter)) => letter.to_string(),
                (Some(_), None) => dashed.to_owned(),
            };
            let (text, style) = glyph.map_or((behind, look.faint()), |glyph| (glyph.to_string(), style));
            match spans.last_mut().filter(|span| span.style == style) {
                Some(span) => span.content.to_mut().push_str(&text),
                None => spans.push(Span::styled(text, style)),
            }
        }
        spans
    }

    /// The dots of one cell as a sign; none without dots.
    fn glyph(&self, cell: usize, row: usize) -> Option<char> {
        let (wide, high) = self.fine;
        let dots = (0..wide).flat_map(|x| (0..high).map(move |y| (x, y)));
        let set = dots.filter(|(x, y)| self.is_set(cell * wide + x, row * high + y));
        if self.fine == (1, 1) {
            return set.map(|_| '*').next();
        }
        // The bits of a braille sign: the upper three rows column by column, then the lowest row.
        let bit = |(x, y): (usize, usize)| if y < 3 { 1 << (x * 3 + y) } else { 1 << (6 + x) };
        let bits: u32 = set.map(bit).sum();
        if bits == 0 { None } else { char::from_u32(0x2800 + bits) }
    }
}

fn rounded(value: f64) -> usize {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates, and is not negative
    let rounded = value.max(0.0).round() as usize;
    rounded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::ansi;

    fn picture(runs: Vec<Vec<(f64, f64)>>, look: &Look) -> String {
        let chart = Chart {
            title: "harm".to_owned(),
            runs,
            threshold: 4.605,
            effect: "roll back",
            style: Style::new(),
            marks: &[(0.0, "5 %".to_owned()), (0.05, "7 %".to_owned()), (0.5, "20 %".to_owned())],
            ends: ("12:00:00".to_owned(), "12:10:00".to_owned()),
        };
        ansi::text(&chart.lines(44, 6, look), false)
    }

    /// Slow at first, then beyond the threshold.
    fn rise() -> Vec<(f64, f64)> {
        (0..=40).map(|at| f64::from(at) / 40.0).map(|place| (place, place.powi(4) * 6.0 - 0.6)).collect()
    }

    #[test]
    fn given_evidence_that_rises_when_drawn_then_it_crosses_the_threshold() {
        insta::assert_snapshot!("rise", picture(vec![rise()], &Look::plain()));
        let ascii = picture(vec![rise()], &Look::plain().ascii());
        assert!(ascii.is_ascii(), "{ascii}");
        insta::assert_snapshot!("rise_ascii", ascii);
    }

    #[test]
    fn given_evidence_in_stages_when_drawn_then_no_line_joins_them() {
        let stage = |from: f64, to: f64| vec![(from, 0.0), ((from + to) / 2.0, 1.0), (to, 4.7)];
        insta::assert_snapshot!("stages", picture(vec![stage(0.0, 0.3), stage(0.31, 1.0)], &Look::plain()));
    }

    #[rstest::rstest]
    #[case(vec![])]
    #[case(vec![vec![(0.0, f64::NAN), (1.0, f64::INFINITY)]])]
    #[case(vec![vec![(0.0, -1e9), (1.0, 1e9)]])]
    #[case(vec![vec![(-3.0, 0.0), (7.0, 0.0)]])]
    fn given_odd_numbers_when_drawn_then_every_line_fits(#[case] runs: Vec<Vec<(f64, f64)>>) {
        for look in [Look::plain(), Look::plain().ascii()] {
            let text = picture(runs.clone(), &look);
            assert!(text.lines().all(|line| width(line) <= 44), "{text}");
            assert_eq!(text.lines().count(), 9, "{text}");
        }
    }
}
