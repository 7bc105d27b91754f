//! The Redis server that the tests start: the machine's own, or the one in Debian's package of tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::tools::{apt_install, said};

/// Where the tests look for the server.
pub(crate) const VARIABLE: &str = "AGENT_RUNTIME_REDIS_SERVER";

/// What the store needs.
const OLDEST: (u32, u32) = (7, 0);

/// The package that brings the program.
///
/// Debian's package of the server also starts a service, which nobody asked for. Its program is a link to
/// `redis-check-rdb` of the package of tools; the program looks by which name it is called.
const PACKAGE: &str = "redis-tools";
const PROGRAM: &str = "/usr/bin/redis-check-rdb";

/// Finds a server, or installs the one of the system, and says so before it does.
pub(crate) fn server(tools: &Path) -> Result<PathBuf, Failure> {
    let link = tools.join("redis").join("redis-server");
    for server in [Path::new("redis-server"), &link] {
        if let Some(version) = version(server) {
            println!("xtask: a Redis server is here: {version}");
            return Ok(server.to_path_buf());
        }
    }
    println!("xtask: a Redis server is missing; installing it: apt-get install {PACKAGE}");
    let failed = |why: &str| Failure::Tool { name: "redis-server", why: why.to_owned() };
    if !apt_install(&[PACKAGE]) {
        return Err(failed("install Redis 7.0 or later, so that `redis-server` is in the PATH"));
    }
    let folder = tools.join("redis");
    let unusable = |source| Failure::File { path: link.clone(), source };
    fs::create_dir_all(&folder).map_err(unusable)?;
    // Beside its place until it is whole: another xtask may be at it.
    let new = folder.join(std::process::id().to_string());
    std::os::unix::fs::symlink(PROGRAM, &new).map_err(unusable)?;
    fs::rename(&new, &link).map_err(unusable)?;
    if version(&link).is_none() {
        return Err(failed("the package of this system has no server of version 7.0 or later; install one"));
    }
    Ok(link)
}

/// The version of a server that will do.
fn version(server: &Path) -> Option<String> {
    let line = said(Command::new(server).arg("--version"))?;
    read(&line).map(str::to_owned)
}

/// The version in `Redis server v=7.0.15 sha=…`, if it will do.
fn read(line: &str) -> Option<&str> {
    let version = line.strip_prefix("Redis server v=")?.split(' ').next()?;
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    let found = numbers.next().zip(numbers.next())?;
    (found >= OLDEST).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_server_is_new_enough_or_not() {
        for (line, expected) in [
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", Some("7.0.15")),
            ("Redis server v=8.2.1 sha=1", Some("8.2.1")),
            ("Redis server v=6.0.16 sha=1", None),
            ("Valkey server v=8.0.1", None),
            ("", None),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }
}
