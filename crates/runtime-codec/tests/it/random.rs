//! Random entries come back as they were.

use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use runtime_codec::{decode_entry, encode_entry};
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Digest, Media, Payload};
use runtime_traits::log::{
    Accepted, AttemptEnded, AttemptEnding, CancelRequested, Chain, DecidedBy, Effect, Ended, Entry,
    EntryKind, FailureKind, Outcome, Price, Receipt, RunFailure, Started, StateSet, StepDecided,
    StepDispatched, StepFailure, StepFailureKind, StepKey, StepOpened, StepSettled, StepSort, StepUnknown,
    Stopped, UnknownCause, Usage, Verdict, WaitClosed, WaitId, WaitOn, WaitOpened,
};
use runtime_traits::name::{IdempotencyKey, Name, SessionName};
use runtime_traits::runtime::SessionPolicy;
use runtime_traits::store::Seq;
use runtime_traits::{AgentId, NodeId, Partition, Pool, RunId};
use uuid::Uuid;

fn name() -> impl Strategy<Value = Name> {
    "[A-Za-z0-9][A-Za-z0-9._-]{0,63}".prop_map(|name| Name::new(name).expect("it follows the rule"))
}

fn key() -> impl Strategy<Value = StepKey> {
    let parts = (vec(name(), 0..4), name(), 1..=u32::MAX);
    parts.prop_map(|(scope, name, nth)| StepKey { scope, name, nth })
}

fn partition() -> impl Strategy<Value = Partition> {
    let parts = ("[a-z][a-z0-9-]{0,14}", 0..=256_u16);
    parts.prop_map(|(pool, index)| Partition { pool: Pool::new(&pool).expect("it follows the rule"), index })
}

fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn run() -> impl Strategy<Value = RunId> {
    (partition(), uuid()).prop_map(|(partition, unique)| RunId::from_parts(partition, unique))
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn media() -> impl Strategy<Value = Media> {
    prop_oneof![Just(Media::Text), Just(Media::Json), Just(Media::Bytes)]
}

fn payload() -> impl Strategy<Value = Payload> {
    let inline = (media(), vec(any::<u8>(), 0..300));
    let blob = (digest(), any::<u64>(), media());
    prop_oneof![
        inline.prop_map(|(media, bytes)| Payload::Inline(Content { media, bytes: bytes.into() })),
        blob.prop_map(|(hash, len, media)| Payload::Blob { hash, len, media }),
    ]
}

fn by() -> impl Strategy<Value = DecidedBy> {
    prop_oneof![Just(DecidedBy::Policy), Just(DecidedBy::Reconcile), ".{0,20}".prop_map(DecidedBy::Principal)]
}

fn at() -> impl Strategy<Value = UnixMillis> {
    any::<u64>().prop_map(UnixMillis)
}

fn usage() -> impl Strategy<Value = (Usage, Price)> {
    let parts = (any::<[u64; 3]>(), any::<[u32; 2]>(), any::<Option<u64>>());
    parts.prop_map(|([input_tokens, output_tokens, wasted_micros], [model_calls, tool_calls], micros)| {
        (
            Usage { input_tokens, output_tokens, model_calls, tool_calls, estimated_tokens: 0 },
            Price { micros, wasted_micros },
        )
    })
}

fn accepted() -> impl Strategy<Value = EntryKind> {
    let session = name().prop_map(|name| SessionName::new(name.as_str()).expect("the same rule"));
    let idempotency = "[!-~]{1,128}".prop_map(|key| IdempotencyKey::new(key).expect("it follows the rule"));
    let whose = (partition(), uuid(), any::<u32>(), session, any::<bool>());
    let what = (payload(), digest(), option::of(idempotency));
    let whence =
        (option::of((run(), key())), option::of(run()), option::of(".{0,20}"), option::of(".{0,60}"));
    let chain = (run(), at(), any::<u32>(), any::<u64>(), any::<u64>());
    let chain =
        chain.prop_map(|(first, began, steps, tokens, micros)| Chain { first, began, steps, tokens, micros });
    let how = (option::of(at()), any::<i32>(), btree_map(".{0,8}", ".{0,8}", 0..4), option::of(chain));
    (whose, what, whence, how).prop_map(|(whose, what, whence, how)| {
        let (partition, unique, spec_rev, session, rejects) = whose;
        let (input, digest, idempotency_key) = what;
        let (parent, copied_from, principal, trace) = whence;
        let (deadline, priority, labels, chain) = how;
        let policy = if rejects { SessionPolicy::Reject } else { SessionPolicy::Enqueue };
        EntryKind::Accepted(Box::new(Accepted {
            agent: AgentId::from_parts(partition, unique),
            spec_rev,
            session,
            policy,
            input,
            digest,
            idempotency_key,
            parent,
            copied_from,
            principal,
            trace,
            deadline,
            priority,
            chain,
            labels,
        }))
    })
}

fn opened() -> impl Strategy<Value = EntryKind> {
    let sorts = [StepSort::Model, StepSort::Tool, StepSort::Call, StepSort::Shared, StepSort::Custom];
    let effect = prop_oneof![
        Just(Effect::Pure),
        Just(Effect::Repeatable),
        any::<Duration>().prop_map(|window| Effect::Idempotent { window }),
        Just(Effect::AtMostOnce),
    ];
    let sort = prop::sample::select(sorts.to_vec());
    let parts = (key(), sort, effect, payload(), digest(), any::<u64>(), usage(), any::<bool>());
    parts.prop_map(|(key, sort, effect, request, digest, reserved, (reserved_usage, _), dispatched)| {
        EntryKind::StepOpened(StepOpened {
            key,
            sort,
            effect,
            request,
            digest,
            reserved,
            reserved_usage,
            dispatched,
        })
    })
}

fn settled() -> impl Strategy<Value = EntryKind> {
    let failure = prop_oneof![
        Just(StepFailureKind::Work),
        Just(StepFailureKind::TimedOut),
        Just(StepFailureKind::Decided),
        Just(StepFailureKind::Limit),
        option::of(any::<Duration>()).prop_map(|held_off| StepFailureKind::Away { held_off })
    ];
    let failure = (failure, ".{0,40}").prop_map(|(kind, message)| StepFailure { kind, message });
    let result = prop_oneof![payload().prop_map(Ok), failure.prop_map(Err)];
    let messages = option::of(any::<[u64; 2]>()).prop_map(|range| range.map(|[a, b]| (Seq(a), Seq(b))));
    let parts = (key(), any::<u32>(), result, digest(), usage(), messages);
    parts.prop_map(|(key, try_no, result, digest, (usage, price), messages)| {
        EntryKind::StepSettled(StepSettled { key, try_no, result, digest, usage, price, messages })
    })
}

fn about_steps() -> impl Strategy<Value = EntryKind> {
    let cause = prop_oneof![
        Just(UnknownCause::Crash),
        Just(UnknownCause::Cancelled),
        Just(UnknownCause::Dropped),
        Just(UnknownCause::TimedOut),
    ];
    let verdict =
        prop_oneof![Just(Verdict::Repeat), payload().prop_map(Verdict::Assume), Just(Verdict::Fail)];
    prop_oneof![
        (key(), any::<u32>(), any::<u64>(), usage(), usage()).prop_map(
            |(key, try_no, reserved, held, lost)| {
                let (broke_off, broke_off_price) = lost;
                EntryKind::StepDispatched(StepDispatched {
                    reserved,
                    reserved_usage: held.0,
                    broke_off,
                    broke_off_price,
                    ..StepDispatched::of(key, try_no)
                })
            }
        ),
        (key(), any::<u32>(), cause, usage()).prop_map(|(key, try_no, cause, (usage, price))| {
            let price = Some(price).filter(|_| try_no % 2 == 0);
            EntryKind::StepUnknown(StepUnknown { key, try_no, cause, usage, price })
        }),
        (key(), by(), verdict, digest()).prop_map(|(key, by, verdict, digest)| {
            EntryKind::StepDecided(StepDecided { key, by, verdict, digest })
        }),
        (".{0,8}", payload()).prop_map(|(cell, value)| EntryKind::StateSet(StateSet { cell, value })),
    ]
}

fn waits() -> impl Strategy<Value = EntryKind> {
    let on = prop_oneof![
        key().prop_map(WaitOn::Approval),
        key().prop_map(WaitOn::Answer),
        key().prop_map(WaitOn::Budget),
        (key(), run()).prop_map(|(step, run)| WaitOn::Child { step, run }),
        key().prop_map(WaitOn::Time),
        key().prop_map(WaitOn::Event),
        key().prop_map(WaitOn::Decision),
        (".{0,20}", ".{0,20}").prop_map(|(recorded, asked)| WaitOn::Diverged { recorded, asked }),
        name().prop_map(WaitOn::Kind),
        any::<u32>().prop_map(WaitOn::CodeVersion),
        ".{0,20}".prop_map(|why| WaitOn::Operator { why }),
    ];
    let opened = (any::<u64>(), on, digest(), option::of(at()), any::<bool>());
    prop_oneof![
        opened.prop_map(|(wait, on, digest, wake_at, holds_session)| {
            let wait = WaitId(wait);
            EntryKind::WaitOpened(WaitOpened { wait, on, digest, wake_at, holds_session })
        }),
        (any::<u64>(), by(), payload()).prop_map(|(wait, by, answer)| {
            EntryKind::WaitClosed(WaitClosed { wait: WaitId(wait), by, answer })
        }),
    ]
}

fn ends() -> impl Strategy<Value = EntryKind> {
    let how = prop_oneof![
        Just(AttemptEnding::Parked),
        Just(AttemptEnding::Drained),
        ".{0,20}".prop_map(|error| AttemptEnding::Failed { error }),
        Just(AttemptEnding::Lost),
    ];
    let failure = prop_oneof![
        Just(FailureKind::Agent),
        Just(FailureKind::Panicked),
        Just(FailureKind::Deadline),
        Just(FailureKind::LogFull),
        Just(FailureKind::Decided),
        Just(FailureKind::Limit),
    ];
    let stopped = prop_oneof![Just(Stopped::Complete), Just(Stopped::Dropped), Just(Stopped::Abandoned)];
    let outcome = prop_oneof![
        payload().prop_map(Outcome::Completed),
        (failure, ".{0,40}").prop_map(|(kind, message)| Outcome::Failed(RunFailure { kind, message })),
        (stopped, vec(key(), 0..4))
            .prop_map(|(stopped, unknown)| Outcome::Cancelled(Receipt { stopped, unknown })),
        Just(Outcome::RolledBack),
        run().prop_map(Outcome::Continued),
    ];
    prop_oneof![
        Just(EntryKind::Cleared),
        (how, any::<bool>())
            .prop_map(|(how, counted)| EntryKind::AttemptEnded(AttemptEnded { how, counted })),
        (by(), ".{0,20}", any::<u64>()).prop_map(|(by, reason, within_millis)| {
            EntryKind::CancelRequested(CancelRequested { by, reason, within_millis })
        }),
        (outcome, usage()).prop_map(|(outcome, (usage, price))| EntryKind::Ended(Ended {
            outcome,
            usage,
            price
        })),
        (any::<[u32; 2]>(), ".{0,20}", uuid()).prop_map(|([kind_version, suspects], build, node)| {
            EntryKind::Started(Started { kind_version, build, node: NodeId(node), suspects })
        }),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![accepted(), opened(), settled(), about_steps(), waits(), ends()];
    let parts = (1..=u64::MAX, at(), any::<u32>(), any::<u64>(), kind);
    parts.prop_map(|(seq, at, attempt, epoch, kind)| Entry { seq: Seq(seq), at, attempt, epoch, kind })
}

proptest! {
    #[test]
    fn every_entry_comes_back_as_it_was(entry in entry()) {
        let bytes = encode_entry(&entry);
        let read = decode_entry(entry.seq, &bytes);
        prop_assert_eq!(read.as_ref(), Ok(&entry));
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in vec(any::<u8>(), 0..200), tag in 0..16_u8) {
        let bytes = [&[tag, 0, 1, 0, 1], &bytes[..]].concat();
        if let Ok(entry) = decode_entry(Seq(1), &bytes) {
            let again = decode_entry(Seq(1), &encode_entry(&entry));
            prop_assert_eq!(again, Ok(entry));
        }
    }
}
