//! What no build may have without being asked.

use std::fs;

use crate::graph::graph;
use crate::hold;

/// Switches guards off; for the laboratory.
const UNGUARDED: &str = "unguarded";

#[test]
fn nobody_but_the_laboratory_turns_on_the_feature_that_switches_guards_off() {
    let mut declared = 0;
    let mut violations = Vec::new();
    for package in graph().members() {
        let text = fs::read_to_string(&package.manifest_path).expect("cargo has read it");
        let manifest: toml::Table = text.parse().expect("cargo has parsed it");
        let mut found = Vec::new();
        mentions(&toml::Value::Table(manifest), String::new(), &mut found);
        for place in found {
            let is_own = place == "features.unguarded";
            declared += usize::from(is_own);
            let may = matches!(package.name.as_str(), "runtime-lab" | "runtime-traits");
            if !(is_own && may || package.name == "runtime-lab" && place.starts_with("features.unguarded.")) {
                violations.push(format!("`{}` names `{UNGUARDED}` at `{place}`", package.name));
            }
        }
    }

    hold(&violations);
    assert_eq!(declared, 2, "the contracts declare it, and the laboratory hands it on");
}

/// Where a manifest names the feature: as a key, or at the end of a text.
fn mentions(value: &toml::Value, place: String, found: &mut Vec<String>) {
    match value {
        toml::Value::String(text) if text.split('/').any(|part| part == UNGUARDED) => found.push(place),
        toml::Value::Array(items) => {
            for (nth, item) in items.iter().enumerate() {
                mentions(item, format!("{place}.{nth}"), found);
            }
        }
        toml::Value::Table(table) => {
            for (key, item) in table {
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                if key == UNGUARDED {
                    found.push(place.clone());
                }
                mentions(item, place, found);
            }
        }
        _ => {}
    }
}
