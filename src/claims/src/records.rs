//! Where Agent Trace records are found: in the head's folder `.agent-trace`, in Git notes, in a file that is named.

use std::{io::Read as _, path::Path};

use gix::bstr::ByteSlice as _;

use crate::{
    error::Error,
    trace::{About, MOST_BYTES, Traced},
};

/// The folder in which the reference implementation of the format keeps records.
const FOLDER: &str = ".agent-trace";
/// Git notes that hold records.
const NOTES: &str = "refs/notes/agent-trace";
/// Files of records that are read at most.
const MOST_FILES: usize = 1_000;

/// Reads all records about a change.
///
/// # Errors
/// Where the named file cannot be read. What cannot be read elsewhere says nothing.
pub(crate) fn read(
    repository: &gix::Repository,
    head: gix::ObjectId,
    named: Option<&Path>,
    about: &About<'_>,
) -> Result<Traced, Error> {
    let mut traced = Traced::default();
    let mut left = MOST_BYTES;
    if let Some(path) = named {
        let wrong = |detail: String| Error::Records { path: path.to_owned(), detail };
        let file = std::fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
        let mut text = String::new();
        let limit = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX);
        file.take(limit).read_to_string(&mut text).map_err(|error| wrong(error.to_string()))?;
        traced.read(&text, about);
    }
    let mut add = |data: &[u8]| {
        if data.len() <= left {
            left -= data.len();
            traced.read(&data.to_str_lossy(), about);
        }
    };
    for data in in_folder(repository, head).unwrap_or_default() {
        add(&data);
    }
    for data in in_notes(repository, about).unwrap_or_default() {
        add(&data);
    }
    Ok(traced)
}

fn in_folder(repository: &gix::Repository, head: gix::ObjectId) -> Option<Vec<Vec<u8>>> {
    let tree = repository.find_commit(head).ok()?.tree().ok()?;
    let folder = tree.lookup_entry_by_path(FOLDER).ok()??.object().ok()?.try_into_tree().ok()?;
    let is_record = |name: &[u8]| name.ends_with(b".json") || name.ends_with(b".jsonl");
    let mut all = Vec::new();
    for entry in folder.iter().filter_map(Result::ok).filter(|entry| is_record(entry.filename())).take(MOST_FILES) {
        all.extend(blob(repository, entry.object_id()));
    }
    Some(all)
}

fn in_notes(repository: &gix::Repository, about: &About<'_>) -> Option<Vec<Vec<u8>>> {
    let mut reference = repository.find_reference(NOTES).ok()?;
    let tree = reference.peel_to_commit().ok()?.tree().ok()?;
    let mut all = Vec::new();
    for revision in about.revisions.iter().take(MOST_FILES) {
        // Notes are kept under the commit's id, in folders by its first digits where there are many.
        let places = [Some(revision.clone()), fan_out(revision, 1), fan_out(revision, 2)];
        let found = places.into_iter().flatten().find_map(|place| tree.lookup_entry_by_path(place).ok().flatten());
        all.extend(found.and_then(|entry| blob(repository, entry.object_id())));
    }
    Some(all)
}

/// `a1b2c3...` as `a1/b2c3...` (once) or `a1/b2/c3...` (twice).
fn fan_out(revision: &str, times: usize) -> Option<String> {
    let mut place = String::new();
    let mut rest = revision;
    for _ in 0..times {
        let (folder, name) = rest.split_at_checked(2)?;
        place.push_str(folder);
        place.push('/');
        rest = name;
    }
    Some(place + rest)
}

fn blob(repository: &gix::Repository, id: gix::ObjectId) -> Option<Vec<u8>> {
    let size = repository.find_header(id).ok()?.size();
    (usize::try_from(size).ok()? <= MOST_BYTES)
        .then(|| repository.find_object(id).ok().map(|object| object.detach().data))
        .flatten()
}
