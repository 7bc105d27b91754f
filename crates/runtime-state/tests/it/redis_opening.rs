//! Whatever may be wrong with a server is refused by name, with the remedy, and without the password.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

use runtime_state::{OpenError, RedisOptions, RedisStore, open};
use runtime_testkit::block_on;
use runtime_testkit::peers::RedisServer;
use runtime_traits::store::{Batch, Durability, Sharing, StateError, StateStore};

use crate::redb_faults::{HERE, put};

const README: &str = include_str!("../../README.md");

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
    let (_, after) = README.split_once("all: `").unwrap();
    let rights: Vec<&str> = after.split_once('`').unwrap().0.split_whitespace().collect();
    server.say(&[&["ACL", "SETUSER", "ann", "on", ">right"], &rights[..]].concat());
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
