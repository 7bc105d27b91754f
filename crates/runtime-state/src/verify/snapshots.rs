//! What snapshots are made of.

use runtime_codec::file::FileContent;
use runtime_codec::{
    ContentRef, IndexRef, Kept, Manifest, SavedSession, Segment, SegmentIndex, SegmentRef, SessionList,
    SessionPage, beside, decode, made_of, named_by_message,
};
use runtime_traits::agent::AgentSpec;
use runtime_traits::log::Message;
use runtime_traits::name::Tenant;

use super::contents::Contents;
use super::damage::Fault;
use crate::sense;

/// What is wrong with a snapshot: the first thing.
pub(crate) async fn manifest(
    contents: &mut Contents<'_>,
    tenant: &Tenant,
    manifest: &Manifest,
) -> Option<Fault> {
    if let Err(error) = serde_json::from_str::<AgentSpec>(&manifest.spec) {
        return Some(Fault::record(format!("its declaration cannot be read ({error})")));
    }
    let checked = match &manifest.kept {
        Kept::List(list) => conversations(contents, tenant, list).await,
        Kept::Here(saved) => sessions(contents, tenant, saved).await,
    };
    checked.err()
}

/// Reads the conversations of a snapshot to their last content.
pub(crate) async fn conversations(
    contents: &mut Contents<'_>,
    tenant: &Tenant,
    list: &ContentRef,
) -> Result<(), Fault> {
    let list = made_of(list);
    for page in contents.record::<SessionList>(tenant, &list).await?.pages {
        let page: SessionPage = contents.record(tenant, &made_of(&page)).await?;
        sessions(contents, tenant, &page.sessions).await?;
    }
    Ok(())
}

async fn sessions(contents: &mut Contents<'_>, tenant: &Tenant, saved: &[SavedSession]) -> Result<(), Fault> {
    for session in saved {
        if let Some(state) = session.state.as_ref().and_then(beside) {
            fine(contents.check(tenant, &state).await)?;
        }
        let mut segments = Vec::new();
        for at in &session.sealed {
            let index: SegmentIndex = contents.record(tenant, &at_index(at)).await?;
            sense::of_index(at, &index.segments).map_err(Fault::record)?;
            for at in &index.segments {
                segment(contents, tenant, at).await?;
            }
            segments.extend(index.segments);
        }
        segments.extend(&session.open);
        sense::of_session(session, &segments).map_err(Fault::record)?;
        for at in &session.open {
            segment(contents, tenant, at).await?;
        }
    }
    Ok(())
}

async fn segment(contents: &mut Contents<'_>, tenant: &Tenant, at: &SegmentRef) -> Result<(), Fault> {
    let what = FileContent { hash: at.hash, len: at.len, media: None };
    let Segment { messages } = contents.record(tenant, &what).await?;
    if messages.len() != at.messages as usize {
        return Err(Fault::record(format!("the segment `{}` has another number of messages", at.hash)));
    }
    for bytes in messages {
        let message: Message = decode(&bytes)?;
        if let Some(content) = named_by_message(&message) {
            fine(contents.check(tenant, &content).await)?;
        }
    }
    Ok(())
}

fn at_index(at: &IndexRef) -> FileContent {
    FileContent { hash: at.hash, len: at.len, media: None }
}

fn fine(fault: Option<Fault>) -> Result<(), Fault> {
    fault.map_or(Ok(()), Err)
}
