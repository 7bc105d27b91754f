//! Bytes that were not written like that: an error or another value, never a panic, never much memory.

use runtime_codec::{CodecError, IdemRecord, Record};

use crate::allocation::largest_in;
use crate::samples::{Sample, all};

/// What a reader may ask for at most: the limit of a record, twice over while a vector grows.
const MUCH: usize = 8 * 1024 * 1024;
/// Where the flags are; clearing the only one leaves a record that may be passed over.
const FLAGS: usize = 4;
/// Where the version is; an earlier one may have had the same fields.
const VERSION: usize = 2;

fn check(sample: &Sample, bytes: &[u8], what: &str) {
    let (read, largest) = largest_in(|| sample.is_read_from(bytes));
    assert!(largest < MUCH, "{} with {what} takes {largest} bytes at once", sample.name);
    if let Ok(same) = read {
        assert!(!same, "{} with {what} is read as if nothing had happened", sample.name);
    }
}

#[test]
fn no_record_that_is_cut_short_is_taken_for_whole() {
    for sample in all() {
        for end in 0..sample.bytes.len() {
            check(&sample, &sample.bytes[..end], &format!("its first {end} bytes"));
        }
    }
}

#[test]
fn no_changed_byte_goes_unnoticed_or_does_harm() {
    for sample in all() {
        let mut bytes = sample.bytes.to_vec();
        for at in (0..bytes.len()).filter(|at| *at != FLAGS) {
            let before = bytes[at];
            // Every bit by itself, the ends of the scale, and what bincode reads as the begin of a longer number.
            let flips = (0..8).map(|bit| before ^ (1 << bit));
            let is_other = |value: &u8| *value != before && !(at == VERSION && (1..before).contains(value));
            for value in flips.chain([0, 250, 251, 252, 253, 254, 255]).filter(is_other) {
                bytes[at] = value;
                check(&sample, &bytes, &format!("byte {at} as {value}"));
            }
            bytes[at] = before;
        }
    }
}

#[test]
fn no_record_goes_on_after_its_end() {
    for sample in all().into_iter().filter(|sample| sample.name != "entry.unrecognised") {
        for more in [&[0][..], &[255; 9], &sample.bytes] {
            let bytes = [&sample.bytes[..], more].concat();
            let read = sample.is_read_from(&bytes);
            let left = more.len();
            let told = matches!(read, Err(CodecError::Trailing { left: l, .. }) if l == left);
            assert!(told, "{} with {left} bytes more", sample.name);
        }
    }
}

#[test]
fn a_length_that_nobody_can_have_meant_is_refused_before_memory_is_taken() {
    for sample in all() {
        for at in 5..sample.bytes.len() {
            // A length of 2^63 in the place of whatever is there.
            let huge = [&sample.bytes[..at], &[253], &(1_u64 << 63).to_le_bytes()[..]].concat();
            check(&sample, &huge, &format!("a huge length at byte {at}"));
        }
    }
}

#[test]
fn what_is_no_record_at_all_is_refused_with_a_reason() {
    let read = runtime_codec::decode::<IdemRecord>;
    assert_eq!(read(b""), Err(CodecError::Short { what: IdemRecord::WHAT, len: 0 }));
    assert_eq!(read(b"four"), Err(CodecError::Short { what: IdemRecord::WHAT, len: 4 }));
    let other = read(&[101, 0, 1, 0, 1, 9]);
    assert_eq!(other, Err(CodecError::OtherTag { what: IdemRecord::WHAT, tag: 101, wanted: 106 }));
    let error = read(&[106, 0, 1, 0, 1, 9]).expect_err("the body is too short");
    assert!(error.to_string().starts_with("idempotency key: the body cannot be read: "), "{error}");
}
