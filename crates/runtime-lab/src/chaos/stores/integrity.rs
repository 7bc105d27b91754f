//! The check of a whole store: every page where there are pages, and every row.

use runtime_state::{OpenError, check_pages, read_store};

use super::seen::Check;

/// Checks everything in the store that `uri` names, as `agent-runtime state verify` does.
pub(super) async fn everything(uri: &str) -> Check {
    let pages = uri.to_owned();
    match tokio::task::spawn_blocking(move || check_pages(&pages)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return said(&error),
        Err(panic) => return Check::Damaged(format!("the check of pages panicked: {panic}")),
    }
    let store = match runtime_state::open(uri).await {
        Ok(store) => store,
        Err(error) => return said(&error),
    };
    match read_store(store.as_ref(), |_| {}).await {
        Ok(verified) if verified.damaged == 0 => Check::Sound,
        Ok(verified) => {
            let first = verified.damages.first().map(|damage| format!(", {damage:?}"));
            Check::Damaged(format!("{} damages{}", verified.damaged, first.unwrap_or_default()))
        }
        Err(error) => Check::Damaged(error.to_string()),
    }
}

fn said(error: &OpenError) -> Check {
    Check::Damaged(runtime_traits::Cause::of(error).to_string())
}
