//! Whole stores into a disk that is full: the store that is read stays as it is, and what has no room is named.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use agent_runtime::prelude::*;
use serde_json::Value;

use crate::home::Home;

const PLAIN: &str = "redb:store/agents.redb";
const MIB: u64 = 1024 * 1024;

/// Says much.
#[derive(Debug)]
struct Talker;

#[async_trait]
impl Agent for Talker {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("talker", "talker").expect("names")
    }

    async fn run(&self, _: Ctx, input: Content) -> Result<Content, AgentError> {
        Ok(Content::text(input.to_string().repeat(50_000)))
    }
}

/// A home with keys, whose store has some megabytes.
fn home() -> Home {
    let home = Home::new();
    home.good(&["run", "librarian", "When does a lease end, exactly?"]);
    home.write("store.keys", &format!("1 {}\n", "5e".repeat(32)));
    let uri = format!("redb:{}", home.path().join("store/agents.redb").display());
    let work = async {
        let runtime = RuntimeManager::open(&uri).await.expect("nobody has it");
        let agent = runtime.register_agent(Talker).await.expect("a good agent");
        runtime.start_agent(agent).await.expect("it is there");
        for nth in 0..8 {
            runtime.run_agent(agent, format!("{nth} says much. ")).await.expect("it says much");
        }
        runtime.shutdown(Duration::ZERO).await.expect("it ends");
    };
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads").block_on(work);
    home
}

/// The folder `full` of a home: a small file system in memory.
struct Full {
    folder: PathBuf,
}

impl Full {
    /// Only root may mount. Whoever is not root is told so.
    fn of(home: &Home) -> Option<Self> {
        let folder = home.path().join("full");
        fs::create_dir(&folder).expect("it is new");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=32m", "test"]).arg(&folder).stdin(Stdio::null());
        let said = match mount.output() {
            Ok(output) if output.status.success() => return Some(Self { folder }),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        println!("not tested: no file system can be mounted at `{}` ({said})", folder.display());
        None
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// Takes all the room there is, but for so much.
    fn fill(&self, but: u64) {
        let mut ballast = File::create(self.path("ballast")).expect("the folder is ours");
        let mut size = 0;
        loop {
            match ballast.write_all(&[1; 4096]) {
                Ok(()) => size += 4096,
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => unreachable!("{error}"),
            }
        }
        ballast.set_len(size - but).expect("it is larger");
    }

    fn make_room(&self) {
        fs::remove_file(self.path("ballast")).expect("it is ours");
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        // What is left mounted is seen in the folder, which then cannot be removed either.
        let _ = Command::new("umount").arg(&self.folder).stderr(Stdio::null()).status();
    }
}

fn is_whole(home: &Home, store: &str) -> Value {
    home.json(&["state", "verify", store, "--pages"])
}

#[test]
fn a_copy_that_finds_no_room_names_its_target_which_nobody_opens() {
    let home = home();
    let Some(full) = Full::of(&home) else { return };
    let before = is_whole(&home, PLAIN);

    full.fill(2 * MIB);

    home.run(&["state", "copy", PLAIN, "redb:full/copy.redb"])
        .is(5, &["`redb:full/copy.redb` has no room", "`redb:store/agents.redb` is as it was"]);
    full.make_room();
    home.run(&["--store", "redb:full/copy.redb", "agents"])
        .is(4, &["full/copy.redb", "copy the original again"]);
    assert_eq!(is_whole(&home, PLAIN), before);
    home.good(&["run", "librarian", "lease"]);

    // There is room elsewhere.
    home.good(&["state", "copy", PLAIN, "redb:store/copy.redb"]);
}

#[test]
fn a_repair_that_finds_no_room_names_what_has_none_and_the_damaged_store_is_as_it_was() {
    let home = home();
    let Some(full) = Full::of(&home) else { return };
    let path = home.path().join("store/agents.redb");
    let mut bytes = fs::read(&path).expect("it is there");
    let sought = b"When does a lease end, exactly?";
    let at: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(sought)).collect();
    at.into_iter().for_each(|at| bytes[at] = b'w');
    fs::write(&path, bytes).expect("it is ours");
    let before = home.run(&["state", "verify", PLAIN]).out;

    full.fill(2 * MIB);

    home.run(&["state", "repair", PLAIN, "redb:full/new.redb", "--quarantine", "store/aside.jsonl"])
        .is(5, &["`redb:full/new.redb` has no room", "`redb:store/agents.redb` is as it was"]);
    full.make_room();
    home.run(&["--store", "redb:full/new.redb", "agents"]).is(4, &["full/new.redb"]);
    assert_eq!(home.run(&["state", "verify", PLAIN]).out, before);

    // What is left out is kept, or the new store does not count as whole.
    full.fill(0);
    home.run(&["state", "repair", PLAIN, "redb:store/new.redb", "--quarantine", "full/aside.jsonl"])
        .is(2, &["`full/aside.jsonl` cannot be written", "has room"]);
    home.run(&["--store", "redb:store/new.redb", "agents"]).is(4, &["store/new.redb"]);
    assert_eq!(home.run(&["state", "verify", PLAIN]).out, before);

    // There is room elsewhere.
    home.good(&["state", "repair", PLAIN, "redb:store/second.redb"]);
}

#[test]
fn a_store_that_has_no_room_beside_it_is_not_rewritten_and_is_as_it_was() {
    let home = home();
    let Some(full) = Full::of(&home) else { return };
    let sealed = "encrypted:file:store.keys,redb:full/sealed.redb";
    home.good(&["state", "copy", PLAIN, sealed]);
    home.write("store.keys", &format!("2 {}\n1 {}\n", "a7".repeat(32), "5e".repeat(32)));
    let before = (is_whole(&home, sealed), home.json(&["state", "keys", sealed]));

    for room in [2 * MIB, MIB / 2, 0] {
        full.fill(room);
        home.run(&["state", "rekey", sealed]).is(5, &["full/sealed.redb.rekey", "no room", "as it was"]);
        assert!(!full.path("sealed.redb.rekey").exists(), "it takes no room");
        full.make_room();
        assert_eq!((is_whole(&home, sealed), home.json(&["state", "keys", sealed])), before, "{room}");
    }
    home.good(&["state", "rekey", sealed]);
    assert_eq!(is_whole(&home, sealed), before.0);
}
