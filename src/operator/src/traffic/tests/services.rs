//! The pin and the candidate's Service.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::traffic::service::{candidate_service, pin, pinned_to, selects, unpin};

fn service() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "checkout", "namespace": "shop", "uid": "u-1", "resourceVersion": "7"},
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            "selector": {"app": "checkout"},
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "appProtocol": "kubernetes.io/h2c", "targetPort": "web", "nodePort": 30080}],
            "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
            "trafficDistribution": "PreferClose", "internalTrafficPolicy": "Local", "publishNotReadyAddresses": true,
            "loadBalancerClass": "x", "fieldOf2031": 1,
        },
    })
}

fn pinned(service: &Value, hash: &str) -> Value {
    apply(service, pin(service, hash).unwrap())
}

#[test]
fn given_a_service_when_pinned_then_the_hash_is_selected_and_said_to_be_ours() {
    let patch = pin(&service(), "abc").unwrap();
    insta::assert_yaml_snapshot!(patch, @r#"
    - op: test
      path: /metadata/uid
      value: u-1
    - op: test
      path: /spec/selector
      value:
        app: checkout
    - op: test
      path: /metadata/resourceVersion
      value: "7"
    - op: add
      path: /spec/selector/pod-template-hash
      value: abc
    - op: add
      path: /metadata/annotations
      value:
        firebreak.dev/pin: abc
    "#);
    let pinned = apply(&service(), patch);
    assert_eq!(pinned["spec"]["selector"], json!({"app": "checkout", "pod-template-hash": "abc"}));
    assert_eq!(pinned["metadata"]["annotations"], json!({"firebreak.dev/pin": "abc"}));
    assert_eq!(pinned_to(&pinned).as_deref(), Some("abc"));
    assert_eq!(pin(&pinned, "abc"), Ok(None));
}

#[test]
fn given_a_pinned_service_when_pinned_to_another_hash_then_the_pin_moves() {
    let moved = pinned(&pinned(&service(), "abc"), "def");
    assert_eq!(pinned_to(&moved).as_deref(), Some("def"));
}

#[test]
fn given_a_pin_that_someone_took_out_of_the_selector_when_pinned_then_it_is_back() {
    let mut reverted = pinned(&service(), "abc");
    reverted["spec"]["selector"] = json!({"app": "checkout"});
    assert_eq!(pinned_to(&reverted), None);
    assert_eq!(pinned_to(&pinned(&reverted, "abc")).as_deref(), Some("abc"));
}

#[test]
fn given_a_reading_that_is_old_when_the_pin_arrives_then_the_api_server_refuses_it() {
    let patch = pin(&service(), "abc").unwrap().unwrap();
    for (path, value) in
        [("/spec/selector", json!({"app": "new"})), ("/metadata/uid", json!("u-2")), ("/metadata/resourceVersion", json!("8"))]
    {
        let mut changed = service();
        *changed.pointer_mut(path).unwrap() = value;
        assert!(try_apply(&changed, &patch).is_err(), "{path}");
    }
}

#[test]
fn given_a_hash_in_the_selector_that_is_not_our_pin_when_unpinned_then_it_stays() {
    let mut changed = pinned(&service(), "abc");
    changed["spec"]["selector"]["pod-template-hash"] = json!("users");
    let unpinned = apply(&changed, unpin(&changed));
    assert_eq!(unpinned["spec"]["selector"]["pod-template-hash"], "users");
    assert_eq!(unpinned["metadata"].get("annotations"), None);
    assert_eq!(unpin(&service()), None);
}

#[test]
fn given_a_service_that_cannot_be_pinned_then_the_refusal_says_what_to_do() {
    let with = |path: &str, value: Value| {
        let mut service = service();
        service["spec"][path] = value;
        service
    };
    let own = with("selector", json!({"app": "checkout", "pod-template-hash": "users"}));
    let refusals = [&own, &with("selector", json!({})), &with("type", json!("ExternalName"))];
    let refusals = refusals.map(|service| pin(service, "abc").unwrap_err().to_string());
    insta::assert_snapshot!(refusals.join("\n"), @r#"
    Service checkout selects pod-template-hash=users, which Firebreak did not write: take pod-template-hash out of its spec.selector, so that Firebreak can pin it while a Change runs
    Service checkout has no selector, so it cannot be pinned to the stable pods: give it a selector of the workload's labels, or name another Service in spec.traffic.service of the Guard
    Service checkout is of type ExternalName and has no pods to divide traffic between: name the Service that selects the workload's pods in spec.traffic.service of the Guard
    "#);
    let only_a_pin = {
        let mut service = with("selector", json!({"pod-template-hash": "abc"}));
        service["metadata"]["annotations"] = json!({"firebreak.dev/pin": "abc"});
        service
    };
    for refused in [own, with("selector", Value::Null), with("type", json!("ExternalName")), only_a_pin] {
        let owner = json!({});
        assert_eq!(
            candidate_service(&refused, "c", "def", &owner, &BTreeMap::new()).unwrap_err(),
            pin(&refused, "abc").unwrap_err()
        );
    }
}

#[test]
fn given_a_pinned_service_then_the_candidates_is_like_it_but_for_the_hash_and_the_way_in() {
    let owner = json!({"apiVersion": "firebreak.dev/v1alpha1", "kind": "Change", "name": "checkout-1", "uid": "u-9"});
    let labels = BTreeMap::from([("firebreak.dev/guard".to_owned(), "checkout".to_owned())]);
    let made = candidate_service(&pinned(&service(), "abc"), "checkout-candidate", "def", &owner, &labels).unwrap();
    insta::assert_yaml_snapshot!(made, @r#"
    apiVersion: v1
    kind: Service
    metadata:
      labels:
        firebreak.dev/guard: checkout
      name: checkout-candidate
      namespace: shop
      ownerReferences:
        - apiVersion: firebreak.dev/v1alpha1
          kind: Change
          name: checkout-1
          uid: u-9
    spec:
      ipFamilies:
        - IPv4
      ipFamilyPolicy: SingleStack
      ports:
        - appProtocol: kubernetes.io/h2c
          name: http
          port: 80
          protocol: TCP
          targetPort: web
      selector:
        app: checkout
        pod-template-hash: def
      sessionAffinity: ClientIP
      sessionAffinityConfig:
        clientIP:
          timeoutSeconds: 60
      trafficDistribution: PreferClose
      type: ClusterIP
    "#);
}

#[test]
fn given_a_headless_service_then_so_is_the_candidates() {
    let mut headless = service();
    headless["spec"] = json!({"clusterIP": "None", "clusterIPs": ["None"], "selector": {"app": "checkout"}});
    let made = candidate_service(&headless, "c", "def", &json!({}), &BTreeMap::new()).unwrap();
    let selector = json!({"app": "checkout", "pod-template-hash": "def"});
    assert_eq!(made["spec"], json!({"type": "ClusterIP", "clusterIP": "None", "selector": selector}));
}

#[rstest]
#[case::all_labels(json!({"app": "checkout", "tier": "web"}), true)]
#[case::another_value(json!({"app": "cart"}), false)]
#[case::no_labels(json!({}), false)]
#[case::null(Value::Null, false)]
fn given_labels_then_whether_the_service_selects_them(#[case] labels: Value, #[case] expected: bool) {
    assert_eq!(selects(&service(), &labels), expected);
    assert!(!selects(&pinned(&service(), "abc"), &labels), "pinned to other pods");
    assert!(!selects(&json!({"spec": {"selector": {}}}), &labels), "no selector selects nothing");
}

proptest! {
    #[test]
    fn given_any_service_when_pinned_moved_and_unpinned_then_it_is_what_it_was(
        selector in prop::collection::btree_map("[a-z/~]{1,5}", "[a-z]{0,3}", 1..4),
        annotations in prop::option::of(prop::collection::btree_map("[a-z/~]{1,5}", "[a-z]{0,3}", 1..4)),
        hashes in prop::collection::vec("[b-t]{1,4}", 1..4),
    ) {
        let mut original = service();
        original["spec"]["selector"] = json!(selector);
        if let Some(annotations) = annotations {
            original["metadata"]["annotations"] = json!(annotations);
        }
        let pinned = hashes.iter().fold(original.clone(), |service, hash| pinned(&service, hash));
        prop_assert_eq!(pinned_to(&pinned), hashes.last().cloned());
        prop_assert_eq!(apply(&pinned, unpin(&pinned)).to_string(), original.to_string());
    }
}
