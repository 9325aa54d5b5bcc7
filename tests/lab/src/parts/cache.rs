//! The cache folder: one folder per part, named after everything that goes into it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use super::recipe::Part;

/// Written last into a part's folder; without it the part does not count.
const COMPLETE: &str = ".complete";

/// `$FIREBREAK_LAB_CACHE`, else `$XDG_CACHE_HOME/firebreak-lab`, else `~/.cache/firebreak-lab`.
///
/// # Errors
/// When none of the variables is set.
pub fn cache_folder() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("FIREBREAK_LAB_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("firebreak-lab")))
        .or_else(|| set("HOME").map(|folder| folder.join(".cache/firebreak-lab")))
        .ok_or_else(|| anyhow!("no place for the lab's programs: set FIREBREAK_LAB_CACHE to a folder with 8 GB free"))
}

/// The cache folder of this machine.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
}

/// Held while parts are being made.
#[derive(Debug)]
pub(crate) struct CacheLock {
    _file: File,
}

impl Cache {
    pub(crate) fn open(root: PathBuf) -> Result<Self> {
        fs::create_dir_all(root.join("parts")).with_context(|| {
            format!("cannot make the cache folder {}: set FIREBREAK_LAB_CACHE to a writable folder", root.display())
        })?;
        Ok(Self { root })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A folder for a tool's own downloads and intermediate results.
    pub(crate) fn tool_folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn folder_of(&self, part: Part) -> PathBuf {
        self.root.join("parts").join(format!("{}-{}-{}", part.name(), part.version(), part.recipe_hash()))
    }

    pub(crate) fn has(&self, part: Part) -> bool {
        self.folder_of(part).join(COMPLETE).exists()
    }

    pub(crate) fn mark_complete(&self, part: Part) -> Result<()> {
        let marker = self.folder_of(part).join(COMPLETE);
        fs::write(&marker, "").with_context(|| format!("cannot write {}", marker.display()))
    }

    /// Removes tools' downloads and intermediate results, and parts of other versions.
    pub(crate) fn prune(&self) -> Result<()> {
        let current: Vec<PathBuf> = Part::ALL.iter().map(|part| self.folder_of(*part)).collect();
        let others = |path: &PathBuf| !current.contains(path);
        let parts = fs::read_dir(self.root.join("parts"))?.flatten().map(|entry| entry.path()).filter(others);
        // `go` and, for each version, what the wheel brought.
        let is_tool = |name: &str| name == "go" || name.starts_with("go-");
        let tools = fs::read_dir(&self.root)?.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_tool));
        for folder in parts.chain(tools.map(|entry| entry.path())) {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        Ok(())
    }

    /// Waits until no other process is making parts.
    pub(crate) fn lock(&self) -> Result<CacheLock> {
        let path = self.root.join("lock");
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        if file.try_lock().is_err() {
            eprintln!("another process is preparing the lab's programs in {}: waiting for it", self.root.display());
            file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        }
        Ok(CacheLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_half_made_part_when_asked_then_it_does_not_count_until_marked() {
        let root = std::env::temp_dir().join(format!("firebreak-lab-cache-{}", std::process::id()));
        let cache = Cache::open(root.clone()).unwrap();
        fs::create_dir_all(cache.folder_of(Part::Etcd)).unwrap();
        fs::write(cache.folder_of(Part::Etcd).join("etcd"), "half").unwrap();
        assert!(!cache.has(Part::Etcd));
        cache.mark_complete(Part::Etcd).unwrap();
        assert!(cache.has(Part::Etcd));
        fs::create_dir_all(root.join("parts/etcd-0.1-old")).unwrap();
        fs::create_dir_all(cache.tool_folder("go-1.2.3")).unwrap();
        cache.prune().unwrap();
        assert!(cache.has(Part::Etcd) && !root.join("parts/etcd-0.1-old").exists() && !root.join("go-1.2.3").exists());
        fs::remove_dir_all(root).unwrap();
    }
}
