//! A Prometheus that can be made to lie: a proxy in front of a real one, whose behaviour is switched while it runs.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

/// Connections waiting to be accepted.
const BACKLOG: u32 = 128;
/// How long Prometheus itself may take.
const UPSTREAM: Duration = Duration::from_secs(60);
/// A query is a few hundred bytes.
const LARGEST_REQUEST: usize = 1 << 20;
/// What [`Mode::Warnings`] adds.
const WARNING: &str = "results may be incomplete (added by the lab)";

/// What the proxy does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Passes it on and passes the answer back.
    Pass,
    /// Nobody listens: connections are refused, open ones are closed.
    Refuse,
    /// Takes the request and never answers; the connection closes when the mode changes.
    Hang,
    /// Adds a warning to the answer, as Prometheus does when one of its sources failed and the rest answered.
    Warnings,
    /// Leaves out the result rows of these pods (by their label `pod`).
    Partial {
        /// Names of pods.
        pods: Vec<String>,
    },
    /// Answers that nothing matched.
    Empty,
    /// Waits before it answers truly.
    Slow(Duration),
    /// Answers with a well-formed result of at least so many bytes.
    Huge(usize),
    /// Answers with this HTTP status and a body that is not JSON.
    Status(u16),
}

/// A proxy in front of a Prometheus; it ends when dropped.
#[derive(Debug)]
pub struct MetricsProxy {
    address: SocketAddr,
    changes: mpsc::Sender<(Mode, oneshot::Sender<()>)>,
    requests: Arc<AtomicU64>,
    server: JoinHandle<()>,
}

/// What every connection needs.
#[derive(Clone)]
struct Shared {
    upstream: Arc<str>,
    client: reqwest::Client,
    mode: watch::Receiver<Mode>,
    requests: Arc<AtomicU64>,
}

impl MetricsProxy {
    /// Starts in front of the Prometheus at `upstream`, on a free port of `address`; begins with [`Mode::Pass`].
    ///
    /// # Errors
    /// When the address is not one of this machine's.
    pub async fn start(upstream: &str, address: IpAddr) -> Result<Self> {
        crate::cluster::install_tls_provider();
        let client = reqwest::Client::builder().no_proxy().timeout(UPSTREAM).build()?;
        let socket = reserve(SocketAddr::new(address, 0))?;
        let address = socket.local_addr()?;
        let listener = socket.listen(BACKLOG)?;
        let (current, mode) = watch::channel(Mode::Pass);
        let (changes, changed) = mpsc::channel(1);
        let requests = Arc::new(AtomicU64::new(0));
        let shared = Shared { upstream: upstream.trim_end_matches('/').into(), client, mode, requests: Arc::clone(&requests) };
        let server = tokio::spawn(async move {
            if let Err(error) = serve(address, listener, &current, changed, shared).await {
                tracing::error!("the metrics proxy has ended: {error:#}");
            }
        });
        Ok(Self { address, changes, requests, server })
    }

    /// Its address, to give to the operator instead of Prometheus's.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes what it does: requests that arrive after this has returned get the new behaviour.
    ///
    /// # Errors
    /// When the proxy has ended, because its port was taken while it refused connections.
    pub async fn set(&self, mode: Mode) -> Result<()> {
        let (done, is_done) = oneshot::channel();
        self.changes.send((mode, done)).await.map_err(|_| anyhow!("the metrics proxy has ended"))?;
        is_done.await.context("the metrics proxy has ended")
    }

    /// How many requests it has received.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for MetricsProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A socket that holds its port without listening: connections to it are refused.
fn reserve(address: SocketAddr) -> Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address).with_context(|| format!("cannot use the address {address}"))?;
    Ok(socket)
}

/// Open or closed, with the port kept either way.
enum Door {
    Open(TcpListener),
    Closed(TcpSocket),
}

async fn serve(
    address: SocketAddr,
    listener: TcpListener,
    current: &watch::Sender<Mode>,
    mut changes: mpsc::Receiver<(Mode, oneshot::Sender<()>)>,
    shared: Shared,
) -> Result<()> {
    let mut door = Door::Open(listener);
    // Dropping the set with the server closes every connection.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            change = changes.recv() => {
                let Some((mode, done)) = change else { return Ok(()) };
                let refuse = mode == Mode::Refuse;
                current.send_replace(mode);
                door = turn(door, refuse, address)?;
                if refuse {
                    connections.shutdown().await;
                }
                // The test may have given up waiting.
                let _heard = done.send(());
            }
            Some(stream) = accept(&door) => {
                connections.spawn(converse(stream, shared.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

fn turn(door: Door, refuse: bool, address: SocketAddr) -> Result<Door> {
    match (door, refuse) {
        (Door::Open(listener), true) => {
            drop(listener);
            Ok(Door::Closed(reserve(address)?))
        }
        (Door::Closed(socket), false) => Ok(Door::Open(socket.listen(BACKLOG)?)),
        (door, _) => Ok(door),
    }
}

async fn accept(door: &Door) -> Option<TcpStream> {
    match door {
        // A failed accept is that client's misfortune.
        Door::Open(listener) => listener.accept().await.ok().map(|(stream, _)| stream),
        Door::Closed(_) => std::future::pending().await,
    }
}

async fn converse(stream: TcpStream, shared: Shared) {
    let service = service_fn(move |request| answer(request, shared.clone()));
    // Clients may close whenever they like.
    let _closed = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    mut shared: Shared,
) -> Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let mode = shared.mode.borrow_and_update().clone();
    let made = match mode {
        Mode::Hang => {
            // An error closes the connection without an answer.
            let _changed = shared.mode.wait_for(|mode| *mode != Mode::Hang).await;
            return Err("hung".into());
        }
        Mode::Huge(bytes) => respond(200, huge(bytes)),
        Mode::Status(status) => respond(status, "not Prometheus".into()),
        Mode::Slow(delay) => {
            tokio::time::sleep(delay).await;
            forward(request, &shared, &mode).await
        }
        Mode::Pass | Mode::Refuse | Mode::Warnings | Mode::Partial { .. } | Mode::Empty => forward(request, &shared, &mode).await,
    };
    match made {
        Ok(response) => Ok(response),
        Err(error) => Ok(respond(502, format!("{error:#}").into())?),
    }
}

async fn forward(request: Request<Incoming>, shared: &Shared, mode: &Mode) -> Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body =
        Limited::new(body, LARGEST_REQUEST).collect().await.map_err(|error| anyhow!("unreadable request: {error}"))?.to_bytes();
    let target = format!("{}{}", shared.upstream, head.uri);
    let mut onward = shared.client.request(head.method, target).body(body);
    if let Some(kind) = head.headers.get(header::CONTENT_TYPE) {
        onward = onward.header(header::CONTENT_TYPE, kind);
    }
    let answer = onward.send().await.context("Prometheus does not answer")?;
    let status = answer.status().as_u16();
    let bytes = answer.bytes().await.context("Prometheus breaks off its answer")?;
    respond(status, alter(bytes, mode)?)
}

fn respond(status: u16, body: Bytes) -> Result<Response<Full<Bytes>>> {
    Ok(Response::builder().status(status).header(header::CONTENT_TYPE, "application/json").body(Full::new(body))?)
}

/// Changes Prometheus's answer as the mode wants it.
fn alter(bytes: Bytes, mode: &Mode) -> Result<Bytes> {
    if !matches!(mode, Mode::Warnings | Mode::Partial { .. } | Mode::Empty) {
        return Ok(bytes);
    }
    let mut answer: Value = serde_json::from_slice(&bytes).context("Prometheus's answer is not JSON")?;
    let Some(fields) = answer.as_object_mut() else { bail!("Prometheus's answer is not an object") };
    if *mode == Mode::Warnings {
        fields.insert("warnings".to_owned(), json!([WARNING]));
    }
    let rows = fields.get_mut("data").and_then(|data| data.get_mut("result")).and_then(Value::as_array_mut);
    if let Some(rows) = rows {
        match mode {
            Mode::Empty => rows.clear(),
            Mode::Partial { pods } => rows.retain(|row| {
                !row.pointer("/metric/pod").and_then(Value::as_str).is_some_and(|pod| pods.iter().any(|name| name == pod))
            }),
            _ => {}
        }
    }
    Ok(serde_json::to_vec(&answer)?.into())
}

/// A vector of made-up rows, at least so many bytes long.
fn huge(bytes: usize) -> Bytes {
    let mut text = String::with_capacity(bytes + 256);
    text.push_str(r#"{"status":"success","data":{"resultType":"vector","result":["#);
    let mut row = 0_u64;
    while text.len() < bytes || row == 0 {
        let comma = if row == 0 { "" } else { "," };
        text.push_str(&format!(r#"{comma}{{"metric":{{"pod":"made-up-{row}"}},"value":[1,"1"]}}"#));
        row += 1;
    }
    text.push_str("]}}");
    text.into()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const TRUTH: &str = r#"{"status":"success","data":{"resultType":"vector","result":[
        {"metric":{"pod":"a"},"value":[1,"1"]},{"metric":{"pod":"b"},"value":[1,"2"]}]}}"#;

    /// Answers every request with the same two rows.
    async fn prometheus() -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service =
                    service_fn(|_: Request<Incoming>| async { respond(200, TRUTH.into()).map_err(|error| error.to_string()) });
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        format!("http://{address}")
    }

    async fn proxy() -> MetricsProxy {
        MetricsProxy::start(&prometheus().await, Ipv4Addr::LOCALHOST.into()).await.unwrap()
    }

    async fn query(proxy: &MetricsProxy, patience: Duration) -> reqwest::Result<Value> {
        let client = reqwest::Client::builder().no_proxy().timeout(patience).build()?;
        client.post(format!("{}/api/v1/query", proxy.url())).body("query=up").send().await?.json().await
    }

    fn pods(answer: &Value) -> Vec<&str> {
        answer["data"]["result"].as_array().unwrap().iter().map(|row| row["metric"]["pod"].as_str().unwrap()).collect()
    }

    const SOON: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn given_modes_that_alter_answers_when_queried_then_each_tells_its_own_story() {
        let proxy = proxy().await;
        assert_eq!(pods(&query(&proxy, SOON).await.unwrap()), ["a", "b"]);
        proxy.set(Mode::Partial { pods: vec!["a".to_owned()] }).await.unwrap();
        assert_eq!(pods(&query(&proxy, SOON).await.unwrap()), ["b"]);
        proxy.set(Mode::Empty).await.unwrap();
        assert!(pods(&query(&proxy, SOON).await.unwrap()).is_empty());
        proxy.set(Mode::Warnings).await.unwrap();
        let warned = query(&proxy, SOON).await.unwrap();
        assert_eq!((pods(&warned), &warned["warnings"][0]), (vec!["a", "b"], &json!(WARNING)));
        proxy.set(Mode::Huge(100_000)).await.unwrap();
        assert!(query(&proxy, SOON).await.unwrap().to_string().len() >= 90_000);
        proxy.set(Mode::Status(503)).await.unwrap();
        assert!(query(&proxy, SOON).await.unwrap_err().is_decode());
        assert_eq!(proxy.requests(), 6);
    }

    #[tokio::test]
    async fn given_a_proxy_that_refuses_when_opened_again_then_it_answers_on_the_same_port() {
        let proxy = proxy().await;
        for _ in 0..3 {
            proxy.set(Mode::Refuse).await.unwrap();
            assert!(query(&proxy, SOON).await.unwrap_err().is_connect());
            proxy.set(Mode::Pass).await.unwrap();
            assert_eq!(pods(&query(&proxy, SOON).await.unwrap()), ["a", "b"]);
        }
    }

    #[tokio::test]
    async fn given_a_proxy_that_hangs_when_queried_then_only_the_clients_own_deadline_ends_it() {
        let proxy = proxy().await;
        proxy.set(Mode::Hang).await.unwrap();
        assert!(query(&proxy, Duration::from_millis(200)).await.unwrap_err().is_timeout());
        proxy.set(Mode::Slow(Duration::from_millis(300))).await.unwrap();
        assert!(query(&proxy, Duration::from_millis(100)).await.unwrap_err().is_timeout());
        assert_eq!(pods(&query(&proxy, SOON).await.unwrap()), ["a", "b"]);
    }
}
