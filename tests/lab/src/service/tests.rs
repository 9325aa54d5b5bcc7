//! The service as its clients see it, on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where its setting fails")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::{Control, ControlServer, Ending, Knobs, Latency, Onset, Override, Service, Share};
use crate::load::{Config, Load};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LIMIT: Duration = Duration::from_secs(10);

struct Running {
    address: SocketAddr,
    metrics: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    ending: JoinHandle<Ending>,
}

impl Running {
    async fn start(knobs: Knobs) -> Self {
        let knobs = Knobs { listen: LOOPBACK, port: 0, metrics_port: 0, ..knobs };
        let service = Service::bind(knobs).await.expect("ports are free");
        let (address, metrics) = (service.address().expect("bound"), service.metrics_address().expect("bound"));
        let (stop, stopped) = oneshot::channel::<()>();
        let ending = tokio::spawn(service.run(async {
            let _ = stopped.await;
        }));
        Self { address, metrics, stop: Some(stop), ending }
    }

    fn terminate(&mut self) {
        drop(self.stop.take());
    }

    async fn ending(self) -> Ending {
        timeout(LIMIT, self.ending).await.expect("it ends in time").expect("it does not panic")
    }

    /// Status and whole text of an answer, or nothing where there is none.
    async fn get(&self, path: &str) -> Option<(u16, String)> {
        get(self.address, path).await
    }

    /// The value of a metric's line.
    async fn metric(&self, series: &str) -> u64 {
        let (_, page) = get(self.metrics, "/metrics").await.expect("metrics are served");
        let line = page.lines().find_map(|line| line.strip_prefix(series));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("no {series} in\n{page}"))
    }
}

async fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer))
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds().await {
        assert!(Instant::now() < deadline, "{what} did not come");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn given_requests_then_only_those_to_the_application_are_counted() {
    let service = Running::start(Knobs { pod_name: Some("pod-a".to_owned()), ..Knobs::default() }).await;
    for path in ["/healthz", "/ready", "/metrics"] {
        assert_eq!(service.get(path).await.map(|(status, _)| status), Some(200), "{path}");
    }
    let (status, text) = service.get("/api/x").await.expect("it answers");
    assert_eq!(status, 200);
    assert!(text.contains("x-version: v1") && text.contains("x-pod: pod-a"), "{text}");
    assert_eq!(service.metric("http_requests_total{code=\"200\",method=\"GET\",path=\"/api\"}").await, 1);
    assert_eq!(service.metric("http_request_duration_seconds_count").await, 1);
}

#[tokio::test]
async fn given_an_error_rate_and_a_load_then_both_sides_count_the_same() {
    let knobs = Knobs { error_rate: Share::clamped(0.2), error_after: Onset::Requests(50), ..Knobs::default() };
    let service = Running::start(knobs).await;
    let mut config = Config::new(format!("http://{}", service.address), 200);
    config.duration = Some(Duration::from_secs(2));
    let load = Load::start(&config).expect("loopback is allowed");
    let report = load.wait().await;

    assert_eq!((report.due, report.unsent, report.in_flight), (400, 0, 0));
    let series = report.by_version("v1").expect("v1 answered");
    assert_eq!(series.count(), 400);
    assert_eq!(series.total.status_5xx, series.failed());
    assert!((35..110).contains(&series.failed()), "70 of 350 are expected: {}", series.failed());
    assert_eq!(report.failed_between(Duration::ZERO, Duration::from_millis(200)), 0);
    assert_eq!(service.metric("http_requests_total{code=\"500\",method=\"GET\",path=\"/\"}").await, series.failed());
    assert_eq!(service.metric("http_request_duration_seconds_bucket{le=\"+Inf\"}").await, 400);
}

#[tokio::test]
async fn given_sigterm_under_load_when_it_drains_then_no_request_is_lost() {
    let knobs = Knobs { latency: Latency::Fixed(Duration::from_millis(300)), drain: Duration::from_secs(2), ..Knobs::default() };
    let mut service = Running::start(knobs).await;
    let load = Load::start(&Config::new(format!("http://{}", service.address), 100)).expect("loopback is allowed");
    until("the first answers", async || load.snapshot().total_sent() > 20).await;

    service.terminate();
    until("unready", async || service.get("/ready").await.is_some_and(|(status, _)| status == 503)).await;
    assert_eq!(service.get("/healthz").await.map(|(status, _)| status), Some(200));
    assert!(service.get("/").await.is_some_and(|(status, text)| status == 200 && text.contains("connection: close")));

    let drained = load.snapshot().total_sent() + 20;
    until("answers while draining", async || load.snapshot().total_sent() > drained).await;
    let report = load.stop().await;
    assert_eq!((report.total_failed(), report.in_flight), (0, 0), "{report:?}");
    assert_eq!(service.ending().await, Ending::Drained);
}

#[tokio::test]
async fn given_a_request_under_way_when_the_drain_is_over_then_it_is_still_answered() {
    let knobs = Knobs { latency: Latency::Fixed(Duration::from_millis(600)), drain: Duration::ZERO, ..Knobs::default() };
    let mut service = Running::start(knobs).await;
    let address = service.address;
    let request = tokio::spawn(async move { get(address, "/").await });
    sleep(Duration::from_millis(100)).await;
    service.terminate();
    assert!(request.await.is_ok_and(|answer| answer.is_some_and(|(status, _)| status == 200)));
    assert_eq!(service.ending().await, Ending::Drained);
    assert_eq!(get(address, "/").await, None);
}

#[tokio::test]
async fn given_a_control_when_it_changes_then_each_version_follows_its_own_part() {
    let control = ControlServer::start(SocketAddr::new(LOOPBACK, 0)).await.expect("a port is free");
    let pod = |version: &str, name: &str| Knobs {
        version: version.parse().expect("a version"),
        pod_name: Some(name.to_owned()),
        control_url: control.url().parse().ok(),
        ..Knobs::default()
    };
    let stable = Running::start(pod("v1", "one")).await;
    let candidate = Running::start(pod("v2", "two")).await;
    assert_eq!(control.wait_for_pods("v2", 1, LIMIT).await, Some(vec!["two".to_owned()]));
    assert_eq!(candidate.get("/").await.map(|(status, _)| status), Some(200));

    control.update(|control| {
        control.by_version.insert("v2".to_owned(), Override { error_rate: Some(1.0), latency_ms: None });
    });
    until("v2's errors", async || candidate.get("/").await.is_some_and(|(status, _)| status == 500)).await;
    assert_eq!(stable.get("/").await.map(|(status, _)| status), Some(200));

    control.set(Control::default());
    until("v2's recovery", async || candidate.get("/").await.is_some_and(|(status, _)| status == 200)).await;
}

#[tokio::test]
async fn given_a_control_that_names_one_pod_then_exactly_that_pod_crashes_and_so_does_its_next_start() {
    let control = ControlServer::start(SocketAddr::new(LOOPBACK, 0)).await.expect("a port is free");
    let knobs =
        |name: &str| Knobs { pod_name: Some(name.to_owned()), control_url: control.url().parse().ok(), ..Knobs::default() };
    let (chosen, spared) = (Running::start(knobs("a")).await, Running::start(knobs("b")).await);
    assert!(control.wait_for_pods("v1", 2, LIMIT).await.is_some());
    control.update(|control| {
        control.crash_pods.insert("a".to_owned());
    });
    assert_eq!(chosen.ending().await, Ending::Crashed);
    assert_eq!(Running::start(knobs("a")).await.ending().await, Ending::Crashed);
    assert_eq!(spared.get("/").await.map(|(status, _)| status), Some(200));
}

#[tokio::test]
async fn given_a_control_that_goes_away_then_the_own_knobs_hold_again() {
    let control = ControlServer::start(SocketAddr::new(LOOPBACK, 0)).await.expect("a port is free");
    control.set(Control { error_rate: Some(1.0), ..Control::default() });
    let knobs = Knobs { control_url: control.url().parse().ok(), ..Knobs::default() };
    let service = Running::start(knobs).await;
    assert_eq!(service.get("/").await.map(|(status, _)| status), Some(500), "overrides hold from the first request");
    drop(control);
    until("the own knobs", async || service.get("/").await.is_some_and(|(status, _)| status == 200)).await;
}

#[tokio::test]
async fn given_knobs_of_life_then_the_service_ends_as_they_say() {
    let crash_after = Some(Duration::from_millis(50));
    let crashing = Knobs { crash_after, ..Knobs::default() };
    assert_eq!(Running::start(crashing.clone()).await.ending().await, Ending::Crashed);
    let spared = Knobs { crash_share: Share::ZERO, ..crashing };
    let mut spared = Running::start(Knobs { drain: Duration::ZERO, ..spared }).await;
    sleep(Duration::from_millis(150)).await;
    spared.terminate();
    assert_eq!(spared.ending().await, Ending::Drained);
    let broken = Running::start(Knobs { start_fail: true, ..Knobs::default() }).await;
    assert_eq!(broken.ending().await, Ending::StartFailed);
}
