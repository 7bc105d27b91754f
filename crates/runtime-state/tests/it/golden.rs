//! What every version wrote, for ever: format 1 of redb with format 1 of encrypted values in it, of sled, of Redis, and of
//! exported lines.

mod batches;
mod exported;
mod redis;
mod sled;

use std::sync::Arc;

use runtime_codec::{decode_entry, keys};
use runtime_state::{EncryptedStore, KeyRing, MemoryStore, RedbStore, verify_store};
use runtime_testkit::block_on;
use runtime_traits::store::{Log, Seq, StateStore};

use crate::lived::Lived;

/// The length of the file, then what of it is not zero: where, how many bytes, and these; numbers of 4 bytes.
const GOLDEN: &[u8] = include_bytes!("../golden/store-1.bin");

fn ring() -> KeyRing {
    KeyRing::parse(&format!("1 {}", "5e".repeat(32))).unwrap()
}

/// The bytes that [`sparse`] wrote.
fn whole(sparse: &[u8]) -> Vec<u8> {
    let number = |at: usize| u32::from_le_bytes(sparse[at..at + 4].try_into().unwrap()) as usize;
    let mut bytes = vec![0; number(0)];
    let mut at = 4;
    while at < sparse.len() {
        let (place, len) = (number(at), number(at + 4));
        bytes[place..place + len].copy_from_slice(&sparse[at + 8..at + 8 + len]);
        at += 8 + len;
    }
    bytes
}

/// Bytes of which most are zero, as in [`GOLDEN`].
fn sparse(bytes: &[u8]) -> Vec<u8> {
    const GAP: usize = 16;
    let mut sparse = (bytes.len() as u32).to_le_bytes().to_vec();
    let mut at = 0;
    while let Some(begin) = bytes[at..].iter().position(|byte| *byte != 0).map(|begin| at + begin) {
        let gap = bytes[begin..].windows(GAP).position(|piece| piece.iter().all(|byte| *byte == 0));
        let piece = &bytes[begin..gap.map_or(bytes.len(), |gap| begin + gap)];
        sparse.extend_from_slice(&(begin as u32).to_le_bytes());
        sparse.extend_from_slice(&(piece.len() as u32).to_le_bytes());
        sparse.extend_from_slice(piece);
        at = begin + piece.len();
    }
    sparse
}

#[test]
fn a_store_that_format_1_wrote_is_opened_and_whole() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.redb");
        std::fs::write(&path, whole(GOLDEN)).unwrap();

        let below = RedbStore::open(&path).unwrap();
        let store: Arc<dyn StateStore> = Arc::new(EncryptedStore::open(below, ring()).await.unwrap());

        let verified = verify_store(&*store, |_| {}).await.unwrap();
        assert_eq!(verified.damaged, 0, "{verified:#?}");
        // What is there is what the same writes make today.
        let lived = Lived::with(Arc::new(MemoryStore::new()), vec![7; 9_000]).await;
        let read = async |store: &dyn StateStore, log: &Log| store.read(log, Seq(1), 100).await.unwrap();
        let messages = lived.messages();
        assert_eq!(read(&*store, &messages).await, read(&*lived.store, &messages).await);
        for log in [keys::run_log(&lived.open), keys::run_log(&lived.ended[2])] {
            // Entries are written in a newer version since then, and say the same.
            let entries = async |store: &dyn StateStore| {
                let entries = read(store, &log).await.entries;
                let decoded =
                    entries.iter().zip(1..).map(|(bytes, seq)| decode_entry(Seq(seq), bytes).unwrap());
                decoded.collect::<Vec<_>>()
            };
            assert_eq!(entries(&*store).await, entries(&*lived.store).await, "{log}");
        }
        let head = async |store: &dyn StateStore| store.get(&[lived.head()]).await.unwrap().pop().flatten();
        assert_eq!(head(&*store).await.unwrap().value, head(&*lived.store).await.unwrap().value);
    });
}
