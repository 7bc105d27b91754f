//! A folder of documents for one test, and a run for one agent.

use std::fs;
use std::path::{Path, PathBuf};

use runtime_agents::documents::{Answer, Documents, Topic};

/// A folder that is gone after the test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    pub(crate) fn with(files: &[(&str, &str)]) -> Folder {
        let folder = Folder::new();
        for (file, text) in files {
            folder.write(file, text);
        }
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn at(&self, file: &str) -> PathBuf {
        self.path().join(file)
    }

    pub(crate) fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        let path = self.at(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn open(&self) -> Documents {
        Documents::open(self.path()).unwrap()
    }

    /// The quotes of an answer as `file:line`, with the path below the folder.
    pub(crate) fn places(&self, answer: &Answer) -> Vec<String> {
        let below = format!("{}/", self.path().display());
        let quotes = answer.quotes.iter();
        quotes.map(|quote| format!("{}:{}", quote.file.strip_prefix(&below).unwrap(), quote.line)).collect()
    }

    /// Asks once, without a topic.
    pub(crate) fn ask(&self, question: &str) -> Answer {
        self.open().answer(question, None).unwrap()
    }
}

/// Asks one question after the other; each follows the one before it.
pub(crate) fn converse(documents: &mut Documents, questions: &[&str]) -> Vec<Answer> {
    let mut topic: Option<Topic> = None;
    let mut answers = Vec::new();
    for question in questions {
        let answer = documents.answer(question, topic.as_ref()).unwrap();
        topic = answer.topic.clone();
        answers.push(answer);
    }
    answers
}
