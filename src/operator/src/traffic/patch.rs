//! JSON patches (RFC 6902), with the paths written in one place.

use serde::Serialize;
use serde_json::{Value, json};

/// A JSON patch: operations that are applied all or not at all. Never empty.
///
/// `test` operations name what was read; the API server refuses the patch where they no longer hold.
/// As JSON it is the array that a request of type `application/json-patch+json` carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Patch(Vec<Value>);

impl Patch {
    /// The operations, each `{op, path, value}`.
    #[must_use]
    pub fn operations(&self) -> &[Value] {
        &self.0
    }

    /// The operations as a JSON array.
    #[must_use]
    pub fn into_value(self) -> Value {
        Value::Array(self.0)
    }
}

/// Collects tests and writes.
#[derive(Debug, Default)]
pub(super) struct Builder {
    tests: Vec<Value>,
    writes: Vec<Value>,
}

impl Builder {
    /// The value at `path` must still be this.
    pub(super) fn test(&mut self, path: &str, value: &Value) -> &mut Self {
        self.tests.push(json!({"op": "test", "path": path, "value": value}));
        self
    }

    /// Like [`Self::test`] for `member` of the object at `path`, where the object that was read has it.
    pub(super) fn test_if_read(&mut self, object: &Value, path: &str) -> &mut Self {
        if let Some(value) = object.pointer(path).filter(|value| !value.is_null()) {
            self.test(path, value);
        }
        self
    }

    /// Sets a member of an object, whether it is there or not.
    pub(super) fn set(&mut self, path: &str, value: &Value) -> &mut Self {
        self.writes.push(json!({"op": "add", "path": path, "value": value}));
        self
    }

    /// Takes a member out of an object.
    pub(super) fn remove(&mut self, path: &str) -> &mut Self {
        self.writes.push(json!({"op": "remove", "path": path}));
        self
    }

    /// All tests, then all writes; `None` where nothing is to be written.
    pub(super) fn finish(self) -> Option<Patch> {
        let Self { mut tests, mut writes } = self;
        if writes.is_empty() {
            return None;
        }
        tests.append(&mut writes);
        Some(Patch(tests))
    }
}

/// One step of a path: `~` and `/` are escaped (RFC 6901).
pub(super) fn step(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
