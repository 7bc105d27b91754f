//! What came over the wire, as it came: how deadlines see progress that says nothing yet, and how a reply is told from
//! something else.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use genai::chat::{ChatFrameSink, FrameCtx, RawFrameRef};

/// What came of one reply so far.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    came: AtomicU64,
    /// Of those, with data: in a stream of events, anything else is noise.
    said: AtomicU64,
    blocked: AtomicBool,
}

impl Frames {
    /// How many events came. A comment keeps a connection alive, and no reply.
    pub(crate) fn said(&self) -> u64 {
        self.said.load(Ordering::Relaxed)
    }

    /// Whether something came, and nothing of it was an event.
    pub(crate) fn are_no_reply(&self) -> bool {
        self.came.load(Ordering::Relaxed) > 0 && self.said() == 0
    }

    /// Whether Gemini held the question itself back: it then sends no candidate.
    pub(crate) fn are_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }
}

impl ChatFrameSink for Frames {
    fn on_frame(&self, _context: &FrameCtx, frame: RawFrameRef<'_>) {
        self.came.fetch_add(1, Ordering::Relaxed);
        if frame.data.is_empty() {
            return;
        }
        self.said.fetch_add(1, Ordering::Relaxed);
        if frame.data.contains("blockReason") {
            let blocked =
                frame.json().is_some_and(|json| json.pointer("/promptFeedback/blockReason").is_some());
            self.blocked.fetch_or(blocked, Ordering::Relaxed);
        }
    }
}
