//! What a disk may hold after the power went.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::disk::{Act, Disk, Kind, Node, ROOT, Step};
use super::files::Files;
use crate::chaos::dice::Dice;

/// What a disk writes as a whole.
const SECTOR: u64 = 512;

/// What becomes of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing of it is on disk.
    Lost,
    /// All of it is.
    Kept,
    /// Each write, length and name is there or not.
    Whole,
    /// As before, and of each write each sector is there or not.
    Torn,
}

impl Fate {
    /// One of them: half of the images is torn.
    pub(super) fn of(dice: &mut Dice) -> Self {
        *dice.pick(&[
            Self::Lost,
            Self::Kept,
            Self::Whole,
            Self::Whole,
            Self::Torn,
            Self::Torn,
            Self::Torn,
            Self::Torn,
        ])
    }

    fn keeps(self, dice: &mut Dice) -> bool {
        match self {
            Self::Lost => false,
            Self::Kept => true,
            Self::Whole | Self::Torn => dice.one_in(2),
        }
    }
}

/// What a disk holds whose power goes before `line` of the record.
///
/// Of a sector that was written several times since the last sync any version may be there, also the oldest: that is
/// what writes come to that reach the disk in any order. A file's length and a folder's names are what some of the
/// calls since their sync have made of them.
pub(super) fn image(disk: &Disk, line: usize, fate: Fate, dice: &mut Dice) -> Files {
    let synced = Synced::before(disk, line);
    let mut contents: HashMap<Node, Content> = HashMap::new();
    let mut names: HashMap<Node, BTreeMap<OsString, Node>> = HashMap::new();
    for step in disk.steps.iter().take_while(|step| step.begin < line) {
        match &step.act {
            Act::Write { file, at, data } => {
                let content = contents.entry(*file).or_default();
                if synced.has(step, *file) {
                    content.write(*at, data, true);
                } else if fate == Fate::Torn {
                    for (sector, at) in sectors(*at, data) {
                        if dice.one_in(2) {
                            content.write(at, sector, false);
                        }
                    }
                    content.lengthen(*at, data, fate.keeps(dice));
                } else if fate.keeps(dice) {
                    content.write(*at, data, false);
                    content.lengthen(*at, data, fate == Fate::Kept || fate.keeps(dice));
                }
            }
            Act::Resize { file, len } => {
                if synced.has(step, *file) || fate.keeps(dice) {
                    contents.entry(*file).or_default().resize(*len);
                }
            }
            Act::Name(namings) => {
                let all = namings.iter().all(|naming| synced.has(step, naming.folder));
                if all || fate.keeps(dice) {
                    for naming in namings {
                        let names = names.entry(naming.folder).or_default();
                        match naming.node {
                            Some(node) => names.insert(naming.name.clone(), node),
                            None => names.remove(&naming.name),
                        };
                    }
                }
            }
        }
    }
    let mut files = Files::default();
    gather(disk, &names, &mut contents, (ROOT, Path::new("")), &mut files);
    files
}

/// How far each node is synced.
struct Synced(Vec<usize>);

impl Synced {
    fn before(disk: &Disk, line: usize) -> Self {
        let mut begins = vec![0; disk.nodes.len()];
        for sync in disk.syncs.iter().filter(|sync| sync.end < line.max(2)) {
            begins[sync.node] = sync.begin.max(begins[sync.node]);
        }
        Self(begins)
    }

    /// Whether a step on a node was over before a sync of it began that is over as well.
    fn has(&self, step: &Step, node: Node) -> bool {
        step.end.is_some_and(|end| end < self.0[node])
    }
}

/// A file's bytes. What is written past its length may come to light when it grows.
#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    len: u64,
}

impl Content {
    fn write(&mut self, at: u64, data: &[u8], grows: bool) {
        let end = at as usize + data.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[at as usize..end].copy_from_slice(data);
        self.lengthen(at, data, grows);
    }

    fn lengthen(&mut self, at: u64, data: &[u8], grows: bool) {
        if grows {
            self.len = self.len.max(at + data.len() as u64);
        }
    }

    fn resize(&mut self, len: u64) {
        self.bytes.truncate(len as usize);
        self.len = len;
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.len as usize, 0);
        self.bytes
    }
}

/// The parts of a write that lie in one sector each, and where.
fn sectors(at: u64, data: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    let mut place = at;
    let mut rest = data;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let until = (SECTOR - place % SECTOR).min(rest.len() as u64);
        let (sector, after) = rest.split_at(until as usize);
        let at = place;
        (place, rest) = (place + until, after);
        Some((sector, at))
    })
}

fn gather(
    disk: &Disk,
    names: &HashMap<Node, BTreeMap<OsString, Node>>,
    contents: &mut HashMap<Node, Content>,
    (folder, path): (Node, &Path),
    files: &mut Files,
) {
    for (name, node) in names.get(&folder).into_iter().flatten() {
        let path: PathBuf = path.join(name);
        if disk.nodes[*node] == Kind::Folder {
            files.folders.push(path.clone());
            gather(disk, names, contents, (*node, &path), files);
        } else {
            // A file that a lost rename has left under two names is the same under both.
            let content = contents.get(node).cloned().unwrap_or_default();
            files.contents.insert(path, content.finish());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::{Dice, Disk, Fate, Files, image};
    use crate::chaos::stores::trace;

    const TEXT: &str = r#"7 openat(AT_FDCWD</>, "/d/new", O_RDWR|O_CREAT, 0600) = 9</d/new>
7 pwrite64(9</d/new>, "\x61\x61", 2, 0) = 2
7 fdatasync(9</d/new>) = 0
7 fsync(4</d>) = 0
7 pwrite64(9</d/new>, "\x62\x62", 2, 511) = 2
7 rename("/d/new", "/d/old") = 0
7 sync_file_range(9</d/old>, 0, 0, 7) = 0
7 write(1<pipe:[1]>, "\x0a", 1) = 1
"#;

    /// What is in the folder before a line: names with the lengths and the places of what is not zero.
    fn shown(files: &Files) -> Vec<(String, usize, String)> {
        let of = |(path, content): (&std::path::PathBuf, &Vec<u8>)| {
            let set = content.iter().filter(|byte| **byte != 0).map(|byte| *byte as char).collect();
            (path.display().to_string(), content.len(), set)
        };
        files.contents.iter().map(of).collect()
    }

    fn all(line: usize, fate: Fate) -> BTreeSet<Vec<(String, usize, String)>> {
        let mut disk = Disk::new(Path::new("/d"), Files::default());
        disk.take(&trace::read(TEXT).unwrap()).unwrap();
        (0..200).map(|nth| shown(&image(&disk, line, fate, &mut Dice::of(1, nth)))).collect()
    }

    fn one(name: &str, len: usize, set: &str) -> Vec<(String, usize, String)> {
        vec![(name.to_owned(), len, set.to_owned())]
    }

    #[test]
    fn what_is_synced_is_there_and_what_is_not_may_be() {
        // Neither the content nor the name is synced.
        assert!(all(3, Fate::Whole).is_superset(&[vec![], one("new", 0, ""), one("new", 2, "aa")].into()));
        // The content is, the name is not.
        assert_eq!(all(4, Fate::Whole), [vec![], one("new", 2, "aa")].into());
        assert_eq!(all(5, Fate::Torn), [one("new", 2, "aa")].into());
        // Each of the two sectors of the second write is there or not; its length by itself.
        let torn = all(6, Fate::Torn);
        for (len, set) in [(2, "aa"), (513, "aa"), (513, "aab"), (513, "aabb")] {
            assert!(torn.contains(&one("new", len, set)), "{len} {set}: {torn:?}");
        }
        // Neither a range that is on its way nor a word to somebody else is a sync.
        assert_eq!(all(9, Fate::Lost), [one("new", 2, "aa")].into());
        assert_eq!(all(9, Fate::Kept), [one("old", 513, "aabb")].into());
    }

    #[test]
    fn what_was_there_before_is_on_disk() {
        let base = Files { contents: [("a/b".into(), b"x".to_vec())].into(), folders: vec!["a".into()] };
        let disk = Disk::new(Path::new("/d"), base.clone());

        assert_eq!(image(&disk, 1, Fate::Lost, &mut Dice::of(1, 1)), base);
    }
}
