//! A small picture of filled shapes, as SVG or PNG: what `simulate --chart` draws.
//!
//! Text is drawn from outlines that this crate carries ([`letters`]), so that a picture looks the same where no font is
//! installed: the program is one static file. Nothing here knows what is drawn.

mod letters;
mod png;
mod svg;

use std::path::Path;

pub use letters::{cut, width};

/// A colour: red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color(pub u8, pub u8, pub u8);

/// A step of an outline; y goes down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Begins an outline.
    Move(f32, f32),
    /// A straight line.
    Line(f32, f32),
    /// A quadratic curve: its control point, its end.
    Curve(f32, f32, f32, f32),
    /// Back to where it began.
    Close,
}

/// A picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Its size.
    pub size: (f32, f32),
    /// What it shows, for who cannot see it.
    pub words: String,
    shapes: Vec<(Color, Vec<Step>)>,
}

/// Where a text stands to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// It begins there.
    Right,
    /// Its middle is there.
    Middle,
    /// It ends there.
    Left,
}

/// How a picture is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Scalable.
    Svg,
    /// Pixels, two for each unit.
    Png,
}

impl Kind {
    /// By the end of a file's name.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "svg" => Some(Self::Svg),
            "png" => Some(Self::Png),
            _ => None,
        }
    }
}

impl Picture {
    /// An empty picture on white.
    #[must_use]
    pub fn new(width: f32, height: f32, words: String) -> Self {
        let mut picture = Self { size: (width, height), words, shapes: Vec::new() };
        picture.bar((0.0, 0.0), (width, height), Color(255, 255, 255));
        picture
    }

    /// A filled rectangle from its upper left to its lower right.
    pub fn bar(&mut self, from: (f32, f32), to: (f32, f32), color: Color) {
        self.shape(color, &[from, (to.0, from.1), to, (from.0, to.1)]);
    }

    /// A filled polygon.
    pub fn shape(&mut self, color: Color, corners: &[(f32, f32)]) {
        let Some(((x, y), others)) = corners.split_first() else { return };
        let lines = others.iter().map(|(x, y)| Step::Line(*x, *y));
        self.shapes.push((color, std::iter::once(Step::Move(*x, *y)).chain(lines).chain([Step::Close]).collect()));
    }

    /// A filled disc.
    pub fn disc(&mut self, (x, y): (f32, f32), radius: f32, color: Color) {
        let corner = |nth: i16| {
            let (sine, cosine) = (f32::from(nth) * std::f32::consts::TAU / 32.0).sin_cos();
            (radius.mul_add(cosine, x), radius.mul_add(sine, y))
        };
        self.shape(color, &(0..32).map(corner).collect::<Vec<_>>());
    }

    /// A line of text whose letters stand on `y`.
    pub fn text(&mut self, (x, y): (f32, f32), size: f32, stands: Stands, color: Color, text: &str) {
        let x = match stands {
            Stands::Right => x,
            Stands::Middle => x - width(text, size) / 2.0,
            Stands::Left => x - width(text, size),
        };
        self.shapes.push((color, letters::outline(text, size, (x, y))));
    }

    /// The smallest and the largest place of a shape, for tests.
    #[cfg(test)]
    pub(crate) fn reach(&self) -> ((f32, f32), (f32, f32)) {
        let places = self.shapes.iter().flat_map(|(_, steps)| steps).filter_map(|step| match *step {
            Step::Move(x, y) | Step::Line(x, y) | Step::Curve(_, _, x, y) => Some((x, y)),
            Step::Close => None,
        });
        let inside = ((f32::MAX, f32::MAX), (f32::MIN, f32::MIN));
        places.fold(inside, |(least, most), (x, y)| ((least.0.min(x), least.1.min(y)), (most.0.max(x), most.1.max(y))))
    }

    /// The picture as a file's content.
    ///
    /// # Errors
    /// In words where it has no pixels or too many.
    pub fn stored(&self, kind: Kind) -> Result<Vec<u8>, String> {
        match kind {
            Kind::Svg => Ok(svg::of(self).into_bytes()),
            Kind::Png => png::of(self),
        }
    }
}

#[cfg(test)]
mod tests;
