//! Whatever may be wrong with a server is refused by name, with the remedy, and without the password.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

use runtime_state::{OpenError, RedisOptions, RedisStore, open, without_password};
use runtime_testkit::block_on;
use runtime_testkit::peers::RedisServer;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{Batch, Durability, Key, Sharing, StateError, StateStore, Then};
use rustix::process::{Pid, Signal, kill_process};

use crate::redb_faults::{HERE, put};
use crate::redis_fixtures::let_ann;

/// What opening `uri` is told. It names the server, and never the password.
fn refused(uri: &str) -> OpenError {
    let options = RedisOptions { connect: Duration::from_millis(300), ..RedisOptions::default() };
    let error = RedisStore::open_with(uri, options).unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(!text.contains("secret"), "{text}");
    let place = uri.split('?').next().unwrap_or_default();
    assert!(text.contains(place), "it does not name `{place}`: {text}");
    assert!(text.contains(": "), "{text}");
    error
}

#[test]
fn a_server_is_opened_by_its_uri_and_says_what_it_can() {
    let server = RedisServer::start();
    for uri in [server.uri(1), format!("redis://127.0.0.1:{}/1", server.port())] {
        let profile = block_on(open(&uri)).unwrap().profile();
        assert_eq!((profile.name.as_str(), profile.best), ("redis", Durability::Disk));
        assert_eq!(profile.sharing, Sharing::Shared);
    }
}

#[test]
fn nobody_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let error = refused(&format!("redis+unix://{}/no.sock", folder.path().display()));
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = refused(&format!("redis://127.0.0.1:{port}"));
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
}

#[test]
fn somebody_else_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let other = thread::spawn(move || {
        // The first gets an answer, the second gets none.
        let (mut first, _) = listener.accept().unwrap();
        let _ = first.read(&mut [0; 1024]);
        first.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        drop(first);
        let (mut second, _) = listener.accept().unwrap();
        while second.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {}
    });
    let uri = format!("redis+unix://{}", path.display());
    let error = refused(&uri);
    assert!(matches!(error, OpenError::NotRedis { .. }), "{error:?}");
    let error = refused(&uri);
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("no answer within 300 ms"), "{error}");
    other.join().unwrap();
}

/// Says what a server of that version says, as far as it is asked.
fn old_server(listener: &UnixListener, version: &str) {
    let (mut peer, _) = listener.accept().unwrap();
    let mut asked = [0; 4_096];
    loop {
        let Ok(count @ 1..) = peer.read(&mut asked) else { return };
        let words = String::from_utf8_lossy(&asked[..count]).to_uppercase();
        // One answer for each command that came: all but INFO are fine.
        for command in words.split('*').filter(|command| command.contains('$')) {
            let answer = if command.contains("INFO") {
                let info = format!(
                    "# Server\r\nredis_version:{version}\r\nrun_id:0123456789abcdef0123456789abcdef01234567\r\nrole:master\r\n"
                );
                format!("${}\r\n{info}\r\n", info.len())
            } else {
                "+OK\r\n".to_owned()
            };
            if peer.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

#[test]
fn a_server_that_is_too_old_is_refused_by_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let old = thread::spawn(move || old_server(&listener, "6.2.14"));
    let error = refused(&format!("redis+unix://{}", path.display()));
    assert!(matches!(&error, OpenError::TooOld { found, .. } if found == "6.2.14"), "{error:?}");
    old.join().unwrap();
}

#[test]
fn a_wrong_password_is_told_and_never_shown() {
    let server = RedisServer::start_with(&["requirepass", "right"]);
    for query in ["", "?pass=secret", "?user=ann&pass=secret"] {
        let error = refused(&format!("redis+unix://{}{query}", server.socket().display()));
        assert!(matches!(error, OpenError::Credentials { .. }), "{error:?}");
    }
    let tcp = format!("redis://:secret@127.0.0.1:{}", server.port());
    let error = RedisStore::open(&tcp).unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(matches!(error, OpenError::Credentials { .. }) && !text.contains("secret"), "{text}");

    let right = format!("redis://:right@127.0.0.1:{}", server.port());
    let store = RedisStore::open(&right).unwrap();
    assert!(!format!("{store:?}").contains("right"), "{store:?}");

    let open_to_all = RedisServer::start();
    let error = refused(&format!("redis+unix://{}?pass=secret", open_to_all.socket().display()));
    assert!(matches!(error, OpenError::Credentials { .. }), "{error:?}");
}

#[test]
fn a_server_that_evicts_is_refused() {
    let server = RedisServer::start_with(&["maxmemory-policy", "allkeys-lru"]);
    let error = refused(&server.uri(0));
    assert!(matches!(&error, OpenError::Evicts { policy, .. } if policy == "allkeys-lru"), "{error:?}");
    assert!(error.to_string().contains("noeviction"), "{error}");
}

#[test]
fn a_replica_is_refused_and_names_its_primary() {
    let (primary, replica) = (RedisServer::start(), RedisServer::start());
    replica.say(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    for read_only in ["yes", "no"] {
        replica.say(&["CONFIG", "SET", "replica-read-only", read_only]);
        let error = refused(&replica.uri(0));
        let named = format!("127.0.0.1:{}", primary.port());
        assert!(matches!(&error, OpenError::Replica { primary, .. } if *primary == named), "{error:?}");
    }
}

#[test]
fn a_store_of_a_newer_format_is_refused_and_left_alone() {
    let server = RedisServer::start();
    assert_eq!(server.say(&["SET", "ar:format", "7"]), "OK");
    let error = refused(&server.uri(0));
    assert!(matches!(error, OpenError::Newer { found: 7, known: 1, .. }), "{error:?}");
    assert_eq!(server.say(&["DBSIZE"]), "1");
}

#[test]
fn addresses_that_cannot_be() {
    let server = RedisServer::start();
    for uri in ["redis://", "redis://host:port", "redis://host/x", "redis:host", &server.uri(5_000)] {
        let error = RedisStore::open(uri).unwrap_err();
        let named = matches!(error, OpenError::BadAddress { .. } | OpenError::UnknownScheme { .. });
        assert!(named, "{uri}: {error:?}");
        assert!(error.to_string().contains("redis+unix:///PATH"), "{error}");
    }
    let error = refused("rediss://host");
    assert!(matches!(error, OpenError::NoTls { .. }), "{error:?}");
}

#[test]
fn less_than_disk_is_not_called_disk() {
    block_on(async {
        for settings in
            [["appendfsync", "everysec"], ["appendonly", "no"], ["no-appendfsync-on-rewrite", "yes"]]
        {
            let server = RedisServer::start_with(&settings);
            let store = RedisStore::open(&server.uri(0)).unwrap();
            assert_eq!(store.profile().best, Durability::Process, "{settings:?}");
            let disk = Batch { durability: Durability::Disk, ..put("a", 1) };
            assert!(matches!(store.commit(disk).await, Err(StateError::TooLarge { .. })));
            let process = Batch { durability: Durability::Process, ..put("a", 2) };
            assert_eq!(store.commit(process).await.unwrap().durability, Durability::Process);
        }
    });
}

#[test]
fn a_user_who_may_not_ask_for_settings_gets_process_at_best() {
    let server = RedisServer::start();
    let rights = ["~ar:*", "+@all", "-config", "-select"];
    server.say(&[&["ACL", "SETUSER", "ann", "on", ">right"], &rights[..]].concat());
    let uri = format!("redis://ann:right@127.0.0.1:{}", server.port());
    let store = RedisStore::open(&uri).unwrap();
    assert_eq!(store.profile().best, Durability::Process);
    block_on(async {
        let process = Batch { durability: Durability::Process, ..put("a", 1) };
        assert_eq!(store.commit(process).await.unwrap().durability, Durability::Process);
    });
}

#[test]
fn the_rights_that_the_readme_names_are_enough() {
    let server = RedisServer::start();
    let_ann(&server);
    let store = RedisStore::open(&format!("redis://ann:right@127.0.0.1:{}/1", server.port())).unwrap();
    assert_eq!(store.profile().best, Durability::Disk);
    block_on(async {
        assert!(store.commit(put("a", 1)).await.is_ok());
        assert_eq!(store.partitions().await, Ok(vec![HERE]));
    });
}

#[test]
fn a_user_who_may_not_do_what_a_store_does_is_told_what() {
    let server = RedisServer::start();
    let uri = format!("redis://ann:right@127.0.0.1:{}", server.port());
    for right in ["bgrewriteaof", "xtrim", "unlink", "hset", "zrangebylex", "info", "evalsha_ro", "script"] {
        server.say(&[
            "ACL",
            "SETUSER",
            "ann",
            "reset",
            "on",
            ">right",
            "~ar:*",
            "+@all",
            &format!("-{right}"),
        ]);
        let error = RedisStore::open(&uri).unwrap_err();
        let OpenError::Forbidden { command, .. } = &error else { unreachable!("{right}: {error:?}") };
        assert!(command.to_lowercase().contains(right), "{right}: {error}");
    }
    server.say(&["ACL", "SETUSER", "ann", "reset", "on", ">right", "~other:*", "+@all"]);
    let error = RedisStore::open(&uri).unwrap_err();
    assert!(matches!(error, OpenError::Forbidden { .. }), "{error:?}");
}

/// A cell of the marks, as a copy that broke off leaves one.
async fn mark_as_half_copied(store: &dyn StateStore) {
    let partition = Partition { pool: Pool::new("runtime-state").unwrap(), index: 1 };
    let mark = Then::Put(Key::new(partition, "copying").unwrap(), "copying".into());
    store.commit(Batch { partition, then: vec![mark], ..put("x", 900) }).await.unwrap();
}

#[test]
fn no_error_of_a_store_that_is_there_shows_a_password() {
    block_on(async {
        let server = RedisServer::start();
        server.say(&["ACL", "SETUSER", "ann", "on", ">secret", "~*", "&*", "+@all"]);
        let plain = |database: u32| format!("redis://ann:secret@127.0.0.1:{}/{database}", server.port());
        let folder = tempfile::tempdir().unwrap();
        let keys = |name: &str, digit: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("1 {}\n", digit.repeat(64))).unwrap();
            format!("file:{}", path.display())
        };
        let (right, wrong) = (keys("right", "1"), keys("wrong", "2"));
        open(&format!("encrypted:{right},{}", plain(1))).await.unwrap();
        mark_as_half_copied(&*open(&plain(2)).await.unwrap()).await;
        server.say(&["SET", "ar:{runtime-state.0}:cells", "no hash"]);

        let encrypted = open(&plain(1)).await.unwrap_err();
        assert!(matches!(encrypted, OpenError::Encrypted { .. }), "{encrypted:?}");
        let other_keys = open(&format!("encrypted:{wrong},{}", plain(1))).await.unwrap_err();
        assert!(matches!(other_keys, OpenError::Encryption { .. }), "{other_keys:?}");
        let half = open(&plain(2)).await.unwrap_err();
        assert!(matches!(half, OpenError::HalfCopied { .. }), "{half:?}");
        let unreadable = open(&plain(0)).await.unwrap_err();
        assert!(matches!(unreadable, OpenError::Unreadable { .. }), "{unreadable:?}");
        for error in [encrypted, other_keys, half, unreadable] {
            let text = format!("{error} {error:?}");
            assert!(!text.contains("secret"), "{text}");
            assert!(text.contains(&format!("redis://…@127.0.0.1:{}/", server.port())), "{text}");
        }
    });
}

#[test]
fn a_uri_is_shown_without_its_password_also_below_an_encryption() {
    for (uri, shown) in [
        ("encrypted:env:K,redis://ann:secret@host/1", "encrypted:env:K,redis://…@host/1"),
        ("encrypted:file:a,b,redis+unix:///s?pass=secret", "encrypted:file:a,b,redis+unix:///s?…"),
        ("encrypted:secret,redis://host", "encrypted:…,redis://host"),
        ("encrypted:secret", "encrypted:…"),
        ("encrypted:env:K,redb:a@b", "encrypted:env:K,redb:a@b"),
    ] {
        assert_eq!(without_password(uri), shown);
    }
}

#[test]
fn whatever_store_there_is_can_be_encrypted() {
    block_on(async {
        let server = RedisServer::start();
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("a,redb-like/keys");
        std::fs::create_dir(keys.parent().unwrap()).unwrap();
        std::fs::write(&keys, format!("1 {}\n", "5e".repeat(32))).unwrap();
        let file = |name: &str| folder.path().join(name).display().to_string();
        for below in [
            "memory:".to_owned(),
            format!("redb:{}", file("a.redb")),
            format!("sled:{}", file("a.sled")),
            format!("redis://127.0.0.1:{}/1", server.port()),
            server.uri(2),
        ] {
            let uri = format!("encrypted:file:{},{below}", keys.display());
            let store = open(&uri).await.unwrap_or_else(|error| unreachable!("{uri}: {error}"));
            assert!(store.profile().name.starts_with("encrypted "), "{uri}");
            let batch = Batch { durability: Durability::Memory, ..put("a", 1) };
            assert!(store.commit(batch).await.is_ok(), "{uri}");
        }
    });
}

#[test]
fn a_server_that_evicts_is_refused_also_where_its_settings_may_not_be_read() {
    let server = RedisServer::start_with(&["maxmemory-policy", "allkeys-lru"]);
    server.say(&["ACL", "SETUSER", "ann", "on", ">right", "~ar:*", "+@all", "-config"]);
    let error = RedisStore::open(&format!("redis://ann:right@127.0.0.1:{}", server.port())).unwrap_err();
    assert!(matches!(&error, OpenError::Evicts { policy, .. } if policy == "allkeys-lru"), "{error:?}");
}

#[test]
fn a_node_of_a_cluster_is_refused_as_one() {
    let server = RedisServer::start_with(&["cluster-enabled", "yes"]);
    let error = refused(&format!("redis+unix://{}", server.socket().display()));
    assert!(matches!(error, OpenError::Cluster { .. }), "{error:?}");
    assert!(error.to_string().contains("`cluster-enabled no`"), "{error}");
}

#[test]
fn a_server_that_cannot_rewrite_its_file_is_told_as_that_and_used_when_it_can() {
    let server = RedisServer::start();
    let (files, aside) = (server.folder().join("appendonlydir"), server.folder().join("aside"));
    std::fs::rename(&files, &aside).unwrap();
    std::fs::write(&files, "no folder").unwrap();
    let options = RedisOptions { rewrite: Duration::from_secs(5), ..RedisOptions::default() };
    let error = RedisStore::open_with(&server.uri(0), options.clone()).unwrap_err();
    assert!(matches!(error, OpenError::NotRewritten { .. }), "{error:?}");
    assert!(error.to_string().contains("make room on its disk"), "{error}");
    std::fs::remove_file(&files).unwrap();
    std::fs::rename(&aside, &files).unwrap();
    RedisStore::open_with(&server.uri(0), options).unwrap();
}

#[test]
fn who_opens_a_store_by_its_uri_blocks_no_thread_while_the_server_is_silent() {
    block_on(async {
        let server = RedisServer::start();
        let pid = Pid::from_raw(server.pid() as i32).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        let uri = server.uri(0);
        let mut opening = Box::pin(open(&uri));
        let polled = futures_util::poll!(&mut opening);
        kill_process(pid, Signal::CONT).unwrap();
        assert!(polled.is_pending(), "it waited for the server: {polled:?}");
        opening.await.unwrap();
    });
}
