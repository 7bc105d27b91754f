//! Guards that a build for the laboratory can switch off, to see that their absence is noticed.
//!
//! Every guard holds, unless the feature `unguarded` is on and a variable of the environment names it. The feature is
//! for `runtime-lab` alone, and in no default set: what is built without it does not know the variable.

/// A guard against the loss of what was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// A batch of somebody who is not the owner is refused.
    Fence,
    /// A batch whose condition does not hold is refused.
    Conditions,
    /// A batch that was applied before is not applied again.
    BatchId,
    /// An event that was delivered before a crash is not delivered again.
    Delivered,
    /// A partition's last revision is written down.
    Revisions,
    /// What is answered as synced was synced.
    Sync,
    /// The name of a new file is synced.
    FolderSync,
    /// A row that is not what was written is damage.
    RowChecksum,
    /// A panic of a driver is damage.
    Panics,
    /// After a failed sync nothing is answered any more.
    Poison,
    /// After an error the file is opened again.
    Reopen,
    /// A record asks for no more memory than its limit.
    DecodeLimit,
    /// Nothing follows a record.
    Trailing,
}

impl Guard {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Fence,
        Self::Conditions,
        Self::BatchId,
        Self::Delivered,
        Self::Revisions,
        Self::Sync,
        Self::FolderSync,
        Self::RowChecksum,
        Self::Panics,
        Self::Poison,
        Self::Reopen,
        Self::DecodeLimit,
        Self::Trailing,
    ];

    /// Whether it is to be kept: always.
    #[cfg(not(feature = "unguarded"))]
    #[inline]
    pub const fn holds(self) -> bool {
        true
    }

    /// Whether it is to be kept: unless the variable names it.
    #[cfg(feature = "unguarded")]
    pub fn holds(self) -> bool {
        static OFF: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
        OFF.get_or_init(|| std::env::var(VARIABLE).ok())
            .as_ref()
            .is_none_or(|off| *off != format!("{self:?}"))
    }
}

/// The variable that names the guard that is switched off.
#[cfg(feature = "unguarded")]
pub const VARIABLE: &str = "AGENT_RUNTIME_UNGUARDED";
