//! The files that were read: what they hold, and what a new look at the folder changes. It touches files, not the index.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use super::error::DocumentsError;
use super::folder::{self, Found, SkipReason, Skipped, Stamp};
use super::passage::Passage;
use super::split::split;
use super::terms::words;

/// Bytes in which a file that is no text gives itself away.
const SNIFFED: usize = 8_192;

/// The files of a folder, as they were when it was last looked at.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    files: BTreeMap<String, File>,
    skipped: Vec<Skipped>,
    /// The last number that was given to a text.
    last: u64,
}

/// What a look at the folder changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// Files that are new.
    pub added: Vec<String>,
    /// Files whose text is another one.
    pub changed: Vec<String>,
    /// Files that are gone, or that are no longer text.
    pub removed: Vec<String>,
}

#[derive(Debug)]
struct File {
    stamp: Stamp,
    contents: Contents,
}

#[derive(Debug)]
enum Contents {
    Text(Text),
    /// It is opened again when its stamp is another one.
    Skipped(SkipReason),
}

#[derive(Debug)]
struct Text {
    /// Never used again: the same number is the same text.
    number: u64,
    hash: blake3::Hash,
    passages: Vec<Passage>,
}

impl Shelf {
    /// Looks at `folder`; opens only files whose size, times or inode are others than before.
    pub(super) fn refresh(&mut self, folder: &Path) -> Result<(), DocumentsError> {
        let listing = folder::list(folder)?;
        let mut old = std::mem::take(&mut self.files);
        self.skipped = listing.skipped;
        for found in listing.found {
            let file = match old.remove(&found.file) {
                Some(file) if file.stamp == found.stamp => file,
                before => self.load(&found, before),
            };
            if let Contents::Skipped(reason) = file.contents {
                self.skipped.push(Skipped { file: found.file.clone(), reason });
            }
            self.files.insert(found.file, file);
        }
        self.skipped.sort_by(|a, b| a.file.cmp(&b.file));
        Ok(())
    }

    fn load(&mut self, found: &Found, before: Option<File>) -> File {
        let text = match read(&found.path) {
            Ok(text) => text,
            Err(reason) => {
                return File { stamp: found.stamp, contents: Contents::Skipped(reason) };
            }
        };
        let hash = blake3::hash(text.as_bytes());
        let contents = match before.map(|before| before.contents) {
            // Touched, and nothing changed.
            Some(Contents::Text(same)) if same.hash == hash => Contents::Text(same),
            _ => {
                self.last += 1;
                let passages = split(&text, found.format);
                Contents::Text(Text { number: self.last, hash, passages })
            }
        };
        File { stamp: found.stamp, contents }
    }

    /// The texts that are there, by the path of their file.
    pub(super) fn numbers(&self) -> BTreeMap<String, u64> {
        self.texts().map(|(file, text)| (file.to_owned(), text.number)).collect()
    }

    /// The passages of a file.
    pub(super) fn passages(&self, file: &str) -> &[Passage] {
        match self.files.get(file).map(|file| &file.contents) {
            Some(Contents::Text(text)) => &text.passages,
            Some(Contents::Skipped(_)) | None => &[],
        }
    }

    /// Path and passages of each text, by its number.
    pub(super) fn by_number(&self) -> HashMap<u64, (&str, &[Passage])> {
        self.texts().map(|(file, text)| (text.number, (file, text.passages.as_slice()))).collect()
    }

    /// What each text calls itself: its first heading, or its file's name.
    pub(super) fn titles(&self) -> Vec<String> {
        let title = |(file, text): (&str, &Text)| {
            let heading = text.passages.first().and_then(|passage| passage.headings.first());
            heading.cloned().unwrap_or_else(|| file.to_owned())
        };
        self.texts().map(title).collect()
    }

    /// The words of all texts, in their order.
    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        let passages = self.texts().flat_map(|(_, text)| &text.passages);
        passages.flat_map(|passage| words(&passage.text)).map(|(_, word)| word)
    }

    /// Files that are not searched, and why.
    pub(super) fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    fn texts(&self) -> impl Iterator<Item = (&str, &Text)> {
        self.files.iter().filter_map(|(file, known)| match &known.contents {
            Contents::Text(text) => Some((file.as_str(), text)),
            Contents::Skipped(_) => None,
        })
    }
}

/// What changed between two looks, by the numbers of the texts.
pub(super) fn difference(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> Refreshed {
    let mut refreshed = Refreshed::default();
    for (file, number) in after {
        match before.get(file) {
            None => refreshed.added.push(file.clone()),
            Some(old) if old != number => refreshed.changed.push(file.clone()),
            Some(_) => {}
        }
    }
    let gone = before.keys().filter(|file| !after.contains_key(*file));
    refreshed.removed.extend(gone.cloned());
    refreshed
}

fn read(path: &Path) -> Result<String, SkipReason> {
    let bytes = fs::read(path).map_err(|_| SkipReason::Unreadable)?;
    if bytes.iter().take(SNIFFED).any(|byte| *byte == 0) {
        return Err(SkipReason::Binary);
    }
    String::from_utf8(bytes).map_err(|_| SkipReason::NotUtf8)
}
