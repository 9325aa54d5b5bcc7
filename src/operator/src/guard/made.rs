//! The making of a Change, whose name may be another's already.

use firebreak_api::{Change, change::Phase, names};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, PostParams},
};

use super::{Worker, within};
use crate::raw;

/// What became of it.
#[derive(Debug, PartialEq)]
pub(super) enum Made {
    /// It runs; the caches have it soon.
    Runs,
    /// Its name is that of one that ended, or of another Guard's.
    NameTaken,
    /// One of its name may run, and cannot be read; why not.
    Unreadable(String),
}

impl Worker {
    /// Makes a Change, or says what there is in its place.
    pub(super) async fn make(&self, change: &Change) -> Result<Made, kube::Error> {
        let namespace = self.view.namespace();
        let api: Api<Change> = Api::namespaced(self.client.clone(), namespace);
        let params = PostParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match within(api.create(&params, change)).await {
            Ok(_) => return Ok(Made::Runs),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(error),
        }
        // As raw JSON: the caches have no Change that this build cannot read.
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, &ApiResource::erase::<Change>(&()));
        let there = within(api.get(&change.name_any())).await?;
        Ok(instead(&there, &self.name))
    }
}

/// What an object of a Change's name means for the Guard.
fn instead(there: &DynamicObject, guard: &str) -> Made {
    let phase = raw::at(there, "/status/phase").and_then(|phase| serde_json::from_value::<Phase>(phase.clone()).ok());
    let others = raw::at(there, "/spec/guard").is_some_and(|whose| whose != guard);
    if others || phase.is_some_and(Phase::ended) {
        return Made::NameTaken;
    }
    match serde_json::from_value::<Change>(raw::whole(there)) {
        Ok(_) => Made::Runs,
        Err(error) => Made::Unreadable(error.to_string()),
    }
}

/// What a Guard says of a Change that may run and cannot be read.
pub(super) fn unreadable(change: &str, namespace: &str, why: &str) -> String {
    format!(
        "Change {change} is there and may run, but this build of Firebreak cannot read it ({why}), so nobody judges its candidate: \
         correct that field, or run the version that wrote it. To take it away by hand: take the candidate out of the routes, then \
         kubectl patch change {change} -n {namespace} --type=merge -p '{{\"metadata\":{{\"finalizers\":null}}}}' and \
         kubectl delete change {change} -n {namespace}"
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;
    use crate::fake;

    #[rstest::rstest]
    #[case::runs("shop", json!({}), json!(1), "Runs")]
    #[case::ended("shop", json!({"phase": "Withdrawn"}), json!(1), "NameTaken")]
    #[case::ended_and_unreadable("shop", json!({"phase": "RolledBack"}), json!("one"), "NameTaken")]
    #[case::of_another_guard("shop-x", json!({}), json!(1), "NameTaken")]
    #[case::may_run("shop", json!({"phase": "Progressing"}), json!("one"), "Unreadable")]
    #[case::phase_of_another_version("shop", json!({"phase": "Dancing"}), json!(1), "Unreadable")]
    fn given_an_object_of_the_name_when_read_then_it_is_the_change_only_where_it_may_run(
        #[case] guard: &str,
        #[case] status: Value,
        #[case] attempt: Value,
        #[case] expected: &str,
    ) {
        let mut object = serde_json::to_value(fake::change("shop-x-1")).unwrap();
        object.as_object_mut().unwrap().insert("status".to_owned(), status);
        let spec = object.get_mut("spec").unwrap().as_object_mut().unwrap();
        spec.insert("guard".to_owned(), json!(guard));
        spec.insert("attempt".to_owned(), attempt);
        let made = instead(&serde_json::from_value(object).unwrap(), "shop");
        assert!(format!("{made:?}").starts_with(expected), "{made:?}");
    }
}
