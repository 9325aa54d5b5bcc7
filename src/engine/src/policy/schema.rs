//! Which facts rules may name, of which type, and how many a list can hold: what a condition is checked against.
//!
//! It is the words' side of [`super::facts::Shown`]; a test holds the two together.

use super::{diff::most, facts::MOST_NAMES};

/// The type of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Double,
    /// A text.
    Text,
    /// A list of at most so many.
    List(&'static Self, usize),
    /// Texts by text: labels.
    Labels,
    /// Named facts.
    Object(&'static [Field]),
}

/// A named fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Type,
    /// Whether it can be absent: then a rule asks `has(...)` first.
    pub optional: bool,
}

const fn sure(name: &'static str, kind: Type) -> Field {
    Field { name, kind, optional: false }
}

const fn maybe(name: &'static str, kind: Type) -> Field {
    Field { name, kind, optional: true }
}

const CONTAINER: Field = sure("container", Type::Text);
const CHANGE: Field = sure("change", Type::Text);

const CLAIMS: &[Field] = &[
    maybe("risk", Type::Text),
    maybe("riskScore", Type::Double),
    maybe("aiContribution", Type::Text),
    sure("machineWritten", Type::Bool),
    sure("aiAgents", Type::List(&Type::Text, MOST_NAMES)),
    sure("reviewers", Type::List(&Type::Text, MOST_NAMES)),
    maybe("author", Type::Text),
    maybe("revision", Type::Text),
    maybe("changeUrl", Type::Text),
    maybe("summary", Type::Text),
    sure("problems", Type::List(&Type::Text, MOST_NAMES)),
];

const WORKLOAD: &[Field] = &[
    sure("name", Type::Text),
    sure("inNamespace", Type::Text),
    sure("replicas", Type::Int),
    sure("labels", Type::Labels),
    maybe("namespaceLabels", Type::Labels),
];

const IMAGE: &[Field] = &[
    CONTAINER,
    maybe("from", Type::Text),
    sure("to", Type::Text),
    sure("repositoryChanged", Type::Bool),
    sure("tagChanged", Type::Bool),
    sure("digestChanged", Type::Bool),
    sure("pinned", Type::Bool),
    sure("latest", Type::Bool),
];
const A_CONTAINER: &[Field] = &[sure("name", Type::Text), sure("init", Type::Bool), sure("sidecar", Type::Bool), CHANGE];
const SECURITY: &[Field] =
    &[CONTAINER, sure("setting", Type::Text), sure("value", Type::Text), CHANGE, sure("weakens", Type::Bool)];
const ENV: &[Field] = &[CONTAINER, sure("name", Type::Text), sure("secret", Type::Bool), CHANGE];
const VOLUME: &[Field] = &[CONTAINER, sure("name", Type::Text), sure("kind", Type::Text), CHANGE];
const RESOURCE: &[Field] = &[
    CONTAINER,
    sure("kind", Type::Text),
    sure("resource", Type::Text),
    CHANGE,
    maybe("from", Type::Text),
    maybe("to", Type::Text),
];
const PROBE: &[Field] = &[CONTAINER, sure("probe", Type::Text), CHANGE];
const COMMAND: &[Field] = &[CONTAINER, sure("part", Type::Text), CHANGE];
const SERVICE_ACCOUNT: &[Field] = &[sure("from", Type::Text), sure("to", Type::Text)];

const DIFF: &[Field] = &[
    sure("images", Type::List(&Type::Object(IMAGE), most::IMAGES)),
    sure("containers", Type::List(&Type::Object(A_CONTAINER), most::CONTAINERS)),
    sure("security", Type::List(&Type::Object(SECURITY), most::SECURITY)),
    sure("env", Type::List(&Type::Object(ENV), most::ENV)),
    sure("volumes", Type::List(&Type::Object(VOLUME), most::VOLUMES)),
    sure("resources", Type::List(&Type::Object(RESOURCE), most::RESOURCES)),
    sure("probes", Type::List(&Type::Object(PROBE), most::PROBES)),
    sure("commands", Type::List(&Type::Object(COMMAND), most::COMMANDS)),
    maybe("serviceAccount", Type::Object(SERVICE_ACCOUNT)),
    sure("other", Type::List(&Type::Text, most::OTHER)),
    sure("cut", Type::Int),
];

const TIME: &[Field] = &[
    sure("zone", Type::Text),
    sure("year", Type::Int),
    sure("month", Type::Int),
    sure("day", Type::Int),
    sure("weekday", Type::Int),
    sure("hour", Type::Int),
    sure("minute", Type::Int),
];

const HISTORY: &[Field] = &[
    sure("changes", Type::Int),
    sure("takenBack", Type::Int),
    maybe("shareTakenBack", Type::Double),
    maybe("hoursSinceLast", Type::Double),
    maybe("lastTakenBack", Type::Bool),
    sure("complete", Type::Bool),
];

/// What a condition can begin with.
pub const ROOTS: &[Field] = &[
    sure("claims", Type::Object(CLAIMS)),
    sure("risk", Type::Object(&[sure("level", Type::Text), sure("rank", Type::Int)])),
    sure("workload", Type::Object(WORKLOAD)),
    sure("diff", Type::Object(DIFF)),
    sure("time", Type::Object(TIME)),
    sure("history", Type::Object(HISTORY)),
    sure("changer", Type::Object(&[maybe("name", Type::Text)])),
];

/// A field by its name.
pub(super) fn field<'a>(fields: &'a [Field], name: &str) -> Option<&'a Field> {
    fields.iter().find(|field| field.name == name)
}

/// Whether any fact has this name.
pub(super) fn is_field(name: &str) -> bool {
    fn within(fields: &[Field], name: &str) -> bool {
        let inside = |kind: &Type| match kind {
            Type::Object(fields) | Type::List(Type::Object(fields), _) => within(fields, name),
            _ => false,
        };
        fields.iter().any(|field| field.name == name || inside(&field.kind))
    }
    within(ROOTS, name)
}
