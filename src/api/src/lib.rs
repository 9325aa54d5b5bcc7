//! The Kubernetes resources of Firebreak (`firebreak.dev/v1alpha1`) as Rust types.
//!
//! Holds: the five kinds ([`Guard`], [`Change`], [`ClusterRiskPolicy`], [`RiskPolicy`], [`Intervention`]), the names of annotations and
//! labels ([`names`]), the comparison of pod templates ([`template`], [`diff`]), conditions ([`conditions`]), stored values ([`packed`]),
//! what a policy means to the engine ([`plan`], [`in_force`], [`stricter`], [`freezes`], [`windows`]), what a human who is asked has
//! to know ([`brief`]), the record of a Change as entries ([`record`]).
//! Does not hold: any decision (crate `firebreak-engine`), any client call (crate `firebreak-operator`).
//! Start at [`guard`]; the definitions in `crds/` are generated from here by `firebreak crds`.

// The derive for schemas repeats each struct in a private module, where `pub` reaches nobody.
#![allow(unreachable_pub)]
// Every printed column has a type of its own, which the lint takes for a repetition.
#![allow(clippy::duplicated_attributes)]

pub mod brief;
pub mod change;
pub mod conditions;
pub mod crds;
pub mod diff;
pub mod evidence;
pub mod facts;
pub mod freezes;
pub mod guard;
pub mod in_force;
pub mod intervention;
pub mod names;
pub mod packed;
pub mod plan;
pub mod policy;
pub mod presets;
pub mod record;
pub mod span;
pub mod stricter;
pub mod template;
pub mod windows;

pub use change::{Change, ChangeSpec, ChangeStatus};
pub use guard::{Guard, GuardSpec, GuardStatus};
pub use intervention::{Intervention, InterventionSpec, InterventionStatus};
pub use policy::{ClusterRiskPolicy, ClusterRiskPolicySpec, RiskPolicy, RiskPolicySpec};
pub use span::Span;
