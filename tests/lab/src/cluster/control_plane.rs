//! How the store, the API server, the controllers and the scheduler are started.

use std::collections::BTreeMap;

use super::layout::{API_ADDRESS, API_PORT, Layout, Ports, SERVICE_NETWORK};
use super::process::Managed;
use super::{API_SERVER, CONTROLLER_MANAGER, ETCD, SCHEDULER, Size};
use crate::parts::{Part, Parts};

/// The controllers the lab needs; the others would only use memory.
const CONTROLLERS: [&str; 16] = [
    "deployment",
    "replicaset",
    "statefulset",
    "daemonset",
    "endpointslice",
    "garbage-collector",
    "namespace",
    "serviceaccount",
    "serviceaccount-token",
    "root-ca-certificate-publisher",
    "job",
    "horizontal-pod-autoscaler",
    "pod-garbage-collector",
    "disruption",
    "validatingadmissionpolicy-status",
    "clusterrole-aggregation",
];
/// Takes the not-ready taint off the node; without real nodes it would evict the pods of fake ones.
const NODE_CONTROLLER: &str = "node-lifecycle";

/// What every Kubernetes component is told about talking to the API server: a lab is small, its limits may be wide.
const CLIENT_RATE: [&str; 2] = ["--kube-api-qps=300", "--kube-api-burst=600"];

/// The API server's address as this machine sees it.
pub(crate) fn api_url(size: Size, ports: &Ports) -> String {
    match size {
        Size::Full => format!("https://{API_ADDRESS}:{API_PORT}"),
        Size::ControlPlane => format!("https://127.0.0.1:{}", ports.api),
    }
}

/// The components in the order of their starts.
pub(crate) fn components(parts: &Parts, layout: &Layout, ports: &Ports, size: Size) -> BTreeMap<String, Managed> {
    let kubernetes = |name: &str, args: Vec<String>| {
        let component = Managed::new(parts.program(Part::Kubernetes, name), layout.log(name), args);
        (name.to_owned(), component)
    };
    let etcd = Managed::new(parts.program(Part::Etcd, "etcd"), layout.log(ETCD), etcd_args(layout, ports));
    BTreeMap::from([
        (ETCD.to_owned(), etcd),
        kubernetes(API_SERVER, api_server_args(layout, ports, size)),
        kubernetes(CONTROLLER_MANAGER, controller_manager_args(layout, ports, size)),
        kubernetes(SCHEDULER, scheduler_args(layout, ports)),
    ])
}

fn etcd_args(layout: &Layout, ports: &Ports) -> Vec<String> {
    let (client, peer) = (format!("http://127.0.0.1:{}", ports.etcd), format!("http://127.0.0.1:{}", ports.etcd_peer));
    vec![
        "--name=lab".to_owned(),
        format!("--data-dir={}", layout.text("etcd")),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=lab={peer}"),
        // The store need not outlive a power failure, and tests should not wait for a disk.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

fn api_server_args(layout: &Layout, ports: &Ports, size: Size) -> Vec<String> {
    let key = |name: &str| layout.text(&format!("pki/{name}"));
    let listen = match size {
        Size::Full => [
            format!("--bind-address={API_ADDRESS}"),
            format!("--secure-port={API_PORT}"),
            format!("--advertise-address={API_ADDRESS}"),
        ],
        // The advertised address is used by nobody, but must not be a loopback one.
        Size::ControlPlane => [
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", ports.api),
            format!("--advertise-address={API_ADDRESS}"),
        ],
    };
    let mut args = vec![
        format!("--etcd-servers=http://127.0.0.1:{}", ports.etcd),
        format!("--tls-cert-file={}", key("apiserver.crt")),
        format!("--tls-private-key-file={}", key("apiserver.key")),
        format!("--client-ca-file={}", key("ca.crt")),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", key("accounts.pub")),
        format!("--service-account-signing-key-file={}", key("accounts.key")),
        format!("--service-cluster-ip-range={SERVICE_NETWORK}"),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--allow-privileged=true".to_owned(),
        format!("--kubelet-client-certificate={}", key("admin.crt")),
        format!("--kubelet-client-key={}", key("admin.key")),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--profiling=false".to_owned(),
    ];
    args.extend(listen);
    args
}

fn controller_manager_args(layout: &Layout, ports: &Ports, size: Size) -> Vec<String> {
    let node = (size == Size::Full).then_some(NODE_CONTROLLER);
    let controllers: Vec<String> = CONTROLLERS.into_iter().chain(node).map(|name| format!("{name}-controller")).collect();
    let mut args = client_args(layout, CONTROLLER_MANAGER, ports.controller_manager);
    args.extend([
        "--use-service-account-credentials=true".to_owned(),
        format!("--service-account-private-key-file={}", layout.text("pki/accounts.key")),
        format!("--root-ca-file={}", layout.text("pki/ca.crt")),
        format!("--controllers={}", controllers.join(",")),
    ]);
    args
}

fn scheduler_args(layout: &Layout, ports: &Ports) -> Vec<String> {
    client_args(layout, SCHEDULER, ports.scheduler)
}

fn client_args(layout: &Layout, name: &str, port: u16) -> Vec<String> {
    let mut args = vec![
        format!("--kubeconfig={}", layout.kubeconfig(name).display()),
        "--leader-elect=false".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        "--profiling=false".to_owned(),
    ];
    args.extend(CLIENT_RATE.map(str::to_owned));
    args
}
