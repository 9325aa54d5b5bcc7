//! Standard output: text, JSON, YAML. A reader who closes the pipe is no failure.

use std::io::{IsTerminal as _, Write as _};

use kube::core::ObjectList;
use serde::Serialize;

use crate::{args::Format, error::Error};

/// Width of text where standard output is no terminal.
const WIDTH: usize = 100;
/// Narrowest width that is used.
const NARROWEST: usize = 40;
/// Widest text that is comfortable to read.
const WIDEST: usize = 140;

/// Width of text on standard output, in cells.
#[must_use]
pub fn width() -> usize {
    if !std::io::stdout().is_terminal() {
        return WIDTH;
    }
    crossterm::terminal::size().map_or(WIDTH, |(columns, _)| usize::from(columns).clamp(NARROWEST, WIDEST))
}

/// Writes text to standard output at once.
///
/// # Errors
/// [`Error::Output`].
pub fn write(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Writes notes to standard error.
pub fn notes(notes: &[String]) {
    for note in notes {
        eprintln!("note: {note}");
    }
}

/// A value for machines.
///
/// # Errors
/// [`Error::Format`].
pub fn text(value: &impl Serialize, format: Format) -> Result<String, Error> {
    match format {
        Format::Json => {
            serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|error| Error::Format(error.to_string()))
        }
        Format::Yaml => {
            serde_yaml_ng::to_string(value).map(|text| quote_switches(&text)).map_err(|error| Error::Format(error.to_string()))
        }
    }
}

/// Words that are text here and in YAML 1.2, but true or false to the many readers of YAML 1.1.
const SWITCHES: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];

/// Quotes text such as `no` where it stands as a value, so that every reader of YAML takes it as text.
fn quote_switches(yaml: &str) -> String {
    let mut text = String::with_capacity(yaml.len());
    // Indentation of the line that began a block of literal text, whose lines are left alone.
    let mut literal: Option<usize> = None;
    for line in yaml.lines() {
        let indent = line.len() - line.trim_start().len();
        if literal.is_some_and(|began| indent <= began && !line.trim().is_empty()) {
            literal = None;
        }
        let value = line.rsplit_once(' ').map_or("", |(_, value)| value);
        let head = line.strip_suffix(value).map_or("", str::trim_end);
        let stands_alone = head.ends_with(':') || head.ends_with('-');
        if literal.is_none() && stands_alone && SWITCHES.contains(&value.to_ascii_lowercase().as_str()) {
            text.push_str(&format!("{head} '{value}'"));
        } else {
            if literal.is_none() && stands_alone && value.starts_with(['|', '>']) {
                literal = Some(indent);
            }
            text.push_str(line);
        }
        text.push('\n');
    }
    text
}

/// Prints a value for machines.
///
/// # Errors
/// [`Error::Format`], [`Error::Output`].
pub fn print(value: &impl Serialize, format: Format) -> Result<(), Error> {
    write(&text(value, format)?)
}

/// Prints the resource definitions: YAML documents, or one JSON list; `kubectl apply -f -` takes both.
///
/// # Errors
/// [`Error::Format`], [`Error::Output`].
pub fn print_crds(format: Format) -> Result<(), Error> {
    let all = firebreak_api::crds::all().into_iter().map(|(_, crd)| crd);
    match format {
        Format::Json => {
            let list = ObjectList {
                types: kube::core::TypeMeta { api_version: "v1".to_owned(), kind: "List".to_owned() },
                metadata: kube::core::ListMeta::default(),
                items: all.collect(),
            };
            print(&list, format)
        }
        Format::Yaml => {
            let mut documents = String::new();
            for crd in all {
                documents.push_str("---\n");
                documents.push_str(&text(&crd, format)?);
            }
            write(&documents)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn given_text_that_old_yaml_takes_for_a_switch_when_written_then_quoted() {
        let value =
            json!({"growing": "no", "list": ["On", "one"], "said": "line: no\nlast: no\n", "sentence": "say no", "z": false});
        let yaml = text(&value, Format::Yaml).unwrap();
        insta::assert_snapshot!(yaml, @r"
        growing: 'no'
        list:
        - 'On'
        - one
        said: |
          line: no
          last: no
        sentence: say no
        z: false
        ");
        assert_eq!(serde_yaml_ng::from_str::<serde_json::Value>(&yaml).unwrap(), value);
    }

    #[test]
    fn given_the_definitions_when_written_then_they_read_back_the_same() {
        for (name, crd) in firebreak_api::crds::all() {
            let yaml = text(&crd, Format::Yaml).unwrap();
            let back: serde_json::Value = serde_yaml_ng::from_str(&yaml).unwrap();
            assert_eq!(back, serde_json::to_value(&crd).unwrap(), "{name}");
        }
    }
}
