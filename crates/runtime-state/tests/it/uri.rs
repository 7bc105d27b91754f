//! Stores by their URI.

use runtime_state::{OpenError, open};

#[test]
fn each_scheme_opens_its_store() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(open("memory:").unwrap().profile().name, "memory");
    let uri = format!("redb:{}", folder.path().join("agents.redb").display());
    assert_eq!(open(&uri).unwrap().profile().name, "redb");
    let uri = format!("sled:{}", folder.path().join("agents.sled").display());
    assert_eq!(open(&uri).unwrap().profile().name, "sled");
}

#[test]
fn an_unknown_uri_is_told_the_known_ones() {
    for uri in ["", "memory", "memory:x", "redb:", "redb", "sled:", "/tmp/x.redb"] {
        let error = open(uri).unwrap_err();
        assert!(matches!(error, OpenError::UnknownScheme { .. }), "{error:?}");
        assert_eq!(error.to_string(), format!("no store `{uri}`: use one of memory:, redb:PATH, sled:PATH"));
    }
}
