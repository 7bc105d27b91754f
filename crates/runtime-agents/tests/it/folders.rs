//! The folder: what is read, what is skipped, and what is refused.

use std::error::Error;
use std::fs;
use std::os::unix::fs::symlink;

use runtime_agents::documents::{Documents, DocumentsError, SkipReason};

use crate::support::Folder;

fn skipped(documents: &Documents) -> Vec<(&str, SkipReason)> {
    documents.skipped().iter().map(|skipped| (skipped.file.as_str(), skipped.reason)).collect()
}

#[test]
fn only_documents_are_read() {
    let folder = Folder::with(&[
        ("a.md", "lease one"),
        ("b.MARKDOWN", "lease two"),
        ("c.txt", "lease three"),
        ("deep/er/d.rst", "lease four"),
        ("e.rs", "lease five"),
        (".hidden.md", "lease six"),
        (".git/f.md", "lease seven"),
        ("README", "lease eight"),
    ]);
    let documents = folder.open();
    assert_eq!(documents.files(), 4);
    assert_eq!(skipped(&documents), []);
}

#[test]
fn what_is_no_text_is_skipped_and_named() {
    let folder = Folder::with(&[("good.md", "A lease.\n")]);
    folder.write("latin.txt", b"caf\xe9 lease");
    folder.write("binary.md", b"lease\0lease");
    let mut documents = folder.open();
    assert_eq!(skipped(&documents), [("binary.md", SkipReason::Binary), ("latin.txt", SkipReason::NotUtf8)]);
    assert_eq!(documents.answer("lease", None).unwrap().quotes.len(), 1);
    let answer = documents.answer("planets", None).unwrap().text();
    assert!(answer.ends_with("\nNot searched: binary.md (not text), latin.txt (not UTF-8)."), "{answer}");
    folder.write("latin.txt", "café lease");
    documents.refresh().unwrap();
    assert_eq!(skipped(&documents), [("binary.md", SkipReason::Binary)]);
}

#[test]
fn a_file_that_is_too_large_is_skipped() {
    let folder = Folder::new();
    fs::File::create(folder.at("large.txt")).unwrap().set_len(8 * 1024 * 1024 + 1).unwrap();
    assert_eq!(skipped(&folder.open()), [("large.txt", SkipReason::TooLarge)]);
}

#[test]
fn links_do_not_lead_out_of_the_folder() {
    let outside =
        Folder::with(&[("secret.md", "The secret lease.\n"), ("sub/other.md", "Another secret lease.\n")]);
    let folder = Folder::with(&[("a.md", "A lease.\n"), (".data/real.md", "The real lease.\n")]);
    symlink(outside.at("secret.md"), folder.at("link.md")).unwrap();
    symlink(outside.at("sub"), folder.at("linked")).unwrap();
    symlink(folder.at("gone.md"), folder.at("dangling.md")).unwrap();
    symlink(folder.at("a.md"), folder.at("again.md")).unwrap();
    symlink(folder.path(), folder.at("loop.md")).unwrap();
    // Systems that mount configuration do it like this.
    symlink(folder.at(".data/real.md"), folder.at("mounted.md")).unwrap();
    let mut documents = folder.open();
    let links =
        [("dangling.md", SkipReason::Link), ("link.md", SkipReason::Link), ("loop.md", SkipReason::Link)];
    assert_eq!(skipped(&documents), links);
    assert_eq!(documents.files(), 2);
    assert!(!documents.answer("lease", None).unwrap().text().contains("secret"));
}

#[test]
fn the_folder_itself_may_be_a_link() {
    let folder = Folder::with(&[("docs/a.md", "A lease.\n")]);
    symlink(folder.at("docs"), folder.at("link")).unwrap();
    assert_eq!(Documents::open(folder.at("link")).unwrap().files(), 1);
}

#[test]
fn folders_are_entered_to_a_depth_and_those_of_tools_not_at_all() {
    let deep = format!("{}x.md", "d/".repeat(20));
    let folder = Folder::with(&[
        (&deep, "lease"),
        ("node_modules/m/README.md", "lease"),
        ("target/CACHEDIR.TAG", ""),
        ("target/doc.md", "lease"),
    ]);
    let documents = folder.open();
    assert_eq!(documents.files(), 0);
    let reasons: Vec<SkipReason> = documents.skipped().iter().map(|skipped| skipped.reason).collect();
    assert_eq!(reasons, [SkipReason::TooDeep, SkipReason::Cache, SkipReason::Cache]);
}

#[test]
fn a_missing_folder_is_refused_with_its_name_and_the_remedy() {
    let folder = Folder::new();
    let error = Documents::open(folder.at("nowhere")).unwrap_err();
    assert!(matches!(error, DocumentsError::Missing { .. }));
    let text = error.to_string();
    assert!(text.contains("/nowhere` does not exist: create it, or set `documents`"), "{text}");
}

#[test]
fn a_file_in_place_of_a_folder_is_refused() {
    let folder = Folder::with(&[("a.md", "lease")]);
    let error = Documents::open(folder.at("a.md")).unwrap_err();
    assert!(matches!(error, DocumentsError::NotAFolder { .. }));
    let below = Documents::open(folder.at("a.md/docs")).unwrap_err();
    assert!(matches!(below, DocumentsError::NotAFolder { .. }), "{below}");
}

#[test]
fn an_unreadable_folder_is_refused_with_what_the_system_says() {
    // Also the superuser cannot follow a link that leads to itself.
    let folder = Folder::new();
    symlink(folder.at("self"), folder.at("self")).unwrap();
    let error = Documents::open(folder.at("self")).unwrap_err();
    assert!(matches!(error, DocumentsError::Unreadable { .. }), "{error}");
    assert!(error.to_string().contains("/self` cannot be read: allow"), "{error}");
    assert!(error.source().is_some());
}

#[test]
fn a_folder_that_goes_away_is_an_error_and_can_come_back() {
    let folder = Folder::with(&[("docs/a.md", "A lease ends.\n")]);
    let mut documents = Documents::open(folder.at("docs")).unwrap();
    fs::rename(folder.at("docs"), folder.at("away")).unwrap();
    let error = documents.answer("lease", None).unwrap_err();
    assert!(matches!(error, DocumentsError::Missing { .. }));
    fs::rename(folder.at("away"), folder.at("docs")).unwrap();
    assert_eq!(documents.answer("lease", None).unwrap().quotes.len(), 1);
}
