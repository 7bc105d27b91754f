//! The append-only file of a Redis server after a loss of power: what was not synced is there up to some byte.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::trace::Call;
use crate::chaos::dice::Dice;

/// How long files of commands were when their server was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Aof(BTreeMap<PathBuf, u64>);

impl Aof {
    /// The files of commands below a server's folder.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        let folder = folder.join("appendonlydir");
        let mut lengths = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension() == Some(OsStr::new("aof")) {
                lengths.insert(path.clone(), fs::metadata(path)?.len());
            }
        }
        Ok(Self(lengths))
    }

    /// How much of each file a sync has put on the disk, by what the server did since.
    pub(super) fn synced(&self, calls: &[Call]) -> Self {
        let mut synced = self.0.clone();
        for (sync, path) in
            on_files(calls, &["fsync", "fdatasync"]).filter(|(call, _)| call.answer == Some(0))
        {
            let written = on_files(calls, &["write", "writev"])
                .filter(|(call, of)| *of == path && call.end.is_some_and(|end| end < sync.begin))
                .filter_map(|(call, _)| u64::try_from(call.answer?).ok())
                .sum::<u64>();
            let length = self.0.get(&path).copied().unwrap_or(0) + written;
            let known = synced.entry(path).or_default();
            *known = length.max(*known);
        }
        Self(synced)
    }

    /// Cuts the files that are there to what a loss of power may leave: all that was synced, and of what follows as much
    /// as `dice` says, for a file that only grows is there up to some byte. How many bytes are gone.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn cut(&self, folder: &Path, dice: &mut Dice) -> io::Result<u64> {
        let mut gone = 0;
        for (path, length) in Self::read(folder)?.0 {
            let synced = self.0.get(&path).copied().unwrap_or(0).min(length);
            let kept = if dice.one_in(2) { synced } else { dice.between(synced, length) };
            OpenOptions::new().write(true).open(&path)?.set_len(kept)?;
            gone += length - kept;
        }
        Ok(gone)
    }
}

/// Calls of these names, and the files that they are about.
fn on_files<'a>(calls: &'a [Call], names: &'a [&str]) -> impl Iterator<Item = (&'a Call, PathBuf)> {
    let of = calls.iter().filter(|call| names.contains(&call.name.as_str()));
    of.filter_map(|call| Some((call, call.descriptor(0)?.path?)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Aof, Dice};
    use crate::chaos::stores::trace;

    #[test]
    fn what_was_synced_stays_and_of_the_rest_a_part() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("appendonlydir/a.aof");
        fs::create_dir(file.parent().unwrap()).unwrap();
        fs::write(&file, "0123456789").unwrap();
        let hex: String =
            file.as_os_str().as_encoded_bytes().iter().map(|byte| format!("\\x{byte:02x}")).collect();
        let calls = trace::read(&format!(
            "1 write(5<{hex}>, \"\\x30\", 2) = 2\n1 fdatasync(5<{hex}> <unfinished ...>\n2 write(5<{hex}>, \"\\x30\", 1) = 1\n\
             1 <... fdatasync resumed>) = 0\n"
        ));
        let before = Aof([(file.clone(), 3)].into());

        let synced = before.synced(&calls.unwrap());

        assert_eq!(synced, Aof([(file.clone(), 5)].into()), "a write that began after the sync is not in it");
        let gone = synced.cut(folder.path(), &mut Dice::of(1, "cut")).unwrap();
        let left = fs::read_to_string(file).unwrap();
        assert!("0123456789".starts_with(&left) && left.len() >= 5, "{left}");
        assert_eq!(gone, 10 - left.len() as u64);
    }
}
