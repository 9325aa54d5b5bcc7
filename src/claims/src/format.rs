//! The claims as what people put into their pipelines: a YAML patch, a kustomize component, Helm arguments, JSON.
//! A value is always text: unquoted, 0.87 would be a number, and the API server refuses numbers as annotations.

use crate::{claims::Claims, error::Error};

/// How claims are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// A patch of a workload's own metadata, for `kubectl patch --patch-file`.
    Patch,
    /// A kustomize component with `commonAnnotations`.
    Kustomize,
    /// `--set-string` arguments, one a line, quoted for a shell and for xargs.
    Helm {
        /// The value of the chart that becomes annotations, for example `podAnnotations`.
        path: String,
    },
    /// Everything, for machines.
    Json,
}

/// Writes claims.
///
/// # Errors
/// Where they cannot be written as JSON, which would be a defect.
pub fn write(claims: &Claims, format: &Format) -> Result<String, Error> {
    match format {
        Format::Patch => Ok(format!("{}metadata:\n  annotations:\n{}", comment(claims), entries(claims, 4)?)),
        Format::Kustomize => Ok(format!(
            "{}apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncommonAnnotations:\n{}",
            comment(claims),
            entries(claims, 2)?
        )),
        Format::Helm { path } => Ok(helm(claims, path)),
        Format::Json => json(claims).map(|text| text + "\n"),
    }
}

fn json(claims: &Claims) -> Result<String, Error> {
    serde_json::to_string_pretty(claims).map_err(|error| Error::object("the claims as JSON", error))
}

/// What the claims rest on, as a comment.
fn comment(claims: &Claims) -> String {
    claims.explanation().iter().map(|line| format!("# {line}\n")).collect()
}

/// `name: "value"`, one a line. A JSON string is a YAML string too.
fn entries(claims: &Claims, indent: usize) -> Result<String, Error> {
    let mut text = String::new();
    for (name, value) in &claims.annotations {
        let value = serde_json::to_string(value).map_err(|error| Error::object("the claims as YAML", error))?;
        text.push_str(&format!("{:indent$}{name}: {value}\n", ""));
    }
    Ok(text)
}

/// Arguments: `--set-string 'podAnnotations.firebreak\.dev/risk-score=0.87'`.
fn helm(claims: &Claims, path: &str) -> String {
    let argument = |(name, value): (&String, &String)| {
        let argument = format!("{path}.{}={}", name.replace('.', "\\."), helm_value(value));
        format!("--set-string {}\n", quoted(&argument))
    };
    claims.annotations.iter().map(argument).collect()
}

/// A value as Helm reads it: a comma would end it, a brace at its beginning would make it a list.
fn helm_value(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace(',', "\\,");
    match escaped.strip_prefix('{') {
        Some(rest) => format!("\\{{{rest}"),
        None => escaped,
    }
}

/// In single quotes, which both a shell and xargs take as they are; one inside is written outside of them.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
