//! Contents, their digests, and what people and programs see of them.

use bytes::Bytes;
use proptest::prelude::*;
use runtime_traits::content::{Content, Digest, Media, Payload};

fn json(content: &Content) -> String {
    serde_json::to_string(content).expect("a content is JSON")
}

fn read(json: &str) -> Option<Content> {
    serde_json::from_str(json).ok()
}

fn raw(media: Media, bytes: &'static [u8]) -> Content {
    Content { media, bytes: Bytes::from_static(bytes) }
}

#[test]
fn people_see_text_as_text_json_as_json_and_bytes_as_hexadecimal() {
    let forms = [
        (Content::text("hé\"llo"), r#"{"text":"hé\"llo"}"#),
        (raw(Media::Json, br#"{"b":1,"a":[2.50,12345678901234567890123]}"#), ""),
        (Content::bytes(vec![0, 255, 16]), r#"{"hex":"00ff10"}"#),
        (Content::text(""), r#"{"text":""}"#),
        (Content::bytes(Vec::new()), r#"{"hex":""}"#),
    ];
    for (content, form) in forms {
        let written = json(&content);
        if !form.is_empty() {
            assert_eq!(written, form);
        }
        assert_eq!(read(&written), Some(content), "{written}");
    }
}

#[test]
fn json_keeps_the_order_of_its_keys_and_the_digits_of_its_numbers() {
    let written = r#"{"json":{"b":1,"a":[2.50,12345678901234567890123]}}"#;
    let content = read(written).expect("it is a content");
    assert_eq!(content.bytes, &br#"{"b":1,"a":[2.50,12345678901234567890123]}"#[..]);
    assert_eq!(json(&content), written, "so that its digest is the same on both sides of a wire");
}

#[test]
fn bytes_that_are_not_what_they_are_said_to_be_are_shown_as_bytes() {
    for (media, bytes) in [(Media::Text, &b"\xff"[..]), (Media::Json, b"{"), (Media::Json, b"")] {
        let content = raw(media, bytes);
        let back = read(&json(&content)).expect("it is a content");
        assert_eq!((back.media, back.bytes), (Media::Bytes, content.bytes));
    }
}

#[test]
fn what_is_no_content_is_refused() {
    let bad = [
        "{}",
        "\"text\"",
        r#"{"text":1}"#,
        r#"{"hex":"0"}"#,
        r#"{"hex":"zz"}"#,
        r#"{"hex":"+1"}"#,
        r#"{"hex":"é"}"#,
        r#"{"hex":"00","text":""}"#,
        r#"{"xml":""}"#,
    ];
    for json in bad {
        assert_eq!(read(json), None, "{json}");
    }
}

#[test]
fn one_digest_means_one_content() {
    let same =
        [raw(Media::Text, b"1"), raw(Media::Json, b"1"), raw(Media::Bytes, b"1"), raw(Media::Text, b"2")];
    for (at, content) in same.iter().enumerate() {
        for other in &same[at + 1..] {
            assert_ne!(content.digest(), other.digest());
        }
        assert_eq!(content.digest(), content.clone().digest());
    }
}

#[test]
fn a_digest_is_64_hexadecimal_digits() {
    let digest = Digest::of(b"");
    let text = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
    assert_eq!(digest.to_string(), text, "the BLAKE3 hash of nothing");
    let json = format!("\"{text}\"");
    assert_eq!(serde_json::from_str::<Digest>(&json).expect("it is one"), digest);
    for bad in ["\"\"", "\"af\"", "7", &json.replace('a', "g"), &json.replace("af13", "af1")] {
        assert!(serde_json::from_str::<Digest>(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_log_holds_small_contents_in_place_and_refers_to_large_ones() {
    let of = |len| Payload::of(&Content::text("x".repeat(len)));
    assert!(matches!(of(Payload::INLINE_LIMIT), Payload::Inline(_)));
    let large = Content::text("x".repeat(Payload::INLINE_LIMIT + 1));
    let (hash, len) = (large.digest(), 8_193);
    assert_eq!(Payload::of(&large), Payload::Blob { hash, len, media: Media::Text });
    assert_eq!((of(0).len(), of(9).len(), Payload::of(&large).len()), (0, 9, 8_193));
    assert!(of(0).is_empty() && !of(1).is_empty());
}

#[test]
fn a_content_is_read_as_what_it_is() {
    assert_eq!(Content::text("hé").as_text().map_err(|e| e.to_string()), Ok("hé"));
    let error = raw(Media::Bytes, b"\xff").as_text().expect_err("it is no text");
    assert_eq!(error.to_string(), "the content is not UTF-8 text");
    assert_eq!(raw(Media::Json, b"[1,2]").parse::<Vec<u8>>().expect("it is a list"), [1, 2]);
    assert!(Content::text("[1").parse::<Vec<u8>>().is_err());
}

#[test]
fn a_log_line_shows_the_begin_of_a_content() {
    let shown = format!("{:?}", Content::text("x".repeat(10_000)));
    assert!(shown.len() < 100, "{shown}");
    assert!(format!("{:?}", raw(Media::Bytes, b"\xff\x00")).starts_with("Bytes(2 B, "));
}

proptest! {
    #[test]
    fn contents_come_back_from_their_json(text in ".{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        for content in [Content::text(text.clone()), Content::json(&text).expect("JSON"), Content::bytes(bytes)] {
            prop_assert_eq!(read(&json(&content)), Some(content));
        }
    }
}
