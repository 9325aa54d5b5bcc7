//! `firebreak run`: win the lease, work, stop when it is lost.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use clap::Args;
use kube::{Client, Config};

use crate::{
    events::Teller,
    gates::Gates,
    http::{self, Vitals},
    lease::Claim,
    metrics::{Hub, Limits},
    supervisor,
};

/// A connection to the API server is made within this. How long an answer may take, each caller says; a watch has no end.
const CONNECT_WITHIN: std::time::Duration = std::time::Duration::from_secs(30);

/// Options of `firebreak run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Query API of Prometheus for Guards that name none.
    #[arg(long, env = "FIREBREAK_PROMETHEUS_URL")]
    pub prometheus_url: Option<String>,
    /// Work only on Guards of this namespace. Default: all.
    #[arg(long, env = "FIREBREAK_NAMESPACE")]
    pub namespace: Option<String>,
    /// Where the health and metrics endpoints listen.
    #[arg(long, default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Namespace of the Lease by which one replica is chosen.
    #[arg(long, env = "POD_NAMESPACE", default_value = "firebreak-system")]
    pub lease_namespace: String,
    /// Name of the Lease.
    #[arg(long, default_value = "firebreak")]
    pub lease_name: String,
    /// Name of this replica; the same after a restart.
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,
}

/// Runs the operator until it is told to stop or loses its lease.
///
/// # Errors
/// Where there is no cluster to talk to.
pub async fn run(options: Run) -> anyhow::Result<()> {
    let mut config = Config::infer().await?;
    config.read_timeout = None;
    config.connect_timeout = Some(CONNECT_WITHIN);
    let client = Client::try_from(config)?;
    let identity = options.identity.clone().unwrap_or_else(hostname);
    let hub = Arc::new(Hub::new(options.prometheus_url.clone(), Limits::default()));
    let claim = Claim::new(client.clone(), &options.lease_namespace, &options.lease_name, &identity);
    let gates: Arc<Gates> = Arc::default();
    let vitals = Arc::new(Vitals {
        reached: Arc::clone(&claim.reached),
        leads: AtomicBool::new(false),
        hub: Arc::clone(&hub),
        gates: Arc::clone(&gates),
    });
    tokio::spawn(http::serve(options.listen, Arc::clone(&vitals)));
    let teller = Teller::start(client.clone(), &identity);
    let mut told = std::pin::pin!(told_to_stop());
    loop {
        let renewed = tokio::select! {
            renewed = claim.win() => renewed,
            () = &mut told => break,
        };
        tracing::info!(identity, "this replica works");
        vitals.leads.store(true, Ordering::Relaxed);
        let until = async {
            tokio::select! {
                () = claim.keep(renewed) => Why::Lost,
                () = &mut told => Why::Told,
            }
        };
        let (hub, namespace) = (Arc::clone(&hub), options.namespace.clone());
        let why = supervisor::run(client.clone(), hub, Arc::clone(&gates), teller.clone(), namespace, until).await;
        vitals.leads.store(false, Ordering::Relaxed);
        match why {
            Why::Lost => tracing::warn!("lease lost; the work has ended"),
            Why::Told => break,
        }
    }
    tracing::info!("told to stop; the work has ended");
    claim.give_back().await;
    Ok(())
}

/// Why the work of a leader ends.
enum Why {
    Lost,
    Told,
}

async fn told_to_stop() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(|_| "firebreak".to_owned(), |name| name.trim().to_owned())
}
