//! Containers: which came and went, and what is different in those that stayed.

use std::collections::BTreeSet;

use firebreak_engine::policy::diff::{Amount, Command, Container, Edit, Env, Probe, Resource};
use serde_json::Value;

use super::{Found, below, cut, differing, edit, image::image, paired, security, take, text};

/// The probes of a container.
const PROBES: [&str; 3] = ["liveness", "readiness", "startup"];

/// One list of containers of the pod.
pub(super) fn all(found: &mut Found, list: &str, init: bool, old: &mut Value, new: &mut Value) {
    let (old, new) = (take(old, list), take(new, list));
    let path = format!("spec.{list}");
    found.part(&path, old.as_ref(), new.as_ref(), |found| {
        let named = |container: &Value| text(container, "name").map(str::to_owned);
        let Some(pairs) = paired(old.as_ref(), new.as_ref(), named) else { return };
        if order(old.as_ref(), new.as_ref()) {
            found.other(&format!("{path} (order)"));
        }
        for (name, old, new) in differing(pairs) {
            let path = format!("{path}[{name}]");
            match (old, new) {
                (Some(old), Some(new)) => one(found, &name, &path, old.clone(), new.clone()),
                (None, Some(new)) => added(found, &name, &path, init, new),
                (old, _) => came_or_went(found, &name, init, old, Edit::Removed),
            }
        }
    });
}

/// Whether those that stayed stand in another order.
fn order(old: Option<&Value>, new: Option<&Value>) -> bool {
    let names = |list: Option<&Value>| -> Vec<String> {
        let containers = list.and_then(Value::as_array).into_iter().flatten();
        containers.filter_map(|container| text(container, "name")).map(str::to_owned).collect()
    };
    let (old, new) = (names(old), names(new));
    let stayed = |names: &[String], other: &[String]| -> Vec<String> {
        let other: BTreeSet<&String> = other.iter().collect();
        names.iter().filter(|name| other.contains(name)).cloned().collect()
    };
    stayed(&old, &new) != stayed(&new, &old)
}

fn came_or_went(found: &mut Found, name: &str, init: bool, container: Option<&Value>, change: Edit) {
    found.told += 1;
    let sidecar = init && container.and_then(|container| text(container, "restartPolicy")) == Some("Always");
    found.diff.containers.push(Container { name: cut(name), init, sidecar, change });
}

/// A new container: that it is there tells of all in it, but what makes it risky is told by itself.
fn added(found: &mut Found, name: &str, path: &str, init: bool, new: &Value) {
    came_or_went(found, name, init, Some(new), Edit::Added);
    found.told += 1;
    found.diff.images.push(image(name, None, text(new, "image").unwrap_or_default()));
    security::context(found, name, &below(path, "securityContext"), None, new.get("securityContext").cloned());
    for (name_of, secret, _, _) in variables(None, new.get("env")).into_iter().chain(sets(None, new.get("envFrom"))) {
        if secret {
            push_env(found, name, &name_of, true, Edit::Added);
        }
    }
}

/// A container that stayed.
fn one(found: &mut Found, name: &str, path: &str, mut old: Value, mut new: Value) {
    let (old, new) = (&mut old, &mut new);
    let mut both = |key: &str| (take(old, key), take(new, key));
    let (was, is) = both("image");
    found.part(&below(path, "image"), was.as_ref(), is.as_ref(), |found| {
        let (was, is) = (was.as_ref().and_then(Value::as_str), is.as_ref().and_then(Value::as_str));
        found.told += 1;
        found.diff.images.push(image(name, was, is.unwrap_or_default()));
    });
    let (was, is) = both("env");
    found.part(&below(path, "env"), was.as_ref(), is.as_ref(), |found| {
        for (variable, secret, old, new) in variables(was.as_ref(), is.as_ref()) {
            push_env(found, name, &variable, secret, edit(old, new));
        }
    });
    let (was, is) = both("envFrom");
    found.part(&below(path, "envFrom"), was.as_ref(), is.as_ref(), |found| {
        for (set, secret, old, new) in sets(was.as_ref(), is.as_ref()) {
            push_env(found, name, &set, secret, edit(old, new));
        }
    });
    let (was, is) = both("volumeMounts");
    found.part(&below(path, "volumeMounts"), was.as_ref(), is.as_ref(), |found| {
        let at = |mount: &Value| text(mount, "mountPath").map(str::to_owned);
        for (_, old, new) in differing(paired(was.as_ref(), is.as_ref(), at).unwrap_or_default()) {
            let volume = new.or(old).and_then(|mount| text(mount, "name")).unwrap_or_default();
            found.volume(name, volume, "mount", edit(old, new));
        }
    });
    let (was, is) = both("securityContext");
    security::context(found, name, &below(path, "securityContext"), was, is);
    for probe in PROBES {
        let key = format!("{probe}Probe");
        let (was, is) = both(&key);
        found.part(&below(path, &key), was.as_ref(), is.as_ref(), |found| {
            found.told += 1;
            let change = edit(was.as_ref(), is.as_ref());
            found.diff.probes.push(Probe { container: cut(name), probe: probe.to_owned(), change });
        });
    }
    for part in ["command", "args"] {
        let (was, is) = both(part);
        found.part(&below(path, part), was.as_ref(), is.as_ref(), |found| {
            found.told += 1;
            let change = edit(was.as_ref(), is.as_ref());
            found.diff.commands.push(Command { container: cut(name), part: part.to_owned(), change });
        });
    }
    resources(found, name, &below(path, "resources"), old, new);
    found.paths(path, Some(old), Some(new));
}

fn push_env(found: &mut Found, container: &str, name: &str, secret: bool, change: Edit) {
    found.told += 1;
    found.diff.env.push(Env { container: cut(container), name: cut(name), secret, change });
}

/// Name, whether it is or was from a Secret, old and new, of each that differs.
type Variables<'a> = Vec<(String, bool, Option<&'a Value>, Option<&'a Value>)>;

fn variables<'a>(old: Option<&'a Value>, new: Option<&'a Value>) -> Variables<'a> {
    let named = |variable: &Value| text(variable, "name").map(str::to_owned);
    let secret =
        |variable: Option<&Value>| variable.is_some_and(|variable| variable.pointer("/valueFrom/secretKeyRef").is_some());
    let pairs = differing(paired(old, new, named).unwrap_or_default());
    pairs.into_iter().map(|(name, old, new)| (name, secret(old) || secret(new), old, new)).collect()
}

fn sets<'a>(old: Option<&'a Value>, new: Option<&'a Value>) -> Variables<'a> {
    let of = |set: &Value, key: &str| set.get(key).and_then(|of| text(of, "name")).map(str::to_owned);
    let named = |set: &Value| {
        let prefix = text(set, "prefix").unwrap_or_default();
        let from = of(set, "secretRef").or_else(|| of(set, "configMapRef"))?;
        Some(format!("{prefix}* of {from}"))
    };
    let secret = |set: Option<&Value>| set.is_some_and(|set| set.get("secretRef").is_some());
    let pairs = differing(paired(old, new, named).unwrap_or_default());
    pairs.into_iter().map(|(name, old, new)| (name, secret(old) || secret(new), old, new)).collect()
}

/// Requests and limits of a container, or of the whole pod.
pub(super) fn resources(found: &mut Found, container: &str, path: &str, old: &mut Value, new: &mut Value) {
    let (old, new) = (take(old, "resources"), take(new, "resources"));
    found.part(path, old.as_ref(), new.as_ref(), |found| {
        let (mut old, mut new) = (old.clone().unwrap_or_else(empty), new.clone().unwrap_or_else(empty));
        for kind in ["requests", "limits"] {
            let (was, is) = (take(&mut old, kind), take(&mut new, kind));
            let names = |of: &Option<Value>| -> Vec<String> {
                of.as_ref().and_then(Value::as_object).into_iter().flat_map(|map| map.keys().cloned()).collect()
            };
            let all: BTreeSet<String> = names(&was).into_iter().chain(names(&is)).collect();
            for resource in all {
                let amount = |of: &Option<Value>| of.as_ref().and_then(|of| of.get(&resource)).cloned();
                let (from, to) = (amount(&was), amount(&is));
                if from != to {
                    found.told += 1;
                    let shown = |amount: &Option<Value>| {
                        amount.as_ref().map(|amount| cut(amount.as_str().unwrap_or(&amount.to_string())))
                    };
                    found.diff.resources.push(Resource {
                        container: cut(container),
                        kind: kind.to_owned(),
                        change: went(from.as_ref(), to.as_ref()),
                        from: shown(&from),
                        to: shown(&to),
                        resource: cut(&resource),
                    });
                }
            }
        }
        found.paths(path, Some(&old), Some(&new));
    });
}

fn empty() -> Value {
    Value::Object(serde_json::Map::new())
}

fn went(from: Option<&Value>, to: Option<&Value>) -> Amount {
    let (Some(from), Some(to)) = (from, to) else {
        return if from.is_none() { Amount::Added } else { Amount::Removed };
    };
    let order = quantity(from).zip(quantity(to)).and_then(|(from, to)| to.partial_cmp(&from));
    match order {
        Some(std::cmp::Ordering::Greater) => Amount::Up,
        Some(std::cmp::Ordering::Less) => Amount::Down,
        Some(std::cmp::Ordering::Equal) | None => Amount::Changed,
    }
}

/// A quantity as a number, by the suffixes of Kubernetes.
fn quantity(value: &Value) -> Option<f64> {
    if let Some(number) = value.as_f64() {
        return Some(number);
    }
    const SUFFIXES: [(&str, f64); 15] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    let text = value.as_str()?;
    let suffixed = SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)));
    let (number, factor) = suffixed.unwrap_or((text, 1.0));
    number.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| number * factor)
}
