//! Words that do not occur: unfinished work, ignored tests, paths of a machine.

use crate::hold;
use crate::tree::{Text, texts, texts_with};

#[test]
fn no_test_is_ignored_and_no_work_is_left_open() {
    // Put together, so that this file does not hold them.
    let banned = [concat!("#[", "ignore"), concat!("todo", "!("), concat!("unimplemented", "!(")];

    hold(&places(&texts_with("rs"), &banned));
}

#[test]
fn no_file_names_a_path_of_somebodys_machine() {
    let banned = [concat!("/ro", "ot/"), concat!("/wo", "rk/")];

    hold(&places(&texts(""), &banned));
}

/// Where the words stand, one line each.
fn places(files: &[Text], words: &[&str]) -> Vec<String> {
    let mut places = Vec::new();
    for file in files {
        for (number, line) in (1..).zip(file.text.lines()) {
            let held = words.iter().filter(|word| line.contains(**word));
            places.extend(held.map(|word| format!("`{}` line {number} holds `{word}`", file.path)));
        }
    }
    places
}
