//! A receiver of webhooks on this machine, and its own check of signatures.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::LONG;
use super::sha256::hmac_base64;

/// A delivery as it came.
#[derive(Clone, Debug)]
pub(super) struct Got {
    pub(super) id: String,
    pub(super) seconds: u64,
    pub(super) signatures: Vec<String>,
    pub(super) text: String,
    pub(super) body: Value,
    pub(super) at: Instant,
}

/// What is answered.
#[derive(Clone, Debug)]
pub(super) enum Says {
    Status(u16),
    /// With headers, each with its line end.
    With(u16, String),
    /// Nothing, for ever.
    Nothing,
}

type Answers = Box<dyn FnMut(&Got) -> Says + Send>;

/// The receiver. Dropped, it ends.
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    got: watch::Receiver<Vec<Got>>,
    answers: Arc<Mutex<Answers>>,
    most: Arc<AtomicUsize>,
    reached: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

#[derive(Clone)]
struct Serving {
    got: watch::Sender<Vec<Got>>,
    answers: Arc<Mutex<Answers>>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Got {
    /// Whether it was signed with this secret, by a check of the test's own.
    pub(super) fn is_signed_with(&self, key: &[u8]) -> bool {
        let signed = format!("{}.{}.{}", self.id, self.seconds, self.text);
        self.signatures.contains(&format!("v1,{}", hmac_base64(key, signed.as_bytes())))
    }

    pub(super) fn output(&self) -> &str {
        self.body["data"]["output"].as_str().unwrap_or_default()
    }
}

impl Endpoint {
    pub(super) async fn says(answers: impl FnMut(&Got) -> Says + Send + 'static) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), answers).await
    }

    pub(super) async fn at(address: SocketAddr, answers: impl FnMut(&Got) -> Says + Send + 'static) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, got) = watch::channel(Vec::new());
        let answers: Arc<Mutex<Answers>> = Arc::new(Mutex::new(Box::new(answers)));
        let (now, most, reached) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let serving = Serving { got: sender, answers: Arc::clone(&answers), now, most: Arc::clone(&most) };
        let mut tasks = JoinSet::new();
        let count = Arc::clone(&reached);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let serving = serving.clone();
                connections.spawn(async move { serving.serve(stream).await });
            }
        });
        Self { address, got, answers, most, reached, _serving: tasks }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook?token=of-nobody", self.address)
    }

    /// Answers otherwise from now on.
    pub(super) fn now_says(&self, answers: impl FnMut(&Got) -> Says + Send + 'static) {
        *self.answers.lock().unwrap() = Box::new(answers);
    }

    /// All that came so far.
    pub(super) fn all(&self) -> Vec<Got> {
        self.got.borrow().clone()
    }

    /// Waits until so many came.
    pub(super) async fn got(&mut self, count: usize) -> Vec<Got> {
        self.got_where(|all| all.len() >= count).await
    }

    /// Waits until what came is as it should be.
    pub(super) async fn got_where(&mut self, is_so: impl Fn(&[Got]) -> bool) -> Vec<Got> {
        let found = timeout(LONG, self.got.wait_for(|all| is_so(all))).await;
        found.unwrap_or_else(|_| panic!("it did not come")).unwrap().clone()
    }

    /// How many deliveries were under way at once at the most.
    pub(super) fn most_at_once(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    /// How many connections came.
    pub(super) fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }
}

impl Serving {
    async fn serve(self, mut stream: TcpStream) {
        while let Some(got) = read(&mut stream).await {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            let says = (self.answers.lock().unwrap())(&got);
            self.got.send_modify(|all| all.push(got));
            let (status, headers) = match says {
                Says::Status(status) => (status, String::new()),
                Says::With(status, headers) => (status, headers),
                Says::Nothing => {
                    let _ = stream.read(&mut [0; 1]).await;
                    self.now.fetch_sub(1, Ordering::SeqCst);
                    return;
                }
            };
            let said = format!("HTTP/1.1 {status} So\r\n{headers}Content-Length: 2\r\n\r\nso");
            self.now.fetch_sub(1, Ordering::SeqCst);
            if stream.write_all(said.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Got> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let exact = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let header = |name: &str| {
        let at = head.find(&format!("\r\n{name}: "))? + name.len() + 4;
        exact[at..].lines().next().map(str::to_owned)
    };
    let length: usize = header("content-length")?.parse().ok()?;
    while bytes.len() < end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let text = String::from_utf8(bytes[end + 4..].to_vec()).unwrap();
    Some(Got {
        id: header("webhook-id")?,
        seconds: header("webhook-timestamp")?.parse().ok()?,
        signatures: header("webhook-signature")?.split(' ').map(str::to_owned).collect(),
        body: serde_json::from_str(&text).unwrap(),
        text,
        #[expect(clippy::disallowed_methods, reason = "the receiver is another program, with its own clock")]
        at: Instant::now(),
    })
}

/// How long lies between two deliveries.
pub(super) fn between(first: &Got, second: &Got) -> Duration {
    second.at.duration_since(first.at)
}
