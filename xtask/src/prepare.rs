//! What the tests need of the toolchain beyond cargo, rustc, a C compiler and git: rustfmt and clippy.

use std::process::Command;

use crate::place::Place;
use crate::{Failure, run};

/// A component of the toolchain, and the cargo command that it brings.
const COMPONENTS: [(&str, &str); 2] = [("rustfmt", "fmt"), ("clippy", "clippy")];

/// Adds the missing components, and says so before it does.
pub(crate) fn components(place: &Place) -> Result<(), Failure> {
    let missing: Vec<&str> = COMPONENTS
        .into_iter()
        .filter(|(_, command)| !run::succeeds(place.cargo().args([command, "--version"])))
        .map(|(name, _)| name)
        .collect();
    if missing.is_empty() {
        println!("xtask: rustfmt and clippy are here");
    }
    for name in missing {
        println!("xtask: `{name}` is missing; installing it: rustup component add {name}");
        let mut rustup = Command::new("rustup");
        let added = run::shown(rustup.args(["component", "add", name])).is_ok_and(|status| status.success());
        if !added {
            return Err(Failure::Component { name });
        }
    }
    Ok(())
}
