//! The folder: which of its files are documents, and why the others are not. Nothing is read here but directories.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::blocks::Format;
use super::error::DocumentsError;

/// Folders below the documents folder that are entered.
const DEPTH: usize = 16;
/// Documents that are read.
const FILES: usize = 20_000;
/// Directory entries that are looked at.
const ENTRIES: usize = 200_000;
/// Bytes of the largest document that is read.
const LARGEST: u64 = 8 * 1024 * 1024;

/// A file that could have been a document and is not searched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its path below the documents folder, with `/`.
    pub file: String,
    /// Why it is not searched.
    pub reason: SkipReason,
}

/// Why a file is not searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// A symbolic link to something outside of the folder, to a folder, or to nothing.
    Link,
    /// Larger than 8 MiB.
    TooLarge,
    /// More than 16 folders below the documents folder.
    TooDeep,
    /// Beyond the first 20,000 documents, or the first 200,000 files of any sort.
    TooMany,
    /// A folder of files that a tool made (`node_modules`, or one with a `CACHEDIR.TAG`).
    Cache,
    /// Holds bytes that are not text.
    Binary,
    /// Text, and not in UTF-8.
    NotUtf8,
    /// The operating system refuses to read it.
    Unreadable,
}

impl std::fmt::Display for SkipReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            SkipReason::Link => "a link that leaves the folder",
            SkipReason::TooLarge => "larger than 8 MiB",
            SkipReason::TooDeep => "more than 16 folders deep",
            SkipReason::TooMany => "beyond the first 20,000 documents",
            SkipReason::Cache => "made by a tool",
            SkipReason::Binary => "not text",
            SkipReason::NotUtf8 => "not UTF-8",
            SkipReason::Unreadable => "not readable",
        })
    }
}

/// What tells, without reading it, that a file is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    inode: (u64, u64),
}

/// A file that is to be searched.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Its path below the documents folder, with `/`.
    pub(super) file: String,
    pub(super) path: PathBuf,
    pub(super) format: Format,
    pub(super) stamp: Stamp,
}

/// The documents of a folder, in the order of their paths.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) found: Vec<Found>,
    pub(super) skipped: Vec<Skipped>,
}

struct Walk {
    listing: Listing,
    links: Vec<(String, PathBuf, Format)>,
    entries: usize,
}

/// Whether `folder` can be searched, without reading any document.
///
/// # Errors
///
/// It does not exist, it is a file, or it cannot be listed.
pub fn check(folder: &Path) -> Result<(), DocumentsError> {
    let is_folder = match fs::metadata(folder) {
        Ok(metadata) => metadata.is_dir(),
        Err(source) => return Err(refused(folder, source)),
    };
    if !is_folder {
        return Err(DocumentsError::NotAFolder { folder: folder.to_owned() });
    }
    fs::read_dir(folder).map(drop).map_err(|source| refused(folder, source))
}

/// Lists the documents below `folder`.
pub(super) fn list(folder: &Path) -> Result<Listing, DocumentsError> {
    check(folder)?;
    let root = fs::canonicalize(folder).map_err(|source| refused(folder, source))?;
    let mut walk = Walk { listing: Listing::default(), links: Vec::new(), entries: 0 };
    walk.enter(&root, "", 0).map_err(|source| refused(folder, source))?;
    walk.follow_links(&root);
    let Walk { mut listing, .. } = walk;
    listing.found.sort_by(|a, b| a.file.cmp(&b.file));
    for found in listing.found.split_off(listing.found.len().min(FILES)) {
        listing.skipped.push(Skipped { file: found.file, reason: SkipReason::TooMany });
    }
    listing.skipped.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(listing)
}

fn refused(folder: &Path, source: io::Error) -> DocumentsError {
    let folder = folder.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => DocumentsError::Missing { folder },
        io::ErrorKind::NotADirectory => DocumentsError::NotAFolder { folder },
        _ => DocumentsError::Unreadable { folder, source },
    }
}

impl Walk {
    fn enter(&mut self, folder: &Path, below: &str, depth: usize) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            self.entries += 1;
            if self.entries > ENTRIES {
                self.skip(below.to_owned(), SkipReason::TooMany);
                break;
            }
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
                continue;
            };
            let file = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            // A file that is gone again is no document.
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() {
                self.descend(&entry.path(), file, depth);
            } else if let Some(format) = format_of(name) {
                self.consider(file, entry.path(), format, kind.is_symlink());
            }
        }
        Ok(())
    }

    fn descend(&mut self, folder: &Path, file: String, depth: usize) {
        let refused = if depth == DEPTH {
            Some(SkipReason::TooDeep)
        } else if file.ends_with("node_modules") || folder.join("CACHEDIR.TAG").exists() {
            Some(SkipReason::Cache)
        } else {
            self.enter(folder, &file, depth + 1).err().map(|_| SkipReason::Unreadable)
        };
        if let Some(reason) = refused {
            self.skip(file, reason);
        }
    }

    fn skip(&mut self, file: String, reason: SkipReason) {
        self.listing.skipped.push(Skipped { file, reason });
    }

    fn consider(&mut self, file: String, path: PathBuf, format: Format, is_link: bool) {
        if is_link {
            self.links.push((file, path, format));
            return;
        }
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.len() > LARGEST => {
                self.skip(file, SkipReason::TooLarge);
            }
            Ok(metadata) if metadata.is_file() => {
                let stamp = Stamp::of(&metadata);
                self.listing.found.push(Found { file, path, format, stamp });
            }
            // Neither a pipe nor a file that is gone again is a document.
            Ok(_) | Err(_) => {}
        }
    }

    /// Links inside the folder are how some systems mount configuration; a file is still read only once.
    fn follow_links(&mut self, root: &Path) {
        for (file, path, format) in std::mem::take(&mut self.links) {
            let target = fs::canonicalize(&path).ok();
            let target = target.filter(|target| target.starts_with(root) && target.is_file());
            match target {
                Some(target) if self.listing.found.iter().any(|found| found.path == target) => {}
                Some(target) => self.consider(file, target, format, false),
                None => self.skip(file, SkipReason::Link),
            }
        }
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: (metadata.dev(), metadata.ino()),
        }
    }
}

fn format_of(name: &str) -> Option<Format> {
    let (_, extension) = name.rsplit_once('.')?;
    match extension.to_ascii_lowercase().as_str() {
        "md" | "markdown" => Some(Format::Markdown),
        "txt" => Some(Format::Plain),
        "rst" => Some(Format::Rst),
        _ => None,
    }
}
