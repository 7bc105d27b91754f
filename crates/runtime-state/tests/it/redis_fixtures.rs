//! Stores in Redis as the suite sees them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use runtime_state::RedisStore;
use runtime_testkit::peers::{CutProxy, RedisServer};
use runtime_testkit::suites::state_store::{Copies, Faults, StoreFixture};
use runtime_traits::store::{Durability, StateStore};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// What dies in a crash.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Dies {
    /// This process: its connection is cut, and nothing of it gets through any more.
    We,
    /// The server: `kill -9`, and a start on the same append-only file.
    Redis,
}

/// A server, and one database for each store. Every store has a way of its own to it.
pub(crate) struct InRedis {
    dies: Dies,
    server: RedisServer,
    /// What every URI says of the user.
    user: &'static str,
    databases: AtomicU32,
    /// The present store's way to the server.
    way: Mutex<Option<CutProxy>>,
    /// Another server, when there has to be one.
    other: OnceLock<RedisServer>,
}

impl InRedis {
    pub(crate) fn when(dies: Dies) -> Self {
        Self {
            dies,
            server: RedisServer::start(),
            user: "",
            databases: AtomicU32::new(0),
            way: Mutex::default(),
            other: OnceLock::new(),
        }
    }

    /// The same, for a user who may do what the README says, and nothing else.
    pub(crate) fn with_the_least_rights(dies: Dies) -> Self {
        let fixture = Self { user: "&user=ann&pass=right", ..Self::when(dies) };
        let_ann(&fixture.server);
        fixture
    }

    /// Cuts the present store off, and opens the present database on a new way.
    fn connect(&self) -> Arc<dyn StateStore> {
        let way = CutProxy::before(&self.server.socket());
        let database = self.databases.load(Ordering::Relaxed);
        let uri = format!("redis+unix://{}?db={database}{}", way.socket().display(), self.user);
        *self.way.lock().unwrap() = Some(way);
        Arc::new(RedisStore::open(&uri).unwrap())
    }

    fn other(&self) -> &RedisServer {
        self.other.get_or_init(|| {
            let other = RedisServer::start();
            let_ann(&other);
            follow(&other, &self.server);
            other
        })
    }
}

/// The user `ann` of a server, who has the rights that the README names.
pub(crate) fn let_ann(server: &RedisServer) {
    const README: &str = include_str!("../../README.md");
    let (_, after) = README.split_once("all: `").unwrap();
    let rights: Vec<&str> = after.split_once('`').unwrap().0.split_whitespace().collect();
    let set = [&["ACL", "SETUSER", "ann", "on", ">right"], &rights[..]].concat();
    assert_eq!(server.say(&set), "OK");
}

/// Makes `copy` a copy of `primary`, and waits until it has all.
fn follow(copy: &RedisServer, primary: &RedisServer) {
    assert_eq!(copy.say(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]), "OK");
    assert_eq!(primary.say(&["WAIT", "1", "15000"]), "1");
}

#[async_trait]
impl StoreFixture for InRedis {
    async fn open(&self) -> Arc<dyn StateStore> {
        self.databases.fetch_add(1, Ordering::Relaxed);
        self.connect()
    }

    async fn crash(&self, _: Arc<dyn StateStore>) -> Arc<dyn StateStore> {
        if self.dies == Dies::Redis {
            self.server.kill();
        }
        *self.way.lock().unwrap() = None;
        self.server.revive();
        if !self.user.is_empty() {
            let_ann(&self.server);
        }
        self.connect()
    }

    fn survivor(&self) -> Option<Durability> {
        Some(Durability::Process)
    }

    fn faults(&self) -> Option<&dyn Faults> {
        Some(self)
    }

    fn copies(&self) -> Option<&dyn Copies> {
        Some(self)
    }
}

impl Faults for InRedis {
    /// The system lets the server write no byte more.
    fn fail_syncs(&self, fail: bool) {
        let pid = Pid::from_raw(self.server.pid() as i32).unwrap();
        let current = fail.then_some(0);
        // Where it has ended there is nothing to set.
        let _ = prlimit(Some(pid), Resource::Fsize, Rlimit { current, maximum: None });
    }

    /// Redis reads from its memory, so what fails is the way to it.
    fn fail_reads(&self, fail: bool) {
        let way = self.way.lock().unwrap();
        let way = way.as_ref().unwrap();
        way.refuse(fail);
        way.cut();
    }
}

#[async_trait]
impl Copies for InRedis {
    async fn open_copy(&self) -> Result<Arc<dyn StateStore>, String> {
        let database = self.databases.load(Ordering::Relaxed);
        let uri = self.other().uri(database) + self.user;
        let copy = RedisStore::open(&uri).map_err(|error| error.to_string())?;
        Ok(Arc::new(copy))
    }

    async fn demote(&self) {
        assert_eq!(self.other().say(&["REPLICAOF", "NO", "ONE"]), "OK");
        follow(&self.server, self.other());
    }

    async fn promote(&self) {
        assert_eq!(self.server.say(&["REPLICAOF", "NO", "ONE"]), "OK");
    }
}
