//! The crates of the workspace and all that they depend on, as `cargo metadata` tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::tree::root;

/// What `cargo metadata` says.
#[derive(Deserialize)]
pub(crate) struct Graph {
    pub(crate) packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    workspace_default_members: BTreeSet<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A dependency as a manifest declares it.
#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Deserialize)]
struct EdgeKind {
    kind: Option<String>,
}

/// The graph of this repository for this machine, as `Cargo.lock` has it.
///
/// # Panics
/// In every test that asks, with what cargo said, when cargo cannot tell.
#[expect(clippy::panic, reason = "a test without the graph can only fail")]
pub(crate) fn graph() -> &'static Graph {
    static GRAPH: LazyLock<Result<Graph, String>> = LazyLock::new(ask_cargo);
    GRAPH.as_ref().unwrap_or_else(|said| {
        panic!("`cargo metadata` failed; is everything downloaded (`cargo fetch --locked`)?\n{said}")
    })
}

fn ask_cargo() -> Result<Graph, String> {
    let cargo = env::var_os("CARGO").expect("cargo sets it for the tests that it runs");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        // Without it cargo would ask for crates of systems for which nothing was downloaded here.
        .args(["--filter-platform", "host-tuple"])
        .current_dir(root())
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

impl Graph {
    /// The crates of this repository, in order of their names.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    /// The names of the crates that a bare `cargo build` builds.
    pub(crate) fn default_members(&self) -> BTreeSet<&str> {
        let is_default = |package: &&Package| self.workspace_default_members.contains(&package.id);
        self.packages.iter().filter(is_default).map(|package| package.name.as_str()).collect()
    }

    /// The names of the crates that a build of `name` needs, without build and development ones.
    pub(crate) fn normal_tree(&self, name: &str) -> BTreeSet<&str> {
        let nodes: BTreeMap<&str, &Node> =
            self.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
        let root = self.members().find(|package| package.name == name);
        let mut open = vec![root.expect("the crate is in the workspace").id.as_str()];
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            let is_normal = |edge: &&Edge| edge.dep_kinds.iter().any(|kind| kind.kind.is_none());
            for edge in nodes[id].deps.iter().filter(is_normal) {
                if seen.insert(edge.pkg.as_str()) {
                    open.push(edge.pkg.as_str());
                }
            }
        }
        self.packages
            .iter()
            .filter(|package| seen.contains(package.id.as_str()))
            .map(|package| package.name.as_str())
            .collect()
    }

    /// The names of the crates that depend on `name`: those here that may, those elsewhere that do.
    pub(crate) fn dependants(&self, name: &str) -> BTreeSet<&str> {
        let here = self.members().filter(|member| member.dependencies.iter().any(|d| d.name == name));
        let wanted: BTreeSet<&str> =
            self.packages.iter().filter(|p| p.name == name).map(|p| p.id.as_str()).collect();
        let holds_it = |node: &Node| node.deps.iter().any(|e| wanted.contains(e.pkg.as_str()));
        let holders: BTreeSet<&str> =
            self.resolve.nodes.iter().filter(|n| holds_it(n)).map(|n| n.id.as_str()).collect();
        let elsewhere = self.packages.iter().filter(|package| holders.contains(package.id.as_str()));
        here.chain(elsewhere).map(|package| package.name.as_str()).collect()
    }
}
