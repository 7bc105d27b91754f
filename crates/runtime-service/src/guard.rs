//! Keeps the pages of other hosts out.
//!
//! A listener on loopback is reachable by every page that a browser on this machine shows. Such a page can send a
//! `POST`, and with a name of its own that resolves to 127.0.0.1 it can also read the answers. Both give themselves
//! away: by the header `Origin`, and by the header `Host`.

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;

use crate::fault::Fault;
use crate::problem::Problem;

/// Lets only requests of this machine through.
pub(crate) async fn only_this_machine(request: Request, next: Next) -> Response {
    match check(request.version(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(fault) => Problem::from(fault).into_response(),
    }
}

fn check(version: Version, uri: &Uri, headers: &HeaderMap) -> Result<(), Fault> {
    if let Some(authority) = uri.authority()
        && !is_loopback(authority.host())
    {
        let host = authority.host().to_owned();
        return Err(Fault::ForeignHost { host });
    }
    let mut hosts = headers.get_all(header::HOST).into_iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => check_host(host.as_bytes())?,
        (None, _) if version == Version::HTTP_10 => {}
        (None, _) => return Err(bad_host("is missing")),
        (Some(_), Some(_)) => return Err(bad_host("is there twice; send it once")),
    }
    headers.get_all(header::ORIGIN).into_iter().try_for_each(|origin| check_origin(origin.as_bytes()))
}

fn check_host(host: &[u8]) -> Result<(), Fault> {
    let authority = Authority::try_from(host).map_err(|_| bad_host("names no host"))?;
    if is_loopback(authority.host()) {
        return Ok(());
    }
    let host = authority.host().to_owned();
    Err(Fault::ForeignHost { host })
}

fn check_origin(origin: &[u8]) -> Result<(), Fault> {
    let of_this_machine = Uri::try_from(origin)
        .ok()
        .is_some_and(|uri| uri.host().is_some_and(is_loopback) && uri.scheme().is_some());
    if of_this_machine {
        return Ok(());
    }
    let origin = String::from_utf8_lossy(origin).chars().take(100).flat_map(char::escape_default).collect();
    Err(Fault::ForeignOrigin { origin })
}

fn bad_host(problem: &'static str) -> Fault {
    let name = "host";
    Fault::BadHeader { name, problem }
}

/// Whether a host, as it stands in a URL, is this machine.
fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::{check_host, check_origin};

    #[test]
    fn names_of_this_machine_are_let_through() {
        for host in ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "api.LOCALHOST."] {
            assert!(check_host(host.as_bytes()).is_ok(), "{host}");
        }
        assert!(check_origin(b"http://localhost:3000").is_ok());
    }

    #[test]
    fn other_names_are_not() {
        for host in ["evil.example", "127.0.0.1.evil.example", "192.168.0.7:8000", "localhost.evil"] {
            assert!(check_host(host.as_bytes()).is_err(), "{host}");
        }
        for origin in ["https://evil.example", "null", "", "http://127.0.0.1.evil.example", "\n"] {
            assert!(check_origin(origin.as_bytes()).is_err(), "{origin}");
        }
    }
}
