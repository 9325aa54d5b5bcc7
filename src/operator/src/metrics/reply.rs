//! What a Prometheus query API answers, decoded strictly: warnings, native histograms and numbers that are none stay visible.
//!
//! Format: prometheus.io/docs/prometheus/latest/querying/api. `isPartial` is VictoriaMetrics' way to say that an answer is not whole.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{asking::Values, promql::Part, trouble::Trouble};

/// Which series a row belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Labels {
    #[serde(default)]
    pub(crate) namespace: String,
    #[serde(default)]
    pub(crate) pod: String,
    #[serde(default)]
    part: String,
    #[serde(default)]
    pub(crate) le: String,
}

impl Labels {
    pub(crate) fn part(&self) -> Option<Part> {
        Part::of(&self.part)
    }
}

/// A value: a number as Prometheus writes it (NaN and infinities included), or a native histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    /// A number.
    Number(f64),
    /// A native histogram.
    Histogram,
}

/// One series at one instant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    pub(crate) value: Value,
}

/// One series over time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    /// Instant in milliseconds, and value.
    pub(crate) points: Vec<(i64, f64)>,
    /// Whether there were native histograms among them.
    pub(crate) histograms: bool,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply<R> {
    pub(crate) rows: Vec<R>,
    /// What Prometheus remarks without doubting the answer.
    pub(crate) infos: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'b, D> {
    status: Cow<'b, str>,
    data: Option<D>,
    error_type: Option<String>,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
    #[serde(default)]
    is_partial: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ScalarPart<'b> {
    At(#[expect(dead_code, reason = "read past")] f64),
    #[serde(borrow)]
    Text(Cow<'b, str>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'b, R> {
    result_type: Cow<'b, str>,
    result: Vec<R>,
}

type Pair<'b> = (f64, Cow<'b, str>);

#[derive(Deserialize)]
struct VectorRow<'b> {
    metric: Labels,
    #[serde(borrow)]
    value: Option<Pair<'b>>,
    histogram: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct MatrixRow<'b> {
    metric: Labels,
    #[serde(borrow, default)]
    values: Vec<Pair<'b>>,
    #[serde(default)]
    histograms: Vec<IgnoredAny>,
}

/// Decodes the answer to an instant query.
pub(crate) fn vector(body: &[u8]) -> Result<Reply<Row>, Trouble> {
    let (rows, infos) = open::<VectorRow<'_>>(body, "vector")?;
    let rows = rows.into_iter().map(|row| {
        let value = match (row.value, row.histogram) {
            (Some((_, text)), None) => Value::Number(number(&text)?),
            (None, Some(_)) => Value::Histogram,
            _ => return Err(undecodable("a series without exactly one value")),
        };
        Ok(Row { labels: row.metric, value })
    });
    Ok(Reply { rows: rows.collect::<Result<_, _>>()?, infos })
}

/// Decodes the answer to a range query.
pub(crate) fn matrix(body: &[u8]) -> Result<Reply<Series>, Trouble> {
    let (rows, infos) = open::<MatrixRow<'_>>(body, "matrix")?;
    let rows = rows.into_iter().map(|row| {
        let points = row.values.iter().map(|(at, text)| Ok((millis(*at), number(text)?)));
        Ok(Series { labels: row.metric, points: points.collect::<Result<_, Trouble>>()?, histograms: !row.histograms.is_empty() })
    });
    Ok(Reply { rows: rows.collect::<Result<_, Trouble>>()?, infos })
}

/// What kind of result it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind<'b> {
    result_type: Cow<'b, str>,
}

/// Decodes the answer to any instant query: the smallest and the largest of its numbers.
pub(crate) fn values(body: &[u8]) -> Result<Values, Trouble> {
    let kind: Envelope<'_, Kind<'_>> = serde_json::from_slice(body).map_err(|e| undecodable(&e.to_string()))?;
    let numbers = match kind.data.as_ref().map(|data| data.result_type.as_ref()) {
        Some("scalar") => {
            let (parts, _) = open::<ScalarPart<'_>>(body, "scalar")?;
            let texts = parts.iter().filter_map(|part| match part {
                ScalarPart::Text(text) => Some(number(text)),
                ScalarPart::At(_) => None,
            });
            texts.collect::<Result<Vec<f64>, _>>()?
        }
        _ => {
            let numbers = vector(body)?.rows.into_iter().map(|row| match row.value {
                Value::Number(number) => Ok(number),
                Value::Histogram => {
                    Err(undecodable("a native histogram; ask for a number of it, for example histogram_quantile"))
                }
            });
            numbers.collect::<Result<Vec<f64>, _>>()?
        }
    };
    let any_nan = numbers.iter().any(|number| number.is_nan());
    let fold = |from: f64, of: fn(f64, f64) -> f64| if any_nan { f64::NAN } else { numbers.iter().copied().fold(from, of) };
    let (least, most) = (fold(f64::INFINITY, f64::min), fold(f64::NEG_INFINITY, f64::max));
    Ok(Values { series: numbers.len(), least, most })
}

/// The error in a refusal, if it is Prometheus' own.
pub(crate) fn error_of(body: &[u8]) -> Option<String> {
    let envelope: Envelope<'_, IgnoredAny> = serde_json::from_slice(body).ok()?;
    (envelope.status == "error").then(|| words(envelope.error_type, envelope.error))
}

/// Milliseconds of an instant that Prometheus writes in seconds.
pub(crate) fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

fn open<'b, R: Deserialize<'b>>(body: &'b [u8], kind: &str) -> Result<(Vec<R>, Vec<String>), Trouble> {
    let envelope: Envelope<'b, Data<'b, R>> = serde_json::from_slice(body).map_err(|e| undecodable(&e.to_string()))?;
    if envelope.status != "success" {
        return Err(undecodable(&format!("status {:?}: {}", envelope.status, words(envelope.error_type, envelope.error))));
    }
    // Prometheus 2.48 to 2.53 sends its infos among the warnings.
    let (mut infos, mut warnings): (Vec<_>, Vec<_>) = envelope.warnings.into_iter().partition(|w| w.starts_with("PromQL info:"));
    infos.extend(envelope.infos);
    if envelope.is_partial {
        warnings.push("the answer is partial".to_owned());
    }
    if !warnings.is_empty() {
        return Err(Trouble::Warnings { texts: warnings.iter().take(MAX_TEXTS).map(|w| short(w)).collect() });
    }
    let data = envelope.data.ok_or_else(|| undecodable("no data in it"))?;
    if data.result_type != kind {
        return Err(undecodable(&format!("a {} instead of a {kind}", short(&data.result_type))));
    }
    Ok((data.result, infos))
}

/// Most warnings that are passed on.
const MAX_TEXTS: usize = 5;
/// Longest text of the backend's that is passed on, in characters: conditions and records hold it.
const MAX_TEXT_CHARS: usize = 300;

fn words(kind: Option<String>, error: Option<String>) -> String {
    short(&[kind, error].into_iter().flatten().collect::<Vec<_>>().join(": "))
}

fn short(text: &str) -> String {
    text.chars().take(MAX_TEXT_CHARS).collect()
}

/// A number as Prometheus writes it; Rust reads NaN, +Inf and -Inf alike.
fn number(text: &str) -> Result<f64, Trouble> {
    text.parse().map_err(|_| undecodable(&format!("{:?} where a number belongs", short(text))))
}

fn undecodable(detail: &str) -> Trouble {
    Trouble::Undecodable { detail: short(detail) }
}
