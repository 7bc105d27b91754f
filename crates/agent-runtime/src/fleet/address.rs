//! Where a service may listen.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use thiserror::Error;

use super::shown;

/// A text that is no address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what}; {remedy}")]
pub struct AddressError {
    pub(super) what: String,
    pub(super) remedy: String,
}

/// Reads an address to listen on: a loopback address with a port, or `localhost` with one. Port 0 is any free one.
///
/// ```
/// use agent_runtime::fleet::loopback;
///
/// assert_eq!(loopback("localhost:8000")?.to_string(), "127.0.0.1:8000");
/// assert!(loopback("0.0.0.0:8000").is_err());
/// # Ok::<(), agent_runtime::fleet::AddressError>(())
/// ```
///
/// # Errors
/// [`AddressError`] when it is no address, or one that other machines reach: the service does not ask its callers who
/// they are.
pub fn loopback(given: &str) -> Result<SocketAddr, AddressError> {
    let wrong = |what: String, remedy: &str| AddressError { what, remedy: remedy.to_owned() };
    let example = "write an address like \"127.0.0.1:8000\"";
    let Some((host, port)) = given.rsplit_once(':') else {
        return Err(wrong(format!("`{}` has no port", shown(given)), example));
    };
    let Ok(port) = port.parse::<u16>() else {
        let what = format!("`{}` is no port", shown(port));
        return Err(wrong(what, "use a number from 1 to 65535, or 0 for any free one"));
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let ip = if host == "localhost" {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    } else {
        host.parse().map_err(|_| wrong(format!("`{}` is no IP address", shown(host)), example))?
    };
    if !ip.is_loopback() {
        let what =
            format!("`{given}` can be reached from other machines, and nobody would be asked who they are");
        return Err(wrong(what, "listen on 127.0.0.1, and let a proxy that knows its users forward to it"));
    }
    Ok(SocketAddr::new(ip, port))
}
