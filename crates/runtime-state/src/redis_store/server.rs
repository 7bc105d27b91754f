//! What a server says about itself, and whether it will do.

use runtime_traits::error::Cause;
use runtime_traits::store::Durability;

use super::address::Address;
use super::keys;
use crate::OpenError;

/// The oldest version that has all that the scripts use.
const OLDEST: (u32, u32) = (7, 0);

/// The settings that are asked for, in the order of [`Settings`].
pub(super) const SETTINGS: [&str; 5] =
    ["appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy", "aof-load-truncated"];

/// What a server says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) version: String,
    /// Another one means that the server was started anew.
    pub(super) run_id: String,
    /// The primary that it copies, if it is a replica.
    pub(super) replica_of: Option<String>,
    /// What it throws away when its memory is full, as everybody who may ask for `INFO` is told.
    pub(super) eviction: Option<String>,
    /// Whether it is a node of a Redis Cluster.
    pub(super) clustered: bool,
    /// `None` when this user may not ask.
    pub(super) settings: Option<Settings>,
    /// The layout of what it holds, if it holds anything.
    pub(super) format: Option<u64>,
}

/// What its configuration says about losing things.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) appendonly: String,
    pub(super) appendfsync: String,
    pub(super) no_fsync_on_rewrite: String,
    pub(super) eviction: String,
    /// Whether it starts with a file that ends in the middle of something.
    pub(super) load_truncated: String,
}

impl Server {
    /// Reads what `INFO` says. `None` when that is not the answer of a Redis.
    pub(super) fn read(info: &str) -> Option<Self> {
        let field = |name: &str| {
            info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let is_replica = field("role")? != "master";
        let primary = || {
            let place = field("master_host").zip(field("master_port"));
            place.map_or_else(|| "another server".to_owned(), |(host, port)| format!("{host}:{port}"))
        };
        Some(Self {
            version: field("redis_version")?.to_owned(),
            run_id: field("run_id")?.to_owned(),
            replica_of: is_replica.then(primary),
            eviction: field("maxmemory_policy").map(str::to_owned),
            clustered: field("redis_mode") == Some("cluster"),
            settings: None,
            format: None,
        })
    }

    /// Refuses a server that must not hold state.
    pub(super) fn judge(&self, address: &Address) -> Result<(), OpenError> {
        let uri = address.shown();
        if !is_new_enough(&self.version) {
            return Err(OpenError::TooOld {
                uri,
                found: self.version.clone(),
                needed: format!("{}.{}", OLDEST.0, OLDEST.1),
            });
        }
        if let Some(primary) = &self.replica_of {
            return Err(OpenError::Replica { uri, primary: primary.clone() });
        }
        let mut policies = self.settings.iter().map(|settings| &settings.eviction).chain(&self.eviction);
        if let Some(policy) = policies.find(|policy| policy.as_str() != "noeviction") {
            return Err(OpenError::Evicts { uri, policy: policy.clone() });
        }
        match self.format {
            Some(found) if found > keys::FORMAT => {
                Err(OpenError::Newer { path: uri.into(), found, known: keys::FORMAT })
            }
            _ => Ok(()),
        }
    }

    /// Whether its file may hold the beginning of a transaction, behind which nothing must be written.
    pub(super) fn may_have_cut_its_file(&self) -> bool {
        self.settings.as_ref().is_none_or(|settings| settings.load_truncated != "no")
    }

    /// The best that a commit can be. Without the settings nothing of the server's disk can be promised.
    pub(super) fn best(&self) -> Durability {
        match &self.settings {
            Some(settings) if settings.why_not_disk().is_none() => Durability::Disk,
            _ => Durability::Process,
        }
    }

    /// Why the best is not [`Durability::Disk`].
    pub(super) fn why_not_disk(&self) -> Cause {
        match &self.settings {
            None => Cause::says("this user may not read its settings (`CONFIG GET`)"),
            Some(settings) => Cause::says(settings.why_not_disk().unwrap_or_default()),
        }
    }
}

impl Settings {
    /// Reads the pairs that `CONFIG GET` answers. `None` when one is missing.
    pub(super) fn read(pairs: &[(String, String)]) -> Option<Self> {
        let value =
            |name: &str| pairs.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
        Some(Self {
            appendonly: value(SETTINGS[0])?,
            appendfsync: value(SETTINGS[1])?,
            no_fsync_on_rewrite: value(SETTINGS[2])?,
            eviction: value(SETTINGS[3])?,
            load_truncated: value(SETTINGS[4])?,
        })
    }

    fn why_not_disk(&self) -> Option<String> {
        let wanted = [
            ("appendonly", &self.appendonly, "yes"),
            ("appendfsync", &self.appendfsync, "always"),
            ("no-appendfsync-on-rewrite", &self.no_fsync_on_rewrite, "no"),
        ];
        let (name, found, wanted) = wanted.into_iter().find(|(_, found, wanted)| found != wanted)?;
        Some(format!("its `{name}` is `{found}`, and not `{wanted}`"))
    }
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    numbers.next().zip(numbers.next()).is_some_and(|found| found >= OLDEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str =
        "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n\r\n# Replication\r\nrole:master\r\n";

    fn address() -> Address {
        Address::parse("redis://host").expect("a good address")
    }

    fn settings() -> Settings {
        Settings {
            appendonly: "yes".to_owned(),
            appendfsync: "always".to_owned(),
            no_fsync_on_rewrite: "no".to_owned(),
            eviction: "noeviction".to_owned(),
            load_truncated: "yes".to_owned(),
        }
    }

    fn server() -> Server {
        Server { settings: Some(settings()), ..Server::read(INFO).expect("a good one") }
    }

    #[test]
    fn a_version_is_new_enough_or_named() {
        for (version, good) in
            [("7.0.0", true), ("7.2.4", true), ("10.0.1", true), ("8.1", true), ("7", false), ("x", false)]
        {
            assert_eq!(is_new_enough(version), good, "{version}");
        }
        let old = Server { version: "6.2.14".to_owned(), ..server() };
        let error = old.judge(&address()).expect_err("too old");
        assert!(matches!(error, OpenError::TooOld { .. }), "{error:?}");
        assert!(error.to_string().contains("6.2.14") && error.to_string().contains("7.0"), "{error}");
    }

    #[test]
    fn what_is_no_answer_of_a_redis_is_none() {
        assert_eq!(Server::read(""), None);
        assert_eq!(Server::read("HTTP/1.1 200 OK"), None);
        assert_eq!(Server::read("redis_version:7.0.0\r\nrole:master"), None);
    }

    #[test]
    fn a_replica_names_its_primary() {
        let info = INFO.replace("role:master", "role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379");
        let error = Server::read(&info).expect("a good one").judge(&address()).expect_err("a replica");
        assert!(error.to_string().contains("10.0.0.1:6379"), "{error}");
    }

    #[test]
    fn only_a_server_that_evicts_nothing_will_do() {
        assert!(server().judge(&address()).is_ok());
        for policy in ["allkeys-lru", "volatile-ttl"] {
            let settings = Settings { eviction: policy.to_owned(), ..settings() };
            let evicts = Server { settings: Some(settings), ..server() };
            let error = evicts.judge(&address()).expect_err("it evicts");
            assert!(error.to_string().contains(policy), "{error}");
        }
    }

    #[test]
    fn a_newer_layout_is_refused_by_its_number() {
        let newer = Server { format: Some(9), ..server() };
        let error = newer.judge(&address()).expect_err("newer");
        assert!(matches!(error, OpenError::Newer { found: 9, known: 1, .. }), "{error:?}");
    }

    #[test]
    fn disk_is_promised_only_by_a_server_that_syncs_before_it_answers() {
        assert_eq!(server().best(), Durability::Disk);
        let less = [
            Settings { appendonly: "no".to_owned(), ..settings() },
            Settings { appendfsync: "everysec".to_owned(), ..settings() },
            Settings { no_fsync_on_rewrite: "yes".to_owned(), ..settings() },
        ];
        for settings in less {
            let server = Server { settings: Some(settings.clone()), ..server() };
            assert_eq!(server.best(), Durability::Process, "{settings:?}");
            assert!(server.why_not_disk().to_string().contains("`, and not `"), "{}", server.why_not_disk());
        }
        let unknown = Server { settings: None, ..server() };
        assert_eq!(unknown.best(), Durability::Process);
        assert!(unknown.judge(&address()).is_ok(), "unknown is not refused");
    }

    #[test]
    fn who_may_not_read_the_settings_still_sees_a_server_that_evicts() {
        let evicts = Server::read(&format!("{INFO}maxmemory_policy:allkeys-lru\r\n")).expect("a good one");
        assert_eq!(evicts.settings, None);
        let error = evicts.judge(&address()).expect_err("it evicts");
        assert!(error.to_string().contains("allkeys-lru"), "{error}");
    }
}
