//! The accounts: how many bytes are alive in whose name.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

/// How many heaps can be counted at once.
pub(super) const MOST: usize = 16_384;
/// The account of what is asked for in nobody's name.
pub(super) const NOBODY: u32 = 0;
/// How many bytes a thread may keep to itself before it books them.
const KEPT: i64 = 4_096;

/// A count alone on its line of the cache, since different threads are at different ones.
#[derive(Debug)]
#[repr(align(64))]
struct Live(AtomicI64);

/// Bytes by account. A page of it takes memory when it is first written to.
static LIVE: [Live; MOST] = [const { Live(AtomicI64::new(0)) }; MOST];

thread_local! {
    // Made without asking for memory; what std needs for a destructor it takes from the system, since Rust 1.93.
    /// In whose name this thread works.
    static CURRENT: Cell<u32> = const { Cell::new(NOBODY) };
    /// What this thread has not booked yet, in that name.
    static KEPT_HERE: Kept = const { Kept(Cell::new(0)) };
}

/// Bytes that are booked when their thread ends, at the latest.
#[derive(Debug)]
struct Kept(Cell<i64>);

impl Drop for Kept {
    fn drop(&mut self) {
        book(current(), self.0.get());
    }
}

/// Which accounts there are.
static BOOK: Mutex<Book> = Mutex::new(Book { next: NOBODY + 1, left: Vec::new() });

#[derive(Debug)]
struct Book {
    /// The first one that was never used.
    next: u32,
    /// Those whose owners have gone. They are used again when nothing of theirs is alive.
    left: Vec<u32>,
}

/// An account that is in use.
#[derive(Debug)]
pub(super) struct Account(u32);

impl Account {
    /// Opens one, if there is room.
    pub(super) fn open() -> Option<Self> {
        let mut book = BOOK.lock().unwrap_or_else(PoisonError::into_inner);
        if (book.next as usize) < MOST {
            book.next += 1;
            return Some(Self(book.next - 1));
        }
        let empty = |number: &u32| LIVE[*number as usize].0.load(Ordering::Acquire) == 0;
        let place = book.left.iter().position(empty)?;
        Some(Self(book.left.swap_remove(place)))
    }

    pub(super) fn number(&self) -> u32 {
        self.0
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        BOOK.lock().unwrap_or_else(PoisonError::into_inner).left.push(self.0);
    }
}

/// In whose name this thread works.
pub(super) fn current() -> u32 {
    // Where a thread has ended so far that nothing can be asked, it works in nobody's.
    CURRENT.try_with(Cell::get).unwrap_or(NOBODY)
}

/// From here on this thread works in this name. Answers in whose it did before.
pub(super) fn work_for(number: u32) -> u32 {
    book_what_is_kept();
    CURRENT.try_with(|current| current.replace(number)).unwrap_or(NOBODY)
}

/// Books bytes that were asked for or freed.
pub(super) fn add(number: u32, bytes: i64) {
    if number != current() {
        book(number, bytes);
        return;
    }
    let kept = KEPT_HERE.try_with(|Kept(kept)| {
        kept.set(kept.get() + bytes);
        kept.get().abs() < KEPT
    });
    match kept {
        Ok(true) => {}
        Ok(false) => book_what_is_kept(),
        Err(_) => book(number, bytes),
    }
}

/// Bytes that are alive in this name. Below 0 for a moment, when what was freed is booked before what was asked for.
pub(super) fn live(number: u32) -> u64 {
    let booked = LIVE.get(number as usize).map_or(0, |live| live.0.load(Ordering::Acquire));
    let kept = if current() == number { KEPT_HERE.try_with(|kept| kept.0.get()).unwrap_or(0) } else { 0 };
    u64::try_from(booked + kept).unwrap_or(0)
}

/// Whether anything is booked when something is asked for.
pub(super) fn is_metered() -> bool {
    let before = live(current());
    let probe = black_box(Vec::<u8>::with_capacity(1));
    let metered = live(current()) != before;
    drop(probe);
    metered
}

fn book_what_is_kept() {
    let kept = KEPT_HERE.try_with(|kept| kept.0.replace(0)).unwrap_or(0);
    if kept != 0 {
        book(current(), kept);
    }
}

fn book(number: u32, bytes: i64) {
    // Every number that is used is one of these; an allocator must not panic if it were not.
    if let Some(live) = LIVE.get(number as usize) {
        live.0.fetch_add(bytes, Ordering::Release);
    }
}
