//! The operator's own HTTP port: `/healthz`, `/readyz`, `/metrics`. Nothing that decides depends on it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use prometheus_client::{encoding::text::encode, metrics::gauge::Gauge, registry::Registry};

use crate::{gates::Gates, metrics::Hub};

/// What is told.
pub(crate) struct Vitals {
    /// Whether the API server has answered since the start.
    pub(crate) reached: Arc<AtomicBool>,
    /// Whether this replica works (holds the lease).
    pub(crate) leads: AtomicBool,
    pub(crate) hub: Arc<Hub>,
    pub(crate) gates: Arc<Gates>,
}

/// An address that cannot be had, or a server that ended, is tried again this often.
const BEGIN_AGAIN: Duration = Duration::from_secs(5);

/// Serves until the process ends. Where it cannot, it says so and tries again: the work goes on.
pub(crate) async fn serve(listen: SocketAddr, vitals: Arc<Vitals>) {
    loop {
        if let Err(error) = once(listen, Arc::clone(&vitals)).await {
            tracing::error!(%listen, %error, "health and metrics are not served; another --listen may be free");
        }
        tokio::time::sleep(BEGIN_AGAIN).await;
    }
}

async fn once(listen: SocketAddr, vitals: Arc<Vitals>) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(vitals);
    let listener = tokio::net::TcpListener::bind(listen).await?;
    axum::serve(listener, router).await
}

async fn ready(State(vitals): State<Arc<Vitals>>) -> StatusCode {
    if vitals.reached.load(Ordering::Relaxed) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn metrics(State(vitals): State<Arc<Vitals>>) -> Result<String, StatusCode> {
    let mut registry = Registry::with_prefix("firebreak");
    let mut gauge = |name: &str, help: &str, value: i64| {
        let gauge: Gauge = Gauge::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    gauge("leader", "1 while this replica works", i64::from(vitals.leads.load(Ordering::Relaxed)));
    let waiting = i64::try_from(vitals.gates.waiting()).unwrap_or(i64::MAX);
    gauge("queue", "Changes that wait for a place of a limit", waiting);
    let stats = vitals.hub.stats();
    for (name, help, value) in stats.named() {
        gauge(name, help, i64::try_from(value).unwrap_or(i64::MAX));
    }
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::metrics::Limits;

    async fn get(listen: SocketAddr, path: &str) -> std::io::Result<String> {
        let mut stream = tokio::net::TcpStream::connect(listen).await?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok(text)
    }

    #[tokio::test]
    async fn given_a_port_in_use_when_served_then_it_is_tried_again_and_readiness_follows_the_api_server() {
        let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = taken.local_addr().unwrap();
        let reached: Arc<AtomicBool> = Arc::default();
        let hub = Arc::new(Hub::new(None, Limits::default()));
        let vitals =
            Arc::new(Vitals { reached: Arc::clone(&reached), leads: AtomicBool::new(false), hub, gates: Arc::default() });
        let served = tokio::spawn(serve(listen, vitals));
        tokio::task::yield_now().await;
        assert!(!served.is_finished());
        drop(taken);
        let answer = async {
            loop {
                if let Ok(text) = get(listen, "/readyz").await {
                    return text;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let text = tokio::time::timeout(BEGIN_AGAIN * 4, answer).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 503"), "{text}");
        reached.store(true, Ordering::Relaxed);
        assert!(get(listen, "/readyz").await.unwrap().starts_with("HTTP/1.1 200"));
        served.abort();
    }
}
