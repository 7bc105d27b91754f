//! Stores by their URI.

use runtime_state::{OpenError, SCHEMES, open};

#[test]
fn each_scheme_opens_its_store() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(open("memory:").unwrap().profile().name, "memory");
    let uri = format!("redb:{}", folder.path().join("agents.redb").display());
    assert_eq!(open(&uri).unwrap().profile().name, "redb");
}

#[test]
fn an_unknown_uri_is_told_the_known_ones() {
    for uri in ["", "memory", "memory:x", "redb:", "redb", "sled:/tmp/x", "/tmp/x.redb"] {
        let error = open(uri).unwrap_err();
        assert!(matches!(error, OpenError::UnknownScheme { .. }), "{error:?}");
        assert_eq!(error.to_string(), format!("no store `{uri}`: use one of {}", SCHEMES.join(", ")));
    }
}

#[test]
fn an_unknown_uri_is_told_without_its_password() {
    let error = open("valkey://ann:secret@host/1").unwrap_err();
    assert!(error.to_string().starts_with("no store `valkey://…@host/1`: use one of "), "{error}");
    let error = open("file:/data/a@b").unwrap_err();
    assert!(error.to_string().starts_with("no store `file:/data/a@b`: "), "{error}");
}
