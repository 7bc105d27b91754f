//! The laboratory's programs, as they are used.

mod crash;
