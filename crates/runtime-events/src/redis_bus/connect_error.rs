//! Why there is no bus in Redis.

use runtime_traits::error::Cause;
use thiserror::Error;

/// Why there is no bus in Redis. Addresses are shown without their passwords.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// The address is none.
    #[error(
        "`{uri}` is no address of a Redis server ({cause}): use redis://HOST:PORT/DATABASE or redis+unix:///PATH"
    )]
    BadAddress {
        /// The address.
        uri: String,
        /// What is wrong with it.
        cause: Cause,
    },
    /// Nobody answers there.
    #[error(
        "the Redis server at `{uri}` cannot be reached ({cause}): see that it runs and that the address is right"
    )]
    Unreachable {
        /// The address.
        uri: String,
        /// What happened.
        cause: Cause,
    },
    /// The server must not hold events.
    #[error("the Redis server at `{uri}` will not do: {what}")]
    Unsuitable {
        /// The address.
        uri: String,
        /// What is wrong with it, and the remedy.
        what: String,
    },
    /// The server refuses this user, or a command that the bus needs.
    #[error("the Redis server at `{uri}` refuses: {cause}")]
    Refused {
        /// The address.
        uri: String,
        /// What it said.
        cause: Cause,
    },
}
