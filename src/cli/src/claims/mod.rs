//! `claims`: prints what a change in a Git checkout says of its own risk, for a pipeline to put on the workload. Holds how
//! progress is shown and what is said besides; what is claimed is worked out in `firebreak-claims`.

mod progress;

use std::collections::BTreeMap;

use firebreak_claims::{Claims, Format, HISTORY_COMMITS, Request};
use firebreak_engine::risk;

use crate::{
    args::{self, ClaimsFormat},
    error::Error,
    output,
};

/// A number of commits.
///
/// # Errors
/// In words what to write instead.
pub fn commits(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=HISTORY_COMMITS).contains(number));
    number.ok_or_else(|| format!("write a number of commits from 1 to {HISTORY_COMMITS}"))
}

/// Runs the command.
///
/// # Errors
/// [`Error::Claims`], [`Error::Output`].
pub fn run(arguments: &args::Claims) -> Result<(), Error> {
    let request = Request {
        folder: arguments.repository.clone(),
        base: arguments.base.clone(),
        head: arguments.head.clone(),
        change_url: arguments.change_url.clone(),
        records: arguments.agent_trace.clone(),
        history: arguments.history,
    };
    let mut shown = progress::Shown::new();
    let claims = firebreak_claims::run(&request, &mut |progress| shown.show(progress));
    shown.end();
    let claims = claims?;
    let format = match arguments.output {
        ClaimsFormat::Patch => Format::Patch,
        ClaimsFormat::Kustomize => Format::Kustomize,
        ClaimsFormat::Helm => Format::Helm { path: arguments.helm_path.clone() },
        ClaimsFormat::Json => Format::Json,
    };
    output::write(&firebreak_claims::write(&claims, &format)?)?;
    for line in beside(&claims, arguments.output) {
        eprintln!("{line}");
    }
    Ok(())
}

/// What is said on standard error: how Firebreak reads the claims, and where the output has no place for them, the reasons.
fn beside(claims: &Claims, format: ClaimsFormat) -> Vec<String> {
    let mut lines = if format == ClaimsFormat::Helm { claims.explanation() } else { Vec::new() };
    let annotations: BTreeMap<String, String> = claims.annotations.clone();
    let assessment = risk::assess(&annotations);
    let why: Vec<String> = assessment.factors.iter().map(|factor| factor.effect.clone()).collect();
    lines.push(format!("Firebreak reads this as {}, before what the policy adds: {}.", assessment.level, why.join("; ")));
    lines
}

#[cfg(test)]
mod tests;
