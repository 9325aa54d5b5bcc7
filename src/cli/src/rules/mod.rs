//! `policy test` and `policy explain`: what a policy makes of a change, rule by rule, and what each level of it asks for.
//!
//! [`source`] finds the policy and the facts (files, the cluster, a recorded Change), [`report`] asks the engine and holds the
//! answer as data (what `-o json` prints), [`text`] lays it out. Nothing is decided here that the operator would not decide so.

pub mod report;
pub mod source;
pub mod text;

use jiff::Timestamp;

use crate::{
    args::{self, Global, PolicyCommand},
    cluster::Cluster,
    error::Error,
    look::Look,
    output,
    screen::ansi,
};

/// Runs `policy test` or `policy explain`.
///
/// # Errors
/// [`Error::Usage`] where the policy cannot be used, with every rule that is wrong; as the API server answers.
pub async fn run(global: &Global, command: &PolicyCommand) -> Result<(), Error> {
    match command {
        PolicyCommand::Test(args) => test(global, args).await,
        PolicyCommand::Explain(args) => explain(global, args).await,
    }
}

async fn test(global: &Global, args: &args::PolicyTest) -> Result<(), Error> {
    let source::Asked { policy, facts, of, recorded, at } = source::of(global, args, Timestamp::now()).await?;
    let report = report::Report::new(policy, &facts, of, recorded, at)?;
    if let Some(format) = args.output {
        return output::print(&report, format);
    }
    let look = Look::of_stdout();
    output::write(&ansi::text(&text::test(&report, output::width(), &look), look.color))
}

async fn explain(global: &Global, args: &args::PolicyExplain) -> Result<(), Error> {
    let cluster = match &args.policy {
        Some(named) if !source::is_in_cluster(named) => None,
        None => None,
        Some(_) => Some(Cluster::connect(global).await?),
    };
    let policy = source::policy(args.policy.as_deref(), cluster.as_ref()).await?.unwrap_or_default();
    let levels = report::Levels::new(policy, args.slo, Timestamp::now())?;
    if let Some(format) = args.output {
        return output::print(&levels, format);
    }
    let look = Look::of_stdout();
    output::write(&ansi::text(&text::levels(&levels, output::width(), &look), look.color))
}

#[cfg(test)]
mod tests;
