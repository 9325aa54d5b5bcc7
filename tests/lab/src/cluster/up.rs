//! Starting a lab: what can run at the same time does, and each step waits for a condition, never for a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::Value;

use super::clients::{client_of, install_tls_provider};
use super::layout::{Layout, NODE, Ports};
use super::pki::{Authority, Identity, write_private};
use super::{
    API_SERVER, CONTAINERD, CONTROLLER_MANAGER, Component, ETCD, GATEWAY, GATEWAY_NAME, GATEWAY_NAMESPACE, KUBELET, Options, Own,
    PROMETHEUS, ProcessId, SCHEDULER, Size, State, addons, control_plane, down, images, kubeconfig, node, state, until,
    workspace_binary,
};
use crate::exec::Tool;
use crate::parts::{Part, Parts, Programs, cache_folder, require_root};
use crate::signals;

/// Each wait of a start; met in seconds, unless the machine is very busy.
const READY: Duration = Duration::from_secs(90);
/// A single question to a component.
const ANSWER: Duration = Duration::from_secs(5);
/// How many of its last lines are shown of a component that died.
const LAST_WORDS: usize = 20;

/// The users of the components, with their groups.
const USERS: [(&str, &str, &[&str]); 6] = [
    (ADMIN, "admin", &["system:masters"]),
    (CONTROLLER_MANAGER, "system:kube-controller-manager", &[]),
    (SCHEDULER, "system:kube-scheduler", &[]),
    (KUBELET, "system:node:lab", &["system:nodes"]),
    (PROMETHEUS, "prometheus", &["system:masters"]),
    (GATEWAY, "gateway", &["system:masters"]),
];
/// The name of the administrator's kubeconfig.
const ADMIN: &str = "admin";

pub(crate) async fn up(options: Options) -> Result<Own> {
    install_tls_provider();
    let prepared = tokio::task::spawn_blocking(move || prepare(&options)).await??;
    let (own, pause) = (prepared.own, prepared.pause);
    match start(&own, pause).await {
        Ok(()) => Ok(own),
        Err(error) => {
            let layout = own.layout.clone();
            let cleared = tokio::task::spawn_blocking(move || down::take_down(&layout)).await?;
            signals::disarm(&own.layout);
            match cleared {
                Ok(()) => Err(error),
                Err(left) => {
                    Err(error
                        .context(format!("and what had been started could not be taken down ({left:#}); try `cargo lab down`")))
                }
            }
        }
    }
}

pub(crate) fn attach(layout: Layout, state: State) -> Result<Own> {
    let (parts, programs) = needed(state.size)?;
    let admin = layout.kubeconfig(ADMIN);
    Ok(Own { admin, layout, parts, programs, state: Mutex::new(state) })
}

struct Prepared {
    own: Own,
    pause: Option<PathBuf>,
    _lock: File,
}

/// Everything before the first process: programs, run folder, keys, configuration files, state.
fn prepare(options: &Options) -> Result<Prepared> {
    let (parts, programs) = needed(options.size)?;
    let pause = programs.as_ref().map(|_| workspace_binary("firebreak-lab", "demo-service")).transpose()?;
    let layout = Layout::of(&options.name)?;
    let lock = lock()?;
    remove_leftovers(&layout, options.size)?;
    layout.make_folders()?;
    let ports = Ports::free()?;
    let authority = Authority::create(&layout)?;
    write_users(&authority, &layout, &control_plane::api_url(options.size, &ports))?;
    let mut components = control_plane::components(&parts, &layout, &ports, options.size);
    if let Some(programs) = &programs {
        components.extend(node::components(programs, &parts, &layout, &ports)?);
        components.insert(PROMETHEUS.to_owned(), addons::prometheus(&parts, &layout, &ports)?);
        components.insert(GATEWAY.to_owned(), addons::gateway(&parts, &layout, &ports));
    }
    let full = options.size == Size::Full;
    let state = State {
        name: options.name.clone(),
        size: options.size,
        owner: ProcessId::this()?,
        keep: options.keep,
        boot: state::boot_id(),
        ports,
        sysctls: if full { node::read_sysctls() } else { BTreeMap::new() },
        new_folders: if full { node::absent_folders() } else { Vec::new() },
        components,
        ready: false,
    };
    // From here on a signal, or another process, can take the lab down.
    state.save(&layout)?;
    signals::arm(&layout);
    let admin = layout.kubeconfig(ADMIN);
    Ok(Prepared { own: Own { admin, layout, parts, programs, state: Mutex::new(state) }, pause, _lock: lock })
}

fn needed(size: Size) -> Result<(Parts, Option<Programs>)> {
    match size {
        Size::ControlPlane => Ok((Parts::fetch(&Part::CONTROL_PLANE)?, None)),
        Size::Full => {
            require_root("a lab that runs pods")?;
            let programs = Programs::find_or_install()?;
            Ok((Parts::fetch(&Part::FULL)?, Some(programs)))
        }
    }
}

/// One lab is started at a time on this machine: ports are chosen and leftovers judged without disturbance.
fn lock() -> Result<File> {
    let path = cache_folder()?.join("up.lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// Takes down what a crashed lab has left; refuses when a lab is in use.
fn remove_leftovers(layout: &Layout, size: Size) -> Result<()> {
    for name in super::Lab::names() {
        let other = Layout::of(&name)?;
        let state = State::load(&other)?;
        let same = other == *layout;
        let both_full = size == Size::Full && state.as_ref().is_none_or(|state| state.size == Size::Full);
        if !same && !both_full {
            continue;
        }
        if state.is_some_and(|state| state.is_in_use()) {
            bail!(
                "the lab {name} is up, and there can be only one{}: take it down first (`cargo lab down --name {name}`)",
                if same { "" } else { " that runs pods" }
            );
        }
        eprintln!("removing what a lab that crashed has left: {name}");
        down::take_down(&other)?;
    }
    let foreign = down::pod_cgroups();
    if size == Size::Full && !foreign.is_empty() {
        bail!("another kubelet seems to run on this machine ({} exists): a lab that runs pods would disturb it", foreign.len());
    }
    Ok(())
}

fn write_users(authority: &Authority, layout: &Layout, server: &str) -> Result<()> {
    for (name, user, groups) in USERS {
        let identity: Identity = authority.client(user, groups)?;
        kubeconfig::write(&layout.kubeconfig(name), server, authority.certificate(), user, &identity)?;
        if name == ADMIN {
            write_private(&layout.file("pki/admin.crt"), &identity.certificate)?;
            write_private(&layout.file("pki/admin.key"), &identity.key)?;
        }
    }
    Ok(())
}

async fn start(own: &Own, pause: Option<PathBuf>) -> Result<()> {
    if let Some(programs) = own.programs.clone() {
        tokio::task::spawn_blocking(move || node::make_bridge(&programs)).await??;
    }
    own.start(ETCD)?;
    own.start(API_SERVER)?;
    tokio::try_join!(start_control_plane(own), start_node(own, pause))?;
    if own.size() == Size::Full {
        start_addons(own).await?;
    }
    own.mark_ready()
}

async fn start_control_plane(own: &Own) -> Result<()> {
    let client = client_of(own.admin_kubeconfig()).await?;
    own.wait(&[ETCD, API_SERVER], "the API server", || answers(&client)).await?;
    own.start(CONTROLLER_MANAGER)?;
    own.start(SCHEDULER)?;
    if own.size() == Size::Full {
        own.start(PROMETHEUS)?;
    }
    install_gateway_api(own).await?;
    // Pods cannot be made before their default service account is there.
    let account = object(&client, "", "v1", "ServiceAccount", Some("default"));
    own.wait(&[CONTROLLER_MANAGER], "the default service account", || present(&account, "default")).await?;
    if own.size() == Size::Full {
        own.start(GATEWAY)?;
    }
    Ok(())
}

/// Starts containerd, and kubelet once both containerd and the API server answer.
async fn start_node(own: &Own, pause: Option<PathBuf>) -> Result<()> {
    let (Some(programs), Some(pause)) = (own.programs.clone(), pause) else { return Ok(()) };
    own.start(CONTAINERD)?;
    own.wait(&[CONTAINERD], "containerd", || containerd_answers(&programs, &own.layout)).await?;
    images::load(programs.clone(), own.layout.clone(), node::PAUSE_IMAGE, &pause, &["pause"]).await?;
    let client = client_of(own.admin_kubeconfig()).await?;
    own.wait(&[ETCD, API_SERVER], "the API server", || answers(&client)).await?;
    own.start(KUBELET)?;
    let nodes = object(&client, "", "v1", "Node", None);
    own.wait(&[KUBELET, CONTAINERD], "the node", || usable_node(&nodes)).await
}

async fn start_addons(own: &Own) -> Result<()> {
    let client = client_of(own.admin_kubeconfig()).await?;
    let prometheus = || answer_of(own, Component::Prometheus);
    let gateways = object(&client, "gateway.networking.k8s.io", "v1", "Gateway", Some(GATEWAY_NAMESPACE));
    let gateway = || has_condition(&gateways, GATEWAY_NAME, "Programmed");
    tokio::try_join!(own.wait(&[PROMETHEUS], "Prometheus", prometheus), own.wait(&[GATEWAY], "the gateway", gateway))?;
    Ok(())
}

/// The Gateway API's resource definitions and, where a gateway runs, its class and Gateway.
async fn install_gateway_api(own: &Own) -> Result<()> {
    let kubectl = |args: &[&str]| {
        Tool::new(own.parts.program(Part::Kubernetes, "kubectl"), READY)
            .env("KUBECONFIG", own.admin_kubeconfig())
            .env("NO_PROXY", "*")
            .args(args)
    };
    let folder = own.parts.folder(Part::GatewayApi);
    kubectl(&["apply", "--server-side", "--field-manager=firebreak-lab", "--filename"]).arg(folder).run_async().await?;
    let names = ["gatewayclasses", "gateways", "httproutes", "grpcroutes", "referencegrants"]
        .map(|name| format!("crd/{name}.gateway.networking.k8s.io"));
    kubectl(&["wait", "--for=condition=Established", "--timeout=60s"]).args(&names).run_async().await?;
    if own.size() == Size::Full {
        let objects = addons::gateway_objects(&own.state().ports);
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
        kubectl(&["apply", "--server-side", "--field-manager=firebreak-lab", "--filename=-"])
            .stdin(list.to_string())
            .run_async()
            .await?;
    }
    Ok(())
}

impl Own {
    /// Starts a component that does not run, and remembers its process at once.
    pub(crate) fn start(&self, name: &str) -> Result<()> {
        let _no_signal_now = signals::starting();
        let mut state = self.state();
        let component = state.components.get_mut(name).ok_or_else(|| anyhow!("this lab has no {name}"))?;
        if component.is_alive() {
            bail!("{name} is already running");
        }
        component.start(self.layout.root())?;
        state.save(&self.layout)
    }

    fn mark_ready(&self) -> Result<()> {
        let mut state = self.state();
        state.ready = true;
        if state.keep {
            signals::disarm(&self.layout);
        }
        state.save(&self.layout)
    }

    /// [`until`], but gives up at once when one of the components it depends on dies.
    pub(crate) async fn wait<T, F, Fut>(&self, components: &[&str], what: &str, mut look: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<Option<T>>>,
    {
        let watched = || {
            let dead = self.dead(components);
            let next = look();
            async move {
                match dead {
                    Some(dead) => Ok(Some(Err(dead))),
                    None => next.await.map(|found| found.map(Ok)),
                }
            }
        };
        match until(what, READY, watched).await {
            Ok(found) => found,
            Err(error) => {
                let words: Vec<String> = components.iter().filter_map(|name| self.last_words(name)).collect();
                Err(error.context(words.join("\n")))
            }
        }
    }

    fn dead(&self, components: &[&str]) -> Option<anyhow::Error> {
        let name = components.iter().find(|name| {
            self.state().components.get(**name).is_some_and(|component| component.process.is_some() && !component.is_alive())
        })?;
        Some(anyhow!("{name} has ended; its last words:\n{}", self.last_words(name).unwrap_or_default()))
    }

    fn last_words(&self, name: &str) -> Option<String> {
        let state = self.state();
        let component = state.components.get(name)?;
        Some(format!("{name}:\n{}", component.last_words(LAST_WORDS)))
    }
}

pub(crate) fn object(client: &Client, group: &str, version: &str, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

async fn answers(client: &Client) -> Result<Option<()>> {
    let request = hyper::Request::get("/readyz").body(Vec::new())?;
    client.request_text(request).await?;
    Ok(Some(()))
}

/// Whether a component does its work.
pub(crate) async fn answer_of(own: &Own, component: Component) -> Result<Option<()>> {
    let ports = own.state().ports;
    match component {
        Component::Etcd | Component::ApiServer => answers(&client_of(own.admin_kubeconfig()).await?).await,
        Component::ControllerManager => answers_http(&format!("https://127.0.0.1:{}/healthz", ports.controller_manager)).await,
        Component::Scheduler => answers_http(&format!("https://127.0.0.1:{}/healthz", ports.scheduler)).await,
        Component::Kubelet => answers_http(&format!("http://127.0.0.1:{}/healthz", ports.kubelet_health)).await,
        Component::Prometheus => answers_http(&format!("http://127.0.0.1:{}/-/ready", ports.prometheus)).await,
        Component::Gateway => answers_http(&format!("http://127.0.0.1:{}/ping", ports.gateway_metrics)).await,
        Component::Containerd => match &own.programs {
            Some(programs) => containerd_answers(programs, &own.layout).await,
            None => Err(anyhow!("this lab has no containerd")),
        },
    }
}

async fn containerd_answers(programs: &Programs, layout: &Layout) -> Result<Option<()>> {
    Tool::new(&programs.ctr, ANSWER).arg("--address").arg(layout.containerd_socket()).arg("version").run_async().await?;
    Ok(Some(()))
}

/// Whether an address of this machine answers with success; the components' own certificates are signed by nobody.
async fn answers_http(url: &str) -> Result<Option<()>> {
    let client = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true).timeout(ANSWER).build()?;
    let answer = client.get(url).send().await?;
    if answer.status().is_success() { Ok(Some(())) } else { Err(anyhow!("{url} answers {}", answer.status())) }
}

async fn present(objects: &Api<DynamicObject>, name: &str) -> Result<Option<()>> {
    Ok(objects.get_opt(name).await?.map(|_| ()))
}

async fn has_condition(objects: &Api<DynamicObject>, name: &str, condition: &str) -> Result<Option<()>> {
    let Some(found) = objects.get_opt(name).await? else { return Ok(None) };
    let conditions = found.data.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let of = |entry: &Value, field: &str| entry.get(field).and_then(Value::as_str).map(str::to_owned);
    let met = conditions
        .iter()
        .any(|entry| of(entry, "type").as_deref() == Some(condition) && of(entry, "status").as_deref() == Some("True"));
    Ok(met.then_some(()))
}

/// Ready, and free of the taint that new nodes carry.
async fn usable_node(nodes: &Api<DynamicObject>) -> Result<Option<()>> {
    if has_condition(nodes, NODE, "Ready").await?.is_none() {
        return Ok(None);
    }
    let node = nodes.get(NODE).await?;
    let tainted = node.data.pointer("/spec/taints").and_then(Value::as_array).is_some_and(|taints| !taints.is_empty());
    Ok((!tainted).then_some(()))
}
