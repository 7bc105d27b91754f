//! A folder with a fleet file and documents, and the program in it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder with a fleet file and documents.
pub(crate) struct Home {
    folder: TempDir,
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) const FLEET: &str = r#"
store = "redb:store/agents.redb"

[listen]
http = "127.0.0.1:0"

[agents.librarian]
kind = "librarian"
description = "Knows about leases."
documents = "docs"
"#;

impl Home {
    /// With a librarian who knows about leases.
    pub(crate) fn new() -> Self {
        let home = Self { folder: TempDir::new().expect("a folder of our own") };
        fs::create_dir(home.path().join("docs")).expect("the folder is empty");
        home.write("docs/leases.md", "# Leases\n\nA lease ends when its node is silent for ten seconds.\n");
        home.write("fleet.toml", FLEET);
        home
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.path().join(file), text).expect("the folder is ours");
    }

    /// The program, to be started here, without anything of the caller's environment that it reads.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agent-runtime"));
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        for name in ["AGENT_RUNTIME_FLEET", "AGENT_RUNTIME_STORE", "AGENT_RUNTIME_LOG", "CARGO_MANIFEST_DIR"]
        {
            command.env_remove(name);
        }
        command
    }

    /// Gives the librarian so many documents that reading them takes it a second, or ten where nothing is optimised.
    pub(crate) fn with_many_documents(self) -> Self {
        let word = |n: usize| format!("w{:x}", n.wrapping_mul(2_654_435_761) % 49_999);
        for file in 0..10 {
            let words: Vec<String> = (0..100_000).map(|n| word(file * 100_000 + n)).collect();
            let paragraphs: Vec<String> = words.chunks(80).map(|words| words.join(" ")).collect();
            self.write(&format!("docs/{file}.md"), &paragraphs.join(".\n\n"));
        }
        self
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Done {
        let output = self.command(args).output().expect("the program was built");
        Done {
            code: output.status.code().expect("no signal ended it"),
            out: String::from_utf8(output.stdout).expect("it writes text"),
            err: String::from_utf8(output.stderr).expect("it writes text"),
        }
    }

    /// Runs the program to its end, with this on its standard input.
    pub(crate) fn run_with_input(&self, args: &[&str], input: &[u8]) -> Done {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program was built");
        // It may end before it has read all.
        drop(child.stdin.take().expect("it is piped").write_all(input));
        let output = child.wait_with_output().expect("it was started");
        Done {
            code: output.status.code().expect("no signal ended it"),
            out: String::from_utf8(output.stdout).expect("it writes text"),
            err: String::from_utf8(output.stderr).expect("it writes text"),
        }
    }

    /// Runs the program, which must succeed; gives back what it wrote.
    #[track_caller]
    pub(crate) fn good(&self, args: &[&str]) -> String {
        let done = self.run(args);
        assert_eq!(done.code, 0, "{args:?}: {}", done.err);
        done.out
    }

    /// Runs the program, which must succeed and write JSON.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let mut args = args.to_vec();
        args.push("--json");
        serde_json::from_str(&self.good(&args)).expect("it writes JSON")
    }

    /// Asks until the answer is as it should be: each question is a process, so that a few hundred take seconds.
    #[track_caller]
    pub(crate) fn until(&self, args: &[&str], is_so: impl Fn(&Value) -> bool) -> Value {
        let mut answer = self.json(args);
        for _ in 0..300 {
            if is_so(&answer) {
                break;
            }
            answer = self.json(args);
        }
        assert!(is_so(&answer), "{args:?} still says {answer}");
        answer
    }
}

impl Done {
    /// Holds the exit code, and that all of these words are in what was said about it.
    #[track_caller]
    pub(crate) fn is(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:#?}");
        for word in words {
            assert!(self.err.contains(word), "`{word}` is missing in: {}", self.err);
        }
    }
}
