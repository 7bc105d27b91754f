//! Whether what a snapshot says about its conversations can be so: pure.

use runtime_codec::{IndexRef, Manifest, SavedSession, SegmentRef};

/// Why an index cannot be over these segments.
pub(crate) fn of_index(index: &IndexRef, segments: &[SegmentRef]) -> Result<(), String> {
    let end = end_of(segments)?;
    let first = segments.first().map_or(0, |segment| segment.first);
    if first != index.first || index.first.checked_add(index.messages) != Some(end) {
        return Err(format!("the index `{}` has other messages than it says", index.hash));
    }
    Ok(())
}

/// Why a conversation cannot have these segments: all of them, in their order.
pub(crate) fn of_session(saved: &SavedSession, segments: &[SegmentRef]) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("the conversation `{}` {what}", saved.session));
    let end = end_of(segments)?;
    match (saved.head, segments.first()) {
        (None, None) => Ok(()),
        (None, Some(_)) => wrong("has messages and no end"),
        (Some(head), _) if head.last.0 == 0 || head.last.0 == u64::MAX => wrong("ends at no message"),
        (Some(head), Some(first)) if head.last.0 < first.first || head.last.0 >= end => {
            wrong("ends at a message that the snapshot does not have")
        }
        (Some(_), _) => Ok(()),
    }
}

/// Why a manifest cannot be of these conversations.
pub(crate) fn of_counts(manifest: &Manifest, sessions: &[SavedSession]) -> Result<(), String> {
    let sum = |of: fn(&SavedSession) -> u64| sessions.iter().map(of).fold(0, u64::saturating_add);
    let found = (sessions.len() as u64, sum(SavedSession::messages), sum(SavedSession::bytes));
    let told = (u64::from(manifest.sessions), manifest.messages, manifest.bytes);
    if found == told { Ok(()) } else { Err("its manifest counts other conversations than it has".to_owned()) }
}

/// The number after that of the last message of segments that follow one another.
fn end_of(segments: &[SegmentRef]) -> Result<u64, String> {
    let mut end = None;
    for segment in segments {
        let next = segment.first.checked_add(u64::from(segment.messages));
        let follows = end.is_none_or(|end| end == segment.first);
        match next {
            Some(next) if follows && segment.first >= 1 && segment.messages >= 1 => end = Some(next),
            _ => return Err(format!("the segment `{}` does not follow the one before it", segment.hash)),
        }
    }
    Ok(end.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use runtime_traits::clock::UnixMillis;
    use runtime_traits::content::Digest;
    use runtime_traits::id::RunId;
    use runtime_traits::log::Head;
    use runtime_traits::name::SessionName;
    use runtime_traits::partition::{Partition, Pool};
    use runtime_traits::store::Seq;
    use uuid::Uuid;

    use super::*;

    fn segment(first: u64, messages: u32) -> SegmentRef {
        SegmentRef { hash: Digest::of(b""), len: 1, first, messages }
    }

    fn saved(last: Option<u64>) -> SavedSession {
        let run = RunId::from_parts(Partition { pool: Pool::MAIN, index: 1 }, Uuid::from_u128(1));
        let head = last.map(|last| Head { last: Seq(last), messages: 1, run, at: UnixMillis(1) });
        SavedSession { session: SessionName::default(), head, state: None, sealed: vec![], open: vec![] }
    }

    #[test]
    fn what_a_save_writes_makes_sense() {
        for (last, segments) in [
            (Some(66), vec![segment(1, 64), segment(65, 2)]),
            (Some(70), vec![segment(66, 5)]),
            (Some(70), vec![]),
            (None, vec![]),
        ] {
            assert_eq!(of_session(&saved(last), &segments), Ok(()));
        }
    }

    #[test]
    fn what_no_save_writes_does_not() {
        for (last, segments) in [
            (Some(67), vec![segment(1, 64), segment(65, 2)]),
            (Some(66), vec![segment(1, 64), segment(66, 2)]),
            (Some(66), vec![segment(1, 64), segment(64, 3)]),
            (Some(65), vec![segment(66, 5)]),
            (Some(1), vec![segment(0, 2)]),
            (Some(1), vec![segment(1, 0)]),
            (Some(u64::MAX), vec![]),
            (Some(u64::MAX - 1), vec![segment(u64::MAX - 1, 2)]),
            (Some(0), vec![]),
            (None, vec![segment(1, 1)]),
        ] {
            assert!(of_session(&saved(last), &segments).is_err(), "{last:?} {segments:?}");
        }
    }

    #[test]
    fn an_index_says_what_its_segments_have() {
        let index = |first, messages| IndexRef { hash: Digest::of(b""), len: 1, first, messages, bytes: 1 };
        let segments = [segment(65, 64), segment(129, 64)];
        assert_eq!(of_index(&index(65, 128), &segments), Ok(()));
        for wrong in [index(65, 129), index(1, 128), index(65, u64::MAX)] {
            assert!(of_index(&wrong, &segments).is_err(), "{wrong:?}");
        }
        assert!(of_index(&index(1, 0), &[]).is_err());
    }
}
