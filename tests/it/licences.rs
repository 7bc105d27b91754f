//! Licences and sources of everything that is built, by the list in `deny.toml`.

use std::collections::BTreeSet;
use std::fs;

use crate::graph::graph;
use crate::hold;
use crate::tree::root;

#[test]
fn every_licence_is_on_the_list_of_deny_toml() {
    let allowed = allowed();
    let allowed: BTreeSet<&str> = allowed.iter().map(String::as_str).collect();
    assert!(allowed.contains("MIT"), "deny.toml must list what it allows");

    let violations: Vec<String> = graph()
        .packages
        .iter()
        .filter(|package| !package.license.as_deref().is_some_and(|l| permits(l, &allowed)))
        .map(|p| format!("`{} {}` has the licence {:?}", p.name, p.version, p.license))
        .collect();

    hold(&violations);
}

#[test]
fn every_crate_comes_from_here_or_from_the_registry() {
    const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

    let violations: Vec<String> = graph()
        .packages
        .iter()
        .filter(|package| package.source.as_deref().is_some_and(|source| source != REGISTRY))
        .map(|package| format!("`{}` comes from {:?}", package.name, package.source))
        .collect();

    hold(&violations);
}

#[test]
fn an_expression_is_permitted_when_one_of_its_choices_is_wholly_on_the_list() {
    let allowed = BTreeSet::from(["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "Zlib"]);

    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "(MIT OR GPL-3.0) AND Zlib",
        "MIT OR GPL-3.0 AND Zlib",
        "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
    ] {
        assert!(permits(good, &allowed), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR Zlib) AND GPL-3.0",
        "Zlib WITH LLVM-exception",
        "MIT OR",
        "(MIT",
        "MIT Zlib",
    ] {
        assert!(!permits(bad, &allowed), "{bad}");
    }
}

/// What `deny.toml` allows.
fn allowed() -> Vec<String> {
    let text = fs::read_to_string(root().join("deny.toml")).expect("the repository has a deny.toml");
    let deny: toml::Table = text.parse().expect("deny.toml is TOML");
    let list = deny["licenses"]["allow"].clone();
    list.try_into().expect("`licenses.allow` is a list of names")
}

/// Whether an SPDX expression leaves a choice that is wholly allowed. What cannot be read is not.
fn permits(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    // Old manifests write `MIT/Apache-2.0` for a choice.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    matches!(any(&words, allowed), Some((true, [])))
}

/// `all OR all …`; answers with the words that are left.
fn any<'w, 's>(words: &'w [&'s str], allowed: &BTreeSet<&str>) -> Option<(bool, &'w [&'s str])> {
    let (mut good, mut rest) = all(words, allowed)?;
    while let ["OR", after @ ..] = rest {
        let (also, left) = all(after, allowed)?;
        (good, rest) = (good || also, left);
    }
    Some((good, rest))
}

/// `one AND one …`.
fn all<'w, 's>(words: &'w [&'s str], allowed: &BTreeSet<&str>) -> Option<(bool, &'w [&'s str])> {
    let (mut good, mut rest) = one(words, allowed)?;
    while let ["AND", after @ ..] = rest {
        let (also, left) = one(after, allowed)?;
        (good, rest) = (good && also, left);
    }
    Some((good, rest))
}

/// A licence, a licence with an exception, or an expression in brackets.
fn one<'w, 's>(words: &'w [&'s str], allowed: &BTreeSet<&str>) -> Option<(bool, &'w [&'s str])> {
    match words {
        ["(", inner @ ..] => match any(inner, allowed)? {
            (good, [")", rest @ ..]) => Some((good, rest)),
            _ => None,
        },
        [licence, "WITH", exception, rest @ ..] => {
            Some((allowed.contains(format!("{licence} WITH {exception}").as_str()), rest))
        }
        [licence, rest @ ..] => Some((allowed.contains(licence), rest)),
        [] => None,
    }
}
