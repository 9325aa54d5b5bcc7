//! An HTTP/1.1 accept loop that ends without losing a request; shared by the service, its metrics and the control server.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Open connections per port; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 1024;
/// Pause after a failed accept (no file descriptors left): long enough not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
/// Once nothing new is accepted, what is on the wire already gets this long to arrive before idle connections close.
const LINGER: Duration = Duration::from_millis(100);
/// Running requests get this long to finish after the drain.
const FINISH_LIMIT: Duration = Duration::from_secs(10);

/// Serves until `closing` turns true or its sender is gone; then accepts no more, and returns when all answers are written.
pub(super) async fn serve<H, F>(listener: TcpListener, handler: H, mut closing: watch::Receiver<bool>)
where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let handler = Arc::new(handler);
    let (close_idle, _) = watch::channel(false);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = told(&mut closing) => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&handler), close_idle.subscribe()));
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    // The kernel has accepted connections that we have not: dropping the listener would reset them.
    while let Some(Ok((stream, _))) = listener.accept().now_or_never() {
        connections.spawn(connection(stream, Arc::clone(&handler), close_idle.subscribe()));
    }
    drop(listener);
    sleep(LINGER).await;
    close_idle.send_replace(true);
    let _ = timeout(FINISH_LIMIT, async { while connections.join_next().await.is_some() {} }).await;
}

async fn connection<H, F>(stream: TcpStream, handler: Arc<H>, mut close_idle: watch::Receiver<bool>)
where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    // Without it, answers wait up to 40 ms for the peer's acknowledgement; failing to set it costs only that.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| handler(request).map(Ok::<_, Infallible>));
    let mut serving = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // A broken connection is the client's business.
        _ = serving.as_mut() => return,
        () = told(&mut close_idle) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}

/// Returns when the flag is true or its sender is gone.
async fn told(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|flag| *flag).await;
}

/// An answer with a short text.
pub(super) fn text(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
