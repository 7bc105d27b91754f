//! Where the server is, as a URI says it.

use std::fmt;
use std::path::PathBuf;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use runtime_traits::error::Cause;

use crate::OpenError;
use crate::open::without_password;

/// A server, and who asks. Its text never shows the password.
#[derive(Clone)]
pub(super) struct Address {
    shown: String,
    pub(super) place: Place,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Tcp(String, u16),
    Unix(PathBuf),
}

impl Address {
    /// Reads `redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]` or `redis+unix:///PATH[?db=…&user=…&pass=…]`.
    pub(super) fn parse(uri: &str) -> Result<Self, OpenError> {
        let shown = without_password(uri);
        let bad = |cause: Cause| OpenError::BadAddress { uri: shown.clone(), cause };
        if uri.starts_with("rediss:") {
            return Err(OpenError::NoTls { uri: shown });
        }
        if !uri.starts_with("redis://") && !uri.starts_with("redis+unix://") {
            return Err(OpenError::UnknownScheme { uri: shown });
        }
        let info: ConnectionInfo = uri.into_connection_info().map_err(|error| bad(Cause::of(&error)))?;
        let place = match info.addr() {
            ConnectionAddr::Tcp(host, port) => Place::Tcp(host.clone(), *port),
            ConnectionAddr::Unix(path) => Place::Unix(path.clone()),
            // The crate may learn more of them.
            _ => return Err(bad(Cause::says("an address of another kind"))),
        };
        let settings = info.redis_settings();
        if settings.db() < 0 {
            return Err(bad(Cause::says("the number of the database is negative")));
        }
        Ok(Self {
            place,
            user: settings.username().map(str::to_owned),
            password: settings.password().map(str::to_owned),
            database: settings.db(),
            shown,
        })
    }

    pub(super) fn shown(&self) -> String {
        self.shown.clone()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_where_who_and_which_database() {
        let address = Address::parse("redis://ann:s%40fe@example.org:7000/3").expect("a good one");
        assert_eq!(address.place, Place::Tcp("example.org".to_owned(), 7000));
        assert_eq!(address.user.as_deref(), Some("ann"));
        assert_eq!(address.password.as_deref(), Some("s@fe"));
        assert_eq!(address.database, 3);

        let address = Address::parse("redis+unix:///run/redis.sock?db=2&pass=safe").expect("a good one");
        assert_eq!(address.place, Place::Unix("/run/redis.sock".into()));
        assert_eq!((address.password.as_deref(), address.database), (Some("safe"), 2));

        let address = Address::parse("redis://[::1]").expect("a good one");
        assert_eq!(address.place, Place::Tcp("::1".to_owned(), 6379));
    }

    #[test]
    fn no_error_and_no_text_shows_a_password() {
        for uri in [
            "redis://:secret@host:notaport/0",
            "redis://ann:secret@host/x",
            "redis://ann:sec/secret@host:1/-1",
            "redis://ann:secret@@host:1/-1",
            "redis:ann:secret@host",
            "redis://ann:se?secret@host",
            "redis+unix://?pass=secret",
            "redis+unix:///a?db=x&pass=secret",
            "redis+unix:///a?db=x&pass=s@secret",
            "rediss://ann:secret@host",
        ] {
            let error = Address::parse(uri).expect_err(uri);
            let text = format!("{error} {error:?}");
            assert!(!text.contains("secret"), "{text}");
            assert!(text.contains("redis"), "it does not name the address: {text}");
        }
        let good = Address::parse("redis://ann:secret@host/1").expect("a good one");
        assert_eq!(format!("{good} {good:?}"), "redis://…@host/1 Address(redis://…@host/1)");
    }
}
