//! A repository that is built in the test, commit by commit, with chosen authors and times.

use gix::{ObjectId, bstr::BStr, objs::tree::EntryKind, refs::transaction::PreviousValue};

/// When the history of every test begins, in seconds since 1970.
const BEGIN: i64 = 1_700_000_000;

/// What a commit does to a file.
#[derive(Clone)]
pub(crate) enum File {
    /// It has this content.
    Is(String),
    /// It is gone.
    Gone,
}

/// So many lines, each different from all others with another mark.
pub(crate) fn lines(mark: &str, numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| format!("{mark} {number}\n")).collect()
}

/// A file with a content.
pub(crate) fn is(path: &str, content: impl Into<String>) -> (String, File) {
    (path.to_owned(), File::Is(content.into()))
}

/// A file that is deleted.
pub(crate) fn gone(path: &str) -> (String, File) {
    (path.to_owned(), File::Gone)
}

/// The repository.
pub(crate) struct Repo {
    /// Where it is.
    pub(crate) folder: tempfile::TempDir,
    git: gix::Repository,
}

impl Repo {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let git = gix::init(folder.path()).unwrap();
        Self { folder, git }
    }

    /// Makes a commit so many days after the beginning; its files are those of its first parent with changes.
    pub(crate) fn commit(
        &self,
        parents: &[ObjectId],
        author: &str,
        day: i64,
        message: &str,
        files: &[(String, File)],
    ) -> ObjectId {
        let tree = match parents.first() {
            Some(parent) => self.git.find_commit(*parent).unwrap().tree_id().unwrap().detach(),
            None => self.git.empty_tree().id,
        };
        let mut editor = self.git.edit_tree(tree).unwrap();
        for (path, file) in files {
            match file {
                File::Is(content) => {
                    let blob = self.git.write_blob(content.as_bytes()).unwrap();
                    editor.upsert(path.as_str(), EntryKind::Blob, blob).unwrap();
                }
                File::Gone => {
                    editor.remove(path.as_str()).unwrap();
                }
            }
        }
        let tree = editor.write().unwrap();
        let time = format!("{} +0000", BEGIN + day * 86_400);
        let (name, email) = author.strip_suffix('>').and_then(|author| author.split_once(" <")).unwrap();
        let signature = gix::actor::SignatureRef { name: <&BStr>::from(name), email: <&BStr>::from(email), time: &time };
        self.git.new_commit_as(signature, signature, message, tree, parents.iter().copied()).unwrap().id
    }

    /// Points a branch, or any reference, to a commit.
    pub(crate) fn point(&self, reference: &str, commit: ObjectId) {
        self.git.reference(reference, commit, PreviousValue::Any, "test").unwrap();
    }

    /// Writes notes for commits, as `git notes --ref` does.
    pub(crate) fn note(&self, reference: &str, commit: ObjectId, text: &str) {
        let files = [is(&commit.to_string(), text)];
        let notes = self.commit(&[], "Notes <notes@example.com>", 0, "Notes", &files);
        self.point(reference, notes);
    }
}
