//! Prometheus as it answers, as it refuses, and as it is not there.

use rstest::rstest;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

/// A server that answers requests and failures with these bodies, and has all of the history.
async fn prometheus(requests: &str, failures: &str) -> String {
    prometheus_since("1800", requests, failures).await
}

/// The same with so many seconds of history.
async fn prometheus_since(age: &str, requests: &str, failures: &str) -> String {
    let age = number(age);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/prom/", listener.local_addr().unwrap());
    let (requests, failures) = (requests.to_owned(), failures.to_owned());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).await.unwrap() == 0 {
                    break;
                }
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let of_age = head.starts_with("GET /prom/api/v1/query?query=time%28%29+-+min%28min_over_time%28timestamp%28");
            assert!(of_age || head.starts_with("GET /prom/api/v1/query?query=sum%28rate%28"), "{head}");
            let body = if of_age {
                &age
            } else if head.contains("code%3D%7E") {
                &failures
            } else {
                &requests
            };
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    url
}

async fn asked(url: &str) -> Result<Traffic, String> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    read(url, "http_requests_total", "http_requests_total{code=~\"5..\"}", "shop", "checkout").await
}

fn number(value: &str) -> String {
    format!(
        r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{}},"value":[1782907800.1,"{value}"]}}]}}}}"#
    )
}

const NONE: &str = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;

#[tokio::test]
async fn given_a_prometheus_when_asked_then_its_traffic() {
    let url = prometheus(&number("250.5"), &number("0.501")).await;
    let traffic = asked(&url).await.unwrap();
    assert_eq!((traffic.requests, traffic.failing), (250.5, 0.002));
    // No series of failures: none failed.
    let url = prometheus(&number("250.5"), NONE).await;
    assert_eq!(asked(&url).await.unwrap().failing, 0.0);
}

/// A service that is two minutes old: what came in them is the mean of them, not of half an hour.
#[tokio::test]
async fn given_a_short_history_when_asked_then_divided_by_what_is_there_and_said() {
    let url = prometheus_since("135", &number("15"), &number("0.15")).await;
    let traffic = asked(&url).await.unwrap();
    assert_eq!(traffic.requests, 200.0);
    assert!((traffic.failing - 0.01).abs() < 1e-12, "{}", traffic.failing);
    assert_eq!(traffic.from, "mean of 2m15s: Prometheus has no more of the last 30m");
}

#[rstest]
#[case(NONE, "no requests in the last 30m")]
#[case(&number("0"), "no requests in the last 30m")]
#[case(&number("NaN"), "no requests in the last 30m")]
#[case(r#"{"status":"error","error":"parse error: unexpected }"}"#, "it answers: parse error: unexpected }")]
#[case("<html>Sign in</html>", "not as Prometheus does: <html>Sign in</html>")]
#[case(&"x".repeat(70_000), "an answer of more than 65536 bytes")]
#[tokio::test]
async fn given_another_answer_when_asked_then_it_is_said(#[case] answer: &str, #[case] words: &str) {
    let url = prometheus(answer, NONE).await;
    let error = asked(&url).await.unwrap_err();
    assert!(error.contains(words), "{error}");
}

#[tokio::test]
async fn given_nobody_there_when_asked_then_it_is_said() {
    // Port 9 on loopback: nobody listens.
    let error = asked("http://127.0.0.1:9").await.unwrap_err();
    assert!(error.contains("refused"), "{error}");
    let error = asked("prometheus:9090").await.unwrap_err();
    assert!(error.contains("begins with http:// or https://"), "{error}");
}

#[rstest]
#[case("requests", "requests{pod=\"x\"}")]
#[case("requests{code=~\"5..\"}", "requests{code=~\"5..\",pod=\"x\"}")]
#[case(" ns:requests { a=\"}\", } ", "ns:requests{a=\"}\",pod=\"x\"}")]
fn given_a_selector_when_matchers_are_added_then_inside_its_braces(#[case] selector: &str, #[case] with_pods: &str) {
    assert_eq!(with(selector, "pod=\"x\"").as_deref(), Ok(with_pods));
}

#[rstest]
#[case("sum(requests)")]
#[case("up or vector(1)")]
#[case("{code=\"5\"}")]
#[case("requests{a=\"b\"} offset 5m")]
fn given_more_than_a_selector_when_matchers_are_added_then_refused(#[case] selector: &str) {
    assert!(with(selector, "pod=\"x\"").unwrap_err().contains("no plain selector"));
}
