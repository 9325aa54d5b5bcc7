//! Opening the repository, what revisions name, and the commits of the change. No figures are worked out here.

use std::path::Path;

use gix::{ObjectId, bstr::ByteSlice as _};

use crate::{agents::Person, error::Error, trailers};

/// Commits that one change has at most. A range with more is no change but a difference of two branches.
pub const RANGE_COMMITS: usize = 10_000;

/// Memory for objects that are read again soon, in bytes, for each thread: most trees of a commit are also its child's.
const OBJECT_CACHE: usize = 64 * 1024 * 1024;
/// Memory for what objects in packs are derived from, in bytes, for each thread.
const PACK_CACHE: usize = 64 * 1024 * 1024;

/// Opens the repository that a folder is in.
///
/// # Errors
/// Where there is none, where it has no checkout, and where its history was cut off.
pub(crate) fn open(folder: &Path) -> Result<gix::ThreadSafeRepository, Error> {
    let repository = gix::discover(folder)
        .map_err(|error| Error::Open { folder: folder.to_owned(), detail: first_line(&error.to_string()) })?;
    if repository.workdir().is_none() {
        return Err(Error::Bare { folder: repository.git_dir().to_owned() });
    }
    match repository.is_shallow() {
        Ok(false) => Ok(repository.into_sync()),
        Ok(true) => Err(Error::Shallow),
        Err(error) => Err(Error::object("the repository's `shallow` file", error)),
    }
}

/// A handle for one thread, with caches.
pub(crate) fn handle(repository: &gix::ThreadSafeRepository) -> gix::Repository {
    let mut repository = repository.to_thread_local();
    repository.object_cache_size(OBJECT_CACHE);
    repository.objects.set_pack_cache(|| Box::new(gix::odb::pack::cache::lru::MemoryCappedHashmap::new(PACK_CACHE)));
    repository
}

/// The commit that a name stands for.
///
/// # Errors
/// Where it stands for none.
pub(crate) fn resolve(repository: &gix::Repository, name: &str) -> Result<ObjectId, Error> {
    let commit = |name: &str| {
        let object = repository.rev_parse_single(name).ok()?.object().ok()?;
        Some(object.peel_to_kind(gix::object::Kind::Commit).ok()?.id)
    };
    commit(name).ok_or_else(|| {
        let remote = format!("origin/{name}");
        let hint = commit(&remote).map(|_| format!(" ({remote} is one)")).unwrap_or_default();
        Error::UnknownRevision { name: name.to_owned(), hint }
    })
}

/// Where two histories parted.
///
/// # Errors
/// Where they have no commit in common.
pub(crate) fn merge_base(
    repository: &gix::Repository,
    base: (&str, ObjectId),
    head: (&str, ObjectId),
) -> Result<ObjectId, Error> {
    match repository.merge_base(base.1, head.1) {
        Ok(Some(found)) => Ok(found.detach()),
        Ok(None) => Err(Error::NoMergeBase { base: base.0.to_owned(), head: head.0.to_owned() }),
        Err(error) => Err(Error::object(format!("the history of {} and {}", base.0, head.0), error)),
    }
}

/// One commit as its object has it.
#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) id: ObjectId,
    pub(crate) tree: ObjectId,
    pub(crate) parents: Vec<ObjectId>,
    pub(crate) author: Person,
    /// When it was committed, in seconds since 1970.
    pub(crate) time: i64,
    pub(crate) message: String,
}

impl Commit {
    /// Reads one.
    pub(crate) fn read(repository: &gix::Repository, id: ObjectId) -> Result<Self, Error> {
        let wrong = |error: &dyn std::fmt::Display| Error::object(format!("commit {id}"), error);
        let object = repository.find_commit(id).map_err(|error| wrong(&error))?;
        let commit = object.decode().map_err(|error| wrong(&error))?;
        let author = commit.author().map_err(|error| wrong(&error))?;
        let committer = commit.committer().map_err(|error| wrong(&error))?;
        let message = commit.message.get(..trailers::LONGEST_MESSAGE).unwrap_or(commit.message);
        Ok(Self {
            id,
            tree: commit.tree(),
            parents: commit.parents().collect(),
            author: Person {
                name: author.name.trim().to_str_lossy().into_owned(),
                email: author.email.trim().to_str_lossy().into_owned(),
            },
            time: committer.seconds(),
            message: message.to_str_lossy().into_owned(),
        })
    }

    /// Whether it joins two histories; what it brings is other commits' work.
    pub(crate) fn is_merge(&self) -> bool {
        self.parents.len() > 1
    }

    /// What its author and its message say.
    pub(crate) fn said(&self) -> trailers::Said {
        trailers::read(&self.author, &self.message)
    }

    /// Its first line.
    pub(crate) fn subject(&self) -> &str {
        self.message.trim_start().lines().next().unwrap_or_default().trim()
    }

    /// Whether it says that it fixes something.
    pub(crate) fn is_fix(&self) -> bool {
        let words = [
            "fix",
            "fixes",
            "fixed",
            "fixing",
            "bugfix",
            "hotfix",
            "bug",
            "bugs",
            "defect",
            "defects",
            "regression",
            "regressions",
        ];
        let subject = self.subject().to_lowercase();
        let in_subject = subject.split(|letter: char| !letter.is_alphanumeric()).any(|word| words.contains(&word));
        in_subject || self.message.lines().skip(1).any(|line| line.trim_start().to_lowercase().starts_with("fixes:"))
    }
}

/// The commits of a range, newest first: those that the head has and the base has not.
///
/// # Errors
/// Where there is none, or more than [`RANGE_COMMITS`].
pub(crate) fn range(repository: &gix::Repository, base: (&str, ObjectId), head: (&str, ObjectId)) -> Result<Vec<Commit>, Error> {
    let wrong = |error: &dyn std::fmt::Display| Error::object(format!("the commits of {}..{}", base.0, head.0), error);
    let sorting = gix::revision::walk::Sorting::ByCommitTime(gix::traverse::commit::simple::CommitTimeOrder::NewestFirst);
    let walk = repository.rev_walk([head.1]).with_hidden([base.1]).sorting(sorting).all().map_err(|error| wrong(&error))?;
    let mut commits = Vec::new();
    for info in walk {
        if commits.len() >= RANGE_COMMITS {
            return Err(Error::TooLong { base: base.0.to_owned(), head: head.0.to_owned() });
        }
        commits.push(Commit::read(repository, info.map_err(|error| wrong(&error))?.id)?);
    }
    if commits.is_empty() {
        return Err(Error::Empty { base: base.0.to_owned(), head: head.0.to_owned() });
    }
    Ok(commits)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim_end_matches(':').to_owned()
}
