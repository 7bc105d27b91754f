//! Twelve questions over this repository's own documents, each with the line that has to be quoted first.

use std::fs;
use std::path::Path;

use runtime_agents::documents::Documents;

/// The question, the file, and words that stand on the line and nowhere else in the file: what is edited elsewhere in
/// the file moves the line, and not the answer.
const QUESTIONS: [(&str, &str, &str); 12] = [
    ("What survives a crash?", "architecture.md", "What survives a crash is every accepted run"),
    ("How do I get started?", "getting-started.md", "Ten minutes, from a question about your own documents"),
    ("What is a partition?", "architecture.md", "A partition is one of 256 slices of the store"),
    ("When is a run parked?", "architecture.md", "**Parking.** A run in which everything waits"),
    ("How do I cancel a run?", "architecture.md", "**How to cancel a run**"),
    ("how can I decide an unknown step", "architecture.md", "**How to decide**"),
    ("Does it work in a cluster?", "architecture.md", "There is no cluster yet"),
    (
        "What happens when the disk is full?",
        "durability.md",
        "Nothing of the commit is written, and the error says",
    ),
    ("Which store is the default?", "durability.md", "`redb:PATH` keeps everything in one file"),
    ("How do I check a damaged file?", "durability.md", "Opening a file checks what is needed to go on"),
    (
        "How long does an idempotency key last?",
        "promises.md",
        "*From the acceptance until 24 h after the outcome",
    ),
    ("What is a fleet file?", "fleet-file.md", "A fleet file says which agents there shall be"),
];

/// The line of `file` on which `words` stand, if it is one.
fn line_of(file: &Path, words: &str) -> Option<u32> {
    let text = fs::read_to_string(file).unwrap();
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| line.contains(words));
    let line = lines.next().map(|(line, _)| line);
    line.filter(|_| lines.next().is_none())
}

#[test]
fn twelve_questions_over_our_own_documents_are_answered_with_file_and_line() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut documents = Documents::open(&docs).unwrap();
    let mut wrong = Vec::new();
    for (question, file, words) in QUESTIONS {
        let Some(line) = line_of(&docs.join(file), words) else {
            wrong.push(format!("`{words}` is not on one line of {file}: write the new words into the table"));
            continue;
        };
        let answer = documents.answer(question, None).unwrap();
        let place = format!("docs/{file}:{line}  ");
        if !answer.text().lines().next().is_some_and(|first| first.contains(&place)) {
            wrong.push(format!("{question}\nshould be answered by {place}and not by\n{}", answer.text()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
