//! Lengths of time as people write them in resources: `300ms`, `90s`, `5m`, `1h30m`.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time, zero or more, written as numbers with the units `ms`, `s`, `m`, `h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// The text is no length of time.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no length of time: write numbers with units, for example 300ms, 90s, 5m or 1h30m")]
pub struct SpanError(String);

impl Span {
    /// A span of whole seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Its length in seconds.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0.as_secs_f64()
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || SpanError(text.to_owned());
        let mut rest = text;
        let mut millis: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at_checked(digits).ok_or_else(wrong)?;
            let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, tail) = tail.split_at_checked(letters).ok_or_else(wrong)?;
            let scale: u64 = match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                _ => return Err(wrong()),
            };
            let number: u64 = number.parse().map_err(|_| wrong())?;
            let part = number.checked_mul(scale).ok_or_else(wrong)?;
            millis = millis.checked_add(part).ok_or_else(wrong)?;
            rest = tail;
        }
        if text.is_empty() { Err(wrong()) } else { Ok(Self(Duration::from_millis(millis))) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if millis == 0 {
            return f.write_str("0s");
        }
        for (scale, unit) in [(3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")] {
            if millis >= scale {
                write!(f, "{}{unit}", millis / scale)?;
                millis %= scale;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // A rule and no pattern: its message can say what to write.
        json_schema!({
            "type": "string",
            "maxLength": 32,
            "x-kubernetes-validations": [{
                // Five digits: what the API server takes, every reader of it can hold.
                "rule": "self.matches('^([0-9]{1,5}(ms|s|m|h))+$')",
                "message": "a length of time: numbers of at most 5 digits with the units ms, s, m or h, for example 300ms, 90s, 5m or 1h30m",
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("300ms", 300)]
    #[case("1h30m", 5_400_000)]
    #[case("0s", 0)]
    #[case("90s", 90_000)]
    fn given_a_span_when_read_then_its_length(#[case] text: &str, #[case] millis: u128) {
        assert_eq!(text.parse::<Span>().unwrap().0.as_millis(), millis);
    }

    #[rstest::rstest]
    fn given_no_span_when_read_then_it_says_what_to_write(
        #[values("", "5", "m", "5 m", "-5s", "1d", "99999999999999999999h", "18446744073709551615h")] text: &str,
    ) {
        assert!(text.parse::<Span>().unwrap_err().to_string().contains("for example"));
    }

    #[test]
    fn given_the_longest_text_that_the_definition_admits_when_read_then_it_is_a_span() {
        let schema = Span::json_schema(&mut SchemaGenerator::default()).to_value();
        let rule = schema["x-kubernetes-validations"][0]["rule"].as_str().unwrap();
        assert!(rule.contains("[0-9]{1,5}("), "{rule}");
        let length = usize::try_from(schema["maxLength"].as_u64().unwrap()).unwrap();
        let longest = "99999h".repeat(length / "99999h".len());
        // CEL's duration() holds 292 years.
        assert!(longest.parse::<Span>().unwrap().0 < Duration::from_secs(292 * 365 * 24 * 3600));
    }

    proptest::proptest! {
        #[test]
        fn given_any_span_when_written_and_read_then_the_same(millis in 0u64..10_000_000_000) {
            let span = Span(Duration::from_millis(millis));
            proptest::prop_assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
    }
}
