//! What stands between the library and the provider.
//!
//! The library reads whatever it is sent: lines without an end again and again as they grow, refusals whole. So it does
//! not speak to the provider itself. It speaks HTTP over a socket within this process, and is sent there what has a bound.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::{io, process};

use futures_util::stream;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use reqwest::{Body, Client, Url};
use tokio::net::{UnixListener, UnixStream};

use crate::llm::bounds::{Bounds, TooMuch};
use crate::llm::events::Events;

/// Of one connection only: what is relayed has its own.
const OWN: [HeaderName; 4] = [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING];

/// A socket that takes one request of this process.
#[derive(Debug)]
pub(crate) struct Relay {
    listener: UnixListener,
    name: String,
}

/// What one request is relayed to, and how.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) client: Client,
    /// Where the provider is; the request says the path.
    pub(crate) url: Url,
    pub(crate) bounds: Bounds,
    /// Whether the provider numbers calls, as OpenAI does.
    pub(crate) numbered: bool,
    pub(crate) broken: Arc<Broken>,
}

/// Why a reply broke off, if it did.
#[derive(Debug, Default)]
pub(crate) struct Broken(OnceLock<Why>);

/// Why a reply broke off.
#[derive(Debug)]
pub(crate) enum Why {
    /// The connection to the provider did.
    Connection(reqwest::Error),
    /// The provider sent more than is taken.
    TooMuch(TooMuch),
}

impl Broken {
    pub(crate) fn why(&self) -> Option<&Why> {
        self.0.get()
    }

    /// What happened first counts.
    fn by(&self, why: Why) {
        drop(self.0.set(why));
    }
}

impl Relay {
    /// A socket with a name of its own, which is in no folder.
    pub(crate) fn open() -> io::Result<Self> {
        static OPENED: AtomicU64 = AtomicU64::new(0);
        let opened = OPENED.fetch_add(1, Ordering::Relaxed);
        let name = format!("\0agent-runtime/{}/{:x}", process::id(), RandomState::new().hash_one(opened));
        Ok(Self { listener: UnixListener::bind(&name)?, name })
    }

    /// Where a client of this process connects to.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Takes one request, and relays it and its answer.
    pub(crate) async fn serve(self, route: Route) -> io::Result<()> {
        let stream = self.own().await?;
        let relay = |request| relayed(&route, request);
        let served = http1::Builder::new()
            .keep_alive(false)
            .auto_date_header(false)
            .serve_connection(TokioIo::new(stream), service_fn(relay));
        served.await.map_err(io::Error::other)
    }

    /// The first connection of this process. The name can be found by others, and they are not served.
    async fn own(self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            if stream.peer_cred()?.pid().is_some_and(|peer| peer.unsigned_abs() == process::id()) {
                return Ok(stream);
            }
        }
    }
}

async fn relayed(route: &Route, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let (asked, body) = request.into_parts();
    let mut url = route.url.clone();
    url.set_path(asked.uri.path());
    url.set_query(asked.uri.query());
    let request = route.client.request(asked.method, url).headers(passed(asked.headers));
    let said = request.body(Body::wrap(body)).send().await.map_err(|error| {
        route.broken.by(Why::Connection(error));
        io::ErrorKind::ConnectionAborted
    })?;
    let (status, headers) = (said.status(), passed(said.headers().clone()));
    let body = match status.is_success() {
        true => events(said, route),
        false => Body::from(beginning(said, Bounds::REFUSAL).await),
    };
    let mut answer = Response::new(body);
    (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
    Ok(answer)
}

fn passed(mut headers: HeaderMap) -> HeaderMap {
    OWN.iter().for_each(|own| drop(headers.remove(own)));
    headers
}

/// The events of a reply, as far as they are whole and within the bounds. Where it breaks off, they end: what came
/// before is still heard.
fn events(said: reqwest::Response, route: &Route) -> Body {
    let events = Events::new(route.bounds, route.numbered);
    let broken = Arc::clone(&route.broken);
    Body::wrap_stream(stream::unfold(Some((said, events)), move |coming| {
        let broken = Arc::clone(&broken);
        async move {
            let (mut said, mut events) = coming?;
            let (taken, goes_on) = loop {
                match said.chunk().await {
                    Ok(Some(bytes)) => match events.take(&bytes) {
                        Ok(whole) if whole.is_empty() => {}
                        taken => break (taken, true),
                    },
                    Ok(None) => break (events.end(), false),
                    Err(error) => {
                        broken.by(Why::Connection(error));
                        return None;
                    }
                }
            };
            match taken {
                Ok(whole) => Some((io::Result::Ok(whole), goes_on.then_some((said, events)))),
                Err(too_much) => {
                    broken.by(Why::TooMuch(too_much));
                    None
                }
            }
        }
    }))
}

/// The beginning of a body, as far as it comes.
async fn beginning(mut said: reqwest::Response, most: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let (true, Ok(Some(piece))) = (bytes.len() < most, said.chunk().await) {
        bytes.extend_from_slice(&piece);
    }
    bytes.truncate(most);
    bytes
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::Command;

    use tokio::io::AsyncReadExt as _;
    use tokio::task::{JoinSet, spawn_blocking};

    use super::*;

    const NAME: &str = "RELAY_TO_KNOCK_AT";

    /// Runs in a process of its own too, which knocks and is not let in.
    #[tokio::test]
    async fn another_process_is_not_served() {
        if let Ok(name) = env::var(NAME) {
            let mut stream = UnixStream::connect(format!("\0{name}")).await.unwrap();
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
            return;
        }
        let relay = Relay::open().unwrap();
        let name = relay.name().to_owned();
        let mut serving = JoinSet::new();
        serving.spawn(async move { relay.own().await.map(drop) });
        let mut other = Command::new(env::current_exe().unwrap());
        other.args(["--exact", "llm::relay::tests::another_process_is_not_served"]);
        other.env(NAME, name.trim_start_matches('\0'));
        let knocked = spawn_blocking(move || other.output().unwrap()).await.unwrap();
        assert!(String::from_utf8_lossy(&knocked.stdout).contains("1 passed"), "{knocked:?}");
        assert!(serving.try_join_next().is_none(), "it was let in");

        let _own = UnixStream::connect(name).await.unwrap();
        serving.join_next().await.unwrap().unwrap().unwrap();
    }
}
