//! A metrics page of a pod, in the Prometheus text format or in OpenMetrics, read line by line.
//!
//! Only samples of the counters that are asked for are read; comments, types and exemplars are passed over. What cannot be
//! read is an error, never a missing line: a counter that is left out would look like one that fell.
//! Formats: prometheus.io/docs/instrumenting/exposition_formats, and the OpenMetrics specification, section "Text format".

use std::borrow::Cow;

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample<'t> {
    /// Name of the series, as it is written: with `_total`, `_bucket` and the like.
    pub(crate) name: Cow<'t, str>,
    labels: Vec<(Cow<'t, str>, Cow<'t, str>)>,
    pub(crate) value: f64,
}

impl Sample<'_> {
    /// A label's value; empty where it has none, as for Prometheus.
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(label, _)| label == name).map_or("", |(_, value)| value)
    }
}

/// Gives every sample whose name is `wanted` to `each`.
///
/// # Errors
/// The first line that cannot be read, in words. `whole` asks for the `# EOF` with which an OpenMetrics page ends.
pub(crate) fn read<'t>(
    text: &'t str,
    whole: bool,
    wanted: impl Fn(&str) -> bool,
    mut each: impl FnMut(Sample<'t>),
) -> Result<(), String> {
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_matches([' ', '\t', '\r']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(sample) = sample(line, &wanted).map_err(|detail| format!("line {}: {detail}", number + 1))? {
            each(sample);
        }
    }
    if whole && text.lines().next_back() != Some("# EOF") {
        return Err("it does not end with # EOF, so it is not whole".to_owned());
    }
    Ok(())
}

/// The sample of a line; `None` where it is not wanted.
fn sample<'t>(line: &'t str, wanted: &impl Fn(&str) -> bool) -> Result<Option<Sample<'t>>, String> {
    let at = line.find(['{', ' ', '\t']).ok_or("no value")?;
    let (name, mut rest) = line.split_at_checked(at).ok_or("no value")?;
    let mut name = Cow::Borrowed(name);
    if !name.is_empty() && !wanted(&name) {
        return Ok(None);
    }
    let mut labels = Vec::new();
    rest = rest.trim_start();
    if let Some(inside) = rest.strip_prefix('{') {
        let mut reader = Reader { rest: inside };
        let named = reader.labels(&mut labels)?;
        if let Some(named) = named.filter(|_| name.is_empty()) {
            name = named;
        }
        rest = reader.rest;
    }
    if name.is_empty() {
        return Err("a sample without a name".to_owned());
    }
    if !wanted(&name) {
        return Ok(None);
    }
    // After the value may come a timestamp and an exemplar.
    let value = rest.split_whitespace().next().ok_or("no value")?;
    let value = value.parse::<f64>().map_err(|_| format!("{value:?} is no number"))?;
    Ok(Some(Sample { name, labels, value }))
}

struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    /// The labels up to the closing brace; what stands there quoted and without a value is the name.
    fn labels(&mut self, labels: &mut Vec<(Cow<'t, str>, Cow<'t, str>)>) -> Result<Option<Cow<'t, str>>, String> {
        let mut named = None;
        loop {
            self.skip_space();
            if self.eat('}') {
                return Ok(named);
            }
            let quoted = self.rest.starts_with('"');
            let label = if quoted { self.quoted()? } else { Cow::Borrowed(self.word()) };
            if label.is_empty() {
                return Err("a label without a name".to_owned());
            }
            self.skip_space();
            if self.eat('=') {
                self.skip_space();
                labels.push((label, self.quoted()?));
            } else if quoted && named.is_none() {
                named = Some(label);
            } else {
                return Err(format!("the label {label} has no value"));
            }
            self.skip_space();
            if !self.eat(',') && !self.rest.starts_with('}') {
                return Err("labels that do not end".to_owned());
            }
        }
    }

    fn word(&mut self) -> &'t str {
        let text = self.rest;
        self.rest = text.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        text.get(..text.len() - self.rest.len()).unwrap_or_default()
    }

    fn quoted(&mut self) -> Result<Cow<'t, str>, String> {
        let inside = self.rest.strip_prefix('"').ok_or("a value that is not quoted")?;
        let plain = inside.find(['"', '\\']).ok_or("a quote that does not end")?;
        let (head, tail) = inside.split_at_checked(plain).ok_or("a quote that does not end")?;
        if let Some(rest) = tail.strip_prefix('"') {
            self.rest = rest;
            return Ok(Cow::Borrowed(head));
        }
        let mut text = head.to_owned();
        let mut characters = tail.chars();
        loop {
            match characters.next().ok_or("a quote that does not end")? {
                '"' => break,
                '\\' => match characters.next().ok_or("a quote that does not end")? {
                    'n' => text.push('\n'),
                    other => text.push(other),
                },
                other => text.push(other),
            }
        }
        self.rest = characters.as_str();
        Ok(Cow::Owned(text))
    }

    fn eat(&mut self, token: char) -> bool {
        self.rest.strip_prefix(token).map(|rest| self.rest = rest).is_some()
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn all(text: &str) -> Result<Vec<Sample<'_>>, String> {
        let mut samples = Vec::new();
        read(text, false, |_| true, |sample| samples.push(sample))?;
        Ok(samples)
    }

    #[rstest::rstest]
    #[case::bare("up 1", "up", &[], 1.0)]
    #[case::labels("a_total{code=\"200\",path=\"/x\"} 12", "a_total", &[("code", "200"), ("path", "/x")], 12.0)]
    #[case::what_looks_like_an_end("a{p=\"/{id},x=1\",q=\"a\\\"b\\\\c\\nd\",} 3", "a", &[("p", "/{id},x=1"), ("q", "a\"b\\c\nd")], 3.0)]
    #[case::timestamp("a{b=\"c\"} 1e+06 1700000000000", "a", &[("b", "c")], 1e6)]
    #[case::exemplar("a_bucket{le=\"0.1\"} 8 # {trace=\"x y\"} 0.05 1.7e9", "a_bucket", &[("le", "0.1")], 8.0)]
    #[case::spaces("a { b = \"c\" , d=\"e\" }\t+Inf", "a", &[("b", "c"), ("d", "e")], f64::INFINITY)]
    #[case::a_quoted_name("{\"http.requests\",b=\"c\"} 2", "http.requests", &[("b", "c")], 2.0)]
    fn given_a_line_when_read_then_its_sample(
        #[case] line: &str,
        #[case] name: &str,
        #[case] labels: &[(&str, &str)],
        #[case] value: f64,
    ) {
        let samples = all(line).unwrap();
        assert_eq!((samples[0].name.as_ref(), samples[0].value), (name, value));
        for (label, value) in labels {
            assert_eq!(samples[0].label(label), *value);
        }
        assert_eq!(samples[0].label("none"), "");
    }

    #[rstest::rstest]
    #[case("a{b=\"c} 1")]
    #[case("a{b=c} 1")]
    #[case("a{b} 1")]
    #[case("a{b=\"c\" d=\"e\"} 1")]
    #[case("a{b=\"c\"}")]
    #[case("a one")]
    #[case("a")]
    #[case("{b=\"c\"} 1")]
    fn given_a_line_that_cannot_be_read_then_an_error_and_no_missing_line(#[case] line: &str) {
        let error = all(&format!("# HELP a x\n{line}\n")).unwrap_err();
        assert!(error.starts_with("line 2: "), "{error}");
    }

    #[test]
    fn given_samples_that_are_not_wanted_then_they_are_passed_over_whatever_they_hold() {
        let mut names = Vec::new();
        let text = "# TYPE a counter\nodd{x=} nothing\na_total 1\r\n\nb 2\n# EOF";
        read(text, true, |name| name == "a_total", |sample| names.push(sample.name.into_owned())).unwrap();
        assert_eq!(names, ["a_total"]);
        assert!(read("a_total 1\n", true, |_| true, |_| ()).unwrap_err().contains("# EOF"));
    }

    proptest::proptest! {
        #[test]
        fn given_any_text_when_read_then_no_panic(text in "[a-z{}\"=,\\\\ 0-9#\\n.]{0,200}") {
            let _ = read(&text, true, |_| true, |_| ());
        }
    }
}
