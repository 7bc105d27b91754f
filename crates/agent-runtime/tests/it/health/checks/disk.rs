//! A disk that is full: a small file system in memory, where one may be mounted, and otherwise one below whose room the bound is.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use agent_runtime::health::Watched;
use agent_runtime::health::checks::{DiskBounds, DiskSpace};
use agent_runtime::prelude::*;
use runtime_testkit::suites::health::{HealthFixture, Opened, Thing};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

struct Disk;

#[derive(Debug)]
struct Full {
    folder: TempDir,
    is_mounted: bool,
}

#[async_trait]
impl HealthFixture for Disk {
    async fn open(&self) -> Opened {
        let folder = tempfile::tempdir().expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m", "test"]).arg(folder.path()).stdin(Stdio::null());
        // Only root may mount: for whoever is not, the file below is the whole disk.
        let is_mounted = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        let full = Full { folder, is_mounted };
        let left = left_of(&full);
        let unhealthy_bytes = if is_mounted { MIB } else { left.saturating_sub(64 * MIB) };
        let bounds = DiskBounds { degraded_bytes: unhealthy_bytes, unhealthy_bytes };
        let check = Arc::new(DiskSpace::of(full.folder.path(), bounds));
        Opened { check, of: Watched::Runtime, thing: Box::new(full) }
    }
}

/// What is left of the disk that is not ours, as `df` says it.
fn left_of(full: &Full) -> u64 {
    let said = Command::new("df").args(["--output=avail", "-B1"]).arg(full.folder.path()).output();
    let said = said.expect("df is there");
    let text = String::from_utf8(said.stdout).expect("it says numbers");
    text.lines().nth(1).and_then(|line| line.trim().parse().ok()).expect("a number of bytes")
}

impl Full {
    fn ballast(&self) -> PathBuf {
        self.folder.path().join("ballast")
    }
}

#[async_trait]
impl Thing for Full {
    async fn breaks(&self) {
        let mut ballast = File::create(self.ballast()).expect("the folder is ours");
        let most = if self.is_mounted { u64::MAX } else { 128 * MIB };
        let mut written = 0;
        while written < most {
            match ballast.write_all(&[1; 65_536]) {
                Ok(()) => written += 65_536,
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => unreachable!("{error}"),
            }
        }
        ballast.sync_all().expect("it is written");
    }

    async fn mends(&self) {
        fs::remove_file(self.ballast()).expect("it is there");
    }

    async fn state(&self) -> String {
        let names = fs::read_dir(self.folder.path()).expect("it is there");
        let mut names: Vec<_> = names.map(|entry| entry.expect("it is read").file_name()).collect();
        names.sort();
        format!("{names:?}")
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        if self.is_mounted {
            let _ = Command::new("umount").arg(self.folder.path()).stderr(Stdio::null()).status();
        }
    }
}

mod of_disk_space {
    runtime_testkit::health_conformance!(super::Disk);
}
