//! An API server that holds objects in memory.
//!
//! It lists, gets, patches, makes, replaces and deletes; a watch gets no event, so a cache stays as its first list was.
//! A fault answers in its place: what a webhook, a missing permission or a slow API server would say.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use http::{Request, Response};
use kube::{Client, client::Body};
use serde_json::{Value, json};

/// What a fault says.
#[derive(Clone)]
pub(crate) enum Fault {
    /// A status of this code with these words.
    Says(u16, &'static str),
    /// Nothing, ever.
    Hangs,
}

type Rule = Box<dyn Fn(&str, &str) -> Option<Fault> + Send>;

/// The API server.
#[derive(Clone, Default)]
pub(crate) struct ApiServer {
    objects: Arc<Mutex<BTreeMap<String, Value>>>,
    asked: Arc<Mutex<Vec<String>>>,
    rule: Arc<Mutex<Option<Rule>>>,
}

impl ApiServer {
    /// A client of it.
    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { Ok::<_, std::convert::Infallible>(server.answer(request).await) }
        });
        Client::new(service, "shop")
    }

    /// Puts an object at `plural/name`.
    pub(crate) fn put(&self, key: &str, object: Value) {
        self.objects.lock().unwrap().insert(key.to_owned(), object);
    }

    /// Asks to delete an object, as `kubectl delete` does.
    pub(crate) fn delete(&self, key: &str) {
        self.serve("DELETE", key, "", "", b"");
    }

    /// Names of the objects of one plural.
    pub(crate) fn names(&self, plural: &str) -> Vec<String> {
        let objects = self.objects.lock().unwrap();
        objects.keys().filter_map(|key| key.strip_prefix(&format!("{plural}/"))).map(str::to_owned).collect()
    }

    /// Takes an object away.
    pub(crate) fn take(&self, key: &str) -> Option<Value> {
        self.objects.lock().unwrap().remove(key)
    }

    /// The object at `plural/name`.
    pub(crate) fn get(&self, key: &str) -> Option<Value> {
        self.objects.lock().unwrap().get(key).cloned()
    }

    /// Changes the object at `plural/name` as someone else would.
    pub(crate) fn edit(&self, key: &str, edit: impl FnOnce(&mut Value)) {
        let mut objects = self.objects.lock().unwrap();
        let object = objects.get_mut(key).unwrap();
        edit(object);
        step(object);
    }

    /// Faults, by method and by `plural[/name[/subresource]]`.
    pub(crate) fn faults(&self, rule: impl Fn(&str, &str) -> Option<Fault> + Send + 'static) {
        *self.rule.lock().unwrap() = Some(Box::new(rule));
    }

    /// What was asked for, as method and `plural[/name[/subresource]]`, in order; lists and watches are left out.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let key = parts.uri.path().split_once("/namespaces/shop/").map(|(_, key)| key.to_owned()).unwrap_or_default();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let body = body.collect_bytes().await.unwrap();
        let kind = parts.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
        let method = parts.method.as_str();
        if query.contains("watch=true") {
            return std::future::pending().await;
        }
        if key.contains('/') || method != "GET" {
            self.asked.lock().unwrap().push(format!("{method} {key}"));
        }
        let fault = self.rule.lock().unwrap().as_ref().and_then(|rule| rule(method, &key));
        match fault {
            Some(Fault::Says(code, message)) => status(code, message),
            Some(Fault::Hangs) => std::future::pending().await,
            None => self.serve(method, &key, &kind, &query, &body),
        }
    }

    fn serve(&self, method: &str, key: &str, kind: &str, query: &str, body: &[u8]) -> Response<Body> {
        let mut objects = self.objects.lock().unwrap();
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut path = key.splitn(3, '/');
        let (plural, name) = (path.next().unwrap_or_default(), path.next());
        let at = name.map(|name| format!("{plural}/{name}"));
        match (method, at) {
            ("GET", None) => {
                let items: Vec<_> =
                    objects.iter().filter(|(at, _)| at.starts_with(&format!("{plural}/"))).map(|(_, object)| object).collect();
                answer(&json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items}))
            }
            ("POST", None) => {
                let at = format!("{plural}/{}", sent["metadata"]["name"].as_str().unwrap_or_default());
                if objects.contains_key(&at) {
                    return status(409, "already exists");
                }
                let mut object = sent;
                object["metadata"]["uid"] = json!(format!("uid-{at}"));
                object["metadata"]["resourceVersion"] = json!("1");
                objects.insert(at, object.clone());
                answer(&object)
            }
            (_, Some(at)) => {
                let Some(object) = objects.get_mut(&at) else { return status(404, "not found") };
                match method {
                    "GET" => {}
                    "DELETE" => {
                        if object["metadata"]["finalizers"].as_array().is_some_and(|holders| !holders.is_empty()) {
                            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                            step(object);
                        } else {
                            objects.remove(&at);
                        }
                        return answer(&json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}));
                    }
                    "PUT" if sent["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] => {
                        return status(409, "the object has been modified");
                    }
                    "PUT" => {
                        object["status"] = sent["status"].clone();
                        step(object);
                    }
                    _ => {
                        let before = object.clone();
                        if kind.contains("json-patch") {
                            let patch: json_patch::Patch = serde_json::from_value(sent).unwrap();
                            if json_patch::patch(object, &patch).is_err() {
                                return status(422, "the server rejected our request due to an error in our request");
                            }
                        } else if refuses(&sent["metadata"], &object["metadata"]) {
                            return status(409, "the object has been modified");
                        } else {
                            json_patch::merge(object, &sent);
                        }
                        step(object);
                        let held = object["metadata"]["finalizers"].as_array().is_some_and(|holders| !holders.is_empty());
                        if object["metadata"].get("deletionTimestamp").is_some() && !held {
                            return answer(&objects.remove(&at).unwrap());
                        }
                        if query.contains("dryRun") {
                            let tried = object.clone();
                            *object = before;
                            return answer(&tried);
                        }
                    }
                }
                answer(object)
            }
            _ => status(405, "not served here"),
        }
    }
}

/// Whether a patch rests on another version of the object, or on another object.
fn refuses(sent: &Value, held: &Value) -> bool {
    ["uid", "resourceVersion"].iter().any(|field| sent.get(*field).is_some_and(|given| *given != held[*field]))
}

fn step(object: &mut Value) {
    let version: u64 = object["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse().ok()).unwrap_or(0);
    object["metadata"]["resourceVersion"] = json!((version + 1).to_string());
}

fn answer(value: &Value) -> Response<Body> {
    Response::builder().status(200).body(Body::from(serde_json::to_vec(value).unwrap())).unwrap()
}

fn status(code: u16, message: &str) -> Response<Body> {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 if message.contains("exists") => "AlreadyExists",
        409 => "Conflict",
        422 => "Invalid",
        _ => "InternalError",
    };
    let body =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message});
    Response::builder().status(code).body(Body::from(serde_json::to_vec(&body).unwrap())).unwrap()
}
