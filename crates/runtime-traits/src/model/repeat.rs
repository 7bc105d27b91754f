//! Whether a call that broke off may be made once more.

use crate::resource::Refused;

/// Whether a call that broke off may be made once more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a call that may not be made once more must not be sent"]
pub enum Repeat {
    /// It may.
    Go,
    /// A limit is in its way.
    Refused(Refused),
    /// Its run is to end.
    Ends,
}
