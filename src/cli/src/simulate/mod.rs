//! `simulate`: what a policy would do to releases of a service, before it does it: harmless ones and bad ones, many times each,
//! under Firebreak and under rules with a fixed threshold.
//!
//! [`ask`] finds out what is asked (a Guard's policy and traffic, or what the command line says), [`traffic`] reads the
//! traffic, [`outcome`] computes (crate `firebreak-sim`) and holds the result as data, [`table`] is it as text, [`chart`] as a
//! picture.

pub mod ask;
pub mod chart;
pub mod outcome;
pub mod table;
pub mod traffic;

use std::path::Path;

use crate::{
    args::{self, Global},
    error::Error,
    output,
    picture::Kind,
};

/// Runs `simulate`.
///
/// # Errors
/// What is missing on the command line; as the API server and Prometheus answer; a file that cannot be written.
pub async fn run(global: &Global, args: &args::Simulate) -> Result<(), Error> {
    let drawn = args.chart.as_deref().map(can_draw).transpose()?;
    let asked = ask::of(global, args).await?;
    // Nothing else runs in this program meanwhile.
    let outcome = tokio::task::block_in_place(|| outcome::Outcome::compute(&asked, &mut outcome::Progress::of_stderr()));
    match args.output {
        Some(format) => output::print(&outcome, format)?,
        None => output::write(&table::text(&outcome, output::width()))?,
    }
    let Some((path, kind)) = drawn else { return Ok(()) };
    let wrong = |why: String| Error::Chart(format!("cannot write the chart to {}: {why}", path.display()));
    let stored = chart::draw(&outcome).stored(kind).map_err(wrong)?;
    std::fs::write(path, stored).map_err(|error| wrong(error.to_string()))?;
    output::notes(&[format!("the chart is in {}", path.display())]);
    Ok(())
}

/// What is known to fail at the end is said at the beginning: the simulation takes a while.
fn can_draw(path: &Path) -> Result<(&Path, Kind), Error> {
    let kind = Kind::of(path)
        .ok_or_else(|| Error::Usage(format!("--chart {}: write a file whose name ends in .svg or .png", path.display())))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() {
        return Ok((path, kind));
    }
    Err(Error::Usage(format!("--chart {}: there is no folder {}", path.display(), folder.display())))
}
