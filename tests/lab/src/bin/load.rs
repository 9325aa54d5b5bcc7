//! The load generator's command line: see `firebreak_lab::load`.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use firebreak_lab::load::{Config, Load, Report, second_line, table};
use tokio::time::{Instant, sleep_until};

/// A second's line waits this long, so that the answers to its last requests are in it.
const GRACE: Duration = Duration::from_millis(250);

/// Sends a constant rate of requests to a service on this machine and accounts for each of them.
///
/// Only loopback addresses and the lab's own bridge are accepted. Ctrl-C ends it early, with the table.
#[derive(Debug, Parser)]
#[command(name = "load")]
struct Line {
    /// Where to send: http://ADDRESS:PORT
    #[arg(long)]
    url: String,
    /// The Host header [default: from the URL]
    #[arg(long)]
    host: Option<String>,
    /// Path and query
    #[arg(long, default_value = "/")]
    path: String,
    /// A further header, as name:value; may be repeated
    #[arg(short = 'H', long = "header", value_parser = header)]
    headers: Vec<(String, String)>,
    /// Requests per second
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// How long: 30s, 500ms, 2m
    #[arg(long = "for", value_parser = duration, default_value = "30s")]
    duration: Duration,
    /// The limit of one request
    #[arg(long, value_parser = duration, default_value = "10s")]
    timeout: Duration,
    /// What to print at the end; with json, the lines go to standard error
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let line = Line::parse();
    let output = line.output;
    let load = match Load::start(&line.into()) {
        Ok(load) => load,
        Err(error) => {
            eprintln!("load: {error}");
            return ExitCode::from(2);
        }
    };
    let report = tokio::select! {
        () = narrate(&load, output) => load.wait().await,
        _ = tokio::signal::ctrl_c() => load.stop().await,
    };
    match print(&report, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

impl From<Line> for Config {
    fn from(line: Line) -> Self {
        Self {
            host: line.host,
            path: line.path,
            headers: line.headers,
            duration: Some(line.duration),
            timeout: line.timeout,
            ..Self::new(line.url, line.rate)
        }
    }
}

/// A line for each second that is over, until the load is.
async fn narrate(load: &Load, output: Output) {
    let start = Instant::now();
    for second in 0.. {
        sleep_until(start + Duration::from_secs(second + 1) + GRACE).await;
        let line = second_line(&load.snapshot(), second);
        // A reader that has gone away does not end the load.
        let _ = match output {
            Output::Table => writeln!(std::io::stdout(), "{line}"),
            Output::Json => writeln!(std::io::stderr(), "{line}"),
        };
        if !load.is_running() {
            return;
        }
    }
}

fn print(report: &Report, output: Output) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match output {
        Output::Table => write!(out, "\n{}", table(report)),
        Output::Json => {
            serde_json::to_writer(&mut out, report)?;
            writeln!(out)
        }
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write name:value")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, scale) = match (text.strip_suffix("ms"), text.strip_suffix('m'), text.strip_suffix('s')) {
        (Some(number), _, _) => (number, 1e-3),
        (None, Some(number), _) => (number, 60.0),
        (None, None, Some(number)) => (number, 1.0),
        (None, None, None) => (text, 1.0),
    };
    let time = number.parse::<f64>().ok().and_then(|number| Duration::try_from_secs_f64(number * scale).ok());
    time.ok_or_else(|| "write a time, such as 30s, 500ms or 2m".to_owned())
}
