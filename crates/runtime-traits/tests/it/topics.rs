//! The grammar of topics and patterns.

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, proptest};
use proptest::sample::select;
use runtime_traits::bus::{Pattern, Topic, TopicError};

fn topic(text: &str) -> Result<Topic, TopicError> {
    text.parse()
}

fn pattern(text: &str) -> Result<Pattern, TopicError> {
    text.parse()
}

/// The definition, segment by segment.
fn matches(pattern: &[&str], topic: &[&str]) -> bool {
    match (pattern, topic) {
        ([], []) => true,
        (["**"], [_, ..]) => true,
        ([wanted, pattern @ ..], [segment, topic @ ..]) => {
            (*wanted == "*" || wanted == segment) && matches(pattern, topic)
        }
        _ => false,
    }
}

fn path(words: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    vec(select(words), 1..5)
}

proptest! {
    #[test]
    fn a_pattern_matches_as_defined(
        mut wanted in path(&["a", "b", "a.b", "*"]),
        rest in any::<bool>(),
        given in path(&["a", "b", "a.b"]),
    ) {
        if rest {
            wanted.push("**");
        }

        let matched = pattern(&wanted.join("/")).unwrap().matches(&topic(&given.join("/")).unwrap());

        assert_eq!(matched, matches(&wanted, &given));
    }

    #[test]
    fn whatever_is_given_is_taken_whole_or_refused(given in any::<String>()) {
        if let Ok(topic) = topic(&given) {
            assert_eq!(topic.as_str(), given);
            assert!(pattern(&given).unwrap().matches(&topic));
        }
    }
}

#[test]
fn good_topics_are_taken() {
    let deep = ["a"; Topic::MAX_SEGMENTS].join("/");
    let long = "a".repeat(Topic::MAX_BYTES);
    for good in ["search_request", "agents/agent:main.17.0f/run.completed", "9/A-z", &deep, &long] {
        assert_eq!(topic(good).unwrap().to_string(), good);
    }
}

#[test]
fn bad_topics_are_refused_by_name() {
    let given = |text: &str| text.to_owned();
    for (text, segment) in [
        ("a//b", ""),
        ("/a", ""),
        ("a/", ""),
        ("a b", "a b"),
        ("a/..", ".."),
        ("-a", "-a"),
        ("a/b*", "b*"),
        ("a/***", "***"),
        ("ä", "\\u{e4}"),
        ("a\n", "a\\n"),
    ] {
        let error = topic(text).unwrap_err();
        let TopicError::Segment { segment: named, .. } = &error else { panic!("{error}") };
        assert_eq!(named, segment);
        assert_eq!(pattern(text).unwrap_err(), error);
    }
    assert_eq!(topic("").unwrap_err(), TopicError::Length { given: given(""), len: 0 });
    let seventeen = ["a"; Topic::MAX_SEGMENTS + 1].join("/");
    assert!(matches!(topic(&seventeen), Err(TopicError::Segments { count: 17, .. })));
    for wildcard in ["*", "**"] {
        let error = topic(&format!("a/{wildcard}")).unwrap_err();
        assert!(matches!(error, TopicError::Wildcard { segment, .. } if segment == wildcard));
    }
}

#[test]
fn a_long_text_is_shown_cut() {
    let error = topic(&"x".repeat(20 << 20)).unwrap_err();

    assert!(matches!(error, TopicError::Length { len: 0x140_0000, .. }));
    assert!(error.to_string().len() < 200, "{error}");
}

#[test]
fn two_stars_stand_only_at_the_end() {
    assert_eq!(pattern("a/**/b"), Err(TopicError::Rest { given: "a/**/b".to_owned() }));
    assert_eq!(pattern("**/**"), Err(TopicError::Rest { given: "**/**".to_owned() }));
    assert!(pattern("**").unwrap().matches(&topic("a/b/c").unwrap()));
}
