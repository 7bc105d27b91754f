//! The files of the repository.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// A file with its text, and its path from the root of the repository.
pub(crate) struct Text {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let here = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it for the tests that it runs");
    Path::new(&here).parent().expect("the tests lie one level below the root").to_path_buf()
}

/// All text files below `under`, in order of their paths.
///
/// Left out: what is built, and directories of tools and editors (those that begin with a dot).
pub(crate) fn texts(under: &str) -> Vec<Text> {
    let root = root();
    let mut files = Vec::new();
    collect(&root.join(under), &mut files);
    files.sort();
    let text_of = |path: PathBuf| {
        let text = String::from_utf8(fs::read(&path).expect("the file was listed a moment ago"));
        let path = path.strip_prefix(&root).expect("it was found below the root");
        Some(Text { path: path.to_string_lossy().into_owned(), text: text.ok()? })
    };
    files.into_iter().filter_map(text_of).collect()
}

/// All text files of the repository that end in `.{extension}`.
pub(crate) fn texts_with(extension: &str) -> Vec<Text> {
    let end = format!(".{extension}");
    texts("").into_iter().filter(|file| file.path.ends_with(&end)).collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    const SHOWN: [&str; 2] = [".cargo", ".ci"];
    for entry in fs::read_dir(directory).expect("the directory was listed a moment ago") {
        let path = entry.expect("the directory can be read").path();
        let name = path.file_name().expect("entries have names").to_string_lossy().into_owned();
        let hidden = name.starts_with('.') && !SHOWN.contains(&name.as_str());
        if path.is_symlink() || hidden || name == "target" {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}
