//! What a full lab has beside Kubernetes: the metrics source and the gateway, both ordinary processes of this machine.

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::layout::{BRIDGE_ADDRESS, Layout, Ports};
use super::process::Managed;
use super::{GATEWAY, PROMETHEUS};
use crate::parts::{Part, Parts};

/// The namespace and name of the lab's Gateway.
pub const GATEWAY_NAMESPACE: &str = "gateway-system";
/// See [`GATEWAY_NAMESPACE`].
pub const GATEWAY_NAME: &str = "lab";

/// Writes Prometheus's configuration and says how it is started.
pub(crate) fn prometheus(parts: &Parts, layout: &Layout, ports: &Ports) -> Result<Managed> {
    let config = serde_yaml_ng::to_string(&prometheus_config(layout, ports))?;
    fs::write(layout.file("prometheus.yaml"), config).context("cannot write prometheus.yaml in the run folder")?;
    let args = vec![
        format!("--config.file={}", layout.text("prometheus.yaml")),
        format!("--storage.tsdb.path={}", layout.text("prometheus")),
        "--storage.tsdb.retention.time=1d".to_owned(),
        format!("--web.listen-address=127.0.0.1:{}", ports.prometheus),
        format!("--web.listen-address={BRIDGE_ADDRESS}:{}", ports.prometheus),
        "--log.level=info".to_owned(),
    ];
    Ok(Managed::new(parts.program(Part::Prometheus, PROMETHEUS), layout.log(PROMETHEUS), args))
}

fn prometheus_config(layout: &Layout, ports: &Ports) -> Value {
    let annotation = "__meta_kubernetes_pod_annotation_prometheus_io_scrape";
    json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "scrape_configs": [
            {
                "job_name": "pods",
                "kubernetes_sd_configs": [{"role": "pod", "kubeconfig_file": layout.kubeconfig(PROMETHEUS)}],
                "relabel_configs": [
                    // A container port called `metrics`, or the customary annotation.
                    {"source_labels": ["__meta_kubernetes_pod_container_port_name", annotation], "regex": "metrics;.*|.*;true", "action": "keep"},
                    {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Succeeded|Failed", "action": "drop"},
                    {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
                    {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
                    {"source_labels": ["__meta_kubernetes_pod_container_name"], "target_label": "container"},
                ],
            },
            {
                "job_name": "gateway",
                "static_configs": [{"targets": [format!("127.0.0.1:{}", ports.gateway_metrics)]}],
            },
        ],
    })
}

/// How the gateway is started.
pub(crate) fn gateway(parts: &Parts, layout: &Layout, ports: &Ports) -> Managed {
    let metrics = "--metrics.prometheus";
    let args = vec![
        format!("--entrypoints.web.address=127.0.0.1:{}", ports.gateway),
        format!("--entrypoints.metrics.address=127.0.0.1:{}", ports.gateway_metrics),
        "--ping=true".to_owned(),
        "--ping.entrypoint=metrics".to_owned(),
        "--providers.kubernetesgateway=true".to_owned(),
        "--providers.kubernetesgateway.statusaddress.ip=127.0.0.1".to_owned(),
        // The default of 2 s would make every weight change late by as much.
        "--providers.providersthrottleduration=200ms".to_owned(),
        format!("{metrics}=true"),
        format!("{metrics}.entrypoint=metrics"),
        format!("{metrics}.addrouterslabels=true"),
        format!("{metrics}.addserviceslabels=true"),
        "--global.checknewversion=false".to_owned(),
        "--global.sendanonymoususage=false".to_owned(),
        "--log.level=INFO".to_owned(),
        "--log.nocolor=true".to_owned(),
    ];
    Managed::new(parts.program(Part::Traefik, "traefik"), layout.log(GATEWAY), args)
        .with_env("KUBECONFIG", layout.kubeconfig(GATEWAY).to_string_lossy())
}

/// The class and the Gateway that routes attach to, from any namespace.
pub(crate) fn gateway_objects(ports: &Ports) -> Vec<Value> {
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GATEWAY_NAMESPACE}}),
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": "traefik"},
            "spec": {"controllerName": "traefik.io/gateway-controller"},
        }),
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": GATEWAY_NAME, "namespace": GATEWAY_NAMESPACE},
            "spec": {
                "gatewayClassName": "traefik",
                "listeners": [{
                    "name": "web",
                    "protocol": "HTTP",
                    "port": ports.gateway,
                    "allowedRoutes": {"namespaces": {"from": "All"}},
                }],
            },
        }),
    ]
}
