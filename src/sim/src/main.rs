//! `cargo run --release -p firebreak-sim -- accept`: what the judging promises, measured; `compare`: beside other rules;
//! `scenarios`: what is decided in worlds where something happens.

use std::{process::ExitCode, str::FromStr};

use firebreak_engine::risk::Level;
use firebreak_sim::{accept::accept, compare::compare, scenarios};

const USAGE: &str = "usage: firebreak-sim accept [--runs N] [--seed N] [--only WORDS]
       firebreak-sim compare [--runs N] [--seed N] [--only WORDS] [--level LEVEL]
       firebreak-sim scenarios [--runs N] [--seed N] [--only WORDS]

accept runs seeded worlds and prints a table: what was measured, its standard error, its bar. Exits 1 if a bar is missed.
Its 10,000 runs take three quarters of an hour on two cores (cargo accept); --runs 100 sees what is far from its bar in one minute.
compare runs rules that others use beside Firebreak, on the same requests; its 200 runs take minutes.
scenarios lives through worlds in which something happens and prints what was decided, against what was to be decided; exits 1
if one differs. Its 100 runs take minutes.
  --runs N       runs of a row (accept 10000, of which rows with long runs get a part; compare 200; scenarios 100)
  --seed N       another seed gives other runs (1)
  --only X       rows with X in their name
  --as markdown  scenarios as rows of SCENARIOS.md
  --level LEVEL  low, medium, high or critical: whose built-in plan is walked (medium)";

fn main() -> ExitCode {
    match command(std::env::args().skip(1)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("{problem}{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Runs what was asked for; whether every bar is kept.
fn command(mut words: impl Iterator<Item = String>) -> Result<bool, String> {
    let command = words.next().unwrap_or_default();
    let tell = |line: &str| println!("{line}");
    match command.as_str() {
        "accept" => {
            let Options { runs, seed, only, .. } = options(words, false)?;
            Ok(accept(runs.unwrap_or(10_000), seed, &only, tell))
        }
        "compare" => {
            let Options { runs, seed, only, level, .. } = options(words, true)?;
            compare(runs.unwrap_or(200), seed, level, &only, tell);
            Ok(true)
        }
        "scenarios" => {
            let Options { runs, seed, only, markdown, .. } = options(words, false)?;
            Ok(scenarios::tell(runs.unwrap_or(100), seed, &only, markdown, tell))
        }
        "" => Err(String::new()),
        other => Err(format!("unknown command {other}\n")),
    }
}

struct Options {
    runs: Option<u64>,
    seed: u64,
    only: String,
    level: Level,
    markdown: bool,
}

fn options(mut words: impl Iterator<Item = String>, has_level: bool) -> Result<Options, String> {
    let mut options = Options { runs: None, seed: 1, only: String::new(), level: Level::Medium, markdown: false };
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value\n"))?;
        let number = || u64::from_str(&value).map_err(|_| format!("{word} {value} is no number\n"));
        match word.as_str() {
            "--runs" => options.runs = Some(number()?),
            "--seed" => options.seed = number()?,
            "--level" if has_level => {
                options.level = Level::read(&value).ok_or_else(|| format!("{value} is no level\n"))?;
            }
            "--as" => options.markdown = value == "markdown",
            "--only" => options.only = value,
            _ => return Err(format!("unknown option {word}\n")),
        }
    }
    Ok(options)
}
