#![cfg_attr(feature = "documents", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "documents"), doc = "Agents that Agent Runtime hosts; none without features.")]

#[cfg(feature = "documents")]
pub mod documents;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "documents")]
mod librarian;
#[cfg(feature = "llm")]
pub mod llm;
mod model_source;
#[cfg(feature = "tls")]
mod tls;

#[cfg(feature = "documents")]
pub use librarian::{Librarian, LibrarianKind};
pub use model_source::{ModelSettings, ModelSource, NoModels};
