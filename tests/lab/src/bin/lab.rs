//! `cargo lab`: a real Kubernetes on this machine, up and down by hand.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use firebreak_lab::cluster::{Existing, leftovers};
use firebreak_lab::parts::{Part, Parts};
use firebreak_lab::{Lab, Options, Size};

/// A real Kubernetes on this machine, for tests and for trying things out.
#[derive(Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Gets and builds the programs a lab needs; minutes the first time.
    Fetch {
        /// The parts to get; without any, all of them.
        #[arg(value_parser = part)]
        parts: Vec<Part>,
        /// Afterwards remove what only building again would use, some 9 GB, and parts of other versions.
        #[arg(long)]
        prune: bool,
    },
    /// Starts a lab that stays until `cargo lab down`.
    Up {
        /// How much of a cluster.
        #[arg(long, value_enum, default_value_t = SizeName::Full)]
        size: SizeName,
        /// Labs of different names can be up at once, but only one full one.
        #[arg(long, default_value = "lab")]
        name: String,
        /// Stay here, and take the lab down at Ctrl-C or SIGTERM.
        #[arg(long)]
        foreground: bool,
    },
    /// Takes a lab down, in whatever state it is.
    Down {
        /// The lab's name; without it, every lab.
        #[arg(long)]
        name: Option<String>,
    },
    /// Shows what is up, and where.
    Status,
    /// Runs kubectl as the administrator: `cargo lab kubectl -- get pods`.
    Kubectl {
        #[command(flatten)]
        which: Which,
        /// What kubectl gets.
        #[arg(last = true, required = true)]
        arguments: Vec<String>,
    },
    /// Lists what labs have left on this machine; fails when there is something.
    Leftovers,
}

/// The cluster meant: a lab, or one that somebody else runs.
#[derive(Args)]
struct Which {
    /// The lab's name.
    #[arg(long, default_value = "lab")]
    name: String,
    /// A cluster that is not a lab, by its kubeconfig.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// The context in that kubeconfig, if not the current one.
    #[arg(long, requires = "kubeconfig")]
    context: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum SizeName {
    /// No node, no pods, no root needed.
    ControlPlane,
    /// Pods, Prometheus and a gateway.
    Full,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Fetch { parts, prune } => {
            let wanted = if parts.is_empty() { Part::ALL.to_vec() } else { parts };
            println!("everything is in {}", Parts::fetch(&wanted)?.root().display());
            if prune {
                Parts::prune()?;
            }
            Ok(())
        }
        Command::Up { size, name, foreground } => up(size, name, foreground),
        Command::Down { name } => {
            name.map_or_else(Lab::names, |name| vec![name]).iter().try_for_each(|name| Lab::down_by_name(name))
        }
        Command::Status => status(),
        Command::Kubectl { which, arguments } => kubectl(&which, &arguments),
        Command::Leftovers => report_leftovers(),
    }
}

fn part(name: &str) -> Result<Part, String> {
    let names = || Part::ALL.map(Part::name).join(", ");
    Part::ALL.into_iter().find(|part| part.name() == name).ok_or_else(|| format!("the parts are {}", names()))
}

fn up(size: SizeName, name: String, foreground: bool) -> Result<()> {
    let size = match size {
        SizeName::ControlPlane => Size::ControlPlane,
        SizeName::Full => Size::Full,
    };
    let lab = tokio::runtime::Runtime::new()?.block_on(Lab::up(Options { size, name, keep: !foreground, existing: None }))?;
    show(&lab);
    if foreground {
        loop {
            // The lab's own signal handling ends this process.
            std::thread::park();
        }
    }
    Ok(())
}

fn status() -> Result<()> {
    for name in Lab::names() {
        match Lab::attach(&name)? {
            Some(lab) => show(&lab),
            None => println!("lab {name}: starting, or not up any more; `cargo lab down --name {name}` removes it"),
        }
    }
    Ok(())
}

fn kubectl(which: &Which, arguments: &[String]) -> Result<()> {
    let lab = match &which.kubeconfig {
        Some(kubeconfig) => {
            Lab::existing(&Existing { kubeconfig: kubeconfig.clone(), context: which.context.clone(), ..Existing::default() })?
        }
        None => Lab::attach(&which.name)?
            .ok_or_else(|| anyhow!("the lab {} is not up: `cargo lab up --name {}`", which.name, which.name))?,
    };
    let status = lab.kubectl_command().args(arguments).status()?;
    drop(lab);
    if status.success() { Ok(()) } else { bail!("kubectl ended with {status}") }
}

fn report_leftovers() -> Result<()> {
    let found = leftovers();
    for line in &found {
        println!("{line}");
    }
    if found.is_empty() { Ok(()) } else { bail!("{} leftovers; `cargo lab down` removes them", found.len()) }
}

fn show(lab: &Lab) {
    println!("export KUBECONFIG={}", lab.kubeconfig_path().display());
    for (what, url) in
        [("Prometheus", lab.prometheus_url()), ("gateway", lab.gateway_url()), ("API for pods", lab.api_address_for_pods())]
    {
        if let Ok(url) = url {
            println!("{what:<25} {url}");
        }
    }
    for (component, process) in lab.components() {
        let process = process.map_or_else(|| "ended".to_owned(), |id| format!("process {id}"));
        println!("{:<25} {process}", component.name());
    }
}
