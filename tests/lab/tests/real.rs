//! The lab itself, for real: what it starts works, what it takes down is gone. One at a time, since only one full lab can be up.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends where its setting fails")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use firebreak_lab::cluster::{Existing, leftovers, until, workspace_binary};
use firebreak_lab::faults::{GitOps, Manner, MetricsProxy, Mode};
use firebreak_lab::{Component, Lab, Options};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::api::ListParams;
use tokio::sync::Mutex;

/// Held by the test that runs.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

const SOON: Duration = Duration::from_secs(60);

/// Kernel settings a lab may change while it is up.
fn kernel() -> BTreeMap<&'static str, String> {
    let names =
        ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "net/ipv4/ip_forward"];
    names.into_iter().map(|name| (name, std::fs::read_to_string(format!("/proc/sys/{name}")).unwrap())).collect()
}

fn left_by(name: &str) -> Vec<String> {
    leftovers().into_iter().filter(|line| line.contains(name)).collect()
}

/// `lab up --foreground`, ready.
fn foreground(name: &str) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["up", "--foreground", "--size", "control-plane", "--name", name])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("export KUBECONFIG="));
    // Nobody reads the rest, but closing the pipe would end the program.
    std::thread::spawn(move || lines.count());
    child
}

#[tokio::test]
async fn given_a_control_plane_when_users_come_then_each_has_their_own_rights_and_policies_are_there() {
    let _one = ONE_AT_A_TIME.lock().await;
    let lab = Lab::up(Options { name: "users".to_owned(), ..Options::control_plane() }).await.unwrap();
    let kinds = lab.kubectl(&["api-resources", "--api-group=admissionregistration.k8s.io"]).await.unwrap();
    assert!(kinds.lines().any(|line| line.starts_with("mutatingadmissionpolicies ") && line.contains("/v1 ")), "{kinds}");

    let maps = |client| Api::<ConfigMap>::namespaced(client, "default");
    assert!(maps(lab.client().await.unwrap()).list(&ListParams::default()).await.is_ok());
    let ann = lab.client_as("ann", &["developers", "approvers"]).await.unwrap();
    let refused = maps(ann).list(&ListParams::default()).await.unwrap_err().to_string();
    assert!(refused.contains("ann"), "{refused}");
    lab.kubectl(&["create", "clusterrolebinding", "approvers", "--clusterrole=view", "--group=approvers"]).await.unwrap();
    let ann = lab.client_as("ann", &["developers", "approvers"]).await.unwrap();
    until("the second group's rights", SOON, || async { Ok(Some(maps(ann.clone()).list(&ListParams::default()).await?)) })
        .await
        .unwrap();

    let operator = lab.service_account_kubeconfig("default", "default").await.unwrap();
    let who =
        Command::new(lab.kubectl_command().get_program()).env("KUBECONFIG", operator).args(["auth", "whoami"]).output().unwrap();
    assert!(String::from_utf8_lossy(&who.stdout).contains("system:serviceaccount:default:default"), "{who:?}");

    // The same cluster as if it were somebody else's.
    let there = Existing {
        kubeconfig: lab.kubeconfig_path().to_owned(),
        context: Some("lab".to_owned()),
        images: BTreeMap::from([("localhost/ours:1".to_owned(), "example.org/theirs:1".to_owned())]),
        ..Existing::default()
    };
    let foreign = Lab::up(Options { existing: Some(there), ..Options::full() }).await.unwrap();
    foreign.load_image("localhost/ours:1", Path::new("/no/such/binary")).await.unwrap();
    assert_eq!(foreign.image("localhost/ours:1"), ("example.org/theirs:1".to_owned(), "IfNotPresent"));
    assert!(foreign.prometheus_url().unwrap_err().to_string().contains("`--prometheus-url` of `cargo demo`"));
    let who = foreign.client_as("bob", &["developers"]).await.unwrap();
    assert!(maps(who).list(&ListParams::default()).await.unwrap_err().to_string().contains("bob"));
    assert!(foreign.kill(Component::Etcd).is_err());

    lab.down().await.unwrap();
    assert_eq!(left_by("users"), Vec::<String>::new());
}

#[tokio::test]
async fn given_labs_that_crashed_when_started_again_or_taken_down_then_nothing_of_them_is_left() {
    let _one = ONE_AT_A_TIME.lock().await;
    // Killed outright: its processes live on until somebody takes the lab down, here by starting it again.
    let mut killed = foreground("crash");
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(left_by("process etcd of lab crash").len(), 1, "{:?}", leftovers());
    assert!(Lab::attach("crash").unwrap().is_none());
    let lab = Lab::up(Options { name: "crash".to_owned(), ..Options::control_plane() }).await.unwrap();

    // In use: refused.
    let refused = Lab::up(Options { name: "crash".to_owned(), ..Options::control_plane() }).await.unwrap_err();
    assert!(refused.to_string().contains("`cargo lab down --name crash`"), "{refused}");
    drop(lab);
    assert_eq!(left_by("crash"), Vec::<String>::new());

    // Asked to end: takes its lab with it.
    let mut asked = foreground("crash");
    let id = i32::try_from(asked.id()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGTERM).unwrap();
    asked.wait().unwrap();
    assert_eq!(left_by("crash"), Vec::<String>::new());
}

#[tokio::test]
async fn given_a_full_lab_when_a_service_runs_in_it_then_users_reach_it_metrics_see_it_and_faults_pass() {
    let _one = ONE_AT_A_TIME.lock().await;
    // A lab that crashed earlier may have left its settings: the machine's own are those after it is down.
    for name in Lab::names() {
        if Lab::attach(&name).unwrap().is_none() {
            Lab::down_by_name(&name).unwrap();
        }
    }
    let kernel_before = kernel();
    let lab = Lab::up(Options { name: "full".to_owned(), ..Options::full() }).await.unwrap();
    let service = workspace_binary("firebreak-lab", "demo-service").unwrap();
    lab.load_image("localhost/demo:1", &service).await.unwrap();
    lab.apply(SHOP).await.unwrap();
    let client = lab.client().await.unwrap();
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "shop");
    let ready = || async {
        let status = deployments.get("checkout").await?.status.unwrap_or_default();
        Ok((status.ready_replicas == Some(3)).then_some(()))
    };
    until("three pods", SOON, ready).await.unwrap();

    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
    let through_gateway = || async {
        let answer = http.get(lab.gateway_url()?).header("host", "checkout.local").send().await?;
        Ok(answer.status().is_success().then_some(()))
    };
    until("an answer through the gateway", SOON, through_gateway).await.unwrap();

    let proxy = MetricsProxy::start(&lab.prometheus_url().unwrap(), lab.host_address_for_pods().unwrap().into()).await.unwrap();
    let seen = || async {
        let url = format!("{}/api/v1/query?query=up%7Bnamespace%3D%22shop%22%7D%3D%3D1", proxy.url());
        let answer: serde_json::Value = http.get(url).send().await?.json().await?;
        anyhow::Ok(answer["data"]["result"].as_array().map(Vec::len))
    };
    let rows = |wanted: usize| move |found: Option<usize>| found.filter(|found| *found == wanted);
    until("the pods' metrics", SOON, || async { Ok(rows(3)(seen().await?)) }).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(client.clone(), "shop");
    let one = pods.list(&ListParams::default()).await.unwrap().items.remove(0).metadata.name.unwrap();
    proxy.set(Mode::Partial { pods: vec![one] }).await.unwrap();
    assert_eq!(seen().await.unwrap(), Some(2));
    proxy.set(Mode::Pass).await.unwrap();

    // A pod reaches the API server by what Kubernetes tells every pod, without a kube-proxy.
    let kubectl = std::path::PathBuf::from(lab.kubectl_command().get_program());
    lab.load_image("localhost/kubectl:1", &kubectl).await.unwrap();
    lab.apply(WHO_AM_I).await.unwrap();
    let said = || async {
        let said = lab.kubectl(&["--namespace=shop", "logs", "who-am-i"]).await?;
        Ok(said.contains("system:serviceaccount:shop:default").then_some(()))
    };
    until("a pod's answer from the API server", SOON, said).await.unwrap();

    // Prometheus forgets everything, and learns it again on the same address.
    lab.kill(Component::Prometheus).unwrap();
    lab.erase_metrics().unwrap();
    lab.start(Component::Prometheus).await.unwrap();
    until("the pods' metrics again", SOON, || async { Ok(rows(3)(seen().await?)) }).await.unwrap();

    for component in Component::ALL {
        lab.restart(component).await.unwrap();
    }
    let frozen = lab.freeze(Component::ApiServer).unwrap();
    let hung = tokio::time::timeout(Duration::from_secs(2), deployments.get("checkout")).await;
    assert!(hung.is_err(), "an API server that hangs has answered");
    drop(frozen);
    until("three pods after every restart", SOON, ready).await.unwrap();

    for manner in [Manner::ClientSide, Manner::ServerSide, Manner::Replace] {
        let tool = GitOps::start(&lab, SHOP_AGAIN, manner, Duration::from_millis(100)).unwrap();
        lab.kubectl(&["--namespace=shop", "patch", "configmap", "settings", "--patch", r#"{"data":{"colour":"red"}}"#])
            .await
            .unwrap();
        tool.wait_for_rounds(1, SOON).await.unwrap();
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "shop");
        assert_eq!(maps.get("settings").await.unwrap().data.unwrap()["colour"], "blue", "{manner:?}: {:?}", tool.errors());
        tool.stop().await.unwrap();
    }

    lab.down().await.unwrap();
    assert_eq!(leftovers(), Vec::<String>::new());
    assert_eq!(kernel(), kernel_before);
}

const WHO_AM_I: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: who-am-i, namespace: shop}
spec:
  restartPolicy: Never
  containers:
  - name: kubectl
    image: localhost/kubectl:1
    imagePullPolicy: Never
    command: [/kubectl, auth, whoami]
"#;

const SHOP_AGAIN: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {colour: blue}
";

const SHOP: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {colour: blue}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: checkout, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: checkout}}
  template:
    metadata: {labels: {app: checkout}}
    spec:
      automountServiceAccountToken: false
      containers:
      - name: checkout
        image: localhost/demo:1
        imagePullPolicy: Never
        ports: [{name: http, containerPort: 8080}, {name: metrics, containerPort: 9090}]
        resources: {requests: {cpu: 10m}}
        readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: checkout, namespace: shop}
spec:
  selector: {app: checkout}
  ports: [{name: http, port: 80, targetPort: http}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: checkout, namespace: shop}
spec:
  parentRefs: [{name: lab, namespace: gateway-system}]
  hostnames: [checkout.local]
  rules: [{backendRefs: [{name: checkout, port: 80}]}]
"#;
