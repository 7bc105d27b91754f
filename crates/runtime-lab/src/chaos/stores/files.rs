//! All files below a folder, as bytes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// All files below a folder, by their path in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) contents: BTreeMap<PathBuf, Vec<u8>>,
    /// Folders, the empty ones too.
    pub(super) folders: Vec<PathBuf>,
}

impl Files {
    /// What is below `folder`.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        let mut files = Self::default();
        let mut open = vec![PathBuf::new()];
        while let Some(below) = open.pop() {
            for entry in fs::read_dir(folder.join(&below))? {
                let entry = entry?;
                let path = below.join(entry.file_name());
                if entry.file_type()?.is_dir() {
                    files.folders.push(path.clone());
                    open.push(path);
                } else {
                    files.contents.insert(path, fs::read(entry.path())?);
                }
            }
        }
        files.folders.sort();
        Ok(files)
    }

    /// Writes all of it below `folder`, which is there and empty.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        for below in &self.folders {
            fs::create_dir_all(folder.join(below))?;
        }
        for (path, content) in &self.contents {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(folder.join(parent))?;
            }
            fs::write(folder.join(path), content)?;
        }
        Ok(())
    }
}
