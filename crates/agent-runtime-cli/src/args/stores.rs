//! `state …`: whole stores.

use agent_runtime::fleet::StoreUri;
use clap::{Args, Subcommand};

/// `state …`.
#[derive(Debug, Subcommand)]
pub(crate) enum StateCommand {
    /// Copy a whole store into another, empty one, and compare the two
    Copy {
        /// The store to copy: redb:PATH or encrypted:KEYS,redb:PATH
        from: StoreUri,
        /// The store to copy into, which is made
        to: StoreUri,
    },
    /// Read everything in a store, and say what is damaged
    Verify(VerifyArgs),
    /// Rewrite an encrypted store under the first of its keys, so that it needs no other
    Rekey {
        /// The store [default: --store, or the fleet file's]
        store: Option<StoreUri>,
    },
}

/// `state verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The store [default: --store, or the fleet file's]
    pub(crate) store: Option<StoreUri>,
    /// Check every page of the file too
    #[arg(long)]
    pub(crate) pages: bool,
}
