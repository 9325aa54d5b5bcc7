//! One test's own namespace: a guarded workload with traffic, an operator of its own, and questions about what happened.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use firebreak_api::{
    Change, Guard,
    change::Phase,
    names::{CHANGED_BY, HELD},
};
use firebreak_lab::{
    cluster::until,
    load::{Config, Endpoint, Load, Report, second_line, table},
};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, ObjectMeta, PostParams},
};
use serde_json::{Value, json};

use crate::{
    MINUTE,
    chronicle::Chronicle,
    harm::requests_more,
    manifests::{self, APP, Env, yaml},
    operator::Operator,
    record::{in_effect, phase_of, waits_for},
    world::World,
};

/// Pods come up within this.
pub const PODS_WITHIN: Duration = Duration::from_secs(60);

/// The gateway answers one request within this.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// Guards that are deleted are gone within this.
const GUARDS_LEAVE_WITHIN: Duration = Duration::from_secs(20);

/// One test's namespace.
pub struct Scene<'w> {
    /// The lab.
    pub world: &'w World,
    /// The namespace.
    pub namespace: String,
    /// Its operator.
    pub operator: Operator,
    /// What happened.
    pub chronicle: Chronicle,
}

impl<'w> Scene<'w> {
    /// A fresh namespace with an operator that runs.
    ///
    /// # Errors
    /// When the cluster refuses.
    pub async fn open(world: &'w World, namespace: &str) -> Result<Self> {
        let prometheus = world.lab.prometheus_url()?;
        Self::open_with(world, namespace, &prometheus).await
    }

    /// The same, with another metrics source.
    ///
    /// # Errors
    /// When the cluster refuses.
    pub async fn open_with(world: &'w World, namespace: &str, prometheus: &str) -> Result<Self> {
        let mut scene = Self::open_in_cluster(world, namespace).await?;
        scene.operator = Operator::new(world, namespace, prometheus)?;
        scene.operator.start()?;
        Ok(scene)
    }

    /// A fresh namespace without an operator of its own: one runs in the cluster.
    ///
    /// # Errors
    /// When the cluster refuses.
    pub async fn open_in_cluster(world: &'w World, namespace: &str) -> Result<Self> {
        let namespaces: Api<Namespace> = Api::all(world.admin.clone());
        let object = Namespace {
            metadata: ObjectMeta { name: Some(namespace.to_owned()), ..ObjectMeta::default() },
            ..Namespace::default()
        };
        namespaces.create(&PostParams::default(), &object).await?;
        let operator = Operator::new(world, namespace, &world.lab.prometheus_url()?)?;
        let chronicle = Chronicle::begin(&world.admin, namespace, APP);
        let scene = Self { world, namespace: namespace.to_owned(), operator, chronicle };
        scene.apply(&[manifests::policy()]).await?;
        Ok(scene)
    }

    /// The host name of the scene's route.
    #[must_use]
    pub fn host(&self) -> String {
        format!("{}.test", self.namespace)
    }

    /// Applies objects as a user's tool does that owns them: from the server's side, with force.
    ///
    /// # Errors
    /// When kubectl refuses.
    pub async fn apply(&self, objects: &[Value]) -> Result<()> {
        let mut objects: Vec<Value> = objects.iter().map(|object| self.within(object)).collect();
        objects.iter_mut().try_for_each(|object| self.world.lab.adapt(object))?;
        self.world.lab.apply(&yaml(&objects)).await
    }

    /// An object with this namespace in its metadata.
    #[must_use]
    pub fn within(&self, object: &Value) -> Value {
        let mut object = object.clone();
        if !matches!(object["kind"].as_str(), Some("ClusterRiskPolicy" | "Namespace")) {
            object["metadata"]["namespace"] = json!(self.namespace);
        }
        object
    }

    /// kubectl in this namespace.
    ///
    /// # Errors
    /// When it fails, with what it printed.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        let mut all = vec!["--namespace", &self.namespace];
        all.extend(args);
        self.world.lab.kubectl(&all).await
    }

    /// The CLI as an administrator runs it in this namespace; what it printed.
    ///
    /// # Errors
    /// When it fails, with what it printed.
    pub fn firebreak(&self, args: &[&str]) -> Result<String> {
        let output = Command::new(&self.world.cli_binary)
            .arg("--kubeconfig")
            .arg(self.world.lab.kubeconfig_path())
            .args(["-n", &self.namespace])
            .args(args)
            .output()?;
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "kubectl firebreak {args:?}: {text}");
        Ok(text)
    }

    /// The usual start: the demo service's first version rolled out behind Service and route, guarded, the guard ready.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn guarded(&self, replicas: u32, env: Env<'_>) -> Result<()> {
        self.guarded_by(&manifests::guard(), replicas, env).await
    }

    /// The same with this Guard.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn guarded_by(&self, guard: &Value, replicas: u32, env: Env<'_>) -> Result<()> {
        let objects = [manifests::deployment("v1", replicas, env), manifests::service(), manifests::route(&self.host())];
        self.apply(&objects).await?;
        self.rolled_out().await?;
        self.apply(std::slice::from_ref(guard)).await?;
        self.guard_is("Guarding").await
    }

    /// Waits for the workload's own rollout.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn rolled_out(&self) -> Result<()> {
        self.kubectl(&["rollout", "status", &format!("deployment/{APP}"), "--timeout=120s"]).await.map(|_| ())
    }

    /// Waits until the Guard gives this reason for its condition Ready.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn guard_is(&self, reason: &str) -> Result<()> {
        let api: Api<Guard> = self.api();
        until(&format!("guard {APP} of {} to be {reason}", self.namespace), Duration::from_secs(60), async || {
            let guard = api.get(APP).await?;
            let conditions = guard.status.unwrap_or_default().conditions;
            let found = firebreak_api::conditions::get(&conditions, "Ready").map(|ready| ready.reason.clone());
            if found.as_deref() == Some(reason) { Ok(Some(())) } else { anyhow::bail!("it is {found:?}") }
        })
        .await
    }

    /// Waits until the operator has taken up the Guard as it is now.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn guard_is_seen(&self) -> Result<()> {
        let api: Api<Guard> = self.api();
        until(&format!("guard {APP} of {} to be taken up", self.namespace), Duration::from_secs(60), async || {
            let guard = api.get(APP).await?;
            let seen = guard.status.and_then(|status| status.observed_generation);
            Ok((seen == guard.metadata.generation).then_some(()))
        })
        .await
    }

    /// A namespaced API of the administrator's.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.world.admin.clone(), &self.namespace)
    }

    /// A namespaced API of raw objects.
    #[must_use]
    pub fn raw(&self, group: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural);
        Api::namespaced_with(self.world.admin.clone(), &self.namespace, &resource)
    }

    /// The workload.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn deployment(&self) -> Result<DynamicObject> {
        Ok(self.raw("apps", "Deployment", "deployments").get(APP).await?)
    }

    /// The route.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn route(&self) -> Result<DynamicObject> {
        Ok(self.raw("gateway.networking.k8s.io", "HTTPRoute", "httproutes").get(APP).await?)
    }

    /// Requests at a constant rate through the gateway; ready when ten in a row were answered well.
    ///
    /// # Errors
    /// When the gateway does not answer.
    pub async fn load(&self, rate: u32) -> Result<Load> {
        self.load_of("/", rate).await
    }

    /// The same, for another path.
    ///
    /// # Errors
    /// When the gateway does not answer.
    pub async fn load_of(&self, path: &str, rate: u32) -> Result<Load> {
        let url = self.world.lab.gateway_url()?;
        self.answered(&url).await?;
        let config = Config { host: Some(self.host()), path: path.to_owned(), ..Config::new(url, rate) };
        Ok(Load::start(&config)?)
    }

    /// Status line and headers of the gateway's answer to one request.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn answer_head(&self, path: &str) -> Result<String> {
        let gateway: Endpoint = self.world.lab.gateway_url()?.parse()?;
        let mut stream = TcpStream::connect_timeout(&gateway.address(), ANSWERS_WITHIN)?;
        stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.host())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, _) = answer.split_once("\r\n\r\n").with_context(|| format!("no answer, but {answer:?}"))?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        Ok(head.to_owned())
    }

    /// Waits until the gateway sends requests of this scene's host to the service.
    ///
    /// # Errors
    /// When it does not in time.
    async fn answered(&self, url: &str) -> Result<()> {
        until("the gateway to serve the route", Duration::from_secs(60), async || {
            let config = Config { host: Some(self.host()), duration: Some(Duration::from_millis(500)), ..Config::new(url, 20) };
            let report = Load::start(&config)?.wait().await;
            ensure!(
                report.total_failed() == 0 && report.total_sent() > 0,
                "{} of {} requests failed",
                report.total_failed(),
                report.total_sent()
            );
            Ok(Some(()))
        })
        .await
    }

    /// Ends a load, and checks what it saw: that every request that was due was sent, that each candidate had no more than its
    /// share (I1), and that none that was taken back answered anything more (I3).
    ///
    /// # Errors
    /// The first breach.
    pub async fn finish(&self, load: Load) -> Result<Report> {
        let taken_back = |change: &Change| matches!(phase_of(change), Phase::RolledBack | Phase::Superseded);
        if self.chronicle.changes().last().is_some_and(taken_back) {
            requests_more(&load).await?;
        }
        let report = load.stop().await;
        ensure!(report.unsent == 0, "requests that were due were not sent:\n{}", stalls(&report));
        self.chronicle.check_exposure(&report).with_context(|| format!("in {}", self.namespace))?;
        Ok(report)
    }

    /// Ships a version: its environment over the first one's.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn ship(&self, version: &str, replicas: u32, env: Env<'_>) -> Result<()> {
        self.apply(&[manifests::deployment(version, replicas, env)]).await
    }

    /// All Changes, the oldest first.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn changes(&self) -> Result<Vec<Change>> {
        let mut changes = self.api::<Change>().list(&ListParams::default()).await?.items;
        changes.sort_by_key(|change| change.spec.detected_at);
        Ok(changes)
    }

    /// The newest Change, once there are as many as `count`.
    ///
    /// # Errors
    /// When it does not come in time.
    pub async fn change(&self, count: usize) -> Result<Change> {
        until(&format!("Change number {count} in {}", self.namespace), Duration::from_secs(30), async || {
            let changes = self.changes().await?;
            Ok(if changes.len() >= count { changes.into_iter().nth(count - 1) } else { None })
        })
        .await
    }

    /// Change number `count`, once the weight of a stage is in effect.
    ///
    /// # Errors
    /// When that does not come in time.
    pub async fn exposed(&self, count: usize) -> Result<Change> {
        let change = self.change(count).await?;
        let fits = |change: &Change| phase_of(change) == Phase::Progressing && in_effect(change);
        self.until_change(&change.name_any(), "to be exposed", 4 * MINUTE, fits).await
    }

    /// Waits until a Change fits.
    ///
    /// # Errors
    /// When it does not in time, with what it says then.
    pub async fn until_change(&self, name: &str, what: &str, within: Duration, fits: impl Fn(&Change) -> bool) -> Result<Change> {
        let api: Api<Change> = self.api();
        until(&format!("Change {name} of {} {what}", self.namespace), within, async || {
            let change = api.get(name).await?;
            if fits(&change) {
                return Ok(Some(change));
            }
            let status = change.status.unwrap_or_default();
            anyhow::bail!(
                "it is {:?} at {} %, waiting: {:?}, harm {:?}, evidence {:?}",
                status.phase,
                status.weight_percent,
                status.waiting,
                status.harm,
                status.evidence
            )
        })
        .await
    }

    /// Watches that a Change neither goes on nor goes back for a while, and says why all along.
    ///
    /// # Errors
    /// When it does, or says something else.
    pub async fn stays(&self, name: &str, reasons: &[&str], lasting: Duration) -> Result<()> {
        let api: Api<Change> = self.api();
        let before = api.get(name).await?.status.unwrap_or_default();
        let end = Instant::now() + lasting;
        while Instant::now() < end {
            let change = api.get(name).await?;
            let named = waits_for(&change, reasons);
            let status = change.status.unwrap_or_default();
            ensure!(named, "it no longer says one of {reasons:?}, but {:?}", status.waiting);
            ensure!(
                status.phase == before.phase && (status.weight_percent - before.weight_percent).abs() < 0.01,
                "it went from {:?} at {} % to {:?} at {} %",
                before.phase,
                before.weight_percent,
                status.phase,
                status.weight_percent
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    /// Waits for a Change's end, and that it is this one.
    ///
    /// # Errors
    /// When it ends otherwise, or not in time.
    pub async fn ends(&self, name: &str, phase: Phase, within: Duration) -> Result<Change> {
        let change = self.until_change(name, "to end", within, |change| phase_of(change).ended()).await?;
        let status = change.status.clone().unwrap_or_default();
        let last =
            status.decisions.iter().map(|decision| format!("{}: {}", decision.reason, decision.message)).collect::<Vec<_>>();
        ensure!(phase_of(&change) == phase, "Change {name} ended as {:?}, not {phase:?}: {last:#?}", status.phase);
        Ok(change)
    }

    /// Pods of a `pod-template-hash`: name, uid, restarts.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn pods(&self, hash: &str) -> Result<Vec<(String, String, i32)>> {
        let params = ListParams::default().labels(&format!("pod-template-hash={hash}"));
        let pods = self.api::<Pod>().list(&params).await?.items;
        let row = |pod: &Pod| {
            let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
            (pod.name_any(), pod.uid().unwrap_or_default(), statuses.map(|status| status.restart_count).sum())
        };
        let mut rows: Vec<_> = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).map(row).collect();
        rows.sort();
        Ok(rows)
    }

    /// What must hold after any Change (I8): nothing of it is left on Service, route and workload, and no pod of what was taken back.
    ///
    /// # Errors
    /// What is left, in words.
    pub async fn is_tidy(&self, route_before: &DynamicObject) -> Result<()> {
        let service = self.raw("", "Service", "services").get(APP).await?;
        let selector = service.data.pointer("/spec/selector").cloned().unwrap_or_default();
        ensure!(selector == json!({"app": APP}), "I8: the Service still selects {selector}");
        let ours = |object: &DynamicObject| {
            let mut keys = object.annotations().keys().chain(object.labels().keys());
            keys.find(|key| key.starts_with("firebreak.dev/")).cloned()
        };
        ensure!(ours(&service).is_none(), "I8: the Service still carries {:?}", ours(&service));
        let candidate = self.raw("", "Service", "services").get_opt(&format!("{APP}-candidate")).await?;
        ensure!(candidate.is_none(), "I8: the candidate's Service is left");
        let route = self.route().await?;
        ensure!(
            route.data["spec"] == route_before.data["spec"],
            "I8: the route is not as it was:\n{}\n{}",
            route_before.data["spec"],
            route.data["spec"]
        );
        ensure!(
            written(&route) == written(route_before),
            "I8: the route's metadata is not as it was: {:?}, {:?}",
            written(route_before),
            written(&route)
        );
        match self.chronicle.changes().last() {
            Some(last) if phase_of(last) == Phase::Promoted => {
                let workload = self.deployment().await?;
                let left = [HELD, CHANGED_BY].into_iter().find(|mark| workload.annotations().contains_key(*mark));
                ensure!(left.is_none(), "I8: the workload still carries {left:?}");
            }
            Some(last) if matches!(phase_of(last), Phase::RolledBack | Phase::Superseded) => {
                let set = self.raw("apps", "ReplicaSet", "replicasets").get_opt(&last.spec.candidate.replica_set).await?;
                let wanted = set.and_then(|set| set.data.pointer("/spec/replicas").and_then(Value::as_u64)).unwrap_or(0);
                ensure!(wanted == 0, "I8: {wanted} pods of the candidate are still wanted");
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks what holds of every Change (I1, I2, I4, I6, I8, I10, the hold) and closes the scene.
    ///
    /// # Errors
    /// The first breach.
    pub async fn close(mut self, route_before: Option<&DynamicObject>) -> Result<()> {
        if let Some(route) = route_before {
            self.is_tidy(route).await?;
        }
        self.chronicle.check().with_context(|| format!("in {}", self.namespace))?;
        self.guards_leave().await?;
        self.operator.kill();
        let namespaces: Api<Namespace> = Api::all(self.world.admin.clone());
        namespaces.delete(&self.namespace, &DeleteParams::background()).await?;
        Ok(())
    }
}

/// What users write of an object's metadata: labels, and annotations but kubectl's own.
fn written(object: &DynamicObject) -> BTreeMap<&str, &str> {
    let annotations = object.annotations().iter().filter(|(key, _)| !key.starts_with("kubectl.kubernetes.io/"));
    annotations.chain(object.labels()).map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

impl Scene<'_> {
    /// Deletes the Guards while their operator still runs: only it takes off the finalizer, and without it the namespace of a
    /// case stays in a lab that others use as well. That this works is another case's to assert.
    async fn guards_leave(&self) -> Result<()> {
        let guards: Api<Guard> = self.api();
        guards.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        let gone = until("the Guards to leave", GUARDS_LEAVE_WITHIN, async || {
            Ok(guards.list(&ListParams::default()).await?.items.is_empty().then_some(()))
        });
        if let Err(error) = gone.await {
            println!("{}: {error:#}", self.namespace);
        }
        Ok(())
    }
}

/// The account with its slowest seconds: the load's own lateness tells a machine that stood still from a gateway that did not answer.
fn stalls(report: &Report) -> String {
    let mut seconds: Vec<u64> = (0..report.elapsed().as_secs()).collect();
    let slowness = |second: &u64| {
        let from = Duration::from_secs(*second);
        std::cmp::Reverse(report.between(from, from + Duration::from_secs(1)).latency_max())
    };
    seconds.sort_by_key(slowness);
    seconds.truncate(10);
    seconds.sort_unstable();
    let lines: Vec<String> = seconds.into_iter().map(|second| second_line(report, second)).collect();
    format!("{}{}", table(report), lines.join("\n"))
}
