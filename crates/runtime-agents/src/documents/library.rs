//! [`Documents`]: a folder that can be asked.

use std::path::{Path, PathBuf};

use super::answer::{Answer, Follows, Found, Outcome, Quote, compose};
use super::error::DocumentsError;
use super::folder::Skipped;
use super::index::{Change, Index};
use super::question::{Asked, Intent, Sort, Topic, read};
use super::rank::{FIRST, FURTHER, SHOWN};
use super::resolve::{Resolved, resolve};
use super::search::{around, search};
use super::shelf::{Refreshed, Shelf, difference};

/// The documents of a folder, split into passages and indexed in memory.
///
/// # Examples
///
/// ```
/// use runtime_agents::documents::Documents;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// std::fs::write(folder.join("leases.md"), "# Leases\n\nA lease ends when its node is silent.\n")?;
///
/// let mut documents = Documents::open(folder)?;
/// let answer = documents.answer("When does a lease end?", None)?;
/// assert!(answer.text().contains("leases.md:3"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Documents {
    folder: PathBuf,
    /// The folder as answers name it.
    shown: PathBuf,
    shelf: Shelf,
    index: Index,
}

impl Documents {
    /// Reads and indexes the documents below `folder`: `.md`, `.markdown`, `.txt` and `.rst`, not hidden, in UTF-8.
    ///
    /// # Errors
    ///
    /// A folder that does not exist, that is a file, or that cannot be listed. A file that cannot be read is no error:
    /// [`Documents::skipped`] names it.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Documents, DocumentsError> {
        let folder = folder.into();
        let mut documents =
            Documents { shown: shown(&folder), folder, shelf: Shelf::default(), index: Index::new()? };
        documents.refresh()?;
        Ok(documents)
    }

    /// Looks whether the folder has changed, and reads and indexes what has.
    ///
    /// A file whose size, times and inode are as before is not opened.
    ///
    /// # Errors
    ///
    /// As [`Documents::open`].
    pub fn refresh(&mut self) -> Result<Refreshed, DocumentsError> {
        let before = self.shelf.numbers();
        let skipped = self.shelf.skipped().to_vec();
        self.shelf.refresh(&self.folder)?;
        for new in self.shelf.skipped().iter().filter(|new| !skipped.contains(new)) {
            let folder = self.folder.display();
            tracing::warn!(%folder, file = new.file, reason = %new.reason, "document is not searched");
        }
        let after = self.shelf.numbers();
        let refreshed = difference(&before, &after);
        let gone = refreshed.changed.iter().chain(&refreshed.removed);
        let new = refreshed.changed.iter().chain(&refreshed.added);
        let change = Change {
            remove: gone.filter_map(|file| before.get(file).copied()).collect(),
            add: new
                .filter_map(|file| Some((*after.get(file)?, file.as_str(), self.shelf.passages(file))))
                .collect(),
        };
        if change.is_empty() {
            return Ok(refreshed);
        }
        if let Err(error) = self.index.apply(&change) {
            // What the index holds now is not known: the next look begins with nothing.
            self.shelf = Shelf::default();
            self.index = Index::new()?;
            return Err(error);
        }
        Ok(refreshed)
    }

    /// Files that could have been documents and are not searched, and why.
    pub fn skipped(&self) -> &[Skipped] {
        self.shelf.skipped()
    }

    /// The number of files that are searched.
    pub fn files(&self) -> usize {
        self.shelf.numbers().len()
    }

    /// The number of passages in these files.
    pub fn passages(&self) -> u64 {
        self.index.passages()
    }

    /// Answers `question`, as the folder is now, with passages of the documents.
    ///
    /// `topic` is what the answer before it left ([`Answer::topic`]): a question that only asks for more is about that.
    ///
    /// # Errors
    ///
    /// As [`Documents::open`]. That nothing was found is an answer.
    pub fn answer(&mut self, question: &str, topic: Option<&Topic>) -> Result<Answer, DocumentsError> {
        self.refresh()?;
        let folder = self.label();
        let reply = |outcome: Outcome, topic: Option<Topic>| {
            let quotes = match &outcome {
                Outcome::Found(found) => found.quotes.clone(),
                _ => Vec::new(),
            };
            Answer { pieces: compose(&outcome, &folder), topic, quotes }
        };
        if self.index.passages() == 0 {
            let outcome = Outcome::NoDocuments { skipped: self.not_searched() };
            return Ok(reply(outcome, topic.cloned()));
        }
        match read(question, topic, &mut self.index.analyzer()) {
            Intent::Empty => Ok(reply(Outcome::Empty, topic.cloned())),
            Intent::NoTopic => Ok(reply(Outcome::NoTopic, None)),
            Intent::Ask { topic: new, context } => {
                let (outcome, shown) = self.first(&new, &context)?;
                // A question without an answer leaves the last topic as it was.
                let topic = if shown.is_some() { shown } else { topic.cloned() };
                Ok(reply(outcome, topic))
            }
            Intent::More(old) => {
                let (outcome, topic) = self.further(old)?;
                Ok(reply(outcome, Some(topic)))
            }
        }
    }

    fn first(&self, topic: &Topic, context: &[Asked]) -> Result<(Outcome, Option<Topic>), DocumentsError> {
        let resolved = resolve(&topic.asked, context, &self.index, &self.shelf)?;
        if resolved.concepts.is_empty() {
            let outcome = Outcome::Nothing {
                missing: resolved.missing,
                titles: self.shelf.titles(),
                documents: self.files(),
                skipped: self.not_searched(),
            };
            return Ok((outcome, None));
        }
        let mut topic = topic.clone();
        // Where most of the question has no answer, one passage says what there is instead.
        let is_half = resolved.missing.len() >= resolved.met.len() && !resolved.missing.is_empty();
        let limit = if is_half { 1 } else { SHOWN };
        if is_half {
            topic.sort = Sort::Definition;
        }
        let found = search(&self.index, &self.shelf, &topic, &resolved, FIRST, limit)?;
        topic.show(found.keys);
        let Resolved { met, missing, read_as, .. } = resolved;
        let found = Found {
            quotes: self.as_shown(found.quotes),
            follows: None,
            met,
            missing,
            read_as,
            has_more: found.has_more,
        };
        Ok((Outcome::Found(found), Some(topic)))
    }

    fn further(&self, mut topic: Topic) -> Result<(Outcome, Topic), DocumentsError> {
        let resolved = resolve(&topic.asked, &[], &self.index, &self.shelf)?;
        let mut found = search(&self.index, &self.shelf, &topic, &resolved, FURTHER, SHOWN)?;
        let is_beside = found.quotes.is_empty();
        if is_beside {
            found = around(&self.index, &self.shelf, &topic, &resolved)?;
        }
        let question = topic.question.clone();
        if found.quotes.is_empty() {
            return Ok((Outcome::Exhausted { question }, topic));
        }
        topic.show(found.keys);
        let follows = if is_beside { Follows::Beside(question) } else { Follows::On(question) };
        let found = Found {
            quotes: self.as_shown(found.quotes),
            follows: Some(follows),
            has_more: found.has_more,
            ..Found::default()
        };
        Ok((Outcome::Found(found), topic))
    }

    fn not_searched(&self) -> Vec<String> {
        self.skipped().iter().map(|skipped| format!("{} ({})", skipped.file, skipped.reason)).collect()
    }

    /// The folder as a reader knows it.
    fn label(&self) -> String {
        match self.shown.to_string_lossy().trim_end_matches('/') {
            "" | "." => "this folder".to_owned(),
            folder => format!("{folder}/"),
        }
    }

    /// Quotes with paths that a reader can open.
    fn as_shown(&self, mut quotes: Vec<Quote>) -> Vec<Quote> {
        for quote in &mut quotes {
            let path = self.shown.join(&quote.file);
            let path = path.to_string_lossy();
            quote.file = path.strip_prefix("./").unwrap_or(&path).to_owned();
        }
        quotes
    }
}

/// `folder` as this process's user would write it: without the working directory, if it is in that.
fn shown(folder: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    // In the root of the file system everything would lose its first slash.
    let here = here.filter(|here| here.parent().is_some());
    let below = here.and_then(|here| folder.strip_prefix(here).ok());
    below.unwrap_or(folder).to_owned()
}
