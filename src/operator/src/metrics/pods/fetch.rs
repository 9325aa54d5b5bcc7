//! Gets pods' pages: connections, certificates, the token, and what is wrong with an answer in words that say what to do.
//!
//! Keys are read when they are first needed, every minute, and soon after a pod has refused the token. They are shown nowhere.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use reqwest::{
    Certificate, Response, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, TRANSFER_ENCODING},
};
use tokio::{sync::Semaphore, time::Instant};

use super::{
    Page,
    access::{Access, Key, KeyError, ReadKey, Trust},
    words,
};
use crate::metrics::trouble::Trouble;

/// To connect to a pod.
const CONNECT: Duration = Duration::from_millis(500);
/// For one page: a pod that is starved of CPU is slow, and is what is sought.
const READ: Duration = Duration::from_secs(3);
/// Bytes of one page.
pub(super) const MOST_BYTES: usize = 2 * 1024 * 1024;
/// Pages that are taken in at once by all of the operator: they are held in memory.
static PAGES: Semaphore = Semaphore::const_new(24);
/// The text format is understood best; OpenMetrics where a pod has nothing else.
const FORMATS: &str = "text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1";
/// Keys are read again this often.
pub(super) const KEYS_EVERY: Duration = Duration::from_secs(60);
/// And this soon where they could not be had, or a pod refused the token.
pub(super) const KEYS_SOON: Duration = Duration::from_secs(10);
/// For one key.
const KEY_WITHIN: Duration = Duration::from_secs(2);
/// Bytes of a token.
const MOST_TOKEN_BYTES: usize = 16 * 1024;

/// A page as it came.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) text: String,
    /// Whether it has to end with `# EOF`.
    pub(super) open_metrics: bool,
}

/// Asks pods for their pages.
pub(super) struct Fetcher {
    page: Page,
    read_key: ReadKey,
    keyring: Result<Keyring, Trouble>,
    /// When the keys were read, and when they are to be again.
    read_at: Option<(Instant, Duration)>,
    /// Whether a pod refused the token since it was read.
    refused: AtomicBool,
    /// One a pod, where its certificate is for a name: the name leads to that pod alone.
    clients: BTreeMap<IpAddr, reqwest::Client>,
}

/// What is asked with.
#[derive(Clone)]
struct Keyring {
    authorities: Option<Vec<u8>>,
    token: Option<HeaderValue>,
    client: reqwest::Client,
}

impl Fetcher {
    /// Nothing is read before [`Self::renew`].
    pub(super) fn new(page: Page, read_key: ReadKey) -> Result<Self, Trouble> {
        if let Access::Tls { server_name: Some(name), .. } = &page.access {
            named(name)?;
        }
        let client = client(&page.access, None, None)?;
        let keyring = Ok(Keyring { authorities: None, token: None, client });
        Ok(Self { page, read_key, keyring, read_at: None, refused: AtomicBool::new(false), clients: BTreeMap::new() })
    }

    /// Where pages are, for people.
    pub(super) fn shown(&self) -> String {
        let scheme = if self.page.access == Access::Plain { "http" } else { "https" };
        format!("{scheme}://POD:{}{}", self.page.port, self.page.path)
    }

    /// Reads the keys where that is due, and makes ready for these pods.
    ///
    /// # Errors
    /// Where a key cannot be had: then no pod can be asked.
    pub(super) async fn renew(&mut self, pods: &[IpAddr]) -> Result<(), Trouble> {
        let Access::Tls { trust, server_name, token } = self.page.access.clone() else { return Ok(()) };
        let soon = if self.refused.load(Ordering::Relaxed) { KEYS_SOON } else { KEYS_EVERY };
        if self.read_at.is_none_or(|(at, pause)| at.elapsed() >= pause.min(soon)) {
            self.refused.store(false, Ordering::Relaxed);
            let read = self.read_keys(&trust, token.as_ref()).await;
            let passing = read.as_ref().is_err_and(|(_, passing)| *passing) && self.keyring.as_ref().is_ok_and(Keyring::is_read);
            self.read_at = Some((Instant::now(), if read.is_ok() || passing { KEYS_EVERY } else { KEYS_SOON }));
            match read {
                // Whoever could not say takes nothing back.
                Err((trouble, _)) if passing => tracing::warn!(%trouble, "what was read before is used"),
                Err((trouble, _)) => self.keyring = Err(trouble),
                Ok((authorities, token)) => self.take(authorities, token),
            }
        }
        let keyring = self.keyring.as_ref().map_err(Clone::clone)?;
        if let Some(name) = &server_name {
            self.clients.retain(|ip, _| pods.contains(ip));
            for ip in pods.iter().filter(|ip| !self.clients.contains_key(ip)).copied().collect::<Vec<_>>() {
                self.clients.insert(ip, client(&self.page.access, keyring.authorities.as_deref(), Some((name, ip)))?);
            }
        }
        Ok(())
    }

    /// Asks with these from now on.
    fn take(&mut self, authorities: Option<Vec<u8>>, token: Option<HeaderValue>) {
        let same = self.keyring.as_ref().ok().filter(|old| old.authorities == authorities).map(|old| old.client.clone());
        let made = match same {
            Some(client) => Ok(client),
            None => {
                self.clients.clear();
                client(&self.page.access, authorities.as_deref(), None)
            }
        };
        self.keyring = made.map(|client| Keyring { authorities, token, client });
    }

    async fn read_keys(
        &self,
        trust: &Trust,
        token: Option<&Key>,
    ) -> Result<(Option<Vec<u8>>, Option<HeaderValue>), (Trouble, bool)> {
        let authorities = match trust {
            Trust::Authorities(key) => Some(self.read_key(key).await?),
            Trust::Image | Trust::Anyone => None,
        };
        let token = match token {
            Some(key) => {
                let value = self.read_key(key).await?;
                let header = bearer(&value).map_err(|detail| (Trouble::KeyUnread { key: key.to_string(), detail }, false))?;
                Some(header)
            }
            None => None,
        };
        if let (Trust::Authorities(key), Some(pem)) = (trust, &authorities) {
            certificates(pem).map_err(|detail| (Trouble::KeyUnread { key: key.to_string(), detail }, false))?;
        }
        Ok((authorities, token))
    }

    async fn read_key(&self, key: &Key) -> Result<Vec<u8>, (Trouble, bool)> {
        let read = tokio::time::timeout(KEY_WITHIN, (self.read_key)(key.clone())).await;
        let late =
            KeyError { detail: format!("no answer within {} s; it is asked for again", KEY_WITHIN.as_secs()), passing: true };
        read.unwrap_or(Err(late))
            .map_err(|error| (Trouble::KeyUnread { key: key.to_string(), detail: error.detail }, error.passing))
    }

    /// The page of a pod, or why it cannot be had and what to do.
    pub(super) async fn get(&self, ip: IpAddr) -> Result<Text, String> {
        let keyring = self.keyring.as_ref().map_err(ToString::to_string)?;
        let (client, host) = match (&self.page.access, self.clients.get(&ip)) {
            (Access::Tls { server_name: Some(name), .. }, Some(client)) => (client, name.clone()),
            (Access::Tls { server_name: Some(_), .. }, None) => return Err("it has just come".to_owned()),
            _ => (&keyring.client, bracketed(ip)),
        };
        let scheme = if self.page.access == Access::Plain { "http" } else { "https" };
        let mut request = client.get(format!("{scheme}://{host}:{}{}", self.page.port, self.page.path)).header(ACCEPT, FORMATS);
        if let Some(token) = &keyring.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        let answer = request.send().await.map_err(|error| words::unsent(&error, &self.page))?;
        let status = answer.status().as_u16();
        if !answer.status().is_success() {
            if status == 401 || status == 403 {
                self.refused.store(true, Ordering::Relaxed);
            }
            return Err(words::refused(status, &self.page));
        }
        text(answer, &self.page).await
    }
}

impl Keyring {
    fn is_read(&self) -> bool {
        self.authorities.is_some() || self.token.is_some()
    }
}

async fn text(mut answer: Response, page: &Page) -> Result<Text, String> {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("text/html") {
        return Err(words::a_web_page());
    }
    let open_metrics = kind.contains("openmetrics");
    let framed = answer.headers().contains_key(CONTENT_LENGTH) || answer.headers().contains_key(TRANSFER_ENCODING);
    let _page = PAGES.acquire().await.map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| words::unsent(&error, page))? {
        if bytes.len() + chunk.len() > MOST_BYTES {
            return Err(words::too_long(MOST_BYTES));
        }
        bytes.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(bytes).map_err(|_| "the page is not UTF-8".to_owned())?;
    // Where nothing else says how long the page is, a connection that broke looks like its end.
    if !framed && !text.ends_with('\n') {
        return Err("its last line does not end, so it is not whole".to_owned());
    }
    Ok(Text { text, open_metrics })
}

fn bracketed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// A name, and no address in any of the ways to write one: that would lead elsewhere than to the pod.
fn named(name: &str) -> Result<(), Trouble> {
    let url = Url::parse(&format!("https://{name}/")).ok();
    let is_name = url.is_some_and(|url| url.domain().is_some_and(|domain| domain.eq_ignore_ascii_case(name)));
    if is_name {
        return Ok(());
    }
    let detail = format!("{name:?} is no name: write one that the pods' certificates are for");
    Err(Trouble::BadSelector { field: "pods.tls.serverName", detail })
}

/// The header that carries a token.
fn bearer(value: &[u8]) -> Result<HeaderValue, String> {
    let text = std::str::from_utf8(value).unwrap_or_default().trim();
    if text.is_empty() || value.len() > MOST_TOKEN_BYTES {
        return Err(format!("it holds no token of at most {MOST_TOKEN_BYTES} bytes; put the token there, and nothing else"));
    }
    let mut header = HeaderValue::from_str(&format!("Bearer {text}"))
        .map_err(|_| "it holds characters that no token has; put the token there, and nothing else".to_owned())?;
    header.set_sensitive(true);
    Ok(header)
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, String> {
    match Certificate::from_pem_bundle(pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err("it holds no certificate in PEM; put the certificate of the authority there that signed the pods'".to_owned()),
    }
}

/// Leads every name to one address.
struct Only(SocketAddr);

impl reqwest::dns::Resolve for Only {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let address: reqwest::dns::Addrs = Box::new(std::iter::once(self.0));
        Box::pin(std::future::ready(Ok(address)))
    }
}

fn client(access: &Access, authorities: Option<&[u8]>, only: Option<(&str, IpAddr)>) -> Result<reqwest::Client, Trouble> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let failed = |detail: String| Trouble::PagesUnread { url: "the pods".to_owned(), detail };
    let roots = authorities.map(certificates).transpose().map_err(failed)?;
    let anyone = matches!(access, Access::Tls { trust: Trust::Anyone, .. });
    let builder = || {
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(READ)
            .redirect(reqwest::redirect::Policy::none())
            // A pod is asked itself, whatever proxy the operator has for the world outside.
            .no_proxy()
            .user_agent(concat!("firebreak/", env!("CARGO_PKG_VERSION")));
        match only {
            Some((_, ip)) => builder.dns_resolver(Arc::new(Only(SocketAddr::new(ip, 0)))),
            None => builder,
        }
    };
    let client = match &roots {
        Some(roots) => builder().tls_certs_only(roots.iter().cloned()).build(),
        None if anyone => builder().tls_danger_accept_invalid_certs(true).build(),
        // An image without certificate authorities can still be asked for what needs none.
        None => builder().build().or_else(|_| builder().tls_certs_only([]).build()),
    };
    client.map_err(|error| failed(error.to_string()))
}
