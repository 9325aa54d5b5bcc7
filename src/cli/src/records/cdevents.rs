//! Entries as CDEvents 0.5 (<https://cdevents.dev>, types of version 0.3.0), for tools that gather deployments of many sources.
//!
//! `service.deployed`: the candidate gets its first traffic, beside stable. `service.upgraded`: it is the new stable, proved or let
//! through. `service.rolledback`: it was taken back; one that never had traffic was not. `service.removed`: it had traffic and ended
//! without a verdict. CDEvents 0.5 have no event for an approval (0.6 drafts one whose form may change), nor for the other acts of humans, so these are custom events, as the
//! specification has them: `dev.cdeventsx.firebreak-approval`, `dev.cdeventsx.firebreak-intervention`. The whole entry is in
//! `customData`.

use firebreak_api::record::What;
use serde::Serialize;

use super::{line::Line, row::Side};

/// Version of the specification.
const SPECIFICATION: &str = "0.5.0";

/// One event.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    context: Context,
    subject: Subject,
    custom_data: Line,
    custom_data_content_type: &'static str,
}

#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Context {
    #[serde(rename = "specversion")]
    version: &'static str,
    id: String,
    chain_id: String,
    source: String,
    r#type: String,
    timestamp: jiff::Timestamp,
}

#[derive(Serialize, Clone, Debug, PartialEq)]
struct Subject {
    id: String,
    source: String,
    content: Content,
}

#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Content {
    Service {
        environment: Environment,
        #[serde(skip_serializing_if = "Option::is_none")]
        artifact_id: Option<String>,
    },
    Human {
        /// Who; nobody vouches for them where it is absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        service: String,
        environment: Environment,
        artifact_id: String,
    },
}

#[derive(Serialize, Clone, Debug, PartialEq)]
struct Environment {
    id: String,
}

/// The event of each line of one Change or Guard, where it has one.
#[must_use]
pub fn events(lines: &[Line], source: &str) -> Vec<Option<Event>> {
    let first = lines.iter().position(|line| line.entry.what == What::StageStarted);
    let let_through = lines.iter().any(|line| line.entry.what == What::Bypassed);
    let event = |(place, line): (usize, &Line)| {
        let exposed = first.is_some_and(|first| first < place);
        let (kind, artifact) = match line.entry.what {
            What::StageStarted if first == Some(place) => ("service.deployed", &line.to),
            // That of a Change only says why it ended; its Guard says what was let through.
            What::Bypassed if line.change.is_some() => return None,
            What::Promoted | What::Bypassed => ("service.upgraded", &line.to),
            What::RolledBack if exposed => ("service.rolledback", &line.from),
            What::Superseded | What::Withdrawn if exposed && !let_through => ("service.removed", &line.to),
            What::Approved | What::Excepted => ("approval.given", &line.to),
            What::ApprovalExpired => ("approval.expired", &line.to),
            What::Refused => ("intervention.refused", &line.to),
            What::PromotedByHuman => ("intervention.promoted", &line.to),
            What::Paused => ("intervention.paused", &line.to),
            What::Resumed => ("intervention.resumed", &line.to),
            What::Aborted => ("intervention.aborted", &line.to),
            What::Retried => ("intervention.retried", &line.to),
            What::Cleared => ("intervention.cleared", &line.to),
            _ => return None,
        };
        Some(of(line, kind, artifact, source))
    };
    lines.iter().enumerate().map(event).collect()
}

fn of(line: &Line, kind: &str, artifact: &Side, source: &str) -> Event {
    let environment = Environment { id: line.namespace.clone() };
    let artifact_id = purl(line, artifact);
    let (r#type, content, id) = if kind.starts_with("service.") {
        // What is removed has no artifact, as its schema goes.
        let artifact_id = (kind != "service.removed").then_some(artifact_id);
        let content = Content::Service { environment, artifact_id };
        (format!("dev.cdevents.{kind}.0.3.0"), content, format!("deployment/{}", line.workload))
    } else {
        let content = Content::Human {
            user: line.entry.actor.name().map(str::to_owned),
            reason: line.entry.why.clone(),
            service: format!("deployment/{}", line.workload),
            environment,
            artifact_id,
        };
        let about = line.entry.intervention.as_ref().or(line.change.as_ref()).unwrap_or(&line.guard);
        (format!("dev.cdeventsx.firebreak-{kind}.0.1.0"), content, about.clone())
    };
    let source = format!("{source}/{}", line.namespace);
    Event {
        context: Context {
            version: SPECIFICATION,
            id: line.id.clone(),
            chain_id: line.uid.clone(),
            source: source.clone(),
            r#type,
            timestamp: line.entry.at,
        },
        subject: Subject { id, source, content },
        custom_data: line.clone(),
        custom_data_content_type: "application/json",
    }
}

/// The artifact as a package URL: the image that the Change is about, that is the first which the other side has not; without
/// images the template.
fn purl(line: &Line, side: &Side) -> String {
    let other = if *side == line.from { &line.to } else { &line.from };
    let own = side.images.iter().find(|image| !other.images.contains(image)).or(side.images.first());
    own.map_or_else(
        || format!("pkg:generic/{}@{}", escaped(&line.workload, ""), escaped(side.hash.as_deref().unwrap_or("unknown"), "")),
        |image| image_purl(image),
    )
}

/// An image as a package URL of type `oci`: its version is the digest, the tag is a qualifier.
fn image_purl(image: &str) -> String {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    let (repository, tag) = match name.get(slash..).and_then(|last| last.find(':')) {
        Some(colon) => (name.get(..slash + colon).unwrap_or(name), name.get(slash + colon + 1..)),
        None => (name, None),
    };
    let last = repository.rsplit('/').next().unwrap_or(repository).to_lowercase();
    let version = digest.map_or_else(String::new, |digest| format!("@{}", escaped(digest, "")));
    let repository = repository.contains('/').then(|| format!("repository_url={}", escaped(repository, "/:")));
    let tag = tag.map(|tag| format!("tag={}", escaped(tag, "")));
    let qualifiers: Vec<String> = repository.into_iter().chain(tag).collect();
    let qualifiers = if qualifiers.is_empty() { String::new() } else { format!("?{}", qualifiers.join("&")) };
    format!("pkg:oci/{}{version}{qualifiers}", escaped(&last, ""))
}

/// Percent-encoded but for letters, digits, `-._~` and what else may stand.
fn escaped(text: &str, also: &str) -> String {
    let one = |byte: u8| {
        let letter = char::from(byte);
        let stands = letter.is_ascii_alphanumeric() || "-._~".contains(letter) || (letter.is_ascii() && also.contains(letter));
        if stands { letter.to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("checkout", "pkg:oci/checkout")]
    #[case("checkout:2.4.0", "pkg:oci/checkout?tag=2.4.0")]
    #[case(
        "registry.example:5000/team/Checkout:2.4.0",
        "pkg:oci/checkout?repository_url=registry.example:5000/team/Checkout&tag=2.4.0"
    )]
    #[case("registry.example/checkout@sha256:0b31", "pkg:oci/checkout@sha256%3A0b31?repository_url=registry.example/checkout")]
    #[case(
        "registry.example/checkout:1@sha256:0b31",
        "pkg:oci/checkout@sha256%3A0b31?repository_url=registry.example/checkout&tag=1"
    )]
    fn given_an_image_when_named_as_an_artifact_then_a_package_url(#[case] image: &str, #[case] purl: &str) {
        assert_eq!(image_purl(image), purl);
    }
}
