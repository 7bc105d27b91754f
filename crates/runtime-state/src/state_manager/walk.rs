//! Everything that a snapshot is made of, content by content, each compared with its hash.

use std::collections::HashSet;

use bytes::Bytes;
use runtime_codec::file::FileContent;
use runtime_codec::{
    ContentRef, Record, SavedSession, Segment, SegmentIndex, SegmentRef, SessionList, SessionPage, beside,
    decode, made_of,
};
use runtime_traits::content::Digest;
use runtime_traits::log::Message;
use runtime_traits::runtime::RuntimeError;

use super::contents::{Contents, readable};
use super::frozen::{at_index, at_segment};

/// Goes through a snapshot. It holds one content, and what that refers to.
#[derive(Debug)]
pub(super) struct Walk {
    contents: Contents,
    /// What comes next is last.
    todo: Vec<(Sort, FileContent)>,
    seen: HashSet<Digest>,
}

/// What a content refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    List,
    Page,
    Index,
    Segment,
    /// Nothing.
    Large,
}

impl Walk {
    pub(super) fn new(contents: Contents, list: ContentRef) -> Self {
        Self { contents, todo: vec![(Sort::List, made_of(&list))], seen: HashSet::new() }
    }

    /// The next content that did not come before.
    pub(super) async fn next(&mut self) -> Result<Option<(FileContent, Bytes)>, RuntimeError> {
        while let Some((sort, what)) = self.todo.pop() {
            if !self.seen.insert(what.hash) {
                continue;
            }
            let bytes = self.contents.read(&what).await?;
            let mut below = below(sort, &what, &bytes)?;
            below.reverse();
            self.todo.append(&mut below);
            return Ok(Some((what, bytes)));
        }
        Ok(None)
    }
}

/// What a content refers to.
pub(super) fn below(
    sort: Sort,
    what: &FileContent,
    bytes: &Bytes,
) -> Result<Vec<(Sort, FileContent)>, RuntimeError> {
    fn read<R: Record>(what: &FileContent, bytes: &Bytes) -> Result<R, RuntimeError> {
        readable(decode(bytes), || format!("the content `{}`", what.hash))
    }
    let segment = |at: &SegmentRef| (Sort::Segment, made_of(&at_segment(at)));
    Ok(match sort {
        Sort::List => {
            let pages = read::<SessionList>(what, bytes)?.pages;
            pages.iter().map(|page| (Sort::Page, made_of(page))).collect()
        }
        Sort::Page => {
            let mut found = Vec::new();
            for SavedSession { state, sealed, open, .. } in read::<SessionPage>(what, bytes)?.sessions {
                found.extend(state.as_ref().and_then(beside).map(|large| (Sort::Large, large)));
                found.extend(sealed.iter().map(|index| (Sort::Index, made_of(&at_index(index)))));
                found.extend(open.iter().map(segment));
            }
            found
        }
        Sort::Index => read::<SegmentIndex>(what, bytes)?.segments.iter().map(segment).collect(),
        Sort::Segment => {
            let mut found = Vec::new();
            for bytes in read::<Segment>(what, bytes)?.messages {
                let message = read::<Message>(what, &bytes)?;
                found.extend(beside(&message.content).map(|large| (Sort::Large, large)));
            }
            found
        }
        Sort::Large => Vec::new(),
    })
}
