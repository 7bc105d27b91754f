//! What may be reached.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use runtime_traits::Cause;
use url::{Host, Url};

use crate::http::address::{cloud, special};
use crate::http::error::WebError;
use crate::http::lookup::{Lookup, SystemLookup};
use crate::http::network::Network;

/// What may be reached: `http` and `https` on public addresses and the ports 80 and 443, and what is allowed beside that.
///
/// Every address that a host has is checked, for every redirect anew, and only checked addresses are connected to.
#[derive(Clone)]
pub struct WebRules {
    /// If there are any, only these are asked.
    hosts: Vec<String>,
    /// May be reached though they are not public.
    networks: Vec<Network>,
    ports: Vec<u16>,
    pub(crate) lookup: Arc<dyn Lookup>,
}

impl Default for WebRules {
    fn default() -> Self {
        Self { hosts: Vec::new(), networks: Vec::new(), ports: vec![80, 443], lookup: Arc::new(SystemLookup) }
    }
}

impl WebRules {
    /// Allows a host or a network.
    ///
    /// A host, `api.example.com`, or all below one, `*.example.com`: from the first one on, only hosts that are allowed
    /// are asked. Their addresses are still checked. A network, `10.0.0.0/8`, or one address: it may be reached though it
    /// is not public, by name or as it is. Where clouds keep credentials is allowed only by a network or an address that
    /// means just that: `169.254.0.0/16` or `fd00:ec2::254`, and not `fc00::/7`.
    ///
    /// # Errors
    /// [`WebError::Rule`] if it is neither.
    pub fn allow(mut self, rule: &str) -> Result<Self, WebError> {
        let wrong = || WebError::Rule { rule: rule.to_owned() };
        if let Some(network) = Network::parse(rule) {
            self.networks.push(network);
            return Ok(self);
        }
        let (below, name) = rule.strip_prefix("*.").map_or(("", rule), |name| ("*.", name));
        match Host::parse(name) {
            Ok(Host::Domain(host)) => {
                self.hosts.push(format!("{below}{}", host.trim_end_matches('.')));
                Ok(self)
            }
            Ok(Host::Ipv4(_) | Host::Ipv6(_)) | Err(_) => Err(wrong()),
        }
    }

    /// Allows a port beside 80 and 443.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.ports.push(port);
        self
    }

    /// Looks hosts up by something else than the machine.
    #[must_use]
    pub fn lookup(mut self, lookup: Arc<dyn Lookup>) -> Self {
        self.lookup = lookup;
        self
    }

    /// Whether an address may be reached.
    pub fn allows(&self, address: IpAddr) -> bool {
        self.check_address("", address).is_ok()
    }

    /// Decides whether an address of the web may be asked, by all of it but where its host is: that is checked whenever it is
    /// connected to.
    ///
    /// # Errors
    /// [`WebError`], which says what is wrong with it.
    pub fn permits(&self, url: &str) -> Result<(), WebError> {
        self.check(url).map(drop)
    }

    /// Reads an address of the web and checks all of it but where its host is, which is checked when it is connected to.
    pub(crate) fn check(&self, text: &str) -> Result<Url, WebError> {
        let malformed = |cause| WebError::Malformed { url: text.to_owned(), cause };
        let url = Url::parse(text).map_err(|error| malformed(Cause::of(&error)))?;
        self.check_url(&url)?;
        Ok(url)
    }

    pub(crate) fn check_url(&self, url: &Url) -> Result<(), WebError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(WebError::Scheme { scheme: url.scheme().to_owned() });
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(WebError::UserInfo);
        }
        if let Some(port) = url.port_or_known_default().filter(|port| !self.ports.contains(port)) {
            let allowed = self.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
            return Err(WebError::Port { port, allowed });
        }
        let host = url.host_str().unwrap_or_default();
        // A literal is not looked up: it is what it is, however it was spelt.
        match url.host() {
            Some(Host::Ipv4(address)) => self.check_literal(host, IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => self.check_literal(host, IpAddr::V6(address)),
            Some(Host::Domain(name)) if self.lists(name) => Ok(()),
            Some(Host::Domain(_)) | None => Err(WebError::NotListed { host: host.to_owned() }),
        }
    }

    /// Checks one of the addresses of a host.
    pub(crate) fn check_address(&self, host: &str, address: IpAddr) -> Result<(), WebError> {
        let cloud = cloud(address);
        let means = |network: &Network| cloud.is_none_or(|cloud| network.is_within(cloud));
        if self.networks.iter().any(|network| network.has(address) && means(network)) {
            return Ok(());
        }
        special(address).map_or(Ok(()), |why| Err(WebError::Address { host: host.to_owned(), address, why }))
    }

    fn check_literal(&self, host: &str, address: IpAddr) -> Result<(), WebError> {
        self.check_address(host, address)?;
        if self.hosts.is_empty() || self.networks.iter().any(|network| network.has(address)) {
            return Ok(());
        }
        Err(WebError::NotListed { host: host.to_owned() })
    }

    fn lists(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.');
        let is_below = |host: &str, name: &str| {
            host.strip_prefix('*').is_some_and(|end| name.len() > end.len() && name.ends_with(end))
        };
        self.hosts.is_empty() || self.hosts.iter().any(|host| host == name || is_below(host, name))
    }
}

impl fmt::Debug for WebRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebRules")
            .field("hosts", &self.hosts)
            .field("networks", &self.networks)
            .field("ports", &self.ports)
            .finish_non_exhaustive()
    }
}
