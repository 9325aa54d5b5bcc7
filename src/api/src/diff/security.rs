//! Security settings: what the pod and its containers may do, and whether they may more than before.

use std::collections::BTreeSet;

use firebreak_engine::policy::diff::{Edit, Security};
use serde_json::Value;

use super::{Found, cut, edit, take};

/// Settings of the pod beside its `securityContext`.
const OF_POD: [&str; 6] =
    ["hostNetwork", "hostPID", "hostIPC", "hostUsers", "shareProcessNamespace", "automountServiceAccountToken"];

/// The settings of the whole pod.
pub(super) fn of_pod(found: &mut Found, old: &mut Value, new: &mut Value) {
    for setting in OF_POD {
        let (old, new) = (take(old, setting), take(new, setting));
        found.part(setting, old.as_ref(), new.as_ref(), |found| one(found, "", setting, old.as_ref(), new.as_ref()));
    }
    context(found, "", "spec.securityContext", take(old, "securityContext"), take(new, "securityContext"));
}

/// A `securityContext`.
pub(super) fn context(found: &mut Found, container: &str, path: &str, old: Option<Value>, new: Option<Value>) {
    found.part(path, old.as_ref(), new.as_ref(), |found| {
        let of = |context: &Option<Value>, setting: &str| context.as_ref()?.get(setting).cloned();
        let keys = |context: &Option<Value>| -> Vec<String> {
            context.as_ref().and_then(Value::as_object).into_iter().flat_map(|map| map.keys().cloned()).collect()
        };
        let settings: BTreeSet<String> = keys(&old).into_iter().chain(keys(&new)).collect();
        for setting in settings {
            let (old, new) = (of(&old, &setting), of(&new, &setting));
            found.part(&format!("{path}.{setting}"), old.as_ref(), new.as_ref(), |found| {
                if setting == "capabilities" {
                    capabilities(found, container, old.as_ref(), new.as_ref());
                } else {
                    one(found, container, &setting, old.as_ref(), new.as_ref());
                }
            });
        }
    });
}

fn one(found: &mut Found, container: &str, setting: &str, old: Option<&Value>, new: Option<&Value>) {
    let value = new.map_or_else(String::new, |new| match new {
        Value::String(text) => text.clone(),
        other => other.get("type").and_then(Value::as_str).map_or_else(|| other.to_string(), str::to_owned),
    });
    push(found, container, setting, &value, edit(old, new), weakens(setting, old, new));
}

fn push(found: &mut Found, container: &str, setting: &str, value: &str, change: Edit, weakens: bool) {
    found.told += 1;
    let (container, setting, value) = (container.to_owned(), cut(setting), cut(value));
    found.diff.security.push(Security { container, setting, value, change, weakens });
}

/// Whether the pod may do more than before, by what Kubernetes takes a missing setting for.
fn weakens(setting: &str, old: Option<&Value>, new: Option<&Value>) -> bool {
    let (was, is) = (|what: bool| old == Some(&Value::Bool(what)), |what: bool| new == Some(&Value::Bool(what)));
    let zero = |value: Option<&Value>| value.and_then(Value::as_i64) == Some(0);
    let open = |value: Option<&Value>| value.and_then(|value| value.get("type")).and_then(Value::as_str) == Some("Unconfined");
    match setting {
        "privileged" | "hostNetwork" | "hostPID" | "hostIPC" | "shareProcessNamespace" => is(true) && !was(true),
        "allowPrivilegeEscalation" | "automountServiceAccountToken" | "hostUsers" => was(false) && !is(false),
        "runAsNonRoot" | "readOnlyRootFilesystem" => was(true) && !is(true),
        // Without one the image says who it runs as, which may be root.
        "runAsUser" => (zero(new) && !zero(old)) || (new.is_none() && !zero(old)),
        "runAsGroup" => zero(new) && !zero(old),
        "seccompProfile" | "appArmorProfile" => (open(new) && !open(old)) || (new.is_none() && !open(old)),
        "procMount" => new.and_then(Value::as_str) == Some("Unmasked"),
        "windowsOptions" => {
            let host = |value: Option<&Value>| value.and_then(|value| value.get("hostProcess")) == Some(&Value::Bool(true));
            host(new) && !host(old)
        }
        _ => false,
    }
}

fn capabilities(found: &mut Found, container: &str, old: Option<&Value>, new: Option<&Value>) {
    let of = |value: Option<&Value>, list: &str| -> BTreeSet<String> {
        let names = value.and_then(|value| value.get(list)).and_then(Value::as_array);
        names.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    for (list, setting, more_is_weaker) in [("add", "capability", true), ("drop", "droppedCapability", false)] {
        let (old, new) = (of(old, list), of(new, list));
        new.difference(&old).for_each(|name| push(found, container, setting, name, Edit::Added, more_is_weaker));
        old.difference(&new).for_each(|name| push(found, container, setting, name, Edit::Removed, !more_is_weaker));
    }
}
