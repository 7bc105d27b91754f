//! Stores by their URI.

use runtime_state::{OpenError, SCHEMES, open};
use runtime_testkit::block_on;

#[test]
fn each_scheme_opens_its_store() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(block_on(open("memory:")).unwrap().profile().name, "memory");
    let uri = format!("redb:{}", folder.path().join("agents.redb").display());
    assert_eq!(block_on(open(&uri)).unwrap().profile().name, "redb");
    let uri = format!("sled:{}", folder.path().join("agents.sled").display());
    assert_eq!(block_on(open(&uri)).unwrap().profile().name, "sled");
}

#[test]
fn an_unknown_uri_is_told_the_known_ones() {
    let told = |uri: &str, shown: &str| {
        let error = block_on(open(uri)).unwrap_err();
        assert!(matches!(error, OpenError::UnknownScheme { .. }), "{error:?}");
        let known = format!("use one of {}", SCHEMES.join(", "));
        assert_eq!(error.to_string(), format!("no store `{shown}`: {known}"));
    };
    for uri in ["", "memory", "memory:x", "redb:", "redb", "sled:", "/tmp/x.redb"] {
        told(uri, uri);
    }
    // What stands there may be a key.
    for uri in ["encrypted:", "encrypted:5e5e5e", "encrypted:5e5e5e,store"] {
        told(uri, "encrypted:…");
    }
}

#[test]
fn an_unknown_uri_is_told_without_its_password() {
    let error = block_on(open("valkey://ann:secret@host/1")).unwrap_err();
    assert!(error.to_string().starts_with("no store `valkey://…@host/1`: use one of "), "{error}");
    let error = block_on(open("file:/data/a@b")).unwrap_err();
    assert!(error.to_string().starts_with("no store `file:/data/a@b`: "), "{error}");
}
