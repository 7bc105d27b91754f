//! The validator of conversations refuses what providers refuse, for the reason that they have.

use std::collections::HashSet;
use std::mem::discriminant;

use runtime_testkit::suites::transcript::{Fault, Rules, WRONG, check, right};

#[test]
fn each_wrong_conversation_is_refused_for_its_fault() {
    assert!(WRONG.len() >= 20);
    for wrong in WRONG {
        let said = (wrong.said)();
        for (rules, fault) in [(Rules::OpenAi, &wrong.open_ai), (Rules::Anthropic, &wrong.anthropic)] {
            assert_eq!(check(&said, rules).err(), *fault, "{} ({rules:?})", wrong.what);
        }
        assert!(wrong.open_ai.is_some() || wrong.anthropic.is_some(), "{} is not wrong", wrong.what);
    }
    let names: HashSet<&str> = WRONG.iter().map(|wrong| wrong.what).collect();
    assert_eq!(names.len(), WRONG.len());
}

#[test]
fn every_fault_has_its_conversation() {
    let told = WRONG.iter().flat_map(|wrong| [&wrong.open_ai, &wrong.anthropic]).flatten();
    let told: HashSet<_> = told.map(discriminant).collect();
    let all = [
        Fault::Nothing,
        Fault::FirstIsNoUser,
        Fault::NoContent(0),
        Fault::Blank(0),
        Fault::NoId(0),
        Fault::LongId(0),
        Fault::IdCharacters(0),
        Fault::SameId(0),
        Fault::ToolName(0),
        Fault::Arguments(0),
        Fault::Unanswered(0),
        Fault::AnsweredTwice(0),
        Fault::Orphan(0),
    ];
    for fault in &all {
        assert!(told.contains(&discriminant(fault)), "{fault:?}");
    }
    assert_eq!(told.len(), all.len());
}

#[test]
fn a_right_conversation_is_taken_also_where_it_is_cut_after_an_exchange() {
    let said = right();
    for rules in [Rules::OpenAi, Rules::Anthropic] {
        for end in [1, 4, 6, 7, 8, 9, 10] {
            assert_eq!(check(&said[..end], rules), Ok(()), "{rules:?} up to {end}");
        }
        for end in [2, 3, 5] {
            assert!(matches!(check(&said[..end], rules), Err(Fault::Unanswered(_))), "{rules:?} up to {end}");
        }
    }
}
