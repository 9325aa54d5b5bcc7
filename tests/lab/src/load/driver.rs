//! Runs a load: the beat, and the thread it lives on.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};

use super::config::{Config, ConfigError, Plan};
use super::pool::{Answer, Pool};
use super::recorder::{Ended, Recorder};
use super::report::Report;

/// Requests under way at once: 200 requests/s of which none is answered for five seconds. Each may hold a connection, so
/// it is also what keeps a load within the usual limit of file descriptors (1024).
const IN_FLIGHT_MAX: u32 = 1000;

/// A load that runs. Dropping it ends it at once, requests under way included.
#[derive(Debug)]
pub struct Load {
    recorder: Arc<Recorder>,
    stop: watch::Sender<bool>,
    done: oneshot::Receiver<()>,
}

impl Load {
    /// Starts a load on a thread of its own; its first request is sent at once.
    ///
    /// # Errors
    /// When the config is not in order, above all when its target is not on this machine.
    pub fn start(config: &Config) -> Result<Self, ConfigError> {
        let plan = Arc::new(config.plan()?);
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(ConfigError::Thread)?;
        let recorder = Arc::new(Recorder::start(plan.rate));
        let (stop, stopped) = watch::channel(false);
        let (finished, done) = oneshot::channel();
        let driver = Driver { pool: Arc::new(Pool::new(Arc::clone(&plan))), plan, recorder: Arc::clone(&recorder) };
        let thread = std::thread::Builder::new().name("load".to_owned());
        let run = move || {
            runtime.block_on(driver.run(stopped));
            // The other side is gone when the load was dropped: nobody waits.
            let _ = finished.send(());
        };
        thread.spawn(run).map_err(ConfigError::Thread)?;
        Ok(Self { recorder, stop, done })
    }

    /// The account so far; cheap enough to be asked for many times a second.
    #[must_use]
    pub fn snapshot(&self) -> Report {
        self.recorder.snapshot()
    }

    /// Since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.recorder.started().elapsed()
    }

    /// Whether requests are being sent or waited for.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.stop.is_closed()
    }

    /// Sends no more, waits for the requests under way (one request's limit at most), and gives the account.
    pub async fn stop(self) -> Report {
        self.stop.send_replace(true);
        self.wait().await
    }

    /// Waits for the end of the load and gives the account.
    pub async fn wait(self) -> Report {
        let Self { recorder, stop, done } = self;
        // An error means that the thread is gone, which is an end too.
        let _ = done.await;
        drop(stop);
        recorder.snapshot()
    }
}

#[cfg(test)]
impl Load {
    /// What lives as long as the load's thread.
    pub(super) fn recorder(&self) -> Arc<Recorder> {
        Arc::clone(&self.recorder)
    }
}

struct Driver {
    plan: Arc<Plan>,
    pool: Arc<Pool>,
    recorder: Arc<Recorder>,
}

impl Driver {
    async fn run(self, mut stopped: watch::Receiver<bool>) {
        let slots = Arc::new(Semaphore::new(IN_FLIGHT_MAX as usize));
        let start = self.recorder.started();
        let mut n = 0;
        let abandoned = loop {
            let after = self.plan.due(n);
            if after >= self.plan.duration {
                break false;
            }
            let due = start + after;
            if Instant::now() < due {
                tokio::select! {
                    biased;
                    stop = stopped.wait_for(|stop| *stop) => break stop.is_err(),
                    () = sleep_until(due) => {}
                }
            } else if *stopped.borrow() || stopped.has_changed().is_err() {
                break !*stopped.borrow();
            } else {
                // Where the machine stood still, what is overdue is sent while answers are taken, not all of it at once.
                yield_now().await;
            }
            match Arc::clone(&slots).try_acquire_owned() {
                Ok(slot) => {
                    let request = self.request(due);
                    tokio::spawn(async move {
                        request.await;
                        drop(slot);
                    });
                }
                Err(_) => self.recorder.unsent(),
            }
            n += 1;
        };
        if !abandoned {
            tokio::select! {
                // Each request has its own limit; this one is for the sum of their delays.
                _ = timeout(self.plan.timeout * 2, slots.acquire_many(IN_FLIGHT_MAX)) => {}
                _ = stopped.wait_for(|_| false) => {}
            }
        }
        self.recorder.finish();
    }

    /// One request that was due then, from sending to its place in the account.
    fn request(&self, due: Instant) -> impl Future<Output = ()> + Send + 'static {
        let (pool, recorder, limit) = (Arc::clone(&self.pool), Arc::clone(&self.recorder), self.plan.timeout);
        async move {
            let sending = Instant::now();
            recorder.sent(sending.saturating_duration_since(due));
            let answer = timeout(limit, pool.send()).await.unwrap_or_else(|_| Answer::timed_out());
            recorder.ended(&Ended {
                sent: sending.saturating_duration_since(recorder.started()),
                took: sending.elapsed(),
                version: answer.version(),
                fate: answer.fate,
            });
        }
    }
}
