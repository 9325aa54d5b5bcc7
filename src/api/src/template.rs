//! Comparison of pod templates, as raw JSON: fields that this build does not know count and survive.
//!
//! A change exists when the workload's template differs from the stable ReplicaSet's, both as the API server gives
//! them (so its defaults are in both), the `pod-template-hash` label aside. The digest only names things.

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::names::POD_TEMPLATE_HASH;

/// Letters of a digest: as in the native controller's hashes, no vowels and nothing that looks alike.
const ALPHABET: &[u8; 16] = b"bcdfghjklmnpqrst";
/// Length of a digest in letters (4 bits each): 40 bits tell the few templates of one workload apart.
const DIGEST_LETTERS: usize = 10;

/// A short name for `bytes`, valid in names and label values.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .take(DIGEST_LETTERS)
        .filter_map(|nibble| ALPHABET.get(usize::from(nibble)).map(|&letter| char::from(letter)))
        .collect()
}

/// The template without its `pod-template-hash` label, and without what means nothing (`null`, an empty label map,
/// `creationTimestamp: null`).
#[must_use]
pub fn normalized(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
            labels.remove(POD_TEMPLATE_HASH);
        }
        metadata.retain(|_, value| !value.is_null() && value.as_object().is_none_or(|map| !map.is_empty()));
    }
    template
}

/// Whether two templates are the same revision.
#[must_use]
pub fn same(left: &Value, right: &Value) -> bool {
    normalized(left) == normalized(right)
}

/// The digest that names a template: the same for the same template, whatever the order of its keys.
#[must_use]
pub fn hash(template: &Value) -> String {
    // serde_json's map is ordered by key, so its text is canonical.
    digest(normalized(template).to_string().as_bytes())
}

/// The template with the `pod-template-hash` label set, as a ReplicaSet of its own must carry it.
#[must_use]
pub fn with_hash(template: &Value, hash: &str) -> Value {
    let mut template = normalized(template);
    if let Some(map) = template.as_object_mut() {
        let metadata = map.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if let Some(metadata) = metadata.as_object_mut() {
            let labels = metadata.entry("labels").or_insert_with(|| Value::Object(Map::new()));
            if let Some(labels) = labels.as_object_mut() {
                labels.insert(POD_TEMPLATE_HASH.to_owned(), Value::String(hash.to_owned()));
            }
        }
    }
    template
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn given_two_templates_that_differ_in_the_hash_label_only_then_the_same_revision() {
        let left = json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c"}]}});
        let right = with_hash(&left, "bcd");
        assert_eq!(right["metadata"]["labels"]["pod-template-hash"], "bcd");
        assert!(same(&left, &right));
        assert_eq!(hash(&left), hash(&right));
    }

    #[test]
    fn given_a_field_no_build_knows_when_it_differs_then_a_change() {
        let left = json!({"metadata": {}, "spec": {"fieldOf2031": 1}});
        let right = json!({"metadata": {}, "spec": {"fieldOf2031": 2}});
        assert!(!same(&left, &right));
        assert_ne!(hash(&left), hash(&right));
        assert_eq!(with_hash(&left, "x")["spec"]["fieldOf2031"], 1);
    }

    #[test]
    fn given_nulls_and_empty_maps_in_metadata_then_they_mean_nothing() {
        let left = json!({"metadata": {"creationTimestamp": null, "annotations": {}}, "spec": {}});
        assert!(same(&left, &json!({"metadata": {"labels": {"pod-template-hash": "x"}}, "spec": {}})));
    }
}
