//! A folder of text and Markdown that answers questions with quoted passages: no model, no key, no network.
//!
//! [`Documents`] is the whole of it. Files become blocks (`blocks`), blocks become passages ([`split`]), passages are
//! indexed (`index`); a question becomes an intent (`question`), the documents' own words for it (`resolve`), a choice of
//! passages (`rank`) and a text (`answer`). What touches the disk is in `folder` and `shelf`; the rest of it
//! decides by pure functions.

mod answer;
mod blocks;
mod cut;
mod error;
mod folder;
mod index;
mod library;
mod lines;
mod passage;
mod question;
mod quote;
mod rank;
mod readable;
mod resolve;
mod search;
mod shelf;
mod spelling;
mod split;
mod table;
mod terms;
mod vocabulary;
mod wrap;

pub use answer::{Answer, Quote};
pub use blocks::Format;
pub use error::DocumentsError;
pub use folder::{SkipReason, Skipped, check};
pub use library::Documents;
pub use passage::{Form, Passage};
pub use question::Topic;
pub use shelf::Refreshed;
pub use split::split;
