//! Which files differ between two trees: by object ids alone, no file is opened. A file that was moved without a change
//! is one file; one that was moved and changed is a deleted one and a new one.

use std::{
    collections::{HashMap, VecDeque},
    ops::ControlFlow,
};

use gix::{
    ObjectId,
    bstr::{BStr, BString, ByteSlice as _},
    diff::tree::{Visit, visit},
    objs::FindExt as _,
};

use crate::error::Error;

/// Files of one change that are listed at most; what goes beyond is not seen. The import of a large project has fewer.
pub(crate) const FILES_OF_CHANGE: usize = 200_000;

/// One file that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileChange {
    /// Its path, where it still is, else where it was.
    pub(crate) path: String,
    /// Its path before, where it was moved.
    pub(crate) from: Option<String>,
    /// Its content before and after; none where it is no file there (also for a submodule).
    pub(crate) before: Option<ObjectId>,
    pub(crate) after: Option<ObjectId>,
}

/// Memory that is used again from one comparison to the next.
#[derive(Default)]
pub(crate) struct Differ {
    state: gix::diff::tree::State,
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Differ {
    /// Compares two trees; none is the empty one.
    pub(crate) fn compare(
        &mut self,
        repository: &gix::Repository,
        before: Option<ObjectId>,
        after: ObjectId,
    ) -> Result<Vec<FileChange>, Error> {
        if before == Some(after) {
            return Ok(Vec::new());
        }
        let hash = repository.object_hash();
        let wrong = |error: &dyn std::fmt::Display| Error::object(format!("tree {after} or what it was made from"), error);
        let empty = || gix::objs::TreeRefIter::from_bytes(&[], hash);
        let old = match before {
            Some(id) => repository.objects.find_tree_iter(&id, &mut self.before).map_err(|error| wrong(&error))?,
            None => empty(),
        };
        let new = repository.objects.find_tree_iter(&after, &mut self.after).map_err(|error| wrong(&error))?;
        let mut seen = Seen::default();
        match gix::diff::tree(old, new, &mut self.state, &repository.objects, &mut seen) {
            Ok(()) | Err(gix::diff::tree::Error::Cancelled) => Ok(joined(seen.changes)),
            Err(error) => Err(wrong(&error)),
        }
    }
}

/// Puts what was deleted here and appears there, the very same, together as moved.
fn joined(changes: Vec<FileChange>) -> Vec<FileChange> {
    let mut gone: HashMap<ObjectId, String> = HashMap::new();
    for change in &changes {
        if let (Some(before), None) = (change.before, change.after)
            && !before.is_empty_blob()
        {
            gone.insert(before, change.path.clone());
        }
    }
    if gone.is_empty() {
        return changes;
    }
    let mut moved = std::collections::HashSet::new();
    let mut kept: Vec<FileChange> = Vec::with_capacity(changes.len());
    for mut change in changes {
        if let (None, Some(after)) = (change.before, change.after)
            && let Some(from) = gone.remove(&after)
        {
            moved.insert(from.clone());
            change.before = Some(after);
            change.from = Some(from);
        }
        kept.push(change);
    }
    kept.retain(|change| change.after.is_some() || !moved.contains(&change.path));
    kept
}

/// Collects files while two trees are walked.
#[derive(Default)]
struct Seen {
    waiting: VecDeque<BString>,
    path: BString,
    changes: Vec<FileChange>,
}

impl Seen {
    fn push(&mut self, component: &BStr) {
        if !component.is_empty() {
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(component);
        }
    }

    fn add(
        &mut self,
        before: Option<(gix::objs::tree::EntryMode, ObjectId)>,
        after: Option<(gix::objs::tree::EntryMode, ObjectId)>,
    ) {
        let is_file = |side: Option<(gix::objs::tree::EntryMode, ObjectId)>| side.is_some_and(|(mode, _)| !mode.is_tree());
        let content = |side: Option<(gix::objs::tree::EntryMode, ObjectId)>| {
            side.filter(|(mode, _)| mode.is_blob_or_symlink()).map(|(_, id)| id)
        };
        if is_file(before) || is_file(after) {
            let (before, after) = (content(before), content(after));
            self.changes.push(FileChange { path: self.path.to_str_lossy().into_owned(), from: None, before, after });
        }
    }
}

impl Visit for Seen {
    fn pop_front_tracked_path_and_set_current(&mut self) {
        self.path = self.waiting.pop_front().unwrap_or_default();
    }

    fn push_back_tracked_path_component(&mut self, component: &BStr) {
        self.push(component);
        self.waiting.push_back(self.path.clone());
    }

    fn push_path_component(&mut self, component: &BStr) {
        self.push(component);
    }

    fn pop_path_component(&mut self) {
        let kept = self.path.rfind_byte(b'/').unwrap_or(0);
        self.path.truncate(kept);
    }

    fn visit(&mut self, change: visit::Change) -> visit::Action {
        match change {
            visit::Change::Addition { entry_mode, oid, .. } => self.add(None, Some((entry_mode, oid))),
            visit::Change::Deletion { entry_mode, oid, .. } => self.add(Some((entry_mode, oid)), None),
            visit::Change::Modification { previous_entry_mode, previous_oid, entry_mode, oid } => {
                self.add(Some((previous_entry_mode, previous_oid)), Some((entry_mode, oid)));
            }
        }
        if self.changes.len() < FILES_OF_CHANGE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}
