#![doc = include_str!("../README.md")]

#[cfg(feature = "documents")]
pub mod documents;
#[cfg(feature = "documents")]
mod librarian;

#[cfg(feature = "documents")]
pub use librarian::{Librarian, LibrarianKind};
