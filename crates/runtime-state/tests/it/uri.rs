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
    for uri in [
        "",
        "memory",
        "memory:x",
        "redb:",
        "redb",
        "sled:/tmp/x",
        "encrypted:",
        "encrypted:env:X",
        "/tmp/x.redb",
    ] {
        let error = block_on(open(uri)).unwrap_err();
        assert!(matches!(error, OpenError::UnknownScheme { .. }), "{error:?}");
        assert_eq!(
            error.to_string(),
            format!("no store `{uri}`: use one of memory:, redb:PATH, encrypted:KEYS,STORE")
        );
    }
}
