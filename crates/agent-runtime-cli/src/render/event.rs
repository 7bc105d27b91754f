//! Events, as people read them.

use agent_runtime::events::{Event, Position};
use unicode_width::UnicodeWidthStr;

use super::answer::{unpainted, visible};
use super::cut;
use super::style::Paint;

/// An event in one line: when, in UTC, where, about what, and what it says.
pub(crate) fn line(
    event: &Event,
    position: Option<Position>,
    when: &str,
    width: u16,
    paint: Paint,
) -> String {
    let place = position.map_or_else(String::new, |place| format!("  #{place}"));
    let mut line = format!("{}{}  {}", paint.dim(when), paint.dim(place), paint.bold(&event.topic));
    if &*event.source != "default" {
        line.push_str(&paint.dim(format!("  {}", visible(&event.source))));
    }
    let left = usize::from(width).saturating_sub(unpainted(&line).width() + 2).max(20);
    format!("{line}  {}", cut(&said(event), left))
}

/// What was given where an event was wanted, short enough for an answer.
pub(crate) fn short(given: &str) -> String {
    cut(given.trim(), 60)
}

/// What an event says, in one line.
pub(crate) fn said(event: &Event) -> String {
    match std::str::from_utf8(&event.data) {
        Ok(text) => visible(&text.replace(['\n', '\r', '\t'], " ")),
        Err(_) => format!("{} bytes of {}", event.data.len(), visible(&event.content_type)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_that_fits_and_cannot_steer_the_terminal() {
        let text = format!("a\n\u{1b}[2J{}", "b".repeat(200));
        let event = Event::of_bytes("orders/new", "text/plain", text).unwrap();

        let line = line(&event, Some(Position(7)), "01:02:03.004", 60, Paint::new(false));

        assert!(line.starts_with("01:02:03.004  #7  orders/new  a [2Jbbb"), "{line}");
        assert_eq!(line.width(), 60);
    }

    #[test]
    fn data_that_is_no_text_is_told_by_its_size() {
        let event = Event::of_bytes("a", "image/png", vec![0xff, 0xfe]).unwrap();
        assert_eq!(said(&event), "2 bytes of image/png");
    }
}
