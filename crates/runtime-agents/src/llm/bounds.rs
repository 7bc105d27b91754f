//! How much of one reply is taken.

use serde_json::Value;
use thiserror::Error;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// How much one reply may be at most. All of it follows from the most tokens that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Bytes of its body as they come, with all that a provider puts around each token.
    pub(crate) wire: usize,
    /// Bytes of text, of calls and of thoughts.
    pub(crate) said: usize,
}

/// What a server sent too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum TooMuch {
    /// Of everything.
    #[error("its server sent more than {0} bytes for it")]
    Wire(usize),
    /// Of text, arguments and thoughts.
    #[error("more than {0} bytes were said in it")]
    Said(usize),
    /// In one event.
    #[error("its server sent an event of more than {} bytes", Bounds::EVENT)]
    Event,
    /// Of calls.
    #[error("it has more than {} calls", Bounds::CALLS)]
    Calls,
}

impl Bounds {
    /// Bytes of one event: some providers send a whole call in one.
    pub(crate) const EVENT: usize = MIB;
    /// Calls in one reply. An agent hears fewer.
    pub(crate) const CALLS: usize = 128;
    /// Bytes of a refusal that are read.
    pub(crate) const REFUSAL: usize = 64 * KIB;
    /// Bytes of one preview.
    pub(crate) const PREVIEW: usize = 4 * KIB;

    /// The bounds of a reply of that many tokens: for each a few hundred bytes are usual on the wire, and four in a text.
    pub(crate) fn of(max_tokens: u32) -> Self {
        let tokens = usize::try_from(max_tokens).unwrap_or(usize::MAX);
        let up_to = |most: usize, each: usize| tokens.saturating_mul(each).saturating_add(MIB).min(most);
        Self { wire: up_to(64 * MIB, KIB), said: up_to(16 * MIB, 64) }
    }
}

/// Whether an event of OpenAI's numbers a call beyond the most. The library makes room up to any number that it is told.
pub(crate) fn numbers_too_many(event: &[u8]) -> bool {
    let Ok(event) = str::from_utf8(event) else { return false };
    let data: Vec<&str> = event.lines().filter_map(|line| line.trim().strip_prefix("data:")).collect();
    let Ok(json) = serde_json::from_str::<Value>(&data.join("\n")) else { return false };
    let calls = json.pointer("/choices/0/delta/tool_calls").and_then(Value::as_array);
    let mut numbers = calls.into_iter().flatten().filter_map(|call| call.get("index")?.as_u64());
    numbers.any(|number| number >= Bounds::CALLS as u64)
}

/// A text in pieces of at most [`Bounds::PREVIEW`] bytes.
pub(crate) fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (piece, rest) = text.split_at(text.floor_char_boundary(Bounds::PREVIEW));
        text = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_grow_with_the_tokens_and_end() {
        assert_eq!(Bounds::of(0), Bounds { wire: MIB, said: MIB });
        assert_eq!(Bounds::of(4096), Bounds { wire: 5 * MIB, said: MIB + MIB / 4 });
        assert_eq!(Bounds::of(u32::MAX), Bounds { wire: 64 * MIB, said: 16 * MIB });
    }

    #[test]
    fn pieces_are_short_end_between_letters_and_add_up() {
        let text = "ä€𝄞x".repeat(3000);
        let all: Vec<&str> = pieces(&text).collect();
        assert!(all.iter().all(|piece| piece.len() <= Bounds::PREVIEW));
        assert_eq!((all.len(), all.concat()), (8, text));
        assert_eq!(pieces("").count(), 0);
    }

    #[test]
    fn a_call_beyond_the_most_is_seen_however_its_event_is_written() {
        let event = |number: &str| {
            format!(
                ": a\n  data:{{\"choices\": [{{\"delta\": {{\"tool_c\\u0061lls\": [{{\"index\": 0}},\ndata: {{\"index\": {number}}}]}}}}]}}\n\n"
            )
        };
        assert!(
            numbers_too_many(event("128").as_bytes()) && numbers_too_many(event("4294967295").as_bytes())
        );
        assert!(!numbers_too_many(event("127").as_bytes()) && !numbers_too_many(event("\"x\"").as_bytes()));
        assert!(!numbers_too_many(b"data: [DONE]\n\n") && !numbers_too_many(b"\xff\n\n"));
    }
}
