//! The root finders of all bounds.

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

/// Newton steps after which a root is given as it is; each doubles the digits.
const MAX_STEPS: u32 = 64;

/// The root of a concave function on the side of its maximum where `start` lies, to a few neighbouring doubles.
///
/// `at` gives value and slope. From wherever it starts the first step lands beyond the root, where the function is
/// negative, since a tangent lies above it; from there every step comes nearer and none goes too far.
pub(crate) fn concave_root(start: f64, at: impl Fn(f64) -> (f64, f64)) -> f64 {
    let mut root = start;
    for _ in 0..MAX_STEPS {
        let (value, slope) = at(root);
        let next = root - value / slope;
        if !next.is_finite() || (next - root).abs() <= 1e-15 * root.abs() {
            break;
        }
        root = next;
    }
    root
}
