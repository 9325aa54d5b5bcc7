//! The picture as pixels.

use tiny_skia::{FillRule, Paint, PathBuilder, Pixmap, Transform};

use super::{Picture, Step};

/// Pixels for each unit: sharp on today's screens and in print.
const PIXELS: f32 = 2.0;

pub(super) fn of(picture: &Picture) -> Result<Vec<u8>, String> {
    let pixels = |units: f32| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates
        let pixels = (units * PIXELS).ceil() as u32;
        pixels
    };
    let (width, height) = (pixels(picture.size.0), pixels(picture.size.1));
    let mut canvas =
        Pixmap::new(width, height).ok_or_else(|| format!("a picture of {width} x {height} pixels cannot be made"))?;
    for (color, steps) in &picture.shapes {
        let mut path = PathBuilder::new();
        for step in steps {
            match *step {
                Step::Move(x, y) => path.move_to(x, y),
                Step::Line(x, y) => path.line_to(x, y),
                Step::Curve(cx, cy, x, y) => path.quad_to(cx, cy, x, y),
                Step::Close => path.close(),
            }
        }
        // Without an outline (a text of spaces) nothing is drawn.
        let Some(path) = path.finish() else { continue };
        let mut paint = Paint { anti_alias: true, ..Paint::default() };
        paint.set_color_rgba8(color.0, color.1, color.2, 255);
        canvas.fill_path(&path, &paint, FillRule::Winding, Transform::from_scale(PIXELS, PIXELS), None);
    }
    canvas.encode_png().map_err(|error| error.to_string())
}
