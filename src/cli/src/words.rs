//! Numbers, times, phases and lists in words, and text fitted to a terminal: cut, filled up, wrapped, without control characters.
//!
//! What a word means is the same in every command: a percentage, a bound, a length of time is written here and nowhere else. Colours
//! and signs are in `look`.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use firebreak_api::change::{Counted, Phase};

/// A percentage: `0 %`, `0.021 %`, `0.1 %`, `12.5 %`, `100 %`. Two significant digits below 1.
#[must_use]
pub fn percent(value: f64) -> String {
    if !value.is_finite() {
        return "? %".to_owned();
    }
    let size = value.abs();
    let text = if size == 0.0 {
        "0".to_owned()
    } else if size < 0.001 {
        return if value < 0.0 { "> -0.001 %".to_owned() } else { "< 0.001 %".to_owned() };
    } else if size < 0.01 {
        format!("{value:.4}")
    } else if size < 0.1 {
        format!("{value:.3}")
    } else if size < 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.1}")
    };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} %")
}

/// An estimated count, said to be one: `~41`, `< 1`; 0 where nothing is estimated.
#[must_use]
pub fn about(value: f64) -> String {
    if value < 0.05 || value.is_nan() {
        "0".to_owned()
    } else if value < 0.5 {
        "< 1".to_owned()
    } else {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates, and is not negative
        let whole = value.round() as u64;
        format!("~{}", count(whole))
    }
}

/// A number for machines without what a conversion left in its last digits: `0.005` for `0.004999999999999449`.
#[must_use]
pub fn clean(value: f64) -> f64 {
    format!("{value:.10e}").parse().unwrap_or(value)
}

/// A share from 0 to 1 as whole percent, rounded down: 100 % only when it is all there.
#[must_use]
pub fn share(value: f64) -> String {
    format!("{:.0} %", (value.clamp(0.0, 1.0) * 100.0).floor())
}

/// Evidence (natural logarithm of an e-value), one digit.
#[must_use]
pub fn ln_e(value: f64) -> String {
    if !value.is_finite() {
        return "?".to_owned();
    }
    // No "-0.0".
    format!("{:.1}", if value.abs() < 0.05 { 0.0 } else { value })
}

/// The probability at most that chance alone shows this much evidence: `exp(-ln E)`, by Ville's inequality.
/// None where the evidence is 0 or less, which says nothing.
///
/// `more` is added: the probability that what the evidence rests on (bounds of stable's rate) does not hold.
#[must_use]
pub fn chance(ln_e: f64, more: f64) -> Option<String> {
    if ln_e.is_nan() || ln_e < 0.01 {
        return None;
    }
    let chance = ((-ln_e).exp() + more) * 100.0;
    // A bound is rounded up; by less than it was computed to it is not.
    let up = |digits: f64| (chance * digits - 1e-4).ceil() / digits;
    Some(if chance < 0.01 {
        "0.01 %".to_owned()
    } else if chance < 1.0 {
        percent(up(100.0))
    } else if chance < 10.0 {
        percent(up(10.0))
    } else {
        percent(up(1.0))
    })
}

/// The same probability at most as one case of so many: `1 of 22`, rounded so that it stays a bound. None from one of two on.
#[must_use]
pub fn cases(ln_e: f64, more: f64) -> Option<String> {
    let of = 1.0 / ((-ln_e).exp() + more);
    // Less than it was computed to it is not rounded by; beyond the largest nobody asks for more.
    let of = (of + 1e-4).floor().min(1e6);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 2..=10^6
    (of >= 2.0).then(|| format!("1 of {}", count(of as u64)))
}

/// A count with separators: `12,034`.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An estimated count, whole: `41`; below 1 with one digit.
#[must_use]
pub fn estimate(value: f64) -> String {
    whole(value, f64::round)
}

/// A lower bound of a count, whole: rounded down.
#[must_use]
pub fn at_least(value: f64) -> String {
    whole(value, f64::floor)
}

fn whole(value: f64, round: fn(f64) -> f64) -> String {
    let value = value.max(0.0);
    if value < 1.0 {
        let text = format!("{:.1}", round(value * 10.0) / 10.0);
        return text.trim_end_matches(".0").to_owned();
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates, and is not negative
    count(round(value) as u64)
}

/// A rate of failures: two significant digits, none dropped, so that rates in a column compare: `0.10 %`, `0.099 %`, `2.0 %`.
#[must_use]
pub fn failure_rate(value: f64) -> String {
    if value == 0.0 {
        return "0 %".to_owned();
    }
    let digits = if value < 0.01 {
        4
    } else if value < 0.1 {
        3
    } else if value < 1.0 {
        2
    } else {
        usize::from(value < 10.0)
    };
    format!("{value:.digits$} %")
}

/// Failures as a share of requests, in percent; none without requests.
#[must_use]
#[allow(clippy::cast_precision_loss)] // exact up to 2^53 requests
pub fn rate(counted: Counted) -> Option<f64> {
    (counted.requests > 0).then(|| counted.failures as f64 / counted.requests as f64 * 100.0)
}

/// Time from `then` to `now`; 0 where the clocks disagree.
#[must_use]
pub fn since(then: Timestamp, now: Timestamp) -> SignedDuration {
    now.duration_since(then).max(SignedDuration::ZERO)
}

/// A length of time in its two largest units: `48s`, `3m12s`, `2h05m`, `4d03h`.
#[must_use]
pub fn span(length: SignedDuration) -> String {
    let seconds = length.as_secs().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    if days > 0 {
        format!("{days}d{hours:02}h")
    } else if hours > 0 {
        format!("{hours}h{minutes:02}m")
    } else if minutes > 0 {
        format!("{minutes}m{:02}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

/// The time of day, with the date where that is not today's.
#[must_use]
pub fn clock(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (at, now) = (at.to_zoned(zone.clone()), now.to_zoned(zone.clone()));
    if at.date() == now.date() { at.strftime("%H:%M:%S").to_string() } else { at.strftime("%m-%d %H:%M").to_string() }
}

/// The day and the time of day.
#[must_use]
pub fn day(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// A phase in words.
#[must_use]
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Held => "Held",
        Phase::Preparing => "Preparing",
        Phase::Progressing => "Progressing",
        Phase::Baking => "Baking",
        Phase::Promoting => "Promoting",
        Phase::RollingBack => "Rolling back",
        Phase::Promoted => "Promoted",
        Phase::RolledBack => "Rolled back",
        Phase::Superseded => "Superseded",
        Phase::Withdrawn => "Withdrawn",
    }
}

/// Width of a text on a terminal, in cells.
#[must_use]
pub fn width(text: &str) -> usize {
    ratatui::text::Span::raw(text).width()
}

/// The text cut to a width in cells; what was cut shows as an ellipsis.
#[must_use]
pub fn cut(text: &str, limit: usize, ellipsis: &str) -> String {
    if width(text) <= limit {
        return text.to_owned();
    }
    let room = limit.saturating_sub(width(ellipsis));
    let mut kept = String::new();
    for letter in text.chars() {
        let mut next = kept.clone();
        next.push(letter);
        if width(&next) > room {
            break;
        }
        kept = next;
    }
    if limit >= width(ellipsis) { kept.trim_end().to_owned() + ellipsis } else { kept }
}

/// The text with spaces after it up to a width in cells, cut where it is longer.
#[must_use]
pub fn pad(text: &str, to: usize, ellipsis: &str) -> String {
    let text = cut(text, to, ellipsis);
    let missing = to.saturating_sub(width(&text));
    text + &" ".repeat(missing)
}

/// The text in lines of at most `limit` cells, broken at spaces; a longer word is broken where it must.
#[must_use]
pub fn wrap(text: &str, limit: usize) -> Vec<String> {
    let limit = limit.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut word = word.to_owned();
        if !line.is_empty() && width(&line) + 1 + width(&word) > limit {
            lines.push(std::mem::take(&mut line));
        }
        while width(&word) > limit {
            let head = cut(&word, limit, "");
            let head = if head.is_empty() { word.chars().take(1).collect() } else { head };
            word = word.chars().skip(head.chars().count()).collect();
            lines.push(head);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// Rows in columns that are as wide as what stands in them.
#[must_use]
pub fn columns(rows: &[Vec<String>], ellipsis: &str) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let line: Vec<String> = row.iter().zip(&widths).map(|(cell, &to)| pad(cell, to, ellipsis)).collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Text from the cluster without control characters: it must not steer the reader's terminal.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// A list in words: `a, b and c`.
#[must_use]
pub fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(0.0, "0 %")]
    #[case(0.000_4, "< 0.001 %")]
    #[case(0.004_56, "0.0046 %")]
    #[case(0.0213, "0.021 %")]
    #[case(0.1, "0.1 %")]
    #[case(19.68, "19.7 %")]
    #[case(100.0, "100 %")]
    #[case(f64::NAN, "? %")]
    fn given_a_percentage_when_written_then_two_digits_that_matter(#[case] value: f64, #[case] text: &str) {
        assert_eq!(percent(value), text);
    }

    #[rstest::rstest]
    #[case(0.0, "0")]
    #[case(0.2, "< 1")]
    #[case(0.8, "~1")]
    #[case(12_034.4, "~12,034")]
    fn given_an_estimated_count_when_written_then_it_is_said_to_be_one(#[case] value: f64, #[case] text: &str) {
        assert_eq!(about(value), text);
    }

    #[rstest::rstest]
    #[case(0.004_999_999_999_999_449, 0.005)]
    #[case(12.345_678_9, 12.345_678_9)]
    #[case(0.0, 0.0)]
    fn given_dirt_of_a_conversion_when_cleaned_then_it_is_gone(#[case] value: f64, #[case] cleaned: f64) {
        assert_eq!(clean(value).to_bits(), cleaned.to_bits());
    }

    #[rstest::rstest]
    #[case(0.999, "99 %")]
    #[case(1.0, "100 %")]
    #[case(-1.0, "0 %")]
    fn given_a_share_when_written_then_all_only_when_all_is_there(#[case] value: f64, #[case] text: &str) {
        assert_eq!(share(value), text);
    }

    #[rstest::rstest]
    #[case(0, "0s")]
    #[case(59, "59s")]
    #[case(192, "3m12s")]
    #[case(7_500, "2h05m")]
    #[case(360_000, "4d04h")]
    #[case(-5, "0s")]
    fn given_a_time_when_written_then_its_two_largest_units(#[case] seconds: i64, #[case] text: &str) {
        assert_eq!(span(SignedDuration::from_secs(seconds)), text);
    }

    #[rstest::rstest]
    #[case(0.0, "0 %")]
    #[case(0.0985, "0.099 %")]
    #[case(0.104, "0.10 %")]
    #[case(1.96, "2.0 %")]
    #[case(38.2, "38 %")]
    fn given_a_failure_rate_when_written_then_its_zeros_stay(#[case] value: f64, #[case] text: &str) {
        assert_eq!(failure_rate(value), text);
    }

    #[test]
    fn given_counts_when_written_then_with_separators() {
        assert_eq!((count(7).as_str(), count(12_034).as_str(), count(1_234_567).as_str()), ("7", "12,034", "1,234,567"));
        assert_eq!(
            (estimate(-3.0), estimate(0.4), estimate(2.0), estimate(41.2)),
            ("0".into(), "0.4".into(), "2".into(), "41".into())
        );
    }

    #[rstest::rstest]
    #[case("a few words to wrap", 7, &["a few", "words", "to wrap"])]
    #[case("averylongword x", 5, &["avery", "longw", "ord x"])]
    #[case("", 5, &[])]
    #[case("日本語", 1, &["日", "本", "語"])]
    fn given_text_when_wrapped_then_no_word_is_lost(#[case] text: &str, #[case] limit: usize, #[case] lines: &[&str]) {
        assert_eq!(wrap(text, limit), lines);
    }

    #[test]
    fn given_text_when_cut_then_it_fits_and_shows_it() {
        assert_eq!(cut("checkout", 8, "…"), "checkout");
        assert_eq!(cut("checkouts", 8, "…"), "checkou…");
        assert_eq!(cut("日本語", 4, "…"), "日…");
        assert_eq!(pad("ab", 4, "…"), "ab  ");
    }

    #[test]
    fn given_an_older_day_when_its_time_is_written_then_with_the_date() {
        let now: Timestamp = "2026-07-02T00:10:00Z".parse().unwrap();
        let at: Timestamp = "2026-07-01T23:59:00Z".parse().unwrap();
        assert_eq!(clock(at, now, &TimeZone::UTC), "07-01 23:59");
        assert_eq!(clock(now, now, &TimeZone::UTC), "00:10:00");
    }
}
