//! Stores by their URI.

use runtime_state::{OpenError, open};
use runtime_testkit::block_on;

#[test]
fn each_scheme_opens_its_store() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(block_on(open("memory:")).unwrap().profile().name, "memory");
    let uri = format!("redb:{}", folder.path().join("agents.redb").display());
    assert_eq!(block_on(open(&uri)).unwrap().profile().name, "redb");
}

#[test]
fn an_unknown_uri_is_told_the_known_ones() {
    let told = |uri: &str, shown: &str| {
        let error = block_on(open(uri)).unwrap_err();
        assert!(matches!(error, OpenError::UnknownScheme { .. }), "{error:?}");
        let known = "use one of memory:, redb:PATH, encrypted:KEYS,STORE";
        assert_eq!(error.to_string(), format!("no store `{shown}`: {known}"));
    };
    for uri in ["", "memory", "memory:x", "redb:", "redb", "sled:/tmp/x", "/tmp/x.redb"] {
        told(uri, uri);
    }
    // What stands there may be a key.
    for uri in ["encrypted:", "encrypted:5e5e5e", "encrypted:5e5e5e,store"] {
        told(uri, "encrypted:…");
    }
}
