//! What the repository did before the change: its commits with the files each touched, and the changes in the form in which
//! the branch took them. Read newest first, within bounds; each commit object once, no file's content.

use std::{
    collections::{BinaryHeap, HashMap, HashSet},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use gix::ObjectId;

use crate::{Progress, diff::Differ, error::Error, repository, repository::Commit};

/// Commits that are read at most. The newest ones: what is older says little of what is risky now.
pub const HISTORY_COMMITS: usize = 100_000;
/// Touched files that are kept at most, over all commits read, for memory: 12 bytes each. Where they run out fewer commits are read.
const FILE_CHANGES: usize = 10_000_000;
/// Commits in a row that one thread compares: the more, the more trees it finds among those that it has just read.
const LONGEST_CHUNK: usize = 2_048;
/// The fewest, where the history is short.
const SHORTEST_CHUNK: usize = 64;
/// Chunks for each thread, so that all end at about the same time.
const CHUNKS_OF_THREAD: usize = 8;
/// Threads at most; reading is bound by memory beyond that.
const THREADS: usize = 8;

/// A developer, as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Developer(pub(crate) u32);

/// A file, as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FileId(pub(crate) u32);

/// A file that a commit touched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Touch {
    pub(crate) file: FileId,
    pub(crate) from: Option<FileId>,
}

/// One past commit.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) tree: ObjectId,
    parents: Vec<ObjectId>,
    pub(crate) author: Developer,
    pub(crate) time: i64,
    pub(crate) fix: bool,
    pub(crate) touched: Vec<Touch>,
}

impl Past {
    pub(crate) fn is_merge(&self) -> bool {
        self.parents.len() > 1
    }
}

/// One change as the branch took it: a commit on its first-parent line, with all that this commit brought in.
#[derive(Debug, Clone)]
pub(crate) struct Landing {
    /// The commit on the line; an index into [`History::commits`].
    pub(crate) tip: usize,
    /// Its first parent's tree; none for the first commit of all.
    pub(crate) before: Option<ObjectId>,
    /// What it brought in, itself with it, oldest first.
    pub(crate) brought: Vec<usize>,
}

/// Texts as numbers.
#[derive(Debug, Default)]
pub(crate) struct Names(HashMap<String, u32>);

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.0.get(name) {
            return *number;
        }
        let number = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.insert(name.to_owned(), number);
        number
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.0.iter().map(|(name, number)| (name.as_str(), *number))
    }

    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.0.get(name).copied()
    }
}

/// The history that was read.
#[derive(Debug)]
pub(crate) struct History {
    /// Newest first.
    pub(crate) commits: Vec<Past>,
    /// Changes as the branch took them, oldest first.
    pub(crate) landings: Vec<Landing>,
    pub(crate) developers: Names,
    pub(crate) files: Names,
    /// Whether that is all there is.
    pub(crate) whole: bool,
}

/// Reads the newest commits from a tip on.
///
/// # Errors
/// Where an object is missing.
pub(crate) fn read(
    shared: &gix::ThreadSafeRepository,
    tip: ObjectId,
    most: usize,
    progress: &mut dyn FnMut(Progress),
) -> Result<History, Error> {
    let mut developers = Names::default();
    let (ids, mut commits, mut whole) = walk(&repository::handle(shared), tip, most, &mut developers, progress)?;
    let trees: HashMap<ObjectId, ObjectId> = ids.iter().copied().zip(commits.iter().map(|commit| commit.tree)).collect();
    let (touched, files) = touches(shared, &commits, &trees, progress)?;
    if touched.len() < commits.len() {
        whole = false;
        commits.truncate(touched.len());
    }
    for (commit, touched) in commits.iter_mut().zip(touched) {
        commit.touched = touched;
    }
    let landings = landings(&repository::handle(shared), &ids, &commits, &trees)?;
    Ok(History { commits, landings, developers, files, whole })
}

type Walked = (Vec<ObjectId>, Vec<Past>, bool);

/// Commits by the time they were made, newest first; each after a child of its own.
fn walk(
    repository: &gix::Repository,
    tip: ObjectId,
    most: usize,
    developers: &mut Names,
    progress: &mut dyn FnMut(Progress),
) -> Result<Walked, Error> {
    let mut waiting = BinaryHeap::new();
    let mut read: HashMap<ObjectId, Past> = HashMap::new();
    let mut known = HashSet::new();
    let (mut ids, mut commits) = (Vec::new(), Vec::new());
    let mut next = vec![tip];
    loop {
        for id in next.drain(..) {
            if known.insert(id) {
                let commit = Commit::read(repository, id)?;
                waiting.push((commit.time, id));
                let author = Developer(developers.number(&commit.author.identity()));
                let fix = commit.is_fix();
                let Commit { tree, parents, time, .. } = commit;
                read.insert(id, Past { tree, parents, author, time, fix, touched: Vec::new() });
            }
        }
        if commits.len() >= most {
            break;
        }
        let Some((_, id)) = waiting.pop() else { break };
        let Some(commit) = read.remove(&id) else { continue };
        next.extend(commit.parents.iter().copied());
        ids.push(id);
        commits.push(commit);
        if commits.len().is_multiple_of(1_000) {
            progress(Progress::Commits { read: commits.len() });
        }
    }
    Ok((ids, commits, waiting.is_empty()))
}

/// What one thread found in a stretch of commits, with paths in its own numbers.
struct Chunk {
    number: usize,
    thread: usize,
    touched: Vec<Vec<Touch>>,
}

/// The files that each commit touched against its first parent; merges are left out. Shorter than the commits where the
/// bound on touched files was reached.
fn touches(
    shared: &gix::ThreadSafeRepository,
    commits: &[Past],
    trees: &HashMap<ObjectId, ObjectId>,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Vec<Vec<Touch>>, Names), Error> {
    let (next, kept) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let chunk = (commits.len() / (threads() * CHUNKS_OF_THREAD)).clamp(SHORTEST_CHUNK, LONGEST_CHUNK);
    let chunks: Vec<&[Past]> = commits.chunks(chunk).collect();
    let number = threads().min(chunks.len().max(1));
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel::<Chunk>(number * 4);
        let (next, kept, chunks) = (&next, &kept, &chunks);
        let workers: Vec<_> = (0..number)
            .map(|thread| {
                let sender = sender.clone();
                scope.spawn(move || -> Result<Names, Error> {
                    let repository = repository::handle(shared);
                    let (mut differ, mut files) = (Differ::default(), Names::default());
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(chunk) = chunks.get(number).filter(|_| kept.load(Ordering::Relaxed) < FILE_CHANGES) else {
                            return Ok(files);
                        };
                        let touched: Vec<Vec<Touch>> = chunk
                            .iter()
                            .map(|commit| touch(&repository, &mut differ, &mut files, trees, commit))
                            .collect::<Result<_, _>>()?;
                        kept.fetch_add(touched.iter().map(Vec::len).sum(), Ordering::Relaxed);
                        // The other side waits for all threads, also where one failed; it goes away early only in a panic.
                        if sender.send(Chunk { number, thread, touched }).is_err() {
                            return Ok(files);
                        }
                    }
                })
            })
            .collect();
        drop(sender);
        let mut found: Vec<Chunk> = Vec::new();
        let mut done = 0;
        for chunk in receiver {
            done += chunk.touched.len();
            found.push(chunk);
            progress(Progress::Changes { done, of: commits.len() });
        }
        let mut own = Vec::new();
        for worker in workers {
            own.push(worker.join().map_err(|_| Error::object("the history", "a thread of this program ended too early"))??);
        }
        Ok(together(found, own))
    })
}

/// Chunks in order, up to the first that is missing, with paths in common numbers.
fn together(mut found: Vec<Chunk>, own: Vec<Names>) -> (Vec<Vec<Touch>>, Names) {
    let mut files = Names::default();
    let numbers: Vec<Vec<u32>> = own
        .into_iter()
        .map(|own| {
            let mut names: Vec<(String, u32)> = own.0.into_iter().collect();
            names.sort_by_key(|(_, number)| *number);
            names.into_iter().map(|(name, _)| files.number(&name)).collect()
        })
        .collect();
    found.sort_by_key(|chunk| chunk.number);
    let mut touched = Vec::new();
    for (place, chunk) in found.into_iter().enumerate() {
        if chunk.number != place {
            break;
        }
        let numbers = numbers.get(chunk.thread).map_or(&[][..], Vec::as_slice);
        let common = |file: FileId| usize::try_from(file.0).ok().and_then(|own| numbers.get(own)).copied().map_or(file, FileId);
        touched.extend(chunk.touched.into_iter().map(|commit| {
            commit.into_iter().map(|touch| Touch { file: common(touch.file), from: touch.from.map(common) }).collect()
        }));
    }
    (touched, files)
}

fn touch(
    repository: &gix::Repository,
    differ: &mut Differ,
    files: &mut Names,
    trees: &HashMap<ObjectId, ObjectId>,
    commit: &Past,
) -> Result<Vec<Touch>, Error> {
    if commit.is_merge() {
        return Ok(Vec::new());
    }
    let before = commit.parents.first().map(|parent| tree_of(repository, trees, *parent)).transpose()?;
    let changes = differ.compare(repository, before, commit.tree)?;
    Ok(changes
        .into_iter()
        .map(|change| Touch {
            file: FileId(files.number(&change.path)),
            from: change.from.map(|from| FileId(files.number(&from))),
        })
        .collect())
}

fn tree_of(repository: &gix::Repository, trees: &HashMap<ObjectId, ObjectId>, commit: ObjectId) -> Result<ObjectId, Error> {
    match trees.get(&commit) {
        Some(tree) => Ok(*tree),
        None => Ok(Commit::read(repository, commit)?.tree),
    }
}

/// Divides the commits by which commit of the branch's first-parent line brought them in.
fn landings(
    repository: &gix::Repository,
    ids: &[ObjectId],
    commits: &[Past],
    trees: &HashMap<ObjectId, ObjectId>,
) -> Result<Vec<Landing>, Error> {
    let places: HashMap<ObjectId, usize> =
        ids.iter().copied().take(commits.len()).enumerate().map(|(place, id)| (id, place)).collect();
    let parents = |place: usize| commits.get(place).map_or(&[][..], |commit| commit.parents.as_slice());
    let mut line = Vec::new();
    let mut at = (!commits.is_empty()).then_some(0);
    while let Some(place) = at {
        line.push(place);
        at = parents(place).first().and_then(|parent| places.get(parent)).copied();
    }
    let mut taken = vec![false; commits.len()];
    let mut landings = Vec::with_capacity(line.len());
    for tip in line.into_iter().rev() {
        let (mut brought, mut waiting) = (Vec::new(), vec![tip]);
        while let Some(place) = waiting.pop() {
            match taken.get_mut(place) {
                Some(taken) if !*taken => *taken = true,
                _ => continue,
            }
            brought.push(place);
            waiting.extend(parents(place).iter().filter_map(|parent| places.get(parent)));
        }
        // Newest first is the order of places.
        brought.sort_unstable_by(|one, other| other.cmp(one));
        let before = parents(tip).first().map(|parent| tree_of(repository, trees, *parent)).transpose()?;
        landings.push(Landing { tip, before, brought });
    }
    Ok(landings)
}

/// How many threads read.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get).min(THREADS)
}
