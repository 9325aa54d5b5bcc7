//! `kubectl firebreak`: see, explain and steer Changes from a terminal.
//!
//! Holds: the commands ([`args`]), the one place that calls the API server ([`cluster`]), what follows from a Change for a
//! reader ([`facts`]), the picture of a Change as lines ([`screen`]), and one module a command: `status`, `live` (the
//! watched picture: model, message, update, view), `queue`, `explain`, `records` (history, export), `replay`, `simulate`, `rules`
//! (policy test and explain), `steer` (approve, promote, pause, resume, abort, retry, clear), `claims` (of a change in a Git checkout; the only one that reads no cluster
//! and no file of one).
//! Does not hold: any decision; what is shown was written by the operator into the status of Guards and Changes. `replay` asks
//! the engine for what it decided then or would under another policy, `simulate` for what it would decide of releases yet to come.
//! Start at [`run`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod args;
pub mod claims;
pub mod cluster;
pub mod curve;
pub mod error;
pub mod explain;
pub mod facts;
pub mod live;
pub mod look;
pub mod output;
pub mod picture;
pub mod policy;
pub mod queue;
pub mod records;
pub mod replay;
pub mod rules;
pub mod screen;
pub mod simulate;
pub mod status;
pub mod steer;
pub mod words;

#[cfg(test)]
mod fixtures;

pub use args::Cli;
pub use error::{Error, FAILED, OK, USAGE};

/// Runs one command and says what went wrong, if anything did.
///
/// Returns the exit code: [`OK`], [`FAILED`] (failed or refused) or [`USAGE`].
pub async fn run(cli: Cli) -> u8 {
    let result = match &cli.command {
        args::Command::Status(status) => status::run(&cli.global, status).await,
        args::Command::Queue(queue) => queue::run(&cli.global, queue).await,
        args::Command::Explain(explain) => explain::run(&cli.global, explain).await,
        args::Command::History(history) => records::history(&cli.global, history).await,
        args::Command::Export(export) => records::export(&cli.global, export).await,
        args::Command::Replay(replay) => replay::run(&cli.global, replay).await,
        args::Command::Simulate(simulate) => simulate::run(&cli.global, simulate).await,
        args::Command::Approve(steer) => steer::run(&cli.global, steer, steer::Action::Approve).await,
        args::Command::Promote(steer) => steer::run(&cli.global, steer, steer::Action::Promote).await,
        args::Command::Pause(steer) => steer::run(&cli.global, steer, steer::Action::Pause).await,
        args::Command::Resume(steer) => steer::run(&cli.global, steer, steer::Action::Resume).await,
        args::Command::Abort(steer) => steer::run(&cli.global, steer, steer::Action::Abort).await,
        args::Command::Retry(steer) => steer::run(&cli.global, steer, steer::Action::Retry).await,
        args::Command::Policy(policy) => rules::run(&cli.global, &policy.command).await,
        args::Command::Clear(steer) => steer::run(&cli.global, steer, steer::Action::Clear).await,
        args::Command::Claims(claims) => claims::run(claims),
        args::Command::Crds(crds) => output::print_crds(crds.output),
    };
    match result {
        Ok(()) => OK,
        // Whoever read our output has had enough of it (`| head`): nothing went wrong.
        Err(Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => OK,
        Err(error) => {
            eprintln!("error: {error}");
            error.exit_code()
        }
    }
}
