//! [`Documents`]: a folder that can be asked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::answer::{Answer, Found, Outcome, Quote, WIDTH, compose};
use super::error::DocumentsError;
use super::folder::Skipped;
use super::index::{Change, Index, searchable};
use super::passage::Passage;
use super::question::{Asked, Intent, Topic, read};
use super::quote::quote;
use super::rank::{Bar, Choice, Contender, FIRST, FURTHER, SHOWN, choose};
use super::readable;
use super::resolve::{Resolved, resolve};
use super::shelf::{Refreshed, Shelf, difference};
use super::terms::{complete_analyzer, terms};

/// Passages that are looked at closely for one answer.
const CANDIDATES: usize = 120;
/// Lines that are quoted in one answer, if it is not one long passage.
const LINES: usize = 36;
/// Characters of a quotation's line, which two more characters mark as one.
const QUOTED: usize = WIDTH - 2;

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
    shelf: Shelf,
    index: Index,
}

/// What a search came to.
#[derive(Debug, Default)]
struct Shown {
    quotes: Vec<Quote>,
    /// The keys of the quoted passages.
    keys: Vec<String>,
    has_more: bool,
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
        let mut documents = Documents {
            folder,
            shelf: Shelf::default(),
            index: Index::new()?,
        };
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
        self.shelf.refresh(&self.folder)?;
        let after = self.shelf.numbers();
        let refreshed = difference(&before, &after);
        let gone = refreshed.changed.iter().chain(&refreshed.removed);
        let new = refreshed.changed.iter().chain(&refreshed.added);
        let change = Change {
            remove: gone.filter_map(|file| before.get(file).copied()).collect(),
            add: new
                .filter_map(|file| {
                    Some((*after.get(file)?, file.as_str(), self.shelf.passages(file)))
                })
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
    pub fn answer(
        &mut self,
        question: &str,
        topic: Option<&Topic>,
    ) -> Result<Answer, DocumentsError> {
        self.refresh()?;
        let folder = self.label();
        let reply = |outcome: Outcome, topic: Option<Topic>| {
            let quotes = match &outcome {
                Outcome::Found(found) => found.quotes.clone(),
                _ => Vec::new(),
            };
            Answer {
                pieces: compose(&outcome, &folder),
                topic,
                quotes,
            }
        };
        if self.index.passages() == 0 {
            let skipped = self.skipped().iter();
            let skipped = skipped.map(|skipped| format!("{} ({})", skipped.file, skipped.reason));
            let outcome = Outcome::NoDocuments {
                skipped: skipped.collect(),
            };
            return Ok(reply(outcome, topic.cloned()));
        }
        match read(question, topic, &mut self.index.analyzer()) {
            Intent::Empty => Ok(reply(Outcome::Empty, topic.cloned())),
            Intent::NoTopic => Ok(reply(Outcome::NoTopic, None)),
            Intent::Ask {
                topic: new,
                context,
            } => {
                let (outcome, shown) = self.first(&new, &context)?;
                // A question without an answer leaves the last topic as it was.
                let topic = if shown.is_some() {
                    shown
                } else {
                    topic.cloned()
                };
                Ok(reply(outcome, topic))
            }
            Intent::More(old) => {
                let (outcome, topic) = self.further(old)?;
                Ok(reply(outcome, Some(topic)))
            }
        }
    }

    fn first(
        &self,
        topic: &Topic,
        context: &[Asked],
    ) -> Result<(Outcome, Option<Topic>), DocumentsError> {
        let resolved = resolve(&topic.asked, context, &self.index, &self.shelf)?;
        if resolved.concepts.is_empty() {
            let outcome = Outcome::Nothing {
                missing: resolved.missing,
                titles: self.shelf.titles(),
                documents: self.files(),
            };
            return Ok((outcome, None));
        }
        // Where most of the question has no answer, one passage shows what there is instead.
        let is_half = resolved.missing.len() >= resolved.met.len();
        let limit = if is_half && !resolved.missing.is_empty() {
            1
        } else {
            SHOWN
        };
        let Shown {
            quotes,
            keys,
            has_more,
        } = self.search(topic, &resolved, FIRST, limit)?;
        let mut topic = topic.clone();
        topic.show(keys);
        let Resolved {
            met,
            missing,
            read_as,
            ..
        } = resolved;
        let found = Found {
            quotes,
            follows: None,
            met,
            missing,
            read_as,
            has_more,
        };
        Ok((Outcome::Found(found), Some(topic)))
    }

    fn further(&self, mut topic: Topic) -> Result<(Outcome, Topic), DocumentsError> {
        let resolved = resolve(&topic.asked, &[], &self.index, &self.shelf)?;
        let Shown {
            quotes,
            keys,
            has_more,
        } = self.search(&topic, &resolved, FURTHER, SHOWN)?;
        let question = topic.question.clone();
        if quotes.is_empty() {
            return Ok((Outcome::Exhausted { question }, topic));
        }
        topic.show(keys);
        let found = Found {
            quotes,
            follows: Some(question),
            has_more,
            ..Found::default()
        };
        Ok((Outcome::Found(found), topic))
    }

    fn search(
        &self,
        topic: &Topic,
        resolved: &Resolved,
        bar: Bar,
        limit: usize,
    ) -> Result<Shown, DocumentsError> {
        let candidates = self.index.candidates(&resolved.wanted, CANDIDATES)?;
        let texts = self.shelf.by_number();
        let mut analyzer = complete_analyzer();
        let mut contenders = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            let Some((file, passages)) = texts.get(&candidate.file) else {
                continue;
            };
            let Some(passage) = passages.get(candidate.nth) else {
                continue;
            };
            let mut terms = |text: &str| terms(&mut analyzer, text);
            let (heading, above) = match passage.headings.split_last() {
                Some((heading, above)) => (terms(heading), terms(&above.join(" "))),
                None => (Vec::new(), Vec::new()),
            };
            contenders.push(Contender {
                key: key(file, passage),
                file,
                passage,
                score: candidate.score,
                text: terms(&searchable(passage)),
                heading,
                above: [above, terms(file)].concat(),
                linked: linked(passage),
            });
        }
        let before: BTreeSet<String> = topic.shown.iter().cloned().collect();
        let Choice { chosen, has_more } = choose(
            &contenders,
            &resolved.concepts,
            topic.sort,
            &before,
            bar,
            limit,
        );
        let mut shown = Shown {
            has_more,
            ..Shown::default()
        };
        let mut lines = 0;
        for contender in chosen.iter().map(|at| &contenders[*at]) {
            let quoted = quote(contender.passage, QUOTED);
            lines += quoted.len();
            if lines > LINES && !shown.quotes.is_empty() {
                shown.has_more = true;
                break;
            }
            shown.keys.push(contender.key.clone());
            shown.quotes.push(Quote {
                file: self.shown_path(contender.file),
                line: contender.passage.line,
                headings: contender.passage.headings.to_vec(),
                text: quoted.join("\n"),
            });
        }
        Ok(shown)
    }

    /// The folder as a reader knows it.
    fn label(&self) -> String {
        match shown_folder(&self.folder) {
            folder if folder.is_empty() => "this folder".to_owned(),
            folder => format!("{folder}/"),
        }
    }

    fn shown_path(&self, file: &str) -> String {
        match shown_folder(&self.folder) {
            folder if folder.is_empty() => file.to_owned(),
            folder => format!("{folder}/{file}"),
        }
    }
}

fn shown_folder(folder: &Path) -> String {
    let folder = folder.to_string_lossy();
    let folder = folder.strip_prefix("./").unwrap_or(&folder);
    let folder = folder.trim_end_matches("/.").trim_end_matches('/');
    if folder == "." {
        String::new()
    } else {
        folder.to_owned()
    }
}

/// What stays the same about a passage when the rest of its file changes.
fn key(file: &str, passage: &Passage) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(file.as_bytes());
    hasher.update(&[0]);
    hasher.update(passage.text.as_bytes());
    hasher.finalize().to_hex()[..16].to_owned()
}

fn linked(passage: &Passage) -> f32 {
    let readable = readable::inline(&passage.text);
    let length = readable
        .text
        .chars()
        .filter(|c| c.is_alphanumeric())
        .count()
        .max(1);
    (readable.linked as f32 / length as f32).min(1.0)
}
