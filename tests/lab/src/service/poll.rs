//! The pod's side of the run-time control: one kept-alive connection, polled on a fixed beat.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::control::{Control, POD_HEADER, VERSION_HEADER};
use crate::load::Endpoint;

/// From one poll to the next.
pub(super) const POLL_EVERY: Duration = Duration::from_millis(200);
/// One poll, connecting included.
const POLL_LIMIT: Duration = Duration::from_millis(500);
/// A control is thousands of pod names at most.
const BODY_MAX: usize = 256 * 1024;

/// Reads the control of one pod.
#[derive(Debug)]
pub(super) struct Poller {
    endpoint: Endpoint,
    headers: HeaderMap,
    connection: Option<SendRequest<Empty<Bytes>>>,
}

impl Poller {
    pub(super) fn new(endpoint: Endpoint, pod: HeaderValue, version: HeaderValue) -> Self {
        let mut headers = HeaderMap::new();
        if let Ok(host) = HeaderValue::from_str(endpoint.authority()) {
            headers.insert(HOST, host);
        }
        headers.insert(POD_HEADER, pod);
        headers.insert(VERSION_HEADER, version);
        Self { endpoint, headers, connection: None }
    }

    /// What is asked of the pods now; the reason where that cannot be told.
    pub(super) async fn poll(&mut self) -> Result<Control, String> {
        match timeout(POLL_LIMIT, self.ask()).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} ms", POLL_LIMIT.as_millis())),
        }
    }

    async fn ask(&mut self) -> Result<Control, String> {
        // Taken out, so that a connection that fails or times out is never used again.
        let mut connection = match self.connection.take().filter(SendRequest::is_ready) {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.endpoint.path().clone();
        *request.headers_mut() = self.headers.clone();
        let response = connection.send_request(request).await.map_err(|error| error.to_string())?;
        if response.status() != StatusCode::OK {
            return Err(format!("answered {}", response.status()));
        }
        let body = Limited::new(response.into_body(), BODY_MAX).collect().await.map_err(|error| error.to_string())?;
        let control = serde_json::from_slice(&body.to_bytes()).map_err(|error| error.to_string())?;
        self.connection = Some(connection);
        Ok(control)
    }

    async fn connect(&self) -> Result<SendRequest<Empty<Bytes>>, String> {
        let stream = TcpStream::connect(self.endpoint.address()).await.map_err(|error| error.to_string())?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        Ok(sender)
    }
}
