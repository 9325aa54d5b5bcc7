//! The programs a lab is made of, and how they get onto this machine.
//!
//! Each [`Part`] is pinned to a version and to checksums kept in this repository, made once into a cache folder outside git, and found
//! there ever after. Making one again after an interruption continues where it stopped: the Go tool keeps what it has downloaded and
//! compiled, and a part counts only when its completion marker, written last, is there.
//!
//! `recipe` says what each part is made from, `build` makes it, `go` finds the Go tool for that, `cache` is the folder, `system` checks
//! what must come from the distribution, `progress` tells the person in front of the screen what is going on.

mod build;
mod cache;
mod go;
mod progress;
mod recipe;
mod system;

use std::path::{Path, PathBuf};

use anyhow::Result;

pub use cache::cache_folder;
pub use recipe::Part;
pub use system::require_root;
pub(crate) use system::{Programs, on_path};

use cache::Cache;
use progress::Progress;

/// Parts that are on this machine, ready to run.
#[derive(Debug, Clone)]
pub struct Parts {
    cache: Cache,
}

impl Parts {
    /// Makes whichever of `wanted` this machine does not have yet, showing progress on standard error.
    ///
    /// The first time takes minutes (it compiles Kubernetes), later calls take milliseconds. Two processes at once are safe: the second
    /// waits for the first.
    ///
    /// # Errors
    /// When a download or a build fails; calling again continues.
    pub fn fetch(wanted: &[Part]) -> Result<Self> {
        let cache = Cache::open(cache_folder()?)?;
        if wanted.iter().all(|part| cache.has(*part)) {
            return Ok(Self { cache });
        }
        let _lock = cache.lock()?;
        for (place, part) in wanted.iter().enumerate() {
            if !cache.has(*part) {
                let progress = Progress::start(place + 1, wanted.len(), &format!("{} {}", part.name(), part.version()));
                build::make(&cache, *part, &progress)?;
                progress.done();
            }
        }
        Ok(Self { cache })
    }

    /// Removes from the cache folder what only building again would use (some 9 GB after everything has been built), and other versions.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn prune() -> Result<()> {
        let cache = Cache::open(cache_folder()?)?;
        let _lock = cache.lock()?;
        cache.prune()
    }

    /// The program of a part (for [`Part::Kubernetes`], the one called `name`).
    pub(crate) fn program(&self, part: Part, name: &str) -> PathBuf {
        self.cache.folder_of(part).join(name)
    }

    /// The folder a part was made in.
    #[must_use]
    pub fn folder(&self, part: Part) -> PathBuf {
        self.cache.folder_of(part)
    }

    /// The cache folder as a whole.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.cache.root()
    }
}
