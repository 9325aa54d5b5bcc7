//! Where requests may go: this machine and its pods, nowhere else.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::str::FromStr;

use hyper::Uri;
use hyper::http::uri::Scheme;

/// The lab's pod network (bridge `cni0`): its first address and the length of its prefix.
const POD_NETWORK: (Ipv4Addr, u32) = (Ipv4Addr::new(10, 244, 0, 0), 22);
const HTTP_PORT: u16 = 80;

/// A plain-HTTP URL whose host is an address: `http://127.0.0.1:28080/path`.
///
/// No names but `localhost`: pods of the lab have no DNS, and a name could mean another machine tomorrow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    address: SocketAddr,
    authority: String,
    path: Uri,
}

impl Endpoint {
    /// The socket to connect to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Host and port as written, for the Host header.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Path and query, in the form a request line holds.
    #[must_use]
    pub const fn path(&self) -> &Uri {
        &self.path
    }

    /// Refuses every address that is neither loopback nor reached through the lab's own bridge.
    ///
    /// # Errors
    /// [`TargetError::Elsewhere`] when it is neither.
    pub fn require_local(&self) -> Result<(), TargetError> {
        if is_local(self.address.ip(), source_towards(self.address)) {
            Ok(())
        } else {
            Err(TargetError::Elsewhere(self.address.ip()))
        }
    }
}

impl FromStr for Endpoint {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let malformed = || TargetError::Malformed(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| malformed())?;
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err(malformed());
        }
        let authority = uri.authority().ok_or_else(malformed)?;
        let ip = match authority.host() {
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            host => host.trim_matches(['[', ']']).parse().map_err(|_| malformed())?,
        };
        let address = SocketAddr::new(ip, authority.port_u16().unwrap_or(HTTP_PORT));
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self { address, authority: authority.to_string(), path: path.parse().map_err(|_| malformed())? })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "http://{}{}", self.authority, self.path)
    }
}

/// Why a URL is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetError {
    /// It is not of the form that is understood.
    Malformed(String),
    /// It is not on this machine.
    Elsewhere(IpAddr),
}

impl fmt::Display for TargetError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(text) => {
                write!(out, "`{text}` is not understood: write http://ADDRESS:PORT/PATH with an address, not a name")
            }
            Self::Elsewhere(ip) => {
                let (network, bits) = POD_NETWORK;
                write!(
                    out,
                    "{ip} is refused: load stays on this machine. Use a loopback address, or a pod's address in \
                     {network}/{bits} while the lab's bridge is up"
                )
            }
        }
    }
}

impl std::error::Error for TargetError {}

/// `source` is the address this machine would send from.
fn is_local(target: IpAddr, source: Option<IpAddr>) -> bool {
    // In the pod network and sent from it: without the bridge, a default route could carry the load elsewhere.
    target.is_loopback() || (is_in_pod_network(target) && source.is_some_and(is_in_pod_network))
}

fn is_in_pod_network(ip: IpAddr) -> bool {
    let (network, bits) = POD_NETWORK;
    let mask = u32::MAX << (u32::BITS - bits);
    matches!(ip, IpAddr::V4(ip) if ip.to_bits() & mask == network.to_bits())
}

/// Asks the routing table; connecting a UDP socket sends nothing.
fn source_towards(target: SocketAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(target).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }

    #[test]
    fn given_a_target_then_only_loopback_and_the_bridge_are_local() {
        for (target, source, local) in [
            ("127.0.0.1", None, true),
            ("127.8.9.1", None, true),
            ("::1", None, true),
            ("10.244.0.1", Some("10.244.0.1"), true),
            ("10.244.3.254", Some("10.244.0.1"), true),
            ("10.244.4.0", Some("10.244.0.1"), false),
            ("10.244.0.9", Some("192.168.0.7"), false),
            ("10.244.0.9", None, false),
            ("192.168.0.7", Some("192.168.0.7"), false),
            ("8.8.8.8", Some("10.244.0.1"), false),
            ("0.0.0.0", None, false),
        ] {
            assert_eq!(is_local(ip(target), source.map(ip)), local, "{target} from {source:?}");
        }
    }

    #[test]
    fn given_a_url_then_address_authority_and_path_are_told_apart() {
        let endpoint = "http://localhost:28080/a/b?c=1".parse::<Endpoint>();
        assert!(endpoint.is_ok_and(|endpoint| {
            endpoint.address() == SocketAddr::new(ip("127.0.0.1"), 28080)
                && endpoint.authority() == "localhost:28080"
                && endpoint.path() == "/a/b?c=1"
        }));
        assert!("http://[::1]:80".parse::<Endpoint>().is_ok_and(|endpoint| endpoint.address().ip() == ip("::1")));
        for text in ["", "127.0.0.1:80", "https://127.0.0.1", "http://example.com/", "ftp://127.0.0.1/"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn given_another_machine_then_the_refusal_says_what_to_use() {
        let refused = "http://192.0.2.1:80/".parse::<Endpoint>().and_then(|endpoint| endpoint.require_local());
        let message = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains("192.0.2.1 is refused") && message.contains("loopback"), "{message}");
    }
}
