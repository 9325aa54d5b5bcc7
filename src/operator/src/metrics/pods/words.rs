//! What is wrong with a pod's page, and what to do.

use super::{
    Page,
    access::{Access, Trust},
};
use crate::metrics::client::innermost;

/// Characters of what a connection said.
const MAX_DETAIL_CHARS: usize = 200;

/// Words for an answer with this status.
pub(super) fn refused(status: u16, page: &Page) -> String {
    let token = match &page.access {
        Access::Plain => None,
        Access::Tls { token, .. } => token.as_ref(),
    };
    let advice = match (status, token) {
        (401, Some(token)) => format!(
            "it does not accept the token of {token}: it is wrong or has expired; put a valid one there, it is read again within a minute"
        ),
        (403, Some(token)) => format!(
            "the token of {token} may not read the page: give its account that right, for kube-rbac-proxy the verb get on the \
             nonResourceURL {}, or put another token there",
            page.path
        ),
        (401 | 403, None) => {
            "it asks who reads the page: name a token with spec.metrics.pods.bearerTokenSecret and scheme: HTTPS".to_owned()
        }
        (404, _) => "there is no such page: check spec.metrics.pods.path and port".to_owned(),
        (300..=399, _) if page.access == Access::Plain => {
            "it leads elsewhere: check spec.metrics.pods.path, and whether the port takes scheme: HTTPS".to_owned()
        }
        (300..=399, _) => "it leads elsewhere: check spec.metrics.pods.path".to_owned(),
        (400, _) if page.access == Access::Plain => {
            "check spec.metrics.pods.port and path, and whether the port takes scheme: HTTPS".to_owned()
        }
        _ => "look at the pod's log".to_owned(),
    };
    format!("status {status}: {advice}")
}

/// Words for a web page where metrics should be.
pub(super) fn a_web_page() -> String {
    "it is a web page and no metrics: check spec.metrics.pods.path and port".to_owned()
}

/// Words for a page that is too long.
pub(super) fn too_long(bytes: usize) -> String {
    format!(
        "the page is longer than {bytes} bytes: leave out series that nobody needs, or have Prometheus read it instead of spec.metrics.pods"
    )
}

/// Words for a connection that was not made, or broke.
pub(super) fn unsent(error: &reqwest::Error, page: &Page) -> String {
    let cause: String = innermost(error).chars().take(MAX_DETAIL_CHARS).collect();
    if let Some(tls) = tls(error) {
        return format!("{cause}: {}", of_tls(tls, page));
    }
    if error.is_timeout() && !error.is_connect() {
        return "no whole page in time: the pod is short of CPU, or the page is too much for it".to_owned();
    }
    let speaks = match page.access {
        Access::Plain => "",
        Access::Tls { .. } => "; that the port speaks TLS",
    };
    format!(
        "{cause}: check that the pod listens on port {} of its own address, not of localhost alone{speaks}; that network policies let the operator in",
        page.port
    )
}

fn of_tls(error: &rustls::Error, page: &Page) -> String {
    use rustls::{CertificateError as Certificate, Error, InvalidMessage};
    match error {
        Error::InvalidCertificate(Certificate::UnknownIssuer | Certificate::BadSignature) => match &page.access {
            Access::Tls { trust: Trust::Authorities(key), .. } => {
                format!("none of the authorities in {key} signed the pod's certificate; put there the one that did")
            }
            _ => "name the authority that signed the pod's certificate with spec.metrics.pods.tls.caSecret or caConfigMap"
                .to_owned(),
        },
        Error::InvalidCertificate(Certificate::NotValidForName | Certificate::NotValidForNameContext { .. }) => {
            "set spec.metrics.pods.tls.serverName to a name that the pod's certificate is for".to_owned()
        }
        Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "the pod's certificate has expired; give the pod a new one".to_owned()
        }
        Error::InvalidCertificate(Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) => {
            "the pod's certificate is not valid yet; set the clocks of the nodes by NTP".to_owned()
        }
        Error::InvalidCertificate(_) => "the pod's certificate cannot be used; give the pod another one".to_owned(),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the port does not speak TLS: leave out scheme, or name another port".to_owned()
        }
        _ => "check how the pod's TLS is set up; Firebreak speaks TLS 1.2 and 1.3 and shows no certificate of its own".to_owned(),
    }
}

/// What TLS said, wherever in the error it stands: an error of input or output holds it, and does not call it its source.
fn tls(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = held.map(|held| held as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    }
    None
}
