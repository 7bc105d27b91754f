//! Where a test makes the disk below sled fail.

use std::io;

/// Asked before each call that goes to sled or to the disk; an error takes the call's place.
///
/// For tests: sled opens its files itself, so they cannot be replaced.
pub trait Rim: Send + Sync + 'static {
    /// Before a read.
    ///
    /// # Errors
    /// What the read is to fail with.
    fn read(&self) -> io::Result<()> {
        Ok(())
    }

    /// Before a group is handed to sled.
    ///
    /// # Errors
    /// What the write is to fail with.
    fn write(&self) -> io::Result<()> {
        Ok(())
    }

    /// Before the log is synced.
    ///
    /// # Errors
    /// What the sync is to fail with.
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Nothing is made to fail.
pub(super) struct Sound;

impl Rim for Sound {}
