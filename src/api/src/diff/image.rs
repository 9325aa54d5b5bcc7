//! References of images: repository, tag, digest.

use firebreak_engine::policy::diff::Image;

/// The parts of a reference: `registry:5000/shop:1.4@sha256:...`.
struct Parts<'a> {
    repository: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

fn parts(reference: &str) -> Parts<'_> {
    let (name, digest) = reference.split_once('@').map_or((reference, None), |(name, digest)| (name, Some(digest)));
    // A colon before a slash is that of a port.
    match name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
        Some((repository, tag)) => Parts { repository, tag: Some(tag), digest },
        None => Parts { repository: name, tag: None, digest },
    }
}

/// The fact of an image; `from` is none for a new container.
pub(super) fn image(container: &str, from: Option<&str>, to: &str) -> Image {
    let new = parts(to);
    let old = from.map(parts);
    let differs = |of: fn(&Parts<'_>) -> Option<String>| old.as_ref().is_some_and(|old| of(old) != of(&new));
    Image {
        container: container.to_owned(),
        from: from.map(super::cut),
        to: super::cut(to),
        repository_changed: differs(|parts| Some(parts.repository.to_owned())),
        tag_changed: differs(|parts| parts.tag.map(str::to_owned)),
        digest_changed: differs(|parts| parts.digest.map(str::to_owned)),
        pinned: new.digest.is_some(),
        latest: new.digest.is_none() && new.tag.is_none_or(|tag| tag == "latest"),
    }
}
