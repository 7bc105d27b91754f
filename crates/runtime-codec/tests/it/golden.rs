//! The bytes that every version wrote, for ever.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::samples::all;

const GOLDEN: &str = include_str!("../golden/all.txt");

/// Before the names of what only earlier versions wrote.
const OLD: [&str; 3] = ["v1:", "v2:", "v3:"];

/// The name of a sample, of whatever version its bytes are.
fn plain(name: &str) -> &str {
    OLD.iter().find_map(|old| name.strip_prefix(old)).unwrap_or(name)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes every byte");
        text
    })
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("golden bytes are hexadecimal");
    (0..text.len()).step_by(2).map(pair).collect()
}

/// The golden bytes by their names.
fn golden() -> BTreeMap<&'static str, Vec<u8>> {
    let lines = GOLDEN.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let parts = lines.map(|line| line.split_once(' ').expect("a line is a name and bytes"));
    parts.map(|(name, bytes)| (name, unhex(bytes))).collect()
}

#[test]
fn what_is_written_is_read_as_what_it_was_and_written_alike() {
    let golden = golden();
    let mut wrong = Vec::new();
    for sample in all() {
        let name = &sample.name;
        match golden.get(name.as_str()).map(|bytes| (bytes, sample.is_read_from(bytes))) {
            None => wrong.push(format!("tests/golden/all.txt lacks:\n{name} {}", hex(&sample.bytes))),
            Some((_, Err(error))) => wrong.push(format!("{name}: {error}")),
            Some((_, Ok(false))) if !name.starts_with("entry.unrecognised") => {
                wrong.push(format!("{name} is read as something else"));
            }
            Some((bytes, Ok(_))) if *bytes != sample.bytes => {
                wrong.push(format!("{name} is written as {}", hex(&sample.bytes)));
            }
            Some(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_earlier_versions_wrote_is_read_as_what_it_was() {
    let (samples, golden) = (all(), golden());
    let old: Vec<_> = golden
        .iter()
        .filter(|(name, _)| plain(name) != **name)
        .map(|(name, bytes)| (plain(name), bytes))
        .collect();
    assert!(!old.is_empty());
    for (name, bytes) in old {
        let sample = samples.iter().find(|sample| sample.name == name).expect(name);
        assert!(sample.is_read_from(bytes).expect(name), "{name} is read as something else");
        assert_ne!(*bytes, sample.bytes.to_vec(), "{name} is written alike");
    }
}

#[test]
fn everything_in_the_golden_file_is_known() {
    let known: Vec<String> = all().into_iter().map(|sample| sample.name).collect();
    let named = golden().into_keys().map(plain);
    let unknown: Vec<_> = named.filter(|name| !known.iter().any(|k| k == name)).collect();
    assert_eq!(unknown, [""; 0]);
    let mut names = known.clone();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), known.len(), "two samples have one name");
}
