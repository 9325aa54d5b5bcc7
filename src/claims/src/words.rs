//! Numbers and texts as people read them.

/// Seconds of a day.
pub(crate) const DAY: f64 = 86_400.0;
/// Days of a year, on average.
pub(crate) const YEAR: f64 = 365.25;

/// `1 file`, `41 files`, `2 directories`; a part is rounded away.
pub(crate) fn count(value: f64, thing: &str) -> String {
    let whole = grouped(value);
    let stem = thing.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u']));
    match (value.round() == 1.0, stem) {
        (true, _) => format!("{whole} {thing}"),
        (false, Some(stem)) => format!("{whole} {stem}ies"),
        (false, None) => format!("{whole} {thing}s"),
    }
}

/// Up to two digits behind the point, none that say nothing.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A time in the unit that suits it.
pub(crate) fn days(value: f64) -> String {
    match value {
        value if value * 24.0 < 1.5 => count(value * 24.0 * 60.0, "minute"),
        value if value < 2.0 => count(value * 24.0, "hour"),
        value if value < 2.0 * YEAR => count(value, "day"),
        value => format!("{} years", number(value / YEAR)),
    }
}

/// A whole number with its thousands apart: `100,000`.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count as a number that is calculated with; counts here are far below 2^52.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts of files, lines and commits are far below 2^52")]
pub(crate) fn float(count: usize) -> f64 {
    count as f64
}

/// One line of at most so many bytes: without control characters, cut at a word where it is too long.
pub(crate) fn line(text: &str, most: usize) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.len() <= most {
        return text;
    }
    let mark = " ...";
    let end = (0..=most.saturating_sub(mark.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let kept = text.get(..end).unwrap_or_default();
    let kept = kept.rsplit_once(' ').map_or(kept, |(kept, _)| kept);
    format!("{kept}{mark}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_numbers_when_said_then_as_people_write_them() {
        assert_eq!(count(1.0, "file"), "1 file");
        assert_eq!(count(2.0, "directory"), "2 directories");
        assert_eq!(count(100_000.0, "commit"), "100,000 commits");
        assert_eq!((number(0.5).as_str(), number(3.0).as_str(), number(1.256).as_str()), ("0.5", "3", "1.26"));
        assert_eq!(
            (days(0.01), days(1.5), days(40.0), days(1000.0)),
            ("14 minutes".into(), "36 hours".into(), "40 days".into(), "2.74 years".into())
        );
    }

    #[test]
    fn given_a_long_text_when_made_a_line_then_cut_at_a_word_and_within_its_bytes() {
        assert_eq!(line("one\ntwo\u{7}  three", 40), "one two three");
        assert_eq!(line("one two three four", 15), "one two ...");
        let umlauts = "ü".repeat(1000);
        assert!(line(&umlauts, 101).len() <= 101);
    }
}
