//! Links in Markdown lead somewhere.

use std::path::{Component, Path, PathBuf};

use crate::hold;
use crate::tree::{Text, root, texts_with};

#[test]
fn every_relative_link_in_markdown_leads_to_a_file_of_the_repository() {
    let files = texts_with("md");
    assert!(!files.is_empty(), "no Markdown file was found");

    let violations: Vec<String> = files
        .iter()
        .flat_map(|file| targets(&file.text).into_iter().map(move |target| (file, target)))
        .filter(|(file, target)| !leads_somewhere(file, target))
        .map(|(file, target)| format!("`{}` links to `{target}`, which is not there", file.path))
        .collect();

    hold(&violations);
}

#[test]
fn links_are_found_outside_of_code_and_without_their_titles() {
    let text = "See [a](docs/a.md), ![b](b.png \"B\") and [c](<c d.md#e>), not `[x](x.md)`.\n\
        ```text\n[y](y.md)\n```\n\
        [1]: ../CHANGELOG.md\n\
        - [ ] a task (done) and a[0](not closed\n";

    assert_eq!(targets(text), ["docs/a.md", "b.png", "c d.md#e", "../CHANGELOG.md"]);
}

#[test]
fn a_link_out_of_the_repository_leads_nowhere() {
    let file = Text { path: "docs/a.md".to_owned(), text: String::new() };

    assert!(leads_somewhere(&file, "../Cargo.toml"));
    assert!(leads_somewhere(&file, "#a-heading"));
    assert!(leads_somewhere(&file, "https://example.org/a.md"));
    assert!(!leads_somewhere(&file, "../../Cargo.toml"));
    assert!(!leads_somewhere(&file, "missing.md#part"));
}

/// The targets of the links in a Markdown text: `[words](target "title")` and `[words]: target`.
fn targets(text: &str) -> Vec<String> {
    let mut targets = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        // Every second piece between backticks is code.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        if let Some((label, target)) = prose.split_once("]: ")
            && label.starts_with('[')
        {
            targets.extend(target_of(target));
        }
        let inline = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        targets.extend(inline.filter_map(|(target, _)| target_of(target)));
    }
    targets
}

/// The target without its title or its angle brackets.
fn target_of(written: &str) -> Option<String> {
    let written = written.trim();
    let target = match written.strip_prefix('<') {
        Some(rest) => rest.split('>').next(),
        None => written.split_whitespace().next(),
    };
    target.map(str::to_owned)
}

/// Whether a link of `file` is to another place, or to a file that is there.
fn leads_somewhere(file: &Text, target: &str) -> bool {
    let path = target.split('#').next().unwrap_or_default();
    let elsewhere = ["https://", "http://", "mailto:"].iter().any(|scheme| target.starts_with(scheme));
    if elsewhere || path.is_empty() {
        return true;
    }
    let from = Path::new(&file.path).parent().expect("a file lies in a directory");
    within(&from.join(path)).is_some_and(|path| root().join(path).exists())
}

/// The path without `..`; `None` when it leaves the repository.
fn within(path: &Path) -> Option<PathBuf> {
    let mut inside = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => inside.push(name),
            Component::ParentDir => {
                inside.pop().then_some(())?;
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(inside)
}
