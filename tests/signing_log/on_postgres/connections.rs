//! What stands between a store and its server, and cuts connections at a chosen moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// When a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Cut {
    /// The server has carried out a `COMMIT`, and nobody hears of it.
    AfterCommit = 1,
    /// The server never gets it.
    BeforeCommit = 2,
}

/// Connections to a server, each passed on as it is until one is cut.
pub struct Connections {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    next: AtomicU8,
    cuts: AtomicU64,
}

impl Connections {
    /// Stands before the server of `url`, which leads here from now on.
    pub async fn before(url: &mut String) -> Self {
        let (user, rest) = url.split_once('@').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let server = server.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        *url = format!("{user}@{}/{database}", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        let cutting = state.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(pass_on(client, server, cutting.clone()));
            }
        });
        Self { state }
    }

    /// Cuts the next connection that commits.
    pub fn cut(&self, cut: Cut) {
        self.state.next.store(cut as u8, Ordering::SeqCst);
    }

    /// How many have been cut.
    pub fn cuts(&self) -> u64 {
        self.state.cuts.load(Ordering::SeqCst)
    }
}

async fn pass_on(client: TcpStream, server: TcpStream, state: Arc<State>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            length = from_client.read(&mut asked) => {
                let Ok(length @ 1..) = length else { return };
                let commits = asked[..length].windows(7).any(|bytes| bytes == b"COMMIT\0");
                let cut = if commits { state.next.swap(0, Ordering::SeqCst) } else { 0 };
                if cut != Cut::BeforeCommit as u8 {
                    to_server.write_all(&asked[..length]).await.unwrap();
                }
                if cut != 0 {
                    if cut == Cut::AfterCommit as u8 {
                        swallow(&mut from_server).await;
                    }
                    state.cuts.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            }
            length = from_server.read(&mut answered) => {
                let Ok(length @ 1..) = length else { return };
                if to_client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Reads until the server has said that it has committed.
async fn swallow(from_server: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let mut said = Vec::new();
    while !said.windows(7).any(|bytes| bytes == b"COMMIT\0") {
        assert_ne!(from_server.read_buf(&mut said).await.unwrap(), 0, "the server says how the commit ended");
    }
}
