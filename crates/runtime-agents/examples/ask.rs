//! Asks a folder: `cargo run --example ask -- <folder> "a question" "tell me more" …`, each question following the last.

use std::error::Error;

use runtime_agents::documents::Documents;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("say which folder, then what you want to know")?;
    let mut documents = Documents::open(folder)?;
    println!("{} documents, {} passages", documents.files(), documents.passages());
    for skipped in documents.skipped() {
        println!("skipped {}: {}", skipped.file, skipped.reason);
    }
    let mut topic = None;
    for question in arguments {
        let answer = documents.answer(&question, topic.as_ref())?;
        println!("\n=== {question}\n\n{}", answer.text());
        topic = answer.topic;
    }
    Ok(())
}
