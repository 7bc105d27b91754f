//! How much room is left on a disk.

use std::io;
use std::path::PathBuf;

use async_trait::async_trait;
use runtime_traits::health::{Health, HealthCheck, Verdict, Watched};
use tokio::task::spawn_blocking;

/// From how little room on a disk is too full. What is left counts for who is not root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskBounds {
    /// It is degraded with fewer bytes left.
    pub degraded_bytes: u64,
    /// It is unhealthy with fewer bytes left.
    pub unhealthy_bytes: u64,
}

impl Default for DiskBounds {
    /// Degraded below 1 GiB, unhealthy below 100 MiB.
    fn default() -> Self {
        Self { degraded_bytes: 1 << 30, unhealthy_bytes: 100 << 20 }
    }
}

impl DiskBounds {
    /// Unhealthy with fewer bytes left, degraded with fewer than ten times as many.
    pub fn from_bytes(unhealthy_bytes: u64) -> Self {
        Self { degraded_bytes: unhealthy_bytes.saturating_mul(10), unhealthy_bytes }
    }
}

/// How much room is left on the disk under a path.
#[derive(Debug)]
pub struct DiskSpace {
    path: PathBuf,
    bounds: DiskBounds,
}

impl DiskSpace {
    /// Looks at the disk under this file or folder.
    pub fn of(path: impl Into<PathBuf>, bounds: DiskBounds) -> Self {
        Self { path: path.into(), bounds }
    }

    fn judge(&self, left: u64) -> Health {
        let (verdict, bound) = if left < self.bounds.unhealthy_bytes {
            (Verdict::Unhealthy, self.bounds.unhealthy_bytes)
        } else if left < self.bounds.degraded_bytes {
            (Verdict::Degraded, self.bounds.degraded_bytes)
        } else {
            return Health::HEALTHY;
        };
        let mib = |bytes: u64| bytes >> 20;
        let path = self.path.display();
        let reason =
            format!("{} MiB are left under `{path}`; less than {} MiB is too little", mib(left), mib(bound));
        Health::new(verdict, reason)
    }
}

#[async_trait]
impl HealthCheck for DiskSpace {
    async fn check(&self, _: &Watched) -> Health {
        let path = self.path.clone();
        // A disk behind a network may not answer.
        let left = match spawn_blocking(move || left(&path)).await {
            Ok(left) => left,
            Err(_) => Err(io::Error::other("nobody was there to look")),
        };
        match left {
            Ok(left) => self.judge(left),
            Err(error) => {
                let path = self.path.display();
                Health::new(Verdict::Unknown, format!("`{path}` cannot be looked at: {error}"))
            }
        }
    }
}

fn left(path: &std::path::Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}
