//! What a change in a Git repository says of its own risk: its measures, where it stands among the changes that this
//! repository took before, who or what wrote it, who reviewed it; as the annotations that Firebreak reads.
//!
//! Holds: the way from a repository ([`repository`], `history`, `diff`, `lines`) by facts ([`paths`], [`agents`],
//! [`trailers`], [`trace`], `records`, `ledger`) to measures ([`measure`]), a score ([`score`]), claims ([`claims`]) and their forms
//! ([`mod@format`]). Does not hold: what a level of risk leads to, which is the engine's and the policy's; anything of a cluster;
//! any output to a terminal. Start at [`run`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

pub mod agents;
pub mod claims;
mod diff;
pub mod error;
pub mod format;
mod history;
mod ledger;
mod lines;
pub mod measure;
pub mod paths;
mod records;
pub mod repository;
pub mod score;
pub mod trace;
pub mod trailers;
mod words;

pub use claims::Claims;
pub use error::Error;
pub use format::{Format, write};
pub use history::HISTORY_COMMITS;
pub use lines::LARGEST_FILE;

use claims::{Basis, Read};
use diff::{Differ, FileChange};
use history::{Developer, History, Landing};
use ledger::{Ledger, Subject};
use lines::Counted;
use measure::Measures;
use repository::Commit;
use score::Sample;
use trace::About;
use trailers::Contribution;
use words::{count, float};

/// Past changes that a change is compared with: enough that one percent is ten of them. Their lines are counted, which is the
/// costly part.
pub const SAMPLE_CHANGES: usize = 1_000;
/// Files of past changes whose lines are counted, over all of the sample, for time; where they run out the sample is smaller.
const SAMPLE_FILES: usize = 20_000;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// A folder in the checkout.
    pub folder: PathBuf,
    /// The revision that the change is to be merged into, or that is deployed.
    pub base: String,
    /// The revision with the change.
    pub head: String,
    /// Where people can look at the change.
    pub change_url: Option<String>,
    /// A file of Agent Trace records besides those in the repository.
    pub records: Option<PathBuf>,
    /// Commits that are read at most; more than [`HISTORY_COMMITS`] is the same as that.
    pub history: usize,
}

/// How far the reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Commits are listed.
    Commits {
        /// So far.
        read: usize,
    },
    /// Their files are worked out.
    Changes {
        /// Commits that are done.
        done: usize,
        /// All of them.
        of: usize,
    },
    /// Lines of past changes are counted.
    Lines {
        /// Changes that are done.
        done: usize,
        /// All of them.
        of: usize,
    },
}

/// Works out what is to be claimed of the change from `base` to `head`: what is on `head` and not on `base`.
///
/// # Errors
/// [`Error`], each with what to do next.
pub fn run(request: &Request, progress: &mut dyn FnMut(Progress)) -> Result<Claims, Error> {
    let change_url = request.change_url.as_deref().map(checked_url).transpose()?;
    let shared = repository::open(&request.folder)?;
    let local = repository::handle(&shared);
    let base = (request.base.as_str(), repository::resolve(&local, &request.base)?);
    let head = (request.head.as_str(), repository::resolve(&local, &request.head)?);
    let fork = repository::merge_base(&local, base, head)?;
    let commits = repository::range(&local, base, head)?;

    let history = history::read(&shared, fork, request.history.clamp(1, HISTORY_COMMITS), progress)?;
    let past = sample(&shared, &local, &history, progress)?;
    let (before, after) = (Commit::read(&local, fork)?.tree, Commit::read(&local, head.1)?.tree);
    let changes = Differ::default().compare(&local, Some(before), after)?;
    let files = lines::count(&local, &changes)?;

    let (sample, measures) = measure(&history, &past, &commits, &files);
    let read = Read { commits: history.commits.len(), whole_history: history.whole, changes_compared_with: sample.size() };
    let (traced, unread) = traced(&local, head.1, request.records.as_deref(), &commits, &files)?;
    let notes = notes(&files, unread);
    Ok(Claims::new(Basis { commits: &commits, measures: &measures, sample: &sample, read, traced, change_url, notes }))
}

/// A past change with its files counted.
struct PastChange<'a> {
    landing: &'a Landing,
    files: Vec<Counted>,
}

/// The newest changes of the history that touched files, oldest first, within bounds.
fn sample<'a>(
    shared: &gix::ThreadSafeRepository,
    local: &gix::Repository,
    history: &'a History,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<PastChange<'a>>, Error> {
    let mut differ = Differ::default();
    let (mut landings, mut changes): (Vec<&Landing>, Vec<Vec<FileChange>>) = (Vec::new(), Vec::new());
    let mut files = 0;
    for landing in history.landings.iter().rev() {
        let Some(tip) = history.commits.get(landing.tip) else { continue };
        let change = differ.compare(local, landing.before, tip.tree)?;
        files += change.len().min(lines::COUNTED_FILES);
        if landings.len() >= SAMPLE_CHANGES || (files > SAMPLE_FILES && landings.len() >= score::SMALLEST_SAMPLE) {
            break;
        }
        if !change.is_empty() {
            landings.push(landing);
            changes.push(change);
        }
    }
    landings.reverse();
    changes.reverse();
    let of = changes.len();
    let counted = lines::count_all(shared, &changes, |done| progress(Progress::Lines { done, of }))?;
    Ok(landings.into_iter().zip(counted).map(|(landing, files)| PastChange { landing, files }).collect())
}

/// Goes through the history once and measures the past changes and the change, each with what was known then.
fn measure(history: &History, past: &[PastChange<'_>], commits: &[Commit], files: &[Counted]) -> (Sample, Measures) {
    let mut ledger = Ledger::new(history);
    let mut measured = Vec::with_capacity(past.len());
    let mut past = past.iter().peekable();
    for landing in &history.landings {
        if let Some(change) = past.next_if(|change| change.landing.tip == landing.tip) {
            measured.push(ledger.measure(&past_subject(history, landing, &change.files)));
        }
        for commit in landing.brought.iter().filter_map(|place| history.commits.get(*place)) {
            ledger.enter(commit);
        }
    }
    let own = claims::own(commits);
    let author = claims::authors(&own, &[]).first().and_then(|author| history.developers.find(&author.identity())).map(Developer);
    let time = commits.first().map_or(0, |head| head.time);
    let fix = own.iter().any(|commit| commit.is_fix());
    let measures = ledger.measure(&Subject { author, time, fix, files });
    (Sample::new(&measured), measures)
}

/// A past change as it was then.
fn past_subject<'a>(history: &History, landing: &Landing, files: &'a [Counted]) -> Subject<'a> {
    let own = || landing.brought.iter().rev().filter_map(|place| history.commits.get(*place)).filter(|commit| !commit.is_merge());
    let mut authors: Vec<(Developer, usize)> = Vec::new();
    for commit in own() {
        match authors.iter_mut().find(|(author, _)| *author == commit.author) {
            Some((_, number)) => *number += 1,
            None => authors.push((commit.author, 1)),
        }
    }
    let most = authors.iter().map(|(_, number)| *number).max();
    let author = authors.into_iter().find(|(_, number)| Some(*number) == most).map(|(author, _)| author);
    let time = history.commits.get(landing.tip).map_or(0, |tip| tip.time);
    Subject { author, time, fix: own().any(|commit| commit.fix), files }
}

/// What Agent Trace records say of the change, and how many files of them were not read.
fn traced(
    repository: &gix::Repository,
    head: gix::ObjectId,
    named: Option<&Path>,
    commits: &[Commit],
    files: &[Counted],
) -> Result<((Contribution, BTreeSet<String>), usize), Error> {
    let ids = commits.iter().flat_map(|commit| commit.parents.iter().copied().chain([commit.id]));
    let revisions: BTreeSet<String> = ids.map(|id| id.to_string()).collect();
    let paths: BTreeSet<String> = files.iter().filter(|file| file.kind.counts_in_lines()).map(|file| file.path.clone()).collect();
    let about = About { revisions: &revisions, files: &paths };
    let records = records::read(repository, head, named, &about)?;
    Ok(((records.traced.contribution(&about), records.traced.agents), records.unread))
}

/// What of the change was not measured, and which records of it were not read.
fn notes(files: &[Counted], unread: usize) -> Vec<String> {
    let number = |part: fn(&Counted) -> bool| float(files.iter().filter(|file| part(file)).count());
    let left_out = number(|file| !file.kind.counts_in_lines());
    let uncounted = number(|file| file.uncounted);
    let mut notes = Vec::new();
    if left_out > 0.0 {
        notes.push(format!("the lines of {} are not counted: vendored, locked or generated", count(left_out, "file")));
    }
    if uncounted > 0.0 {
        notes.push(format!(
            "the lines of {} are not counted: larger than {} kB, or beyond the first {}",
            count(uncounted, "file"),
            LARGEST_FILE / 1024,
            count(float(lines::COUNTED_FILES), "file")
        ));
    }
    if unread > 0 {
        notes.push(format!(
            "{} of Agent Trace records not read: more than {} MB of them, or more than {} in one place",
            count(float(unread), "file"),
            trace::MOST_BYTES / 1024 / 1024,
            count(float(records::MOST_FILES), "file")
        ));
    }
    notes
}

/// An address that Firebreak accepts.
fn checked_url(url: &str) -> Result<&str, Error> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let fits = rest.is_some_and(|rest| !rest.is_empty())
        && url.len() <= claims::LONGEST_CLAIM
        && !url.contains(|c: char| c.is_whitespace() || c.is_control());
    if fits { Ok(url) } else { Err(Error::ChangeUrl(url.to_owned())) }
}
