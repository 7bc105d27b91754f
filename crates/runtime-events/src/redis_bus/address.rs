//! Where the server is.

use redis::{Client, ConnectionInfo, IntoConnectionInfo};
use runtime_traits::error::Cause;

use super::ConnectError;

/// A server by its address, and the address without what is secret in it.
pub(super) fn client(uri: &str) -> Result<(Client, String), ConnectError> {
    let shown = without_secrets(uri);
    let bad = |cause: Cause| ConnectError::BadAddress { uri: shown.clone(), cause };
    if !uri.starts_with("redis://") && !uri.starts_with("redis+unix://") {
        return Err(bad(Cause::says("another scheme; connections over TLS are not there yet")));
    }
    let info: ConnectionInfo = uri.into_connection_info().map_err(|error| bad(Cause::of(&error)))?;
    let client = Client::open(info).map_err(|error| bad(Cause::of(&error)))?;
    Ok((client, shown))
}

/// The scheme, and what follows the last `@`, without a query: what is before or behind may be secret.
fn without_secrets(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return "…".to_owned() };
    let rest = rest.rsplit_once('@').map_or_else(|| rest.to_owned(), |(_, place)| format!("…@{place}"));
    let rest = rest.split('?').next().unwrap_or_default();
    format!("{scheme}://{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        for uri in
            ["redis://ann:secret@host/x", "redis+unix:///p?pass=secret&db=x", "rediss://:secret@h", "secret"]
        {
            let error = client(uri).expect_err(uri);
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
        assert_eq!(client("redis://ann:secret@host:1/2").expect("a good one").1, "redis://…@host:1/2");
        assert!(client("redis+unix:///run/redis.sock?db=2").is_ok());
    }
}
