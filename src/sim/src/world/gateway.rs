//! The routes, and the gateway that follows them: late, and not always to the letter.

use std::collections::VecDeque;

use firebreak_engine::{observation::Traffic, units::Weight};

use super::Gateway;
use crate::random::Random;

/// Who writes the routes as they were.
const OTHER: &str = "argocd";

/// What the Service and the routes say.
pub(super) struct Routes {
    pub(super) pinned: bool,
    pub(super) service: bool,
    carries: bool,
    /// The candidate's share, thousandths.
    share: f64,
    /// What the routes said when, for the gateway that follows later.
    said: VecDeque<(f64, f64)>,
    /// The share that the gateway gives now, thousandths.
    pub(super) given: f64,
    reverted: bool,
    chance: Random,
}

impl Routes {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            pinned: false,
            service: false,
            carries: false,
            share: 0.0,
            said: VecDeque::new(),
            given: 0.0,
            reverted: false,
            chance: Random::new(seed, 4),
        }
    }

    pub(super) fn write(&mut self, weight: Weight) {
        (self.carries, self.share, self.reverted) = (true, f64::from(weight.as_permille()), false);
    }

    pub(super) fn zero(&mut self) {
        self.share = 0.0;
    }

    pub(super) fn restore(&mut self) {
        (self.carries, self.share, self.reverted) = (false, 0.0, false);
    }

    /// The share that the gateway gives in this second: what the routes said a lag ago, as it understands them.
    pub(super) fn share(&mut self, gateway: &Gateway, second: f64) -> f64 {
        if self.carries && gateway.reverted_every.is_some_and(|mean| self.chance.chance(1.0 / mean)) {
            (self.carries, self.share, self.reverted) = (false, 0.0, true);
        }
        self.said.push_back((second, self.share));
        let heard = second - gateway.lag;
        while self.said.get(1).is_some_and(|(at, _)| *at <= heard) {
            self.said.pop_front();
        }
        let said = self.said.front().filter(|(at, _)| *at <= heard).map_or(0.0, |(_, share)| *share);
        self.given = (said * gateway.gives.at(second)).min(1000.0);
        self.given
    }

    pub(super) fn seen(&self) -> Traffic {
        Traffic {
            pinned: self.pinned,
            candidate_service: self.service,
            largest_share: self.share,
            smallest_share: self.share,
            carries_candidate: self.carries,
            unreadable: false,
            contention: self.reverted.then(|| OTHER.to_owned()),
            problem: None,
        }
    }
}
