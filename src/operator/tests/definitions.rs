//! `crds/` is what the types say, and small enough for a plain `kubectl apply`.

#![allow(clippy::unwrap_used)]

use std::path::Path;

#[test]
fn given_the_types_when_the_definitions_are_generated_then_they_are_those_of_the_repository() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds");
    let mut bytes = 0;
    for (name, text) in firebreak_operator::crds::files().unwrap() {
        let stored = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert_eq!(
            stored, text,
            "crds/{name} is not what the types say: run `cargo run -p firebreak-operator -- crds --write crds`"
        );
        bytes += text.len();
    }
    assert!(bytes < 100_000, "{bytes} bytes of definitions");
}
