//! Pods that are read over TLS, with a token.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::FutureExt as _;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};

use super::{job, next, shapes, start};
use crate::metrics::{
    Access, Kept, Key, KeyError, Page, ReadKey, Trouble, Trust,
    pods::fetch::{Fetcher, KEYS_EVERY, KEYS_SOON, Text},
};

const TOKEN: &str = "eyJ-valid.token";
const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// An authority and what it signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A pod's certificate for `metrics.shop` and this machine's address, good until this year.
    fn sign(&self, until: i32) -> rustls::ServerConfig {
        let mut params = CertificateParams::new(vec!["metrics.shop".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::IpAddress(HERE));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let chain = vec![certificate.der().clone()];
        rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap()
    }
}

/// What pods were asked, head by head.
type Heads = Arc<Mutex<Vec<String>>>;

/// A pod that shows its page to who has the token, and not to one whom it only knows.
fn pod(config: rustls::ServerConfig) -> (u16, Heads) {
    let listener = TcpListener::bind((HERE, 0)).unwrap();
    let (port, heads, config) = (listener.local_addr().unwrap().port(), Heads::default(), Arc::new(config));
    let kept = Arc::clone(&heads);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (config, kept) = (Arc::clone(&config), Arc::clone(&kept));
            std::thread::spawn(move || serve(stream, config, &kept));
        }
    });
    (port, heads)
}

/// One request a connection.
fn serve(stream: TcpStream, config: Arc<rustls::ServerConfig>, heads: &Heads) {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut tls = rustls::StreamOwned::new(rustls::ServerConnection::new(config).unwrap(), stream);
    let (mut head, mut piece) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match tls.read(&mut piece) {
            Ok(read) if read > 0 => head.extend_from_slice(&piece[..read]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let token = head.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
    let status = match token {
        Some(TOKEN) => "200 OK",
        Some("known") => "403 Forbidden",
        _ => "401 Unauthorized",
    };
    heads.lock().unwrap().push(head.clone());
    let page = "r 10\nf 1\n";
    let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{page}", page.len());
    let _ = tls.write_all(answer.as_bytes());
    tls.conn.send_close_notify();
    let _ = tls.flush();
}

fn key(kept: Kept, name: &str) -> Key {
    Key { kept, name: name.to_owned(), key: "value".to_owned() }
}

/// A value that is kept, or why it cannot be had.
type Value = Result<String, KeyError>;

/// What is kept: `ca` in a ConfigMap, `scrape` in a Secret.
#[derive(Clone)]
struct Vault(Arc<Mutex<(Value, Value)>>);

impl Vault {
    fn new(ca: &str, token: &str) -> Self {
        Self(Arc::new(Mutex::new((Ok(ca.to_owned()), Ok(token.to_owned())))))
    }

    fn read_key(&self) -> ReadKey {
        let kept = Arc::clone(&self.0);
        Arc::new(move |key| {
            let kept = kept.lock().unwrap();
            let value = if key.name == "ca" { kept.0.clone() } else { kept.1.clone() };
            async move { value.map(String::into_bytes) }.boxed()
        })
    }

    fn set_token(&self, token: Result<&str, KeyError>) {
        self.0.lock().unwrap().1 = token.map(str::to_owned);
    }
}

fn tls(server_name: Option<&str>) -> Access {
    Access::Tls {
        trust: Trust::Authorities(key(Kept::ConfigMap, "ca")),
        server_name: server_name.map(str::to_owned),
        token: Some(key(Kept::Secret, "scrape")),
    }
}

fn fetcher(port: u16, access: Access, vault: &Vault) -> Fetcher {
    let page = Page { port, path: "/metrics".to_owned(), access, most_per_arm: 50 };
    Fetcher::new(page, vault.read_key()).unwrap()
}

/// Asks the pod once.
async fn ask(fetcher: &mut Fetcher) -> Result<Text, String> {
    fetcher.renew(&[HERE]).await.map_err(|trouble| trouble.to_string())?;
    fetcher.get(HERE).await
}

/// Lets time pass for the fetcher, and for no connection.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[rstest::rstest]
#[case::for_a_name_that_no_resolver_knows(tls(Some("metrics.shop")))]
#[case::for_the_address(tls(None))]
#[case::for_anyone(Access::Tls { trust: Trust::Anyone, server_name: None, token: Some(key(Kept::Secret, "scrape")) })]
#[tokio::test]
async fn given_a_pod_that_is_to_be_trusted_when_read_then_its_page_with_the_token(#[case] access: Access) {
    let authority = Authority::new();
    let (port, heads) = pod(authority.sign(2099));
    let vault = Vault::new(&authority.pem, &format!("{TOKEN}\n"));
    let page = ask(&mut fetcher(port, access, &vault)).await.unwrap();
    assert_eq!(page.text, "r 10\nf 1\n");
    let heads = heads.lock().unwrap();
    assert!(heads.len() == 1 && heads[0].contains("authorization: Bearer eyJ-valid.token\r\n") && heads[0].contains("*/*;q=0.1"));
}

#[rstest::rstest]
#[case::of_another_authority(false, 2099, "metrics.shop", "none of the authorities in key value of ConfigMap ca signed")]
#[case::expired(true, 2001, "metrics.shop", "has expired")]
#[case::for_another_name(true, 2099, "cart.shop", "set spec.metrics.pods.tls.serverName")]
#[tokio::test]
async fn given_a_certificate_that_is_not_trusted_when_read_then_why_and_no_token_is_sent(
    #[case] known: bool,
    #[case] until: i32,
    #[case] server_name: &str,
    #[case] words: &str,
) {
    let authority = Authority::new();
    let (port, heads) = pod(authority.sign(until));
    let trusted = if known { authority.pem } else { Authority::new().pem };
    let error = ask(&mut fetcher(port, tls(Some(server_name)), &Vault::new(&trusted, TOKEN))).await.unwrap_err();
    assert!(error.contains(words), "{error}");
    assert!(heads.lock().unwrap().is_empty());
}

#[tokio::test]
async fn given_no_authority_when_read_then_it_says_to_name_one() {
    let (port, _) = pod(Authority::new().sign(2099));
    let access = Access::Tls { trust: Trust::Image, server_name: None, token: None };
    let error = ask(&mut fetcher(port, access, &Vault::new("", ""))).await.unwrap_err();
    assert!(error.contains("tls.caSecret or caConfigMap"), "{error}");
}

#[tokio::test]
async fn given_a_port_in_the_clear_when_read_over_tls_then_it_says_so() {
    let port = super::pod(|| (axum::http::StatusCode::OK, "r 1\n".to_owned())).await;
    let vault = Vault::new(&Authority::new().pem, TOKEN);
    let error = ask(&mut fetcher(port, tls(None), &vault)).await.unwrap_err();
    assert!(error.contains("does not speak TLS"), "{error}");
}

#[rstest::rstest]
#[case::wrong_or_expired(
    Some("expired"),
    "401: it does not accept the token of key value of Secret scrape: it is wrong or has expired"
)]
#[case::may_not_read(
    Some("known"),
    "403: the token of key value of Secret scrape may not read the page: give its account that right"
)]
#[case::none(None, "401: it asks who reads the page: name a token with spec.metrics.pods.bearerTokenSecret")]
#[tokio::test]
async fn given_a_pod_that_refuses_when_read_then_what_to_do_and_never_the_token(
    #[case] token: Option<&str>,
    #[case] words: &str,
) {
    let authority = Authority::new();
    let (port, _) = pod(authority.sign(2099));
    let access = match tls(None) {
        Access::Tls { trust, server_name, .. } if token.is_none() => Access::Tls { trust, server_name, token: None },
        access => access,
    };
    let mut job = job(port);
    (job.page.access, job.read_key) = (access, Vault::new(&authority.pem, token.unwrap_or_default()).read_key());
    let mut started = start(&shapes(), job).unwrap();
    let trouble = next(&mut started.subscriptions[0]).await.result.clone().unwrap_err();
    assert_eq!(trouble.reason(), "PagesUnreadable");
    let told = trouble.to_string();
    assert!(told.contains(words) && told.contains("https://POD:") && told.contains("pod shop-a-22222"), "{told}");
    assert!(token.is_none_or(|token| !format!("{told}{trouble:?}").contains(&format!("Bearer {token}"))));
}

#[tokio::test]
async fn given_a_token_that_expired_when_a_new_one_is_put_there_then_it_is_used_soon() {
    let authority = Authority::new();
    let (port, _) = pod(authority.sign(2099));
    let vault = Vault::new(&authority.pem, "expired");
    let mut fetcher = fetcher(port, tls(Some("metrics.shop")), &vault);
    assert!(ask(&mut fetcher).await.unwrap_err().contains("401"));
    vault.set_token(Ok(TOKEN));
    assert!(ask(&mut fetcher).await.is_err(), "asked for again at once");
    pass(KEYS_SOON).await;
    assert!(ask(&mut fetcher).await.is_ok());
    vault.set_token(Ok("known"));
    pass(KEYS_EVERY / 2).await;
    assert!(ask(&mut fetcher).await.is_ok(), "nobody refuses it");
    pass(KEYS_EVERY).await;
    assert!(ask(&mut fetcher).await.unwrap_err().contains("403"));
}

#[rstest::rstest]
#[case::nobody_can_say(true, true)]
#[case::it_is_gone(false, false)]
#[tokio::test]
async fn given_a_token_that_cannot_be_read_again_then_the_old_one_holds_only_while_nobody_can_say(
    #[case] passing: bool,
    #[case] holds: bool,
) {
    let authority = Authority::new();
    let (port, _) = pod(authority.sign(2099));
    let vault = Vault::new(&authority.pem, TOKEN);
    let mut fetcher = fetcher(port, tls(Some("metrics.shop")), &vault);
    ask(&mut fetcher).await.unwrap();
    vault.set_token(Err(KeyError { detail: "it is gone".to_owned(), passing }));
    pass(KEYS_EVERY).await;
    assert_eq!(ask(&mut fetcher).await.is_ok(), holds);
    vault.set_token(Ok(TOKEN));
    pass(KEYS_EVERY).await;
    assert!(ask(&mut fetcher).await.is_ok(), "it is had again");
}

#[rstest::rstest]
#[case::no_token("", None, "holds no token")]
#[case::a_line_break_in_it("a\nb", None, "characters that no token has")]
#[case::no_certificate(TOKEN, Some("-----BEGIN NOTHING-----"), "holds no certificate in PEM")]
#[tokio::test]
async fn given_a_key_that_holds_something_else_when_read_then_which_one_and_what_to_put_there(
    #[case] token: &str,
    #[case] ca: Option<&str>,
    #[case] words: &str,
) {
    let pem = Authority::new().pem;
    let trouble = fetcher(1, tls(None), &Vault::new(ca.unwrap_or(&pem), token)).renew(&[HERE]).await.unwrap_err();
    assert!(matches!(&trouble, Trouble::KeyUnread { .. }) && trouble.to_string().contains(words), "{trouble}");
}

#[rstest::rstest]
fn given_a_server_name_that_is_an_address_then_it_is_refused(
    #[values("127.0.0.1", "2130706433", "0x7f.1", "127.1", "::1", "a/b")] name: &str,
) {
    let page = Page { port: 1, path: "/".to_owned(), access: tls(Some(name)), most_per_arm: 50 };
    let refused = Fetcher::new(page, Vault::new("", "").read_key()).err().unwrap();
    assert!(refused.to_string().contains("is no name"), "{refused}");
}
