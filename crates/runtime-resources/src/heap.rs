//! Whose memory is whose.

mod account;
mod allocator;
mod charged;

use std::sync::Arc;

use thiserror::Error;

use account::Account;
pub use allocator::MeteredAlloc;
pub use charged::Charged;
use charged::Entered;

/// Heap memory that is charged to somebody: bytes that were first asked for in its name and are still alive, wherever they are freed.
///
/// What is counted is what was asked for, without what the allocator adds. A clone is another handle of the same heap; when the
/// last one is gone, what is still alive is charged to nobody who can be asked.
///
/// It counts only where [`MeteredAlloc`] is the program's allocator, and is 0 elsewhere: see [`is_metered`](Self::is_metered).
///
/// # Examples
/// ```
/// use runtime_resources::{Heap, MeteredAlloc};
///
/// #[global_allocator]
/// static ALLOC: MeteredAlloc = MeteredAlloc::system();
///
/// assert!(Heap::is_metered());
/// let heap = Heap::new()?;
/// let bytes = heap.enter(|| Vec::<u8>::with_capacity(100_000));
/// assert_eq!(heap.live(), 100_000);
/// std::thread::spawn(move || drop(bytes)).join().expect("it frees");
/// assert_eq!(heap.live(), 0);
/// # Ok::<(), runtime_resources::HeapError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Heap {
    account: Arc<Account>,
}

/// Why there is no further heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeapError {
    /// As many heaps are counted as can be.
    #[error("{max} heaps are counted, and there is no room for another: let agents go that are not needed")]
    TooMany {
        /// How many there can be.
        max: usize,
    },
}

impl Heap {
    /// A heap with nothing in it.
    ///
    /// # Errors
    /// [`HeapError::TooMany`]: a heap whose handles have gone counts until its last byte is freed.
    pub fn new() -> Result<Self, HeapError> {
        let account = Account::open().ok_or(HeapError::TooMany { max: account::MOST })?;
        Ok(Self { account: Arc::new(account) })
    }

    /// Whether memory is metered in this program: whether [`MeteredAlloc`] is its allocator.
    pub fn is_metered() -> bool {
        account::is_metered()
    }

    /// Bytes that are alive. What a thread did last in this heap's name, up to 4 KiB, is counted when it leaves it.
    pub fn live(&self) -> u64 {
        account::live(self.account.number())
    }

    /// Bytes that are alive and were asked for in nobody's name: by the program itself, and by tasks that an agent started behind the
    /// runtime's back.
    pub fn unattributed() -> u64 {
        account::live(account::NOBODY)
    }

    /// Calls `work` in this heap's name.
    pub fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        let _entered = Entered::new(&self.account);
        work()
    }

    /// Charges this heap with what `future` asks for while it is polled.
    pub fn charge<F: Future>(&self, future: F) -> Charged<F> {
        Charged::new(self.clone(), future)
    }
}
