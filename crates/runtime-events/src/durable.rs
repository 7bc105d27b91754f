//! Durable delivery over a journal: cursors with retries, dead letters, groups, and retention.

mod cursor;
mod desk;
mod member;
mod places;
mod retention;
mod topics;
mod window;

pub(crate) use desk::Desk;
pub(crate) use topics::DurableTopics;
