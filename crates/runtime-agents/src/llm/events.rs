//! From bytes as they come to whole events.

use crate::llm::bounds::{Bounds, TooMuch, numbers_too_many};

/// Puts the bytes of a stream of events together. It knows where an event ends, and that it is not endless.
#[derive(Debug)]
pub(crate) struct Events {
    bounds: Bounds,
    numbered: bool,
    came: usize,
    /// What came of the next one, with `\n` for every way to end a line.
    event: Vec<u8>,
    after_return: bool,
}

impl Events {
    /// `numbered`: its events number calls, as OpenAI's do.
    pub(crate) fn new(bounds: Bounds, numbered: bool) -> Self {
        Self { bounds, numbered, came: 0, event: Vec::new(), after_return: false }
    }

    /// Takes what came, and gives the events that are whole by it.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<Vec<u8>, TooMuch> {
        self.came = self.came.saturating_add(bytes.len());
        if self.came > self.bounds.wire {
            return Err(TooMuch::Wire(self.bounds.wire));
        }
        let mut whole = Vec::new();
        for &byte in bytes {
            let ends_line = matches!(byte, b'\r' | b'\n');
            if byte != b'\n' || !self.after_return {
                self.event.push(if ends_line { b'\n' } else { byte });
            }
            self.after_return = byte == b'\r';
            if ends_line && self.event.ends_with(b"\n\n") {
                whole.append(&mut self.end()?);
            }
        }
        if self.event.len() > Bounds::EVENT {
            return Err(TooMuch::Event);
        }
        Ok(whole)
    }

    /// What came behind the last whole event, when nothing more comes.
    pub(crate) fn end(&mut self) -> Result<Vec<u8>, TooMuch> {
        let event = std::mem::take(&mut self.event);
        if event.len() > Bounds::EVENT {
            return Err(TooMuch::Event);
        }
        if self.numbered && numbers_too_many(&event) {
            return Err(TooMuch::Calls);
        }
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(max_tokens: u32) -> Events {
        Events::new(Bounds::of(max_tokens), true)
    }

    #[test]
    fn an_event_is_whole_at_its_blank_line_however_lines_end_and_bytes_come() {
        let said = "data: a\r\rdata: b\r\ndata: c\r\n\r\n: d\n\ndata: e";
        let mut all = events(0);
        assert_eq!(all.take(said.as_bytes()).unwrap(), b"data: a\n\ndata: b\ndata: c\n\n: d\n\n");
        assert_eq!(all.end().unwrap(), b"data: e");

        let mut singly = events(0);
        let mut whole = Vec::new();
        for byte in said.bytes() {
            let came = singly.take(&[byte]).unwrap();
            assert!(came.is_empty() || came.ends_with(b"\n\n"), "{came:?}");
            whole.extend(came);
        }
        assert_eq!(whole, b"data: a\n\ndata: b\ndata: c\n\n: d\n\n");
    }

    #[test]
    fn neither_an_event_nor_a_stream_is_endless() {
        let line = [b'x'; 1024];
        let mut endless = events(1024);
        let taken = (0..2048).take_while(|_| endless.take(&line).is_ok()).count();
        assert_eq!((taken * 1024, endless.take(&[])), (Bounds::EVENT, Err(TooMuch::Event)));

        let mut all = events(0);
        let event = [[b':'; 1022].as_slice(), b"\n\n"].concat();
        let taken = (0..2048).take_while(|_| all.take(&event).is_ok()).count();
        let wire = Bounds::of(0).wire;
        assert_eq!((taken * 1024, all.take(&[])), (wire, Err(TooMuch::Wire(wire))));
    }

    #[test]
    fn an_event_that_numbers_a_call_beyond_the_most_does_not_pass() {
        let event =
            br#"data: {"choices": [{"delta": {"tool_calls": [{"index": 4294967295, "function": {}}]}}]}"#;
        let whole = [event.as_slice(), b"\n\n"].concat();
        assert_eq!(events(0).take(&whole), Err(TooMuch::Calls));
        let mut cut = events(0);
        cut.take(event).unwrap();
        assert_eq!(cut.end(), Err(TooMuch::Calls));
        assert_eq!(Events::new(Bounds::of(0), false).take(&whole).unwrap(), whole);
    }
}
