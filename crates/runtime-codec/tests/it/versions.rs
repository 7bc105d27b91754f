//! What another version of the runtime wrote.

use runtime_codec::{CodecError, decode_entry};
use runtime_traits::EntryKind;
use runtime_traits::store::Seq;

use crate::samples::all;

const MUST_UNDERSTAND: u8 = 1;

#[test]
fn a_newer_version_is_refused_by_name() {
    for sample in all().into_iter().filter(|sample| sample.name != "entry.unrecognised") {
        let mut bytes = sample.bytes.to_vec();
        let newer = u16::from_le_bytes([bytes[2], bytes[3]]) + 1;
        bytes[2..4].copy_from_slice(&newer.to_le_bytes());
        let Err(error) = sample.is_read_from(&bytes) else {
            unreachable!("{} is taken for known", sample.name)
        };
        let CodecError::Newer { what, version } = error else { unreachable!("{}: {error}", sample.name) };
        assert_eq!(version, newer);
        assert_eq!(error.to_string(), format!("{what}: version {newer} was written by a newer runtime"));
    }
}

#[test]
fn there_is_no_version_0_and_no_flag_that_this_version_does_not_know() {
    for sample in all().into_iter().filter(|sample| sample.name != "entry.unrecognised") {
        let mut bytes = sample.bytes.to_vec();
        bytes[2] = 0;
        assert!(sample.is_read_from(&bytes).is_err(), "{}", sample.name);
        bytes[2] = 1;
        for flag in 1..8 {
            bytes[4] = MUST_UNDERSTAND | 1 << flag;
            let read = sample.is_read_from(&bytes);
            assert!(matches!(read, Err(CodecError::Newer { .. })), "{}: {read:?}", sample.name);
        }
    }
}

#[test]
fn an_entry_of_an_unknown_kind_is_passed_over_unless_it_must_be_understood() {
    for tag in [0, 15, 16, 999, u16::MAX] {
        let [low, high] = tag.to_le_bytes();
        for body in [&[][..], &[1, 2, 3]] {
            let bytes = |flags| [&[low, high, 9, 0, flags], body].concat();

            let passed = decode_entry(Seq(4), &bytes(0)).expect("it may be passed over");
            assert_eq!((passed.seq, passed.kind), (Seq(4), EntryKind::Unrecognised { tag }));

            let refused = decode_entry(Seq(4), &bytes(MUST_UNDERSTAND)).expect_err("it may not");
            assert!(matches!(refused, CodecError::Newer { version: 9, .. }), "{refused}");
        }
    }
}

#[test]
fn a_known_kind_in_a_newer_version_may_be_passed_over_when_its_writer_says_so() {
    let sample = all().remove(0);
    let mut bytes = sample.bytes.to_vec();
    bytes[2] = 4;
    bytes[4] = 0;
    let passed = decode_entry(Seq(4), &bytes).expect("it may be passed over");
    assert_eq!(passed.kind, EntryKind::Unrecognised { tag: 1 });
}
