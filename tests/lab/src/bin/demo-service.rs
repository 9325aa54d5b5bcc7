//! The demo service's process: see `firebreak_lab::service`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use firebreak_lab::service::{Ending, Knobs, Service, pause};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A small HTTP service that misbehaves on demand.
///
/// It answers every path with 200, or with 500 as often as it is told to, and names its version and pod in the headers
/// x-version and x-pod. /healthz says that it lives, /ready whether it wants requests, /metrics (on a port of its own)
/// what it answered. On SIGTERM it turns unready, serves on for the drain, finishes what it has begun and exits 0.
#[derive(Debug, Parser)]
#[command(name = "demo-service", args_conflicts_with_subcommands = true, max_term_width = 120)]
struct Line {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    knobs: Knobs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Do nothing until SIGTERM or SIGINT, then exit 0: the program of a pod's sandbox
    Pause,
}

fn main() -> ExitCode {
    // Before anything is parsed: every sandbox of a node holds one of these in memory.
    if std::env::args_os().nth(1).is_some_and(|word| word == "pause") {
        return told(pause());
    }
    let line = Line::parse();
    match line.command {
        Some(Command::Pause) => told(pause()),
        None => told(serve(line.knobs)),
    }
}

/// One thread: many pods share the machine's few cores.
#[tokio::main(flavor = "current_thread")]
async fn serve(knobs: Knobs) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    eprintln!("demo-service {} as {}: {knobs:?}", knobs.version, knobs.pod());
    let service = Service::bind(knobs).await?;
    eprintln!("serving on {}, metrics on {}", service.address()?, service.metrics_address()?);
    let ending = service.run(either(&mut terminate, &mut interrupt)).await;
    eprintln!("ended: {ending:?}");
    match ending {
        Ending::Drained => Ok(()),
        // At once, as a crash does: nothing is unwound and no connection is closed in order.
        Ending::Crashed | Ending::StartFailed => std::process::exit(ending.exit_code()),
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

fn told(result: std::io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo-service: {error}");
            ExitCode::FAILURE
        }
    }
}
