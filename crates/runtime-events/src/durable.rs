//! Durable delivery over a journal: cursors with retries, dead letters, groups, patterns, and retention.

mod bell;
mod cursor;
mod desk;
mod held;
mod member;
mod one_topic;
mod pattern;
mod places;
mod retention;
mod sizes;
mod topics;
mod trimming;
mod wanted;
mod window;

pub(crate) use desk::Desk;
pub(crate) use topics::DurableTopics;
