//! Which Changes have a place of a limit, as this process knows it.
//!
//! One replica works at a time, and each of its Changes says in every turn where it stands; a place is taken here, under one lock,
//! before the turn that needs it is recorded, so that two turns at one moment cannot both take the last. After a start nothing is
//! known yet: a Change that exists and has not said where it stands counts as under way, in every limit it could be in, so places
//! are given again only as far as all have read their recorded status.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use firebreak_api::freezes::Limits;
use firebreak_engine::{gates::Queued, units::Millis};

use super::{
    groups::Groups,
    order::{Entrant, Key, Scope, Waiter, queue},
};

/// Who has not asked for this long does not wait any more: a turn comes twice a second, and a write that hangs takes seconds.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);
/// Names of those before a Change that it is told.
const MOST_BEHIND: usize = 5;

/// Where a Change stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// It has a place.
    UnderWay,
    /// It waits for one, since then.
    Waits(Millis),
    /// Neither.
    Beside,
}

struct Known {
    entrant: Entrant,
    stands: Stands,
    said: Instant,
}

/// Where every Change stands.
#[derive(Default)]
pub(super) struct Places {
    known: Mutex<HashMap<Key, Known>>,
}

/// What is around when a place is asked for.
pub(super) struct Around {
    /// Whether it is known which Changes there are.
    pub(super) listed: bool,
    /// All Changes that are not let go.
    pub(super) held: Vec<Entrant>,
    /// Which workloads belong together.
    pub(super) groups: Arc<Groups>,
}

impl Places {
    fn known(&self) -> MutexGuard<'_, HashMap<Key, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn forget(&self) {
        self.known().clear();
    }

    pub(super) fn waiting(&self) -> usize {
        self.known().values().filter(|one| is_waiting(one)).count()
    }

    /// A Change that asks for nothing says where it stands.
    pub(super) fn stands(&self, entrant: &Entrant, has_place: bool) {
        let stands = if has_place { Stands::UnderWay } else { Stands::Beside };
        self.known().insert(entrant.key.clone(), Known { entrant: entrant.clone(), stands, said: Instant::now() });
    }

    /// A Change is over: it is known as one without a place for as long as it is not let go.
    pub(super) fn leave(&self, key: &Key) {
        let entrant = Entrant { key: key.clone(), scope: Scope::Any, level: None, workload: None, limits: Limits::default() };
        self.known().insert(key.clone(), Known { entrant, stands: Stands::Beside, said: Instant::now() });
    }

    /// Takes a place, or says why there is none.
    pub(super) fn ask(&self, entrant: &Entrant, since: Millis, around: &Around) -> Result<(), Queued> {
        let mut known = self.known();
        // Bounded by the Changes there are: what is over and gone is forgotten.
        let exists = |key: &Key| around.held.iter().any(|held| held.key == *key);
        known.retain(|key, one| one.said.elapsed() < FORGOTTEN_AFTER || exists(key));
        // Taken in a turn that could not be recorded: it is its still.
        let has_place = known.get(&entrant.key).is_some_and(|one| one.stands == Stands::UnderWay);
        let mut stand = |stands| {
            known.insert(entrant.key.clone(), Known { entrant: entrant.clone(), stands, said: Instant::now() });
        };
        if has_place || entrant.limits.is_empty() {
            stand(Stands::UnderWay);
            return Ok(());
        }
        stand(Stands::Waits(since));
        if !around.listed {
            let limit = "which Changes are under way is not read yet".to_owned();
            return Err(Queued { position: 1, of: 1, limit, behind: Vec::new() });
        }
        let unknown = around.held.iter().filter(|held| !known.contains_key(&held.key));
        let under_way = known.values().filter(|one| one.stands == Stands::UnderWay).map(|one| &one.entrant);
        let mut under_way: Vec<&Entrant> = under_way.chain(unknown).collect();
        under_way.sort_by_key(|one| &one.key);
        let waiter = |one: &Known| match one.stands {
            Stands::Waits(since) if is_waiting(one) && one.entrant.scope.meets(&entrant.scope) => {
                Some(Waiter { entrant: one.entrant.clone(), since })
            }
            _ => None,
        };
        let queue = queue(known.values().filter_map(waiter).collect(), &under_way, &around.groups);
        let place = queue.iter().position(|(key, _)| *key == entrant.key);
        match place.and_then(|place| Some((place, queue.get(place)?.1.clone()?))) {
            None => {
                known.insert(
                    entrant.key.clone(),
                    Known { entrant: entrant.clone(), stands: Stands::UnderWay, said: Instant::now() },
                );
                Ok(())
            }
            Some((place, limit)) => {
                let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
                let behind = queue.iter().take(place).map(|(key, _)| key.to_string()).take(MOST_BEHIND);
                Err(Queued { position: count(place + 1), of: count(queue.len()), limit, behind: behind.collect() })
            }
        }
    }
}

fn is_waiting(one: &Known) -> bool {
    matches!(one.stands, Stands::Waits(_)) && one.said.elapsed() < FORGOTTEN_AFTER
}
