//! Options of `history` and `export`, as clap reads them.

use std::str::FromStr as _;

use clap::{Args, ValueEnum};
use firebreak_api::Span;
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};

/// Options of `history`.
#[derive(Args, Clone, Debug)]
pub struct History {
    /// A Guard: a line for each of its Changes; a Change: its record; without one, all of the namespace
    #[arg(value_name = "GUARD|CHANGE")]
    pub name: Option<String>,
    /// The Changes of all namespaces
    #[arg(long, short = 'A', conflicts_with_all = ["name", "namespace"])]
    pub all_namespaces: bool,
    /// What happened since then: 30d, 12h, 2026-07-01 or 2026-07-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Timestamp>,
    /// Print the record of each Change, not only a line
    #[arg(long)]
    pub full: bool,
    /// How to print: json and yaml have the records, wide has more columns
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    pub output: Option<HistoryFormat>,
}

/// How a history is printed.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryFormat {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// A table with more columns.
    Wide,
}

/// Options of `export`.
#[derive(Args, Clone, Debug)]
pub struct Export {
    /// The records of all namespaces
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// The records of one Guard
    #[arg(long, value_name = "NAME")]
    pub guard: Option<String>,
    /// What happened since then: 30d, 12h, 2026-07-01 or 2026-07-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Timestamp>,
    /// What happened before then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Timestamp>,
    /// What each line is
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = ExportFormat::Jsonl)]
    pub format: ExportFormat,
    /// With --format cdevents: the URI reference that the events name as their source; one for each cluster tells them apart
    #[arg(long, value_name = "URI", default_value = "/firebreak", value_parser = source)]
    pub source: String,
}

/// What each line of an export is.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// An entry of a record as JSON.
    Jsonl,
    /// A CDEvent 0.5 as JSON; only what CDEvents tell of.
    Cdevents,
}

/// A moment: one that is written out, a day (from its beginning, in UTC), or so long ago.
fn moment(text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("`{text}` is no time: write 30d, 12h, 2026-07-01 or 2026-07-01T12:00:00Z");
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if let Ok(day) = text.parse::<Date>() {
        return day.to_zoned(TimeZone::UTC).map(|at| at.timestamp()).map_err(|_| wrong());
    }
    let ago = match text.strip_suffix('d') {
        Some(days) => SignedDuration::from_hours(24 * i64::from(days.parse::<u16>().map_err(|_| wrong())?)),
        None => SignedDuration::try_from(Span::from_str(text).map_err(|_| wrong())?.0).map_err(|_| wrong())?,
    };
    Timestamp::now().checked_sub(ago).map_err(|_| wrong())
}

/// A URI reference without anything that would have to be escaped in one.
fn source(text: &str) -> Result<String, String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-._~:/@!$&'()*+,;=".contains(letter);
    let text = text.trim_end_matches('/');
    if !text.is_empty() && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is no URI reference: write for example https://firebreak.example.org/cluster-1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_time_on_the_command_line_when_read_then_a_moment_or_what_to_write() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(moment("2026-07-01T12:00:00Z"), Ok(at("2026-07-01T12:00:00Z")));
        assert_eq!(moment("2026-07-01"), Ok(at("2026-07-01T00:00:00Z")));
        for (text, hours) in [("30d", 720), ("12h", 12), ("1h30m", 1)] {
            let then = moment(text).unwrap();
            assert_eq!(Timestamp::now().duration_since(then).as_hours(), hours, "{text}");
        }
        for text in ["", "d", "yesterday", "-3d", "99999d", "3x"] {
            assert!(moment(text).unwrap_err().contains("write 30d"), "{text}");
        }
    }

    #[test]
    fn given_a_source_when_read_then_only_a_uri_reference_is_taken() {
        assert_eq!(source("https://firebreak.example.org/a/").unwrap(), "https://firebreak.example.org/a");
        assert!(source("my cluster").is_err() && source("/").is_err());
    }
}
