//! Kept-alive HTTP/1.1 connections to one address.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HeaderValue;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::config::Plan;
use super::recorder::Fate;

/// Idle connections kept; the ones above are closed. Far above what a steady rate needs at once.
const IDLE_MAX: usize = 256;

type Connection = SendRequest<Empty<Bytes>>;

/// Sends the requests of one plan.
#[derive(Debug)]
pub(super) struct Pool {
    plan: Arc<Plan>,
    /// The one used last is used next, so that few are in use and the others can grow old in peace.
    idle: Mutex<Vec<Connection>>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) version: Option<HeaderValue>,
    pub(super) fate: Fate,
}

impl Pool {
    pub(super) const fn new(plan: Arc<Plan>) -> Self {
        Self { plan, idle: Mutex::new(Vec::new()) }
    }

    /// Sends one request and reads its answer to the end.
    pub(super) async fn send(&self) -> Answer {
        let mut request = self.request();
        loop {
            let (mut connection, fresh) = match self.take() {
                Some(connection) => (connection, false),
                None => match self.connect().await {
                    Ok(connection) => (connection, true),
                    Err(fate) => {
                        return Answer { version: None, fate };
                    }
                },
            };
            match connection.try_send_request(request).await {
                Ok(response) => return self.read(connection, response).await,
                // The server closed the idle connection before anything was written: nothing was lost, so once more.
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !fresh => request = unsent,
                    _ => {
                        return Answer { version: None, fate: Fate::Broken };
                    }
                },
            }
        }
    }

    fn request(&self) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = Plan::METHOD;
        *request.uri_mut() = self.plan.path.clone();
        *request.headers_mut() = self.plan.headers.clone();
        request
    }

    async fn read(&self, connection: Connection, response: Response<Incoming>) -> Answer {
        let version = response.headers().get("x-version").cloned();
        let status = response.status();
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            if frame.is_err() {
                return Answer { version, fate: Fate::Broken };
            }
        }
        self.put_back(connection);
        Answer { version, fate: Fate::Status(status) }
    }

    async fn connect(&self) -> Result<Connection, Fate> {
        let stream = TcpStream::connect(self.plan.endpoint.address()).await.map_err(|_| Fate::NotConnected)?;
        // Without it a request may wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| Fate::NotConnected)?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn take(&self) -> Option<Connection> {
        let mut idle = self.idle();
        while let Some(connection) = idle.pop() {
            if connection.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    fn put_back(&self, connection: Connection) {
        let mut idle = self.idle();
        if !connection.is_closed() && idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    /// The pod's version, if a pod answered.
    pub(super) fn version(&self) -> Option<&str> {
        self.version.as_ref().and_then(|version| version.to_str().ok())
    }

    pub(super) const fn timed_out() -> Self {
        Self { version: None, fate: Fate::TimedOut }
    }
}
