//! Who may depend on whom.

use std::collections::BTreeSet;

use crate::graph::{Dependency, Package, graph};
use crate::hold;

/// The crates that write records, and may therefore name `runtime-codec`.
const PERSIST: [&str; 4] = ["runtime-core", "runtime-events", "runtime-state", "runtime-testkit"];

#[test]
fn a_crate_depends_on_the_contracts_and_on_no_other_crate_of_the_workspace() {
    let members: BTreeSet<&str> = graph().members().map(|package| package.name.as_str()).collect();

    let violations: Vec<String> = graph()
        .members()
        .flat_map(|package| package.dependencies.iter().map(move |on| (package, on)))
        .filter(|(package, on)| members.contains(on.name.as_str()) && !may_name(package, on))
        .map(|(package, on)| format!("`{}` must not depend on `{}`", package.name, on.name))
        .collect();

    hold(&violations);
}

#[test]
fn the_core_and_the_contracts_stay_free_of_drivers() {
    const DRIVERS: [&str; 7] = ["axum", "genai", "redb", "redis", "reqwest", "sled", "tantivy"];

    let mut violations = found("runtime-core", &DRIVERS);
    violations.extend(found("runtime-traits", &DRIVERS));
    violations.extend(found("runtime-traits", &["tokio"]));

    hold(&violations);
}

#[test]
fn a_driver_is_named_by_one_crate() {
    let mut violations = others("bincode", &["runtime-codec"]);
    violations.extend(others("redb", &["runtime-state", "runtime-lab"]));
    violations.extend(others("chacha20poly1305", &["runtime-state"]));
    violations.extend(others("redis", &["runtime-events", "runtime-lab", "runtime-state"]));
    violations.extend(others("sled", &["runtime-state"]));
    violations.extend(others("tantivy", &["runtime-agents"]));
    violations.extend(others("genai", &["runtime-agents"]));

    hold(&violations);
}

/// Whether the house rules let `package` name the workspace crate `on`.
fn may_name(package: &Package, on: &Dependency) -> bool {
    if on.name == "runtime-testkit" && on.kind.as_deref() == Some("dev") {
        return true;
    }
    match package.name.as_str() {
        "agent-runtime" | "runtime-lab" => true,
        "agent-runtime-cli" | "examples" => on.name == "agent-runtime",
        "house" | "runtime-traits" | "xtask" => false,
        name if PERSIST.contains(&name) => on.name == "runtime-traits" || on.name == "runtime-codec",
        _ => on.name == "runtime-traits",
    }
}

/// The banned crates in the normal tree of `name`, as violations.
fn found(name: &str, banned: &[&str]) -> Vec<String> {
    let tree = graph().normal_tree(name);
    let says = |b: &&str| format!("`{name}` must not have `{b}` in its tree: cargo tree -p {name} -i {b}");
    banned.iter().filter(|banned| tree.contains(**banned)).map(says).collect()
}

/// The crates beyond `allowed` that name `name`, as violations; also that nobody does.
fn others(name: &str, allowed: &[&str]) -> Vec<String> {
    let dependants = graph().dependants(name);
    if dependants.is_empty() {
        return vec![format!("nobody depends on `{name}` any more: remove its rule")];
    }
    let says = |by: &&str| format!("`{by}` must not name `{name}`; only {allowed:?} may");
    dependants.iter().filter(|by| !allowed.contains(by)).map(says).collect()
}
