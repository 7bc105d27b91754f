//! Where hosts are, and that only what the rules allow of it is connected to.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use runtime_traits::Cause;

use crate::http::error::WebError;
use crate::http::rules::WebRules;

/// Tells where a host is.
#[async_trait]
pub trait Lookup: fmt::Debug + Send + Sync + 'static {
    /// All addresses of the host. What the rules allow is decided by the caller.
    ///
    /// # Errors
    /// What kept it from an answer.
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// Asks the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Resolves for the client. What it returns has been checked, and the client connects to nothing else: a name that is
/// somewhere else a moment later does not help it.
#[derive(Debug)]
pub(crate) struct CheckedLookup(pub(crate) Arc<WebRules>);

impl Resolve for CheckedLookup {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = self.0.clone();
        Box::pin(async move {
            let host = name.as_str();
            let found = rules.lookup.lookup(host).await;
            let not_found = |cause| WebError::NotFound { host: host.to_owned(), cause };
            let found = found.map_err(|error| not_found(Cause::of(&error)))?;
            if found.is_empty() {
                return Err(not_found(Cause::says("it has no address")).into());
            }
            for address in &found {
                rules.check_address(host, *address)?;
            }
            Ok(Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}
