//! A disk as a record of calls tells it: what was done to files and folders, when, and what of it was synced.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::error::StoresError;
use super::files::Files;
use super::trace::{Call, Descriptor};

/// A file or a folder, whatever its name: its place in the list of them.
pub(super) type Node = usize;

/// The folder in which everything happens; its own name is on disk.
pub(super) const ROOT: Node = 0;

/// What happened below a folder.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    root: PathBuf,
    pub(super) nodes: Vec<Kind>,
    pub(super) steps: Vec<Step>,
    /// Syncs that ended well.
    pub(super) syncs: Vec<Sync>,
    /// By folder: its names now.
    names: HashMap<Node, BTreeMap<OsString, Node>>,
    /// Sizes of files now, for what is appended.
    sizes: HashMap<Node, u64>,
    /// Where descriptors stand, for calls that do not say.
    offsets: HashMap<i64, u64>,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    File,
}

/// Something that was done, and when it began and ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) begin: usize,
    pub(super) end: Option<usize>,
    pub(super) act: Act,
}

/// Something that can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Write {
        file: Node,
        at: u64,
        data: Vec<u8>,
    },
    /// The file got another length.
    Resize {
        file: Node,
        len: u64,
    },
    /// Names were given or taken, all in one.
    Name(Vec<Naming>),
}

/// A name in a folder, and what has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Naming {
    pub(super) folder: Node,
    pub(super) name: OsString,
    pub(super) node: Option<Node>,
}

/// A sync of a file, or of a folder's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sync {
    pub(super) node: Node,
    pub(super) begin: usize,
    pub(super) end: usize,
}

impl Disk {
    /// A disk that holds `base` below `root`.
    pub(super) fn new(root: &Path, base: Files) -> Self {
        let mut disk = Self {
            root: root.to_owned(),
            nodes: vec![Kind::Folder],
            steps: Vec::new(),
            syncs: Vec::new(),
            names: HashMap::new(),
            sizes: HashMap::new(),
            offsets: HashMap::new(),
        };
        let folders = base.folders.into_iter().map(|path| (path, Kind::Folder, Vec::new()));
        let files = base.contents.into_iter().map(|(path, content)| (path, Kind::File, content));
        for (path, kind, data) in folders.chain(files) {
            let Some((folder, name)) = disk.place(&disk.root.join(path)) else { continue };
            let node = disk.node(kind);
            disk.sizes.insert(node, data.len() as u64);
            disk.step(0, Some(0), Act::Name(vec![Naming { folder, name, node: Some(node) }]));
            if !data.is_empty() {
                disk.step(0, Some(0), Act::Write { file: node, at: 0, data });
            }
        }
        // All of it is synced.
        disk.syncs = (0..disk.nodes.len()).map(|node| Sync { node, begin: 1, end: 1 }).collect();
        disk
    }

    /// Takes what calls did below the root.
    ///
    /// # Errors
    /// [`StoresError::Mapped`] when a file is written through memory; [`StoresError::Trace`] for a call that cannot be
    /// followed.
    pub(super) fn take(&mut self, calls: &[Call]) -> Result<(), StoresError> {
        for call in calls.iter().filter(|call| call.may_have_happened()) {
            self.call(call).ok_or_else(|| StoresError::Trace {
                line: call.begin,
                text: format!("{}({})", call.name, call.args.join(", ")).chars().take(80).collect(),
            })?;
            if let Some(mapped) = self.mapped(call) {
                return Err(StoresError::Mapped(mapped));
            }
        }
        Ok(())
    }

    fn mapped(&self, call: &Call) -> Option<PathBuf> {
        let writes = call.name == "mmap"
            && call.args.get(2)?.contains("PROT_WRITE")
            && call.args.get(3)?.contains("MAP_SHARED");
        let path = call.descriptor(4).filter(|_| writes)?.path?;
        path.starts_with(&self.root).then_some(path)
    }

    /// `None`: the call cannot be followed.
    fn call(&mut self, call: &Call) -> Option<()> {
        match call.name.as_str() {
            "open" | "creat" => {
                self.opened(call, &call.path(0)?, call.args.get(1).map_or("O_CREAT|O_TRUNC", |flags| flags))
            }
            "openat" => {
                let path = self.absolute(call, 0, 1)?;
                self.opened(call, &path, call.args.get(2)?);
            }
            "close" => {
                self.offsets.remove(&call.descriptor(0)?.number);
            }
            "lseek" => {
                if let (Some(descriptor), Some(at)) = (call.descriptor(0), call.answer) {
                    self.offsets.insert(descriptor.number, at as u64);
                }
            }
            "write" | "writev" => self.written(call, None)?,
            "pwrite64" | "pwritev" | "pwritev2" => self.written(call, Some(call.number(3)?))?,
            "ftruncate" => {
                let len = call.number(1)?;
                if let Some(file) = self.file(&call.descriptor(0)?) {
                    self.resize(call, file, len);
                }
            }
            "truncate" => {
                let file = self.find(&call.path(0)?);
                if let Some(file) = file {
                    self.resize(call, file, call.number(1)?);
                }
            }
            "fallocate" => {
                if let Some(file) = self.file(&call.descriptor(0)?) {
                    // A hole, or a range that is moved, is something else.
                    let end =
                        (call.args.get(1)? == "0").then(|| Some(call.number(2)? + call.number(3)?))??;
                    if end > self.sizes.get(&file).copied().unwrap_or(0) {
                        self.resize(call, file, end);
                    }
                }
            }
            "copy_file_range" | "sendfile" => {
                let to = call.descriptor(if call.name == "sendfile" { 0 } else { 2 })?;
                return self.file(&to).is_none().then_some(());
            }
            "fsync" | "fdatasync" => {
                if let (Some(node), Some(end)) = (self.file(&call.descriptor(0)?), call.end) {
                    self.syncs.push(Sync { node, begin: call.begin, end });
                }
            }
            "rename" => self.renamed(call, &call.path(0)?, &call.path(1)?),
            "renameat" | "renameat2" => {
                let (from, to) = (self.absolute(call, 0, 1)?, self.absolute(call, 2, 3)?);
                self.renamed(call, &from, &to);
            }
            "link" => self.linked(call, &call.path(0)?, &call.path(1)?),
            "linkat" => {
                let (from, to) = (self.absolute(call, 0, 1)?, self.absolute(call, 2, 3)?);
                self.linked(call, &from, &to);
            }
            "unlink" | "rmdir" => self.unlinked(call, &call.path(0)?),
            "unlinkat" => self.unlinked(call, &self.absolute(call, 0, 1)?),
            "mkdir" => self.made(call, &call.path(0)?, Kind::Folder),
            "mkdirat" => self.made(call, &self.absolute(call, 0, 1)?, Kind::Folder),
            // What `sync_file_range` and `msync` have begun nobody has seen to its end, and the disk's own cache not at all.
            _ => {}
        }
        Some(())
    }

    fn opened(&mut self, call: &Call, path: &Path, flags: &str) {
        let Some(number) = call.answer else { return };
        self.offsets.insert(number, 0);
        if flags.contains("O_CREAT") && self.find(path).is_none() {
            self.made(call, path, Kind::File);
        }
        let Some(file) = self.find(path) else { return };
        if flags.contains("O_TRUNC") && self.sizes.get(&file).is_some_and(|size| *size > 0) {
            self.resize(call, file, 0);
        }
        if flags.contains("O_APPEND") {
            self.offsets.insert(number, self.sizes.get(&file).copied().unwrap_or(0));
        }
    }

    fn written(&mut self, call: &Call, at: Option<u64>) -> Option<()> {
        let descriptor = call.descriptor(0)?;
        let Some(file) = self.file(&descriptor) else { return Some(()) };
        let mut data = call.bytes(1)?;
        data.truncate(call.answer.map_or(data.len(), |written| written as usize));
        let at = at.or_else(|| self.offsets.get(&descriptor.number).copied())?;
        let end = at + data.len() as u64;
        self.offsets.entry(descriptor.number).and_modify(|offset| *offset = end);
        let size = self.sizes.entry(file).or_default();
        *size = end.max(*size);
        self.step(call.begin, call.end, Act::Write { file, at, data });
        Some(())
    }

    fn resize(&mut self, call: &Call, file: Node, len: u64) {
        self.sizes.insert(file, len);
        self.step(call.begin, call.end, Act::Resize { file, len });
    }

    fn made(&mut self, call: &Call, path: &Path, kind: Kind) {
        let Some((folder, name)) = self.place(path) else { return };
        let node = self.node(kind);
        self.step(call.begin, call.end, Act::Name(vec![Naming { folder, name, node: Some(node) }]));
    }

    fn unlinked(&mut self, call: &Call, path: &Path) {
        let Some((folder, name)) = self.place(path) else { return };
        self.step(call.begin, call.end, Act::Name(vec![Naming { folder, name, node: None }]));
    }

    fn renamed(&mut self, call: &Call, from: &Path, to: &Path) {
        let node = self.find(from);
        let places = self.place(from).zip(self.place(to));
        let Some(((folder, name), (other, new))) = places else { return };
        let namings = vec![Naming { folder, name, node: None }, Naming { folder: other, name: new, node }];
        self.step(call.begin, call.end, Act::Name(namings));
    }

    fn linked(&mut self, call: &Call, from: &Path, to: &Path) {
        let Some((node, (folder, name))) = self.find(from).zip(self.place(to)) else { return };
        self.step(call.begin, call.end, Act::Name(vec![Naming { folder, name, node: Some(node) }]));
    }

    fn node(&mut self, kind: Kind) -> Node {
        self.nodes.push(kind);
        self.nodes.len() - 1
    }

    fn step(&mut self, begin: usize, end: Option<usize>, act: Act) {
        if let Act::Name(namings) = &act {
            for Naming { folder, name, node } in namings {
                let names = self.names.entry(*folder).or_default();
                match node {
                    Some(node) => names.insert(name.clone(), *node),
                    None => names.remove(name),
                };
            }
        }
        self.steps.push(Step { begin, end, act });
    }

    /// The path that a call names by a folder's descriptor and a path from there.
    fn absolute(&self, call: &Call, folder: usize, path: usize) -> Option<PathBuf> {
        let path = call.path(path)?;
        if path.is_absolute() {
            return Some(path);
        }
        Some(call.descriptor(folder)?.path?.join(path))
    }

    /// The folder and the name that a path below the root has.
    fn place(&self, path: &Path) -> Option<(Node, OsString)> {
        let below = path.strip_prefix(&self.root).ok()?;
        let name = below.file_name()?.to_owned();
        let folder = self.find(path.parent()?)?;
        Some((folder, name))
    }

    fn find(&self, path: &Path) -> Option<Node> {
        let below = path.strip_prefix(&self.root).ok()?;
        below.iter().try_fold(ROOT, |folder, name| self.names.get(&folder)?.get(name).copied())
    }

    /// The file or folder below the root that a descriptor was open on; `None` for all others, and for deleted ones.
    fn file(&self, descriptor: &Descriptor) -> Option<Node> {
        self.find(descriptor.path.as_deref()?)
    }
}
