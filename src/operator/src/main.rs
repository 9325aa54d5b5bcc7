//! The binary `firebreak`: the operator, and the definitions it needs.

use clap::{Parser, Subcommand};
use firebreak_operator::{crds, run};

/// Risk-gated rollouts for Kubernetes Deployments.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the operator.
    Run(run::Run),
    /// Print the custom resource definitions, or write them into a folder.
    Crds(crds::Crds),
}

fn main() -> anyhow::Result<()> {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        anyhow::bail!("a TLS provider was installed already");
    }
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,kube_client=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match Cli::parse().command {
        Command::Run(options) => tokio::runtime::Runtime::new()?.block_on(run::run(options)),
        Command::Crds(options) => crds::print(&options),
    }
}
