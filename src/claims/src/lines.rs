//! Lines that a change adds and deletes in each of its files, counted as `git diff --numstat` does. The only place that
//! opens files.

use std::sync::atomic::{AtomicUsize, Ordering};

use gix::ObjectId;
use imara_diff::{Algorithm, Diff, InternedInput};

use crate::{diff::FileChange, error::Error, history, paths::Kind, repository};

/// Bytes of the largest file whose lines are counted; larger ones are data, and slow to compare.
pub const LARGEST_FILE: u64 = 1024 * 1024;
/// Files of one change whose lines are counted; of a larger change the first ones, by path.
pub(crate) const COUNTED_FILES: usize = 1_000;
/// Bytes at a file's beginning in which a zero byte tells that it is no text, as Git does it.
const TEXT_LOOK: usize = 8_000;

/// A file of a change, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) path: String,
    pub(crate) from: Option<String>,
    pub(crate) kind: Kind,
    pub(crate) added: usize,
    pub(crate) deleted: usize,
    /// Lines before.
    pub(crate) before: usize,
    /// Whether its lines should count and could not be counted.
    pub(crate) uncounted: bool,
}

/// Counts one change.
pub(crate) fn count(repository: &gix::Repository, changes: &[FileChange]) -> Result<Vec<Counted>, Error> {
    let mut budget = COUNTED_FILES;
    changes.iter().map(|change| count_file(repository, change, &mut budget)).collect()
}

/// Counts many changes with all threads; each in its place.
pub(crate) fn count_all(
    shared: &gix::ThreadSafeRepository,
    changes: &[Vec<FileChange>],
    mut done: impl FnMut(usize),
) -> Result<Vec<Vec<Counted>>, Error> {
    let next = AtomicUsize::new(0);
    let number = history::threads().min(changes.len().max(1));
    std::thread::scope(|scope| {
        let (sender, receiver) = std::sync::mpsc::sync_channel(number * 4);
        for _ in 0..number {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                let repository = repository::handle(shared);
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(change) = changes.get(place) else { return };
                    if sender.send((place, count(&repository, change))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut all = vec![Vec::new(); changes.len()];
        let mut finished = 0;
        for (place, counted) in receiver {
            let counted = counted?;
            if let Some(entry) = all.get_mut(place) {
                *entry = counted;
            }
            finished += 1;
            done(finished);
        }
        Ok(all)
    })
}

fn count_file(repository: &gix::Repository, change: &FileChange, budget: &mut usize) -> Result<Counted, Error> {
    let kind = Kind::of(&change.path);
    let mut counted =
        Counted { path: change.path.clone(), from: change.from.clone(), kind, added: 0, deleted: 0, before: 0, uncounted: false };
    if !kind.counts_in_lines() || (change.before.is_none() && change.after.is_none()) {
        return Ok(counted);
    }
    if *budget == 0 {
        counted.uncounted = true;
        return Ok(counted);
    }
    *budget -= 1;
    let (Some(before), Some(after)) = (content(repository, change.before)?, content(repository, change.after)?) else {
        counted.uncounted = true;
        return Ok(counted);
    };
    counted.kind = kind.after_look(&change.path, if after.is_empty() { &before } else { &after });
    let is_text = |content: &[u8]| !content.get(..TEXT_LOOK).unwrap_or(content).contains(&0);
    if !counted.kind.counts_in_lines() || !is_text(&before) || !is_text(&after) {
        return Ok(counted);
    }
    counted.before = imara_diff::sources::byte_lines(&before).count();
    if change.before != change.after {
        let input = InternedInput::new(before.as_slice(), after.as_slice());
        let diff = Diff::compute(Algorithm::Myers, &input);
        counted.added = usize::try_from(diff.count_additions()).unwrap_or(usize::MAX);
        counted.deleted = usize::try_from(diff.count_removals()).unwrap_or(usize::MAX);
    }
    Ok(counted)
}

/// A file's content; empty where there is no file, nothing where it is too large.
fn content(repository: &gix::Repository, id: Option<ObjectId>) -> Result<Option<Vec<u8>>, Error> {
    let Some(id) = id else { return Ok(Some(Vec::new())) };
    let wrong = |error: &dyn std::fmt::Display| Error::object(format!("file {id}"), error);
    if repository.find_header(id).map_err(|error| wrong(&error))?.size() > LARGEST_FILE {
        return Ok(None);
    }
    Ok(Some(repository.find_object(id).map_err(|error| wrong(&error))?.detach().data))
}
