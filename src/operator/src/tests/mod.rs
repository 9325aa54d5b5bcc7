//! A turn's parts against an API server in memory, as specifications.

mod api_server;
mod fitting;
mod forgetting;
mod leaving;
mod naming;
mod owning;
mod prompt;
pub(crate) mod rollout;
mod stray;
mod unread;
mod unreadable;
mod unwritable;
mod without_policy;

use api_server::{ApiServer, Fault};
use firebreak_api::Change;
use firebreak_engine::{Effect, Observation, units::Millis};

use crate::{
    act::{ActError, Actor},
    eyes::{Found, Looks},
    observe::{self, Given, Live, Objects},
    world::View,
};

const NOW: Millis = Millis(1_800_000_000_000);

/// What a turn sees.
fn seen(view: &View, change: &Change, objects: &Objects) -> Observation {
    let given = Given {
        raised: None,
        guard_changed: false,
        now: NOW,
        looks: Looks::default(),
        seen: Vec::new(),
        pasts: Found::default(),
        guard_leaves: false,
        watching_since: NOW,
        vouched: crate::attest::Vouched::Yes,
    };
    observe::observe(view, change, objects, &[], given)
}

/// Carries out effects on what the caches have.
async fn act(server: &ApiServer, view: &View, change: &Change, effects: &[Effect]) -> Result<(), ActError> {
    let objects = Objects::find(view, change, &Live::new());
    Actor::new(&server.client(), change, &objects, &[]).going_back(true).run(effects).await
}
