//! What `strace` wrote, as calls with their begin and end.

use std::collections::HashMap;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::error::StoresError;

/// The calls that are recorded: what changes files, syncs them, or tells the parent.
pub(super) const CALLS: &str = "openat,open,creat,close,lseek,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,\
     fallocate,copy_file_range,sendfile,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,link,linkat,unlink,\
     unlinkat,rmdir,mkdir,mkdirat,mmap,msync";

/// A system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: String,
    /// As they were written.
    pub(super) args: Vec<String>,
    /// What it answered; `None` when the process died in it.
    pub(super) answer: Option<i64>,
    /// The line in which it began, from 1.
    pub(super) begin: usize,
    /// The line in which it ended.
    pub(super) end: Option<usize>,
}

/// A file descriptor, and what it was open on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) number: i64,
    pub(super) path: Option<PathBuf>,
}

/// Reads the calls, in the order in which they began.
///
/// # Errors
/// [`StoresError::Trace`] for the first line that is not understood.
pub(super) fn read(text: &str) -> Result<Vec<Call>, StoresError> {
    let mut calls: Vec<Call> = Vec::new();
    // By process: where the call will stand, and what was written of it.
    let mut open: HashMap<&str, (usize, String)> = HashMap::new();
    for (line, number) in text.lines().zip(1..) {
        let strange = || StoresError::Trace { line: number, text: line.chars().take(80).collect() };
        let Some((process, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        // Ends, signals, and calls of which a process that is killed leaves not even the name.
        if ["+++", "---", "???"].iter().any(|mark| rest.starts_with(mark)) {
            continue;
        }
        // A process that is killed in a call may leave no more than its beginning.
        let cut = !rest.starts_with("<... ") && rest.contains('(') && !rest.contains(" = ");
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>").or(cut.then_some(rest)) {
            let (name, _) = begun.split_once('(').ok_or_else(strange)?;
            open.insert(process, (calls.len(), begun.to_owned()));
            calls.push(Call {
                name: name.to_owned(),
                args: Vec::new(),
                answer: None,
                begin: number,
                end: None,
            });
            continue;
        }
        let (at, whole) = match rest.strip_prefix("<... ") {
            Some(resumed) => {
                let (_, rest) = resumed.split_once(" resumed>").ok_or_else(strange)?;
                let (at, begun) = open.remove(process).ok_or_else(strange)?;
                (Some(at), begun + rest)
            }
            None => (None, rest.to_owned()),
        };
        let (name, args, answer) = parts(&whole).ok_or_else(strange)?;
        let begin = at.map_or(number, |at| calls[at].begin);
        let call = Call { name, args, answer: Some(answer), begin, end: Some(number) };
        match at {
            Some(at) => calls[at] = call,
            None => calls.push(call),
        }
    }
    for (at, begun) in open.into_values() {
        // The process died in it; what it was asked to do may have happened.
        let begun = begun.split_once('(').map_or("", |(_, args)| args);
        calls[at].args = split(begun);
    }
    Ok(calls)
}

/// `name(args) = answer …`
fn parts(whole: &str) -> Option<(String, Vec<String>, i64)> {
    let (before, answer) = whole.rsplit_once(" = ")?;
    let (name, args) = before.split_once('(')?;
    let args = args.trim_end().strip_suffix(')')?;
    let answer = answer.split([' ', '<']).next()?;
    let answer = match answer.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).unwrap_or(i64::MAX),
        // Where a process dies in a call, its answer is a question mark.
        None if answer == "?" => -1,
        None => answer.parse().ok()?,
    };
    Some((name.to_owned(), split(args), answer))
}

/// Splits arguments at the commas that are in no string, path or list.
fn split(args: &str) -> Vec<String> {
    let (mut found, mut depth, mut quoted) = (vec![String::new()], 0, false);
    for c in args.chars() {
        match c {
            '"' => quoted = !quoted,
            '[' | '{' | '(' | '<' if !quoted => depth += 1,
            ']' | '}' | ')' | '>' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                found.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = found.last_mut() {
            last.push(c);
        }
    }
    found.iter().map(|arg| arg.trim().to_owned()).collect()
}

impl Call {
    /// Whether it did what it was asked to, or may have.
    pub(super) fn may_have_happened(&self) -> bool {
        self.answer.is_none_or(|answer| answer >= 0)
    }

    /// A number among the arguments.
    pub(super) fn number(&self, nth: usize) -> Option<u64> {
        self.args.get(nth)?.parse().ok()
    }

    /// The bytes of a string among the arguments, or those of a list of pieces.
    pub(super) fn bytes(&self, nth: usize) -> Option<Vec<u8>> {
        let arg = self.args.get(nth)?;
        // Outside of a list there is one string, and in it every second part stands between quotes.
        let strings = arg.split('"').skip(1).step_by(2);
        strings.map(unescape).collect::<Option<Vec<_>>>().map(|pieces| pieces.concat())
    }

    /// A path among the arguments, or `None` if it is a descriptor or a flag.
    pub(super) fn path(&self, nth: usize) -> Option<PathBuf> {
        self.args.get(nth).filter(|arg| arg.starts_with('"'))?;
        self.bytes(nth).map(to_path)
    }

    /// A descriptor among the arguments.
    pub(super) fn descriptor(&self, nth: usize) -> Option<Descriptor> {
        let arg = self.args.get(nth)?;
        let (number, path) = match arg.split_once('<') {
            Some((number, path)) => {
                let (path, after) = path.split_once('>')?;
                let path = unescape(path).map(to_path).filter(|_| after.is_empty());
                (number, path)
            }
            None => (arg.as_str(), None),
        };
        let number = if number == "AT_FDCWD" { -100 } else { number.parse().ok()? };
        Some(Descriptor { number, path })
    }
}

fn to_path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// The bytes of a string that is written in hexadecimal escapes.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4);
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if let (b'\\', [b'x', high, low, after @ ..]) = (first, after) {
            bytes.push(digit(*high)? << 4 | digit(*low)?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    Some(bytes)
}

fn digit(hex: u8) -> Option<u8> {
    (hex as char).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::read;

    const TEXT: &str = r#"7 openat(AT_FDCWD<\x2f\x61>, "\x2f\x61\x2f\x62", O_RDWR|O_CREAT, 0600) = 9<\x2f\x61\x2f\x62>
7 pwrite64(9<\x2f\x61\x2f\x62>, "\x00\xff\x2c\x22", 4, 512 <unfinished ...>
8 fdatasync(9<\x2f\x61\x2f\x62> <unfinished ...>
7 <... pwrite64 resumed>)            = 4
7 writev(1<\x70>, [{iov_base="\x61", iov_len=1}, {iov_base="\x62\x63", iov_len=2}], 2) = 3
8 <... fdatasync resumed>)           = -1 EIO (Input/output error) (INJECTED)
7 fsync(9<\x2f\x61\x2f\x62>(deleted) <unfinished ...>
9 ???( <detached ...>
8 +++ killed by SIGKILL +++
"#;

    #[test]
    fn calls_of_two_threads_are_put_together() {
        let calls = read(TEXT).unwrap();

        let [open, write, sync, several, last] = calls.as_slice() else { unreachable!("{calls:?}") };
        assert_eq!((open.path(1).unwrap().as_path(), open.answer), (Path::new("/a/b"), Some(9)));
        assert_eq!((write.begin, write.end, write.number(3)), (2, Some(4), Some(512)));
        assert_eq!(write.bytes(1).unwrap(), [0, 255, b',', b'"']);
        assert_eq!(write.descriptor(0).unwrap().path.unwrap(), Path::new("/a/b"));
        assert_eq!((sync.name.as_str(), sync.may_have_happened()), ("fdatasync", false));
        assert_eq!(several.bytes(1).unwrap(), b"abc");
        assert_eq!((last.answer, last.end, last.may_have_happened()), (None, None, true));
        assert_eq!(last.descriptor(0).unwrap().path, None, "it is deleted");
    }

    #[test]
    fn a_call_whose_line_was_cut_off_may_have_happened() {
        let calls = read("7 close(1) = 0\n7 write(9<\\x2f>, \"\\x30\n7 +++ killed by SIGKILL +++\n").unwrap();

        assert_eq!((calls[1].name.as_str(), calls[1].end), ("write", None));
        assert!(calls[1].may_have_happened());
    }

    #[test]
    fn what_is_no_call_is_named() {
        let error = read("7 close(1) = 0\n7 nonsense\n").unwrap_err();

        assert!(error.to_string().starts_with("line 2 "), "{error}");
    }
}
