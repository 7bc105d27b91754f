//! Shows what a campaign left in its store: the logs of a session's runs, as they were written.

use std::path::PathBuf;

use clap::Args;
use runtime_traits::log::EntryKind;

use super::book::mark;
use super::evidence::{Evidence, EvidenceError};

/// What to show.
#[derive(Clone, Debug, Args)]
pub(super) struct ShowArgs {
    /// The store's file, of a campaign that is over.
    store: PathBuf,
    /// Only runs whose id or session has this in it.
    #[arg(default_value = "")]
    of: String,
}

/// Every log, oldest run first.
///
/// # Errors
/// [`EvidenceError`].
pub(super) async fn show(args: &ShowArgs) -> Result<String, EvidenceError> {
    let evidence = Evidence::read(&args.store).await?;
    let mut runs: Vec<_> = evidence.runs.iter().collect();
    runs.sort_by_key(|(run, _)| run.unique());
    let mut text = String::new();
    for (run, log) in runs {
        let Some(EntryKind::Accepted(accepted)) = log.first().map(|entry| &entry.kind) else { continue };
        let title = format!("{run} of {}, session {}", accepted.agent, accepted.session);
        if !title.contains(&args.of) {
            continue;
        }
        text.push_str(&format!("{title}\n"));
        for entry in log {
            text.push_str(&format!("  {:>3} {}\n", entry.seq.0, mark(entry)));
        }
    }
    Ok(text)
}
