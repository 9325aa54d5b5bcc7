//! One running demo service: its ports, its life from start to drain, and the answer to each request.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::behaviour::{self, Moment};
use super::control::{Control, Override, POD_HEADER, VERSION_HEADER};
use super::http;
use super::knobs::Knobs;
use super::metrics::{self, Metrics};
use super::poll::{POLL_EVERY, Poller};
use super::random::Random;

const PLAIN: &str = "text/plain; charset=utf-8";
/// Bodies are read and thrown away, up to here.
const BODY_MAX: usize = 1024 * 1024;
/// So many failed polls in a row (one second's worth) and the pod's own knobs hold again; fewer is a hiccup.
const POLL_FAILURES_MAX: u32 = 5;

/// How a service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was told to stop, went on serving for the drain, and finished what it had begun.
    Drained,
    /// A knob or the control said to crash: nothing was finished.
    Crashed,
    /// START_FAIL: it never served.
    StartFailed,
}

impl Ending {
    /// The exit code of the process.
    #[must_use]
    pub const fn exit_code(self) -> i32 {
        match self {
            Self::Drained => 0,
            Self::Crashed | Self::StartFailed => 1,
        }
    }
}

/// A demo service whose ports are taken.
#[derive(Debug)]
pub struct Service {
    app: Arc<App>,
    requests: TcpListener,
    metrics: TcpListener,
}

/// What all its requests share.
#[derive(Debug)]
struct App {
    knobs: Knobs,
    pod: String,
    pod_header: HeaderValue,
    version_header: HeaderValue,
    started: Instant,
    metrics: Metrics,
    arrived: AtomicU64,
    draining: AtomicBool,
    over: Mutex<Override>,
    random: Mutex<Random>,
}

impl Service {
    /// Takes the ports.
    ///
    /// # Errors
    /// When a port cannot be listened on, or the pod's name cannot be a header.
    pub async fn bind(knobs: Knobs) -> io::Result<Self> {
        let requests = TcpListener::bind((knobs.listen, knobs.port)).await?;
        let metrics = TcpListener::bind((knobs.listen, knobs.metrics_port)).await?;
        let pod = knobs.pod();
        let header = |text: &str| HeaderValue::from_str(text).map_err(io::Error::other);
        let app = App {
            pod_header: header(&pod)?,
            version_header: header(knobs.version.as_str())?,
            started: Instant::now(),
            metrics: Metrics::new(knobs.version.clone()),
            arrived: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            over: Mutex::default(),
            random: Mutex::new(Random::for_pod(&pod)),
            knobs,
            pod,
        };
        Ok(Self { app: Arc::new(app), requests, metrics })
    }

    /// Where requests are served.
    ///
    /// # Errors
    /// When the kernel cannot tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.requests.local_addr()
    }

    /// Where /metrics is served.
    ///
    /// # Errors
    /// When the kernel cannot tell.
    pub fn metrics_address(&self) -> io::Result<SocketAddr> {
        self.metrics.local_addr()
    }

    /// Serves until `stop` and the drain after it, or until a crash is due.
    ///
    /// Dropping the future is a crash: nothing is finished.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Ending {
        let Self { app, requests, metrics } = self;
        if app.knobs.start_fail {
            return Ending::StartFailed;
        }
        // Before the first request is accepted, so that overrides hold for it too.
        let mut follower = Follower::new(&app);
        if follower.says_crash().await {
            return Ending::Crashed;
        }
        tokio::select! {
            () = serve(&app, requests, metrics, stop) => Ending::Drained,
            () = app.crash_due() => Ending::Crashed,
            () = follower.until_crash() => Ending::Crashed,
        }
    }
}

/// Serves both ports; returns when the drain is over and every answer is written.
async fn serve(app: &Arc<App>, requests: TcpListener, metrics: TcpListener, stop: impl Future<Output = ()>) {
    let (closing, closed) = watch::channel(false);
    // Scraped until the very end.
    let (_open, never_closed) = watch::channel(false);
    let listen = |listener, closed| {
        let app = Arc::clone(app);
        http::serve(listener, move |request| Arc::clone(&app).route(request), closed)
    };
    let drain = async {
        stop.await;
        app.draining.store(true, Ordering::Relaxed);
        sleep(app.knobs.drain).await;
        closing.send_replace(true);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = listen(requests, closed) => {}
        () = listen(metrics, never_closed) => {}
        () = drain => {}
    }
}

impl App {
    /// Both ports answer all paths; health and metrics requests are not counted as requests.
    async fn route(self: Arc<Self>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let mut response = match request.uri().path() {
            "/healthz" => http::text(StatusCode::OK, PLAIN, "ok\n"),
            "/ready" | "/readyz" | "/healthz/ready" => self.readiness(),
            "/metrics" => http::text(StatusCode::OK, metrics::CONTENT_TYPE, self.metrics.render()),
            _ => self.answer(request).await,
        };
        let headers = response.headers_mut();
        headers.insert(VERSION_HEADER, self.version_header.clone());
        headers.insert(POD_HEADER, self.pod_header.clone());
        if self.draining.load(Ordering::Relaxed) {
            // Clients come back on a new connection, to another pod; only idle connections are left when the drain ends.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn readiness(&self) -> Response<Full<Bytes>> {
        if self.draining.load(Ordering::Relaxed) {
            http::text(StatusCode::SERVICE_UNAVAILABLE, PLAIN, "draining\n")
        } else if behaviour::is_ready(&self.knobs, self.started.elapsed()) {
            http::text(StatusCode::OK, PLAIN, "ready\n")
        } else {
            http::text(StatusCode::SERVICE_UNAVAILABLE, PLAIN, "not ready\n")
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let arrived = Instant::now();
        let moment = Moment {
            elapsed: self.started.elapsed(),
            clock: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            nth: self.arrived.fetch_add(1, Ordering::Relaxed),
        };
        let over = *lock(&self.over);
        let answer = behaviour::answer(&self.knobs, over, moment, &mut lock(&self.random));
        let (head, body) = request.into_parts();
        if !body.is_end_stream() {
            // Read and forgotten, so that the connection can be used again; a body too long or broken ends it.
            let _ = Limited::new(body, BODY_MAX).collect().await;
        }
        if !answer.delay.is_zero() {
            sleep(answer.delay).await;
        }
        let (status, word) = if answer.failed { (StatusCode::INTERNAL_SERVER_ERROR, "failed") } else { (StatusCode::OK, "ok") };
        self.metrics.count(status.as_u16(), &head.method, head.uri.path(), arrived.elapsed());
        http::text(status, PLAIN, format!("{word} {} {}\n", self.knobs.version, self.pod))
    }

    /// Returns when CRASH_AFTER has passed and this pod is one that obeys it.
    async fn crash_due(&self) {
        match self.knobs.crash_after {
            Some(after) if behaviour::is_in_crash_share(&self.knobs, &self.pod) => {
                sleep(after.saturating_sub(self.started.elapsed())).await;
            }
            _ => std::future::pending().await,
        }
    }
}

/// Keeps the overrides of an [`App`] as its control says.
#[derive(Debug)]
struct Follower<'a> {
    app: &'a App,
    poller: Option<Poller>,
    failures: u32,
}

impl<'a> Follower<'a> {
    fn new(app: &'a App) -> Self {
        let poller = |endpoint| Poller::new(endpoint, app.pod_header.clone(), app.version_header.clone());
        Self { app, poller: app.knobs.control_url.clone().map(poller), failures: 0 }
    }

    /// Reads the control once, and whether it tells this pod to crash.
    async fn says_crash(&mut self) -> bool {
        let Some(poller) = &mut self.poller else {
            return false;
        };
        match poller.poll().await {
            Ok(control) => {
                self.failures = 0;
                self.obey(&control)
            }
            Err(reason) => {
                self.failures = self.failures.saturating_add(1);
                if self.failures == POLL_FAILURES_MAX {
                    eprintln!("control cannot be read, own knobs hold: {reason}");
                    *lock(&self.app.over) = Override::default();
                }
                false
            }
        }
    }

    fn obey(&self, control: &Control) -> bool {
        let over = control.for_version(self.app.knobs.version.as_str());
        let before = std::mem::replace(&mut *lock(&self.app.over), over);
        if before != over {
            eprintln!("control: {over:?}");
        }
        control.crash_pods.contains(&self.app.pod)
    }

    /// Follows the control until it tells this pod to crash.
    async fn until_crash(&mut self) {
        if self.poller.is_none() {
            std::future::pending::<()>().await;
        }
        let mut beat = interval(POLL_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            if self.says_crash().await {
                return;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
