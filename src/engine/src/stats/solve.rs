//! One root finder for all bounds.

/// Halvings after which two neighbouring doubles are reached from any bracket.
const MAX_HALVINGS: u32 = 128;

/// The border in `low..=high` at which `below` turns from true to false, to neighbouring doubles.
///
/// `below` must be true from `low` up to the border and false after it; if it never turns, an end is returned.
pub(crate) fn border(low: f64, high: f64, below: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (low, high);
    for _ in 0..MAX_HALVINGS {
        let middle = low + 0.5 * (high - low);
        if middle <= low || middle >= high {
            break;
        }
        if below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low + 0.5 * (high - low)
}
