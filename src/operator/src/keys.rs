//! Values that a Guard names and Firebreak may not know: tokens and certificate authorities in Secrets and ConfigMaps.
//!
//! Only the object that is named is read, by its name, in the Guard's namespace. Nothing is listed, watched, kept or logged; what
//! may be said is where a value is, never what it is.

use std::sync::Arc;

use futures::FutureExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};

use crate::metrics::{Kept, Key, KeyError, ReadKey};

/// Reads keys of a namespace.
pub(crate) fn of(client: &Client, namespace: &str) -> ReadKey {
    let (client, namespace) = (client.clone(), namespace.to_owned());
    Arc::new(move |key| {
        let (client, namespace) = (client.clone(), namespace.clone());
        async move { read(client, &namespace, &key).await }.boxed()
    })
}

async fn read(client: Client, namespace: &str, key: &Key) -> Result<Vec<u8>, KeyError> {
    let value = match key.kept {
        Kept::Secret => {
            let secret = Api::<Secret>::namespaced(client, namespace).get(&key.name).await;
            secret.map(|secret| secret.data.and_then(|mut data| data.remove(&key.key)).map(|value| value.0))
        }
        Kept::ConfigMap => {
            let map = Api::<ConfigMap>::namespaced(client, namespace).get(&key.name).await;
            map.map(|map| {
                let text = map.data.and_then(|mut data| data.remove(&key.key)).map(String::into_bytes);
                text.or_else(|| map.binary_data.and_then(|mut data| data.remove(&key.key)).map(|value| value.0))
            })
        }
    };
    let final_ = |detail: String| KeyError { detail, passing: false };
    match value {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(final_(format!("{:?} {} has no such key; add it, or correct the Guard", key.kept, key.name))),
        Err(kube::Error::Api(status)) if status.is_not_found() => Err(final_(format!(
            "{:?} {} does not exist in namespace {namespace}; create it, or correct the Guard",
            key.kept, key.name
        ))),
        Err(kube::Error::Api(status)) if status.is_forbidden() => Err(final_(forbidden(namespace, key))),
        // Of the API server's own words none is passed on but the reason: what is asked for is a secret.
        Err(kube::Error::Api(status)) => {
            Err(KeyError { detail: format!("the API server says {} ({})", status.reason, status.code), passing: true })
        }
        Err(_) => Err(KeyError { detail: "the API server does not answer; it is asked again".to_owned(), passing: true }),
    }
}

fn forbidden(namespace: &str, key: &Key) -> String {
    let resource = match key.kept {
        Kept::Secret => "secrets",
        Kept::ConfigMap => "configmaps",
    };
    format!(
        "the operator may not read it; give its service account the verb get on {resource} {} in namespace {namespace}, by a Role or \
         with the chart's secrets.read",
        key.name
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;
    use crate::fake;

    fn key(kept: Kept) -> Key {
        Key { kept, name: "scrape".to_owned(), key: "token".to_owned() }
    }

    async fn answered(kept: Kept, status: u16, body: Value) -> (Result<Vec<u8>, KeyError>, Vec<fake::Asked>) {
        let (client, log) = fake::client(move |_| {
            let body = body.clone();
            async move { (status, body) }
        });
        let read = of(&client, "shop")(key(kept)).await;
        (read, fake::asked(&log))
    }

    #[tokio::test]
    async fn given_a_named_secret_when_read_then_that_one_is_by_name_and_nothing_else() {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "scrape"}, "data": {"token": "YWJj"}});
        let (read, asked) = answered(Kept::Secret, 200, secret).await;
        assert_eq!(read.unwrap(), b"abc");
        let asked: Vec<_> = asked.iter().map(|asked| (asked.method.as_str(), asked.path.as_str())).collect();
        assert_eq!(asked, [("GET", "/api/v1/namespaces/shop/secrets/scrape")]);
    }

    #[tokio::test]
    async fn given_a_config_map_when_read_then_its_text_or_its_bytes() {
        for map in [json!({"data": {"token": "abc"}}), json!({"binaryData": {"token": "YWJj"}})] {
            let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "scrape"}});
            object.as_object_mut().unwrap().extend(map.as_object().unwrap().clone());
            let (read, asked) = answered(Kept::ConfigMap, 200, object).await;
            assert_eq!(read.unwrap(), b"abc");
            assert!(asked.iter().all(|asked| asked.path == "/api/v1/namespaces/shop/configmaps/scrape"));
        }
    }

    #[rstest::rstest]
    #[case::missing(404, "NotFound", "create it", false)]
    #[case::forbidden(403, "Forbidden", "verb get on secrets scrape in namespace shop", false)]
    #[case::busy(503, "ServiceUnavailable", "ServiceUnavailable", true)]
    #[tokio::test]
    async fn given_a_secret_that_cannot_be_read_then_why_and_whether_it_passes(
        #[case] status: u16,
        #[case] reason: &str,
        #[case] words: &str,
        #[case] passing: bool,
    ) {
        let (code, body) = fake::failure(status, reason);
        let error = answered(Kept::Secret, code, body).await.0.unwrap_err();
        assert!(error.detail.contains(words) && error.passing == passing, "{error:?}");
    }

    #[tokio::test]
    async fn given_a_secret_without_the_key_when_read_then_it_says_so_and_shows_none_of_the_others() {
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "scrape"}, "data": {"other": "aHVudGVyMg=="}});
        let error = answered(Kept::Secret, 200, secret).await.0.unwrap_err();
        assert!(error.detail.contains("no such key") && !error.detail.contains("hunter2") && !error.detail.contains("other"));
    }
}
