//! A backend for tests: HTTP over plain sockets, one answer a request.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What a request said.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) form: BTreeMap<String, String>,
}

/// What the backend does.
#[derive(Debug, Clone)]
pub(super) enum Reaction {
    /// Answers with a status and a body.
    Answer(u16, String),
    /// Answers with this many bytes that mean nothing.
    Flood(usize),
    /// Says nothing.
    Silence,
    /// Promises a body and ends in the middle of it.
    Break,
}

type React = dyn Fn(&Asked) -> Reaction + Send + Sync;

/// A backend that listens on this machine until it is dropped.
pub(super) struct Backend {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Backend {
    pub(super) async fn start(react: impl Fn(&Asked) -> Reaction + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), react).await
    }

    pub(super) async fn start_at(address: SocketAddr, react: impl Fn(&Asked) -> Reaction + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let (address, asked, react) = (listener.local_addr().unwrap(), Arc::default(), Arc::new(react));
        let task = tokio::spawn(listen(listener, Arc::clone(&asked), react));
        Self { address, asked, task }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/prom/", self.address)
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(listener: TcpListener, asked: Arc<Mutex<Vec<Asked>>>, react: Arc<React>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&asked), Arc::clone(&react)));
    }
}

async fn serve(mut stream: TcpStream, log: Arc<Mutex<Vec<Asked>>>, react: Arc<React>) {
    while let Some(asked) = request(&mut stream).await {
        let reaction = react(&asked);
        log.lock().unwrap().push(asked);
        let (status, length, body) = match reaction {
            Reaction::Answer(status, body) => (status, body.len(), body),
            Reaction::Flood(length) => (200, length, "x".repeat(length)),
            Reaction::Break => (200, 1000, "{".to_owned()),
            Reaction::Silence => return std::future::pending().await,
        };
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\ndate: Tue, 24 Nov 2026 08:26:48 GMT\r\n\r\n");
        if stream.write_all(format!("{head}{body}").as_bytes()).await.is_err() || body.len() < length {
            return;
        }
    }
}

async fn request(stream: &mut TcpStream) -> Option<Asked> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
            if body.len() >= length.unwrap_or(0) {
                let path = head.split_whitespace().nth(1)?.to_owned();
                let form = reqwest::Url::parse(&format!("http://x/?{body}")).unwrap();
                return Some(Asked { path, form: form.query_pairs().into_owned().collect() });
            }
        }
        match stream.read(&mut chunk).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&chunk[..read]),
            _ => return None,
        }
    }
}
