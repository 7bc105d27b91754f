//! The check of a whole store, where its kind has one.

use runtime_state::{Integrity, OpenError, RedbOptions, RedbStore};

use super::seen::Check;

/// Checks everything in the store that `uri` names.
///
/// Redb checks each of its pages while it opens the file. The other stores have nothing of that kind yet; a check that
/// reads every row of any store belongs here, once there is one.
pub(super) async fn everything(uri: &str) -> Check {
    let Some(path) = uri.strip_prefix("redb:").map(str::to_owned) else { return Check::None };
    let options = RedbOptions { integrity: Integrity::Everything, ..RedbOptions::default() };
    let opened = tokio::task::spawn_blocking(move || RedbStore::open_with(path, options).map(drop)).await;
    match opened {
        Ok(Ok(())) => Check::Sound,
        Ok(Err(
            error @ (OpenError::Damaged { .. } | OpenError::Foreign { .. } | OpenError::Newer { .. }),
        )) => Check::Damaged(error.to_string()),
        Ok(Err(error)) => Check::Damaged(format!("it could not be made: {error}")),
        Err(panic) => Check::Damaged(format!("it panicked: {panic}")),
    }
}
