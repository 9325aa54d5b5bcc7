//! `cargo run --release -p firebreak-sim -- accept`: what the judging promises, measured.

use std::{process::ExitCode, str::FromStr};

const USAGE: &str = "usage: firebreak-sim accept [--runs N] [--seed N] [--only WORDS]

Runs seeded worlds and prints a table: what was measured, its standard error, its bar. Exits 1 if a bar is missed.
  --runs N   runs of a row (10000); rows with long runs get a part of them
  --seed N   another seed gives other runs (1)
  --only X   rows with X in their name";

fn main() -> ExitCode {
    match options(std::env::args().skip(1)) {
        Ok((runs, seed, only)) if firebreak_sim::accept::accept(runs, seed, &only, |line| println!("{line}")) => {
            ExitCode::SUCCESS
        }
        Ok(_) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("{problem}{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn options(mut words: impl Iterator<Item = String>) -> Result<(u64, u64, String), String> {
    let (mut runs, mut seed, mut only) = (10_000, 1, String::new());
    match words.next().as_deref() {
        Some("accept") => {}
        Some(other) => return Err(format!("unknown command {other}\n")),
        None => return Err(String::new()),
    }
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value\n"))?;
        let number = || u64::from_str(&value).map_err(|_| format!("{word} {value} is no number\n"));
        match word.as_str() {
            "--runs" => runs = number()?,
            "--seed" => seed = number()?,
            "--only" => only = value,
            _ => return Err(format!("unknown option {word}\n")),
        }
    }
    Ok((runs, seed, only))
}
