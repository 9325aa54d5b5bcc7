//! What is told of two templates, in words.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use firebreak_engine::policy::diff::Amount;
use rstest::rstest;
use serde_json::json;

use super::*;

fn pod(container: Value) -> Value {
    json!({"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [container]}})
}

fn words(old: Value, new: Value) -> Vec<String> {
    let with_name = |mut container: Value| {
        container["name"] = json!("app");
        container
    };
    between(&pod(with_name(old)), &pod(with_name(new))).words()
}

#[rstest]
#[case(json!({"image": "shop:1.4"}), json!({"image": "shop:1.5"}), "container app: image shop:1.4 → shop:1.5 (tag)")]
#[case(json!({"image": "shop:1.4"}), json!({"image": "other/shop:1.4@sha256:a"}), "container app: image shop:1.4 → other/shop:1.4@sha256:a (repository, digest)")]
#[case(json!({}), json!({"env": [{"name": "A", "value": "hush"}]}), "container app: env A added")]
#[case(json!({"env": [{"name": "A", "value": "1"}]}), json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}), "container app: env A changed (from a Secret)")]
#[case(json!({"envFrom": [{"secretRef": {"name": "s"}}]}), json!({}), "container app: env * of s removed (from a Secret)")]
#[case(json!({"resources": {"limits": {"cpu": "1"}}}), json!({"resources": {"limits": {"cpu": "1500m"}}}), "container app: cpu limit 1 → 1500m")]
#[case(json!({"livenessProbe": {"tcpSocket": {"port": 1}}}), json!({}), "container app: liveness probe removed")]
#[case(json!({"command": ["a"]}), json!({"command": ["b"]}), "container app: command changed")]
#[case(json!({}), json!({"securityContext": {"privileged": true}}), "container app: privileged true added: it may do more than before")]
#[case(json!({}), json!({"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}), "container app: capability SYS_ADMIN added: it may do more than before")]
#[case(json!({"volumeMounts": [{"name": "d", "mountPath": "/d"}]}), json!({"volumeMounts": [{"name": "d", "mountPath": "/e"}]}), "container app: mount of volume d added")]
#[case(json!({}), json!({"lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}), "spec.containers[app].lifecycle.preStop.sleep.seconds changed")]
#[case(json!({"securityContext": {}}), json!({}), "spec.containers[app].securityContext changed")]
#[case(json!({"env": [{"name": "A"}, {"name": "B"}]}), json!({"env": [{"name": "B"}, {"name": "A"}]}), "spec.containers[app].env changed")]
fn given_two_containers_when_compared_then_the_difference_in_words(
    #[case] old: Value,
    #[case] new: Value,
    #[case] expected: &str,
) {
    assert_eq!(words(old, new)[0], expected);
}

#[test]
fn given_a_pod_with_a_new_sidecar_and_another_account_when_compared_then_each_in_words() {
    let old = json!({"spec": {"containers": [{"name": "app"}]}});
    let new = json!({"spec": {"serviceAccountName": "admin", "containers": [{"name": "app"}],
        "initContainers": [{"name": "log", "image": "log:1", "restartPolicy": "Always"}], "hostNetwork": true,
        "volumes": [{"name": "h", "hostPath": {"path": "/"}}], "nodeSelector": {"a.b/c": "d"}}});
    assert_eq!(
        between(&old, &new).words(),
        [
            "container log: image log:1 (new, not pinned by digest)",
            "sidecar container log added",
            "pod: hostNetwork true added: it may do more than before",
            "service account default → admin",
            "volume h (hostPath) added",
            "spec.nodeSelector[a.b/c] changed",
        ]
    );
}

#[test]
fn given_many_variables_when_compared_then_the_secrets_are_told_and_the_rest_is_counted() {
    let plain = (0..200).map(|at| json!({"name": format!("A{at}"), "value": "hush"}));
    let secret = json!({"name": "Z", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}});
    let env: Vec<Value> = plain.chain([secret]).collect();
    let found = between(&pod(json!({"name": "app"})), &pod(json!({"name": "app", "env": env})));
    assert!(found.env[0].secret && found.env.len() == most::ENV);
    assert_eq!(found.cut, 201 - 64);
    let words = found.words();
    assert_eq!(words.last().unwrap(), "and 137 more that are not listed");
    assert!(!words.join("").contains("hush"));
}

#[rstest]
#[case("1", "1000m", Amount::Changed)]
#[case("1Gi", "1G", Amount::Down)]
#[case("100m", "0.2", Amount::Up)]
#[case("1e3", "1k", Amount::Changed)]
#[case("1", "x", Amount::Changed)]
fn given_two_amounts_when_compared_then_more_or_less(#[case] from: &str, #[case] to: &str, #[case] change: Amount) {
    let with = |amount: &str| pod(json!({"name": "app", "resources": {"requests": {"cpu": amount}}}));
    assert_eq!(between(&with(from), &with(to)).resources[0].change, change);
}
