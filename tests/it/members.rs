//! What every crate of the workspace has, and which of them a bare `cargo build` builds.

use std::collections::BTreeSet;
use std::fs;

use crate::graph::graph;
use crate::hold;
use crate::tree::root;

#[test]
fn a_bare_build_takes_every_crate_but_the_laboratory_and_the_tools() {
    const APART: [&str; 4] = ["examples", "house", "runtime-lab", "xtask"];
    let default = graph().default_members();
    let members: BTreeSet<&str> = graph().members().map(|package| package.name.as_str()).collect();
    let wanted: BTreeSet<&str> = members.into_iter().filter(|member| !APART.contains(member)).collect();

    let missing = wanted.difference(&default).map(|name| format!("`{name}` is not a default member"));
    let extra = default.difference(&wanted).map(|name| format!("`{name}` is a default member"));

    hold(&missing.chain(extra).collect::<Vec<_>>());
}

#[test]
fn every_crate_inherits_the_lints_of_the_workspace() {
    let inherits = |manifest: &toml::Table| {
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        lints.and_then(toml::Value::as_bool) == Some(true)
    };

    let violations: Vec<String> = graph()
        .members()
        .filter(|package| {
            let text = fs::read_to_string(&package.manifest_path).expect("cargo has read it");
            !inherits(&text.parse().expect("cargo has parsed it"))
        })
        .map(|package| format!("`{}` lacks `[lints] workspace = true`", package.name))
        .collect();

    hold(&violations);
}

#[test]
fn every_crate_under_crates_has_a_readme() {
    let crates = root().join("crates");
    let violations: Vec<String> = graph()
        .members()
        .filter_map(|package| package.manifest_path.parent()?.strip_prefix(&crates).ok())
        .filter(|name| !crates.join(name).join("README.md").is_file())
        .map(|name| format!("`crates/{}` has no README.md", name.display()))
        .collect();

    hold(&violations);
}
