//! What can stop the reading of a repository, each with what to do next.

use std::path::PathBuf;

use crate::{claims::LONGEST_CLAIM, repository::RANGE_COMMITS};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no repository, or it cannot be opened.
    #[error("{} is in no Git repository that can be read ({detail}). Run this in a checkout, or name one with --repository FOLDER", folder.display())]
    Open {
        /// Where one was looked for.
        folder: PathBuf,
        /// The reason.
        detail: String,
    },
    /// A repository without a checkout.
    #[error(
        "{} is a bare repository, which has no checkout. Run this in a clone of it: git clone {} checkout && cd checkout",
        folder.display(), folder.display()
    )]
    Bare {
        /// The repository.
        folder: PathBuf,
    },
    /// A clone without its history.
    #[error(
        "this is a shallow clone: its history was cut off, so nothing can be said of how this change compares. Fetch all of it: \
         `git fetch --unshallow`; in GitHub Actions give actions/checkout `fetch-depth: 0`, in GitLab CI set `GIT_DEPTH: 0`"
    )]
    Shallow,
    /// A name that stands for no commit.
    #[error(
        "{name} is no revision of this repository{hint}. Fetch it (git fetch origin), or name a branch, tag or commit that is here; `git branch -a` lists the branches"
    )]
    UnknownRevision {
        /// The name.
        name: String,
        /// A name that would do, as ` (origin/main is one)`, or nothing.
        hint: String,
    },
    /// Two histories that never met.
    #[error(
        "{base} and {head} have no commit in common, so there is no change from one to the other. Name as --base the branch that {head} \
         is to be merged into"
    )]
    NoMergeBase {
        /// The base.
        base: String,
        /// The head.
        head: String,
    },
    /// Nothing was changed.
    #[error(
        "there is no commit in {base}..{head}: {head} holds nothing that {base} has not. Name as --base where the change began, for \
         example --base HEAD~1 for the last commit, or the commit that is deployed now"
    )]
    Empty {
        /// The base.
        base: String,
        /// The head.
        head: String,
    },
    /// More than one change.
    #[error(
        "{base}..{head} holds more than {RANGE_COMMITS} commits: this is no single change. Name as --base the commit that is deployed now"
    )]
    TooLong {
        /// The base.
        base: String,
        /// The head.
        head: String,
    },
    /// An object is missing or cannot be read.
    #[error(
        "cannot read {what} ({detail}). In a partial clone (--filter) objects are missing: fetch them with \
         `git fetch --refetch --no-filter`, or clone without a filter. Else check the repository: git fsck"
    )]
    Object {
        /// What was read.
        what: String,
        /// The reason.
        detail: String,
    },
    /// The file of Agent Trace records cannot be read.
    #[error("{}: cannot be read ({detail}). Name a file of Agent Trace records, JSON or JSON lines", path.display())]
    Records {
        /// The file.
        path: PathBuf,
        /// The reason.
        detail: String,
    },
    /// An address that Firebreak would not accept.
    #[error(
        "--change-url {0}: write an address that begins with https:// or http://, without spaces, of at most {LONGEST_CLAIM} bytes"
    )]
    ChangeUrl(String),
}

impl Error {
    /// An object that could not be read.
    pub(crate) fn object(what: impl Into<String>, error: impl std::fmt::Display) -> Self {
        Self::Object { what: what.into(), detail: error.to_string() }
    }

    /// Whether the command line asks for what is not there, as opposed to a repository that cannot be read.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        !matches!(self, Self::Object { .. } | Self::Shallow)
    }
}
