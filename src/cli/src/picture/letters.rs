//! Letters as outlines.
//!
//! `roboto.txt` holds a letter a line: the letter, how far the next one is from it, and its outline with y downward, in
//! parts of [`EM`]. They are those of Roboto Regular (Google, 2015, Apache License 2.0) for ASCII and a few signs more.

use std::{collections::HashMap, sync::LazyLock};

use super::Step;

/// Parts of an outline's size.
const EM: f32 = 2048.0;
/// What is drawn for a letter that is not there.
const OTHERWISE: char = '?';

struct Letter {
    advance: f32,
    outline: Vec<Step>,
}

static LETTERS: LazyLock<HashMap<char, Letter>> = LazyLock::new(|| {
    let lines = include_str!("roboto.txt").lines();
    lines
        .filter_map(|line| {
            let (letter, rest) = line.split_once('\t')?;
            let (advance, outline) = rest.split_once('\t')?;
            Some((letter.chars().next()?, Letter { advance: advance.parse().ok()?, outline: read(outline) }))
        })
        .collect()
});

/// Reads `M0 0L1 2Q3 4 5 6Z`.
fn read(outline: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = outline;
    while let Some(kind) = rest.chars().next() {
        rest = rest.get(1..).unwrap_or_default();
        let end = rest.find(['M', 'L', 'Q', 'Z']).unwrap_or(rest.len());
        let (numbers, after) = rest.split_at(end);
        rest = after;
        let numbers: Vec<f32> = numbers.split(' ').filter_map(|number| number.parse().ok()).collect();
        steps.push(match (kind, numbers.as_slice()) {
            ('M', [x, y]) => Step::Move(*x, *y),
            ('L', [x, y]) => Step::Line(*x, *y),
            ('Q', [cx, cy, x, y]) => Step::Curve(*cx, *cy, *x, *y),
            _ => Step::Close,
        });
    }
    steps
}

fn letter(letter: char) -> Option<&'static Letter> {
    LETTERS.get(&letter).or_else(|| LETTERS.get(&OTHERWISE))
}

/// Width of a text.
#[must_use]
pub fn width(text: &str, size: f32) -> f32 {
    text.chars().filter_map(letter).map(|letter| letter.advance).sum::<f32>() * size / EM
}

/// The text cut to a width; what was cut shows as an ellipsis.
#[must_use]
pub fn cut(text: &str, size: f32, room: f32) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut kept = text.to_owned();
    while kept.pop().is_some() && width(&kept, size) + width("…", size) > room {}
    kept + "…"
}

/// The outlines of a text that begins at a place.
pub(super) fn outline(text: &str, size: f32, (mut x, y): (f32, f32)) -> Vec<Step> {
    let scale = size / EM;
    let mut steps = Vec::new();
    for letter in text.chars().filter_map(letter) {
        let at = |px: f32, py: f32| (px.mul_add(scale, x), py.mul_add(scale, y));
        steps.extend(letter.outline.iter().map(|step| match *step {
            Step::Move(px, py) => {
                let (px, py) = at(px, py);
                Step::Move(px, py)
            }
            Step::Line(px, py) => {
                let (px, py) = at(px, py);
                Step::Line(px, py)
            }
            Step::Curve(cx, cy, px, py) => {
                let ((cx, cy), (px, py)) = (at(cx, cy), at(px, py));
                Step::Curve(cx, cy, px, py)
            }
            Step::Close => Step::Close,
        }));
        x += letter.advance * scale;
    }
    steps
}
