//! A run as it happens.

use std::pin::Pin;

use futures_core::Stream;
use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::log::{Entry, EntryKind, StepKey};
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
    /// A piece of the output, or of a step's value, that is not recorded yet. It has no number.
    Preview {
        /// The step whose value it is of; `None` for the output itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepKey>,
        /// The piece.
        text: String,
        /// Whether pieces are missing before this one: so much was shown before somebody looked that its beginning was let
        /// go. The text may be empty then.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        gap: bool,
    },
    /// What was shown does not count: the step's work begins once more, or what was shown of it follows anew.
    Retracted {
        /// The step; `None` for the output itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepKey>,
    },
}

/// What of a run a reader has seen as previews and not yet as recorded: what has to be taken back before another stream of
/// the run shows it anew.
///
/// ```
/// use runtime_traits::runtime::{Previewed, StreamItem};
///
/// let mut previewed = Previewed::default();
/// previewed.note(&StreamItem::Preview { step: None, text: "Half a".to_owned(), gap: false });
/// assert_eq!(previewed.withdraw(), [StreamItem::Retracted { step: None }]);
/// assert_eq!(previewed.withdraw(), []);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Previewed {
    steps: Vec<Option<StepKey>>,
}

impl Previewed {
    /// Takes note of what the reader is given.
    pub fn note(&mut self, item: &StreamItem) {
        match item {
            StreamItem::Entry { entry, .. } => self.recorded(entry),
            StreamItem::Preview { step, .. } if self.steps.contains(step) => {}
            StreamItem::Preview { step, .. } => self.steps.push(step.clone()),
            StreamItem::Retracted { step } => self.steps.retain(|shown| shown != step),
        }
    }

    /// Takes note of an entry that the reader is given.
    pub fn recorded(&mut self, entry: &Entry) {
        match &entry.kind {
            EntryKind::StepSettled(settled) => {
                self.steps.retain(|shown| shown.as_ref() != Some(&settled.key));
            }
            EntryKind::AttemptEnded(_) | EntryKind::Ended(_) => self.steps.clear(),
            _ => {}
        }
    }

    /// Takes back all that the reader has seen as previews only.
    pub fn withdraw(&mut self) -> Vec<StreamItem> {
        std::mem::take(&mut self.steps).into_iter().map(|step| StreamItem::Retracted { step }).collect()
    }
}

/// A run as it happens: its log from some entry on, and previews between. Ends after `Ended`.
pub type RunStream = Pin<Box<dyn Stream<Item = Result<StreamItem, RuntimeError>> + Send>>;
