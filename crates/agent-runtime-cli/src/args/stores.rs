//! `state …`: whole stores.

use agent_runtime::fleet::StoreUri;
use clap::{Args, Subcommand};
use std::path::PathBuf;

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
    /// Write everything that can still be read in a damaged store into a new one, which is whole
    Repair(RepairArgs),
    /// Write everything that can be read in a store, also in a damaged one, as lines of JSON
    Export {
        /// The store: redb:PATH or encrypted:KEYS,redb:PATH
        store: StoreUri,
        /// A file that is not there yet, a folder for a file of each sort, or `-` for the standard output
        to: PathBuf,
    },
    /// Rewrite an encrypted store under the first of its keys, so that it needs no other
    Rekey {
        /// The store [default: --store, or the fleet file's]
        store: Option<StoreUri>,
        /// Write it into this empty store instead of its own place: for stores that are no file
        #[arg(long, value_name = "STORE")]
        into: Option<StoreUri>,
    },
    /// Say which keys an encrypted store needs, and for how many values
    Keys {
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

/// `state repair`.
#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    /// The damaged store, which is left as it is: redb:PATH or encrypted:KEYS,redb:PATH
    pub(crate) store: StoreUri,
    /// The store to write, which is made
    pub(crate) into: StoreUri,
    /// The file for what is left out, one value to a line [default: that of the new store, with .quarantine behind]
    #[arg(long, value_name = "FILE")]
    pub(crate) quarantine: Option<PathBuf>,
}
