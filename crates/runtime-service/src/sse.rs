//! Reads server-sent events, as the HTML standard defines them: pure, and linear in what arrives.

use bytes::{Bytes, BytesMut};

/// An event that has arrived as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its name; `message` when the sender gave none.
    pub(crate) name: String,
    /// Its data, without the last line end.
    pub(crate) data: String,
    /// Its id, if it has one.
    pub(crate) id: Option<String>,
}

/// Takes bytes as they arrive and gives events.
#[derive(Debug, Default)]
pub(crate) struct Events {
    held: BytesMut,
    /// How much of `held` is known to hold no line end.
    searched: usize,
    name: String,
    data: String,
    id: Option<String>,
    /// The last line ended in CR: a LF that follows belongs to it.
    after_cr: bool,
}

/// More arrived without an event than an event may have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Events {
    /// The most bytes of one event.
    const LIMIT: usize = 256 * 1024 * 1024;

    /// Takes what has arrived.
    pub(crate) fn push(&mut self, bytes: &Bytes) -> Result<(), TooLong> {
        if self.held.len() + self.data.len() + bytes.len() > Self::LIMIT {
            return Err(TooLong);
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    /// The next event that is there as a whole.
    pub(crate) fn next(&mut self) -> Option<Event> {
        while let Some(line) = self.line() {
            if line.is_empty() {
                if let Some(event) = self.dispatch() {
                    return Some(event);
                }
            } else {
                self.field(&line);
            }
        }
        None
    }

    fn line(&mut self) -> Option<BytesMut> {
        if self.after_cr && !self.held.is_empty() {
            self.after_cr = false;
            if self.held[0] == b'\n' {
                let _ = self.held.split_to(1);
            }
        }
        let rest = &self.held[self.searched..];
        let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
            self.searched = self.held.len();
            return None;
        };
        let end = self.searched + at;
        self.searched = 0;
        self.after_cr = self.held[end] == b'\r';
        let mut line = self.held.split_to(end + 1);
        line.truncate(end);
        Some(line)
    }

    fn field(&mut self, line: &[u8]) {
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = colon.map_or((line, &[][..]), |at| (&line[..at], &line[at + 1..]));
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => self.name = String::from_utf8_lossy(value).into_owned(),
            b"data" => {
                self.data.push_str(&String::from_utf8_lossy(value));
                self.data.push('\n');
            }
            b"id" => self.id = Some(String::from_utf8_lossy(value).into_owned()),
            // Nobody may tell this client how often to come.
            _ => {}
        }
    }

    fn dispatch(&mut self) -> Option<Event> {
        let name = std::mem::take(&mut self.name);
        let mut data = std::mem::take(&mut self.data);
        let id = self.id.take();
        data.pop()?;
        let name = if name.is_empty() { "message".to_owned() } else { name };
        Some(Event { name, data, id })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Event, Events};

    const SENT: &str = "\u{feff}: hello\n\nid: 1\nevent: entry\ndata: {\"a\":1}\n\n: alive\n\nevent: preview\r\ndata:  ü\rdata\rdata:x:y\r\n\r\ndata: last\n\nevent: lost\ndata: unfinished\n";

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.to_owned(), data: data.to_owned(), id: None }
    }

    fn read(pieces: impl Iterator<Item = Bytes>) -> Vec<Event> {
        let mut events = Events::default();
        let mut all = Vec::new();
        for piece in pieces {
            events.push(&piece).expect("short");
            all.extend(std::iter::from_fn(|| events.next()));
        }
        all
    }

    #[test]
    fn events_are_read_however_the_bytes_are_cut() {
        let entry = Event { id: Some("1".to_owned()), ..event("entry", "{\"a\":1}") };
        let expected = vec![entry, event("preview", " ü\n\nx:y"), event("message", "last")];

        for size in 1..=SENT.len() {
            let pieces = SENT.as_bytes().chunks(size).map(Bytes::copy_from_slice);
            assert_eq!(read(pieces), expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_long_line_in_small_pieces_is_searched_once() {
        let mut events = Events::default();
        events.push(&Bytes::from_static(b"data: ")).expect("short");
        for _ in 0..10_000 {
            events.push(&Bytes::from_static(&[b'x'; 1000])).expect("short");
            assert_eq!(events.next(), None);
            assert_eq!(events.searched, events.held.len());
        }
        events.push(&Bytes::from_static(b"\n\n")).expect("short");

        assert_eq!(events.next().map(|event| event.data.len()), Some(10_000_000));
    }
}
