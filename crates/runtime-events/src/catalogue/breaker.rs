//! Circuit breakers.

use super::announced;

announced! { "health";
    /// A model or a tool failed too often: calls of it are held off.
    BreakerOpened "breaker.opened" of name {
        /// What is held off: a model as `PROVIDER/NAME`, a tool by its name.
        name: String,
        /// What sort of thing that is: `model` or `tool`.
        sort: String,
        /// Where it is, if somebody said so.
        at: Option<String>,
        /// Counts the changes of this breaker in its process.
        number: u64,
        /// When the first call may try again, in milliseconds since 1970.
        until: u64,
    }
    /// A few calls try whether it works again.
    BreakerHalfOpened "breaker.half_opened" of name {
        /// What is tried: a model as `PROVIDER/NAME`, a tool by its name.
        name: String,
        /// What sort of thing that is: `model` or `tool`.
        sort: String,
        /// Where it is, if somebody said so.
        at: Option<String>,
        /// Counts the changes of this breaker in its process.
        number: u64,
    }
    /// It works again: calls go through.
    BreakerClosed "breaker.closed" of name {
        /// What works again: a model as `PROVIDER/NAME`, a tool by its name.
        name: String,
        /// What sort of thing that is: `model` or `tool`.
        sort: String,
        /// Where it is, if somebody said so.
        at: Option<String>,
        /// Counts the changes of this breaker in its process.
        number: u64,
    }
}
