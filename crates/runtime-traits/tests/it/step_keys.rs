//! The names of steps within a run.

use proptest::collection::vec;
use proptest::prelude::*;
use runtime_traits::{Name, StepKey};

fn name(text: &str) -> Name {
    Name::new(text).expect("a good name")
}

#[test]
fn the_first_use_of_a_name_is_written_without_its_number() {
    let key = |scope: &[&str], nth| {
        let scope = scope.iter().map(|scope| name(scope)).collect();
        StepKey { scope, name: name("fetch"), nth }
    };
    assert_eq!(key(&[], 1).to_string(), "fetch");
    assert_eq!(key(&[], 2).to_string(), "fetch#2");
    assert_eq!(key(&["a", "b-1"], 300).to_string(), "a/b-1/fetch#300");
    assert_eq!(format!("{:?}", key(&["a"], 1)), "a/fetch");
    assert_eq!(StepKey::first(name("fetch")), key(&[], 1));
    assert_eq!("fetch#1".parse(), Ok(key(&[], 1)));
}

#[test]
fn what_is_no_key_is_refused() {
    for text in [
        "",
        "#2",
        "fetch#",
        "fetch#0",
        "fetch#x",
        "fetch#-1",
        "fetch#4294967296",
        "/fetch",
        "a//b",
        "a/",
        "a#2/b",
        "a b",
    ] {
        assert!(text.parse::<StepKey>().is_err(), "{text:?}");
        assert!(serde_json::from_value::<StepKey>(text.into()).is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn every_key_comes_back_from_text_and_json(
        scope in vec("[A-Za-z0-9][A-Za-z0-9._-]{0,9}", 0..5),
        last in "[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
        nth in 1..=u32::MAX,
    ) {
        let scope = scope.iter().map(|scope| name(scope)).collect();
        let key = StepKey { scope, name: name(&last), nth };
        prop_assert_eq!(key.to_string().parse(), Ok(key.clone()));
        let json = serde_json::to_string(&key).expect("a key is JSON");
        prop_assert_eq!(serde_json::from_str::<StepKey>(&json).expect("it was one"), key);
    }

    #[test]
    fn no_text_makes_a_reader_of_keys_panic(text in ".{0,40}") {
        if let Ok(key) = text.parse::<StepKey>() {
            prop_assert_eq!(key.to_string().parse(), Ok(key));
        }
    }
}
