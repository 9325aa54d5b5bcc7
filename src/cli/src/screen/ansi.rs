//! Styled lines as text for standard output.

use std::fmt::Write as _;

use ratatui::{
    backend::IntoCrossterm as _,
    crossterm::style::{ContentStyle, StyledContent},
    style::Style,
    text::Line,
};

/// The lines as text, with escape sequences only where colour is allowed; each ends with a newline.
#[must_use]
pub fn text(lines: &[Line<'_>], color: bool) -> String {
    let mut text = String::new();
    for line in lines {
        let mut row = String::new();
        for span in &line.spans {
            let style = Style::new().patch(line.style).patch(span.style);
            if color && style != Style::new() {
                let style: ContentStyle = style.into_crossterm();
                // Writing into a String does not fail.
                let _ = write!(row, "{}", StyledContent::new(style, &span.content));
            } else {
                row.push_str(&span.content);
            }
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}
