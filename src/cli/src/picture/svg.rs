//! The picture as SVG: paths, and words for who cannot see them.

use std::fmt::Write as _;

use super::{Picture, Step};

pub(super) fn of(picture: &Picture) -> String {
    let (width, height) = picture.size;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>{}</title>\n",
        escaped(&picture.words)
    );
    for (color, steps) in &picture.shapes {
        let _ = write!(svg, "<path fill=\"#{:02x}{:02x}{:02x}\" d=\"", color.0, color.1, color.2);
        for step in steps {
            let _ = match *step {
                Step::Move(x, y) => write!(svg, "M{} {}", number(x), number(y)),
                Step::Line(x, y) => write!(svg, "L{} {}", number(x), number(y)),
                Step::Curve(cx, cy, x, y) => write!(svg, "Q{} {} {} {}", number(cx), number(cy), number(x), number(y)),
                Step::Close => write!(svg, "Z"),
            };
        }
        svg.push_str("\"/>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

/// Hundredths are finer than any screen.
fn number(value: f32) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
