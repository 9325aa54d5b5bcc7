//! How cases that run side by side share this machine.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

/// Requests per second that two cores carry beside the cluster's own work. With 600 the gateway stood still for seconds.
const CAPACITY: u32 = 400;
/// What a case without load counts as: its pods, its operator and its questions.
const LEAST: u32 = 50;
/// Longer than all cases together.
const TURN_WITHIN: Duration = Duration::from_secs(3600);

/// First come, first served: who wants all of it is not overtaken by those who want less.
pub struct Machine(Semaphore);

impl Default for Machine {
    fn default() -> Self {
        Self(Semaphore::new(CAPACITY as usize))
    }
}

impl Machine {
    /// Waits for room for a load of so many requests per second, beside others.
    ///
    /// # Errors
    /// When there is none within an hour.
    pub async fn share(&self, requests: u32) -> Result<SemaphorePermit<'_>> {
        self.room_for(requests.clamp(LEAST, CAPACITY)).await
    }

    /// Waits until nobody else has a share of it, for cases that measure time or break what everyone uses.
    ///
    /// # Errors
    /// When that is not so within an hour.
    pub async fn alone(&self) -> Result<SemaphorePermit<'_>> {
        self.room_for(CAPACITY).await
    }

    async fn room_for(&self, requests: u32) -> Result<SemaphorePermit<'_>> {
        let room = timeout(TURN_WITHIN, self.0.acquire_many(requests)).await;
        Ok(room.with_context(|| format!("no room for {requests} requests/s on this machine within an hour"))??)
    }
}
