//! What the live view knows, and the messages that change it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use firebreak_api::{Change, Guard};
use jiff::{SignedDuration, Timestamp};

use super::{Ending, How, Until};
use crate::{
    facts::{self, ByAge as _},
    screen::Trend,
};

/// Points of harm evidence kept for the curve: what the widest terminal shows.
pub const HISTORY: usize = 240;
/// Back to this far the harm evidence is compared to say whether it rises: some looks of the operator.
pub const TREND_OVER: SignedDuration = SignedDuration::from_secs(20);
/// A change of evidence that is worth a word.
pub const TREND_FROM: f64 = 0.2;
/// How long the end of a Change stays on the screen before the view ends by itself: long enough to be seen.
pub const LINGER: SignedDuration = SignedDuration::from_secs(3);

/// What the live view knows.
#[derive(Clone, Debug)]
pub struct Model {
    /// Namespace of the Guard.
    pub namespace: String,
    /// Name of the Guard.
    pub guard_name: String,
    /// When the view ends by itself.
    pub until: Until,
    /// The moment.
    pub now: Timestamp,
    /// The Guard; none before it was seen, or where it does not exist.
    pub guard: Option<Guard>,
    /// Its Changes by name.
    pub changes: BTreeMap<String, Change>,
    /// The watches that are connected.
    pub connected: BTreeSet<Source>,
    /// The watches that are not, since when and why.
    pub lost: BTreeMap<Source, Lost>,
    /// Objects that this build cannot read.
    pub note: Option<String>,
    /// The Change whose end ends the view.
    pub followed: Option<String>,
    /// Since when the followed Change is over.
    pub over_since: Option<Timestamp>,
    /// Harm evidence of the shown Change, the oldest first.
    pub history: VecDeque<(Timestamp, f64)>,
    /// What each Change remembered of its harm evidence when it was first seen.
    pub remembered: BTreeMap<String, Vec<(Timestamp, f64)>>,
    /// The Change that `history` is about.
    pub history_of: Option<String>,
    /// Decisions scrolled away at the top, the newest.
    pub scroll: usize,
    /// Set once the view is to end.
    pub end: Option<Ending>,
}

/// A connection that was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub why: String,
}

/// A watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// On the Guard.
    Guard,
    /// On Changes.
    Changes,
}

/// What a watch has seen.
#[derive(Clone, Debug)]
pub enum Seen<K> {
    /// All there is; what was known before is void.
    All(Vec<K>),
    /// One is new or different.
    One(K),
    /// One is gone.
    Gone(String),
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Message {
    /// Time went by.
    Tick(Timestamp),
    /// The watch on the Guard has seen something.
    Guard(Box<Seen<Guard>>),
    /// The watch on Changes has seen something.
    Changes(Box<Seen<Change>>),
    /// A watch cannot reach the API server.
    Lost(Source, String),
    /// An object cannot be read by this build.
    Unreadable(String),
    /// The reader wants to leave.
    Quit,
    /// The reader scrolls: so many decisions down, or up where negative.
    Scroll(isize),
    /// The terminal has another size: draw again.
    Resize,
}

impl Model {
    /// A model that knows nothing yet.
    #[must_use]
    pub fn new(namespace: &str, guard: &str, until: Until, now: Timestamp) -> Self {
        Self {
            namespace: namespace.to_owned(),
            guard_name: guard.to_owned(),
            until,
            now,
            guard: None,
            changes: BTreeMap::new(),
            connected: BTreeSet::new(),
            lost: BTreeMap::new(),
            note: None,
            followed: None,
            over_since: None,
            history: VecDeque::new(),
            remembered: BTreeMap::new(),
            history_of: None,
            scroll: 0,
            end: None,
        }
    }

    /// Whether everything was seen at least once.
    #[must_use]
    pub fn loaded(&self) -> bool {
        self.connected.contains(&Source::Guard) && self.connected.contains(&Source::Changes)
    }

    /// The Change to show: the followed one, else the one that runs, else the newest.
    #[must_use]
    pub fn shown(&self) -> Option<&Change> {
        if let Some(followed) = self.followed.as_ref().filter(|_| self.until == Until::Ended) {
            return self.changes.get(followed);
        }
        let mut changes: Vec<&Change> = self.changes.values().collect();
        changes.newest_first();
        facts::shown(&changes, self.guard.as_ref())
    }

    /// The connection that was lost first, if one is lost now.
    #[must_use]
    pub fn lost_first(&self) -> Option<&Lost> {
        self.lost.values().min_by_key(|lost| lost.since)
    }

    /// Where the harm evidence is going.
    #[must_use]
    pub fn trend(&self) -> Trend {
        let Some(&(_, latest)) = self.history.back() else { return Trend::Steady };
        let before = self.history.iter().find(|(at, _)| self.now.duration_since(*at) <= TREND_OVER);
        match before.map(|(_, before)| latest - before) {
            Some(more) if more >= TREND_FROM => Trend::Rising,
            Some(more) if more <= -TREND_FROM => Trend::Falling,
            _ => Trend::Steady,
        }
    }

    /// The ending, as things stand.
    #[must_use]
    pub fn ending(&self, how: How) -> Ending {
        Ending { how, change: self.shown().cloned() }
    }
}
