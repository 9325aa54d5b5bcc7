//! `cargo run --release -p firebreak-sim -- accept`: what the judging promises, measured; `-- scenarios`: what is decided in
//! worlds where something happens.

use std::{process::ExitCode, str::FromStr};

const USAGE: &str = "usage: firebreak-sim accept|scenarios [--runs N] [--seed N] [--only WORDS]

accept     runs seeded worlds and prints a table: what was measured, its standard error, its bar
scenarios  lives through worlds in which something happens and prints what was decided, against what was to be decided
Exits 1 if a bar is missed.
  --runs N   runs of a row (10000; 100 of scenarios); rows of accept with long runs get a part of them
  --seed N   another seed gives other runs (1)
  --only X   rows with X in their name
  --as X     markdown: scenarios as rows of SCENARIOS.md";

fn main() -> ExitCode {
    match options(std::env::args().skip(1)) {
        Ok(Options { command, runs, seed, only, markdown }) => {
            let tell = |line: &str| println!("{line}");
            let kept = match command {
                Command::Accept => firebreak_sim::accept::accept(runs.unwrap_or(10_000), seed, &only, tell),
                Command::Scenarios => firebreak_sim::scenarios::tell(runs.unwrap_or(100), seed, &only, markdown, tell),
            };
            if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(problem) => {
            eprintln!("{problem}{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// What is to be run.
enum Command {
    Accept,
    Scenarios,
}

struct Options {
    command: Command,
    runs: Option<u64>,
    seed: u64,
    only: String,
    markdown: bool,
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let command = match words.next().as_deref() {
        Some("accept") => Command::Accept,
        Some("scenarios") => Command::Scenarios,
        Some(other) => return Err(format!("unknown command {other}\n")),
        None => return Err(String::new()),
    };
    let mut options = Options { command, runs: None, seed: 1, only: String::new(), markdown: false };
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value\n"))?;
        let number = || u64::from_str(&value).map_err(|_| format!("{word} {value} is no number\n"));
        match word.as_str() {
            "--runs" => options.runs = Some(number()?),
            "--seed" => options.seed = number()?,
            "--as" => options.markdown = value == "markdown",
            "--only" => options.only = value,
            _ => return Err(format!("unknown option {word}\n")),
        }
    }
    Ok(options)
}
