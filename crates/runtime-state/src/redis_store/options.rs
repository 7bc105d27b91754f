//! What a user may choose about the store.

use std::time::Duration;

/// What may be chosen about a [`RedisStore`](crate::RedisStore).
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use runtime_state::RedisOptions;
///
/// let options = RedisOptions { reply: Duration::from_secs(2), ..RedisOptions::default() };
/// assert_eq!(options.queue, 4_096);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisOptions {
    /// How long a connection may take to be made and checked. 3 s unless told otherwise.
    pub connect: Duration,
    /// How long opening waits for the server to rewrite its append-only file, which it has to do once after each of its
    /// starts. 60 s unless told otherwise; a store that is open refuses what it is asked meanwhile, and goes on by itself.
    pub rewrite: Duration,
    /// How long a reply may take. After that the connection is given up, and what became of the commits on it is
    /// unknown. 5 s unless told otherwise.
    pub reply: Duration,
    /// How often the server is asked again what it is and how it is set. 5 s unless told otherwise.
    pub check: Duration,
    /// The most requests that wait to be sent; one more is refused as unavailable. 4,096 unless told otherwise.
    pub queue: usize,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            rewrite: Duration::from_secs(60),
            reply: Duration::from_secs(5),
            check: Duration::from_secs(5),
            queue: 4_096,
        }
    }
}
