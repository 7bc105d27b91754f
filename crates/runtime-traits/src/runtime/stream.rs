//! A run as it happens.

use std::pin::Pin;

use futures_core::Stream;
use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::log::{Entry, StepKey};
use crate::runtime::error::RuntimeError;

/// What a reader of a run is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamItem {
    /// The next entry of the log, with the content that it refers to where that is kept elsewhere.
    Entry {
        /// The entry.
        entry: Box<Entry>,
        /// What its payload refers to, if the entry has one that a reader wants: the input, a step's result, the output.
        content: Option<Content>,
    },
    /// A piece of the output, or of a step's value, that is not recorded yet. It has no number and may get lost.
    Preview {
        /// The step whose value it is of; `None` for the output itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepKey>,
        /// The piece.
        text: String,
    },
    /// What was shown of a step's value does not count: its work begins once more.
    Retracted {
        /// The step.
        step: StepKey,
    },
}

/// A run as it happens: its log from some entry on, and previews between. Ends after `Ended`.
pub type RunStream = Pin<Box<dyn Stream<Item = Result<StreamItem, RuntimeError>> + Send>>;
