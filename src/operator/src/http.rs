//! The operator's own HTTP port: `/healthz`, `/readyz`, `/metrics`. Nothing that decides depends on it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use prometheus_client::{encoding::text::encode, metrics::gauge::Gauge, registry::Registry};

use crate::metrics::Hub;

/// What is told.
pub(crate) struct Vitals {
    /// Whether the API server was reached since the start.
    pub(crate) ready: AtomicBool,
    /// Whether this replica works (holds the lease).
    pub(crate) leads: AtomicBool,
    pub(crate) hub: Arc<Hub>,
}

/// Serves until the process ends.
pub(crate) async fn serve(listen: SocketAddr, vitals: Arc<Vitals>) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(vitals);
    let listener = tokio::net::TcpListener::bind(listen).await?;
    axum::serve(listener, router).await
}

async fn ready(State(vitals): State<Arc<Vitals>>) -> StatusCode {
    if vitals.ready.load(Ordering::Relaxed) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn metrics(State(vitals): State<Arc<Vitals>>) -> Result<String, StatusCode> {
    let mut registry = Registry::with_prefix("firebreak");
    let mut gauge = |name: &str, help: &str, value: i64| {
        let gauge: Gauge = Gauge::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    gauge("leader", "1 while this replica works", i64::from(vitals.leads.load(Ordering::Relaxed)));
    let stats = vitals.hub.stats();
    for (name, help, value) in stats.named() {
        gauge(name, help, i64::try_from(value).unwrap_or(i64::MAX));
    }
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(text)
}
