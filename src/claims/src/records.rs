//! Where Agent Trace records are found: in a file that is named, in the head's folder `.agent-trace`, in Git notes; read in this
//! order, within one bound over all of them.

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
/// Files of records that are read at most in each place.
pub(crate) const MOST_FILES: usize = 1_000;

/// What was read.
pub(crate) struct Records {
    pub(crate) traced: Traced,
    /// Files that were found and not read, since there are too many of them or they are too large.
    pub(crate) unread: usize,
}

/// Reads all records about a change.
///
/// # Errors
/// Where the named file cannot be read. What cannot be read elsewhere says nothing.
pub(crate) fn read(
    repository: &gix::Repository,
    head: gix::ObjectId,
    named: Option<&Path>,
    about: &About<'_>,
) -> Result<Records, Error> {
    let mut reading = Reading { repository, about, left: MOST_BYTES, read: Records { traced: Traced::default(), unread: 0 } };
    if let Some(path) = named {
        reading.file(path)?;
    }
    // A place that is not there holds no records.
    let _ = reading.folder(head);
    let _ = reading.notes();
    Ok(reading.read)
}

/// A reading under way.
struct Reading<'a> {
    repository: &'a gix::Repository,
    about: &'a About<'a>,
    /// Bytes that may still be read.
    left: usize,
    read: Records,
}

impl Reading<'_> {
    fn file(&mut self, path: &Path) -> Result<(), Error> {
        let wrong = |detail: String| Error::Records { path: path.to_owned(), detail };
        let file = std::fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
        let mut data = Vec::new();
        let one_more = u64::try_from(self.left).unwrap_or(u64::MAX).saturating_add(1);
        file.take(one_more).read_to_end(&mut data).map_err(|error| wrong(error.to_string()))?;
        if data.len() > self.left {
            return Err(wrong(format!("it is larger than {} MB", MOST_BYTES / 1024 / 1024)));
        }
        let text = String::from_utf8(data).map_err(|error| wrong(error.to_string()))?;
        self.left -= text.len();
        self.read.traced.read(&text, self.about);
        Ok(())
    }

    fn folder(&mut self, head: gix::ObjectId) -> Option<()> {
        let tree = self.repository.find_commit(head).ok()?.tree().ok()?;
        let folder = tree.lookup_entry_by_path(FOLDER).ok()??.object().ok()?.try_into_tree().ok()?;
        let is_record = |name: &[u8]| name.ends_with(b".json") || name.ends_with(b".jsonl");
        for (place, entry) in folder.iter().filter_map(Result::ok).filter(|entry| is_record(entry.filename())).enumerate() {
            if place < MOST_FILES {
                self.blob(entry.object_id());
            } else {
                self.read.unread += 1;
            }
        }
        Some(())
    }

    fn notes(&mut self) -> Option<()> {
        let mut reference = self.repository.find_reference(NOTES).ok()?;
        let tree = reference.peel_to_commit().ok()?.tree().ok()?;
        let mut found = 0;
        for revision in self.about.revisions {
            // Notes are kept under the commit's id, in folders by its first digits where there are many.
            let places = [Some(revision.clone()), fan_out(revision, 1), fan_out(revision, 2)];
            let entry = places.into_iter().flatten().find_map(|place| tree.lookup_entry_by_path(place).ok().flatten());
            let Some(entry) = entry else { continue };
            found += 1;
            if found <= MOST_FILES {
                self.blob(entry.object_id());
            } else {
                self.read.unread += 1;
            }
        }
        Some(())
    }

    /// Reads a blob, if it is no larger than what is left: its size is known before it is.
    fn blob(&mut self, id: gix::ObjectId) {
        let Some(size) = self.repository.find_header(id).ok().and_then(|header| usize::try_from(header.size()).ok()) else {
            return;
        };
        let Some(left) = self.left.checked_sub(size) else {
            self.read.unread += 1;
            return;
        };
        if let Ok(object) = self.repository.find_object(id) {
            self.left = left;
            self.read.traced.read(&object.data.to_str_lossy(), self.about);
        }
    }
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
