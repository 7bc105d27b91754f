//! The allocator that charges.
#![expect(unsafe_code, reason = "an allocator cannot be written without; the proof stands beside each use")]

use std::alloc::{GlobalAlloc, Layout, System};

use super::account::{add, current};

/// An allocator that charges what is asked for to the [`Heap`](super::Heap) in whose name the thread works, and what is freed to the heap that
/// was charged. It takes memory from another one, the system's by default.
///
/// It puts 16 bytes before each block (as many as the block's alignment, where that is more): whose it is stands there.
///
/// ```
/// use runtime_resources::MeteredAlloc;
///
/// #[global_allocator]
/// static ALLOC: MeteredAlloc = MeteredAlloc::system();
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MeteredAlloc<A = System> {
    inner: A,
}

/// Bytes before a block, and at the least its alignment.
const BEFORE: usize = 16;

impl MeteredAlloc {
    /// Over the system's allocator.
    pub const fn system() -> Self {
        Self { inner: System }
    }
}

impl<A> MeteredAlloc<A> {
    /// Over another allocator.
    pub const fn over(inner: A) -> Self {
        Self { inner }
    }
}

/// The layout of what is taken from the inner allocator for a block, and where in it the block begins: at a multiple of the block's
/// alignment, at least [`BEFORE`]. `None` when it is larger than anything can be.
fn around(layout: Layout) -> Option<(Layout, usize)> {
    let align = layout.align().max(BEFORE);
    let size = layout.size().checked_add(align)?;
    Some((Layout::from_size_align(size, align).ok()?, align))
}

/// Writes whose a block is, and books it.
///
/// # Safety
/// `taken` is what the inner allocator gave for `around(layout)`, with `begins` from there, and nobody else uses it.
unsafe fn begin(taken: *mut u8, begins: usize, size: usize) -> *mut u8 {
    let owner = current();
    add(owner, size as i64);
    // SAFETY: what was taken has `begins + size` bytes, so that its place `begins` is within it or one behind its end. The four bytes
    // written are within the at least 16 before that, at a multiple of 8, since `taken` and `begins` are multiples of 16.
    unsafe {
        let block = taken.add(begins);
        block.sub(8).cast::<u32>().write(owner);
        block
    }
}

/// Reads whose a block is.
///
/// # Safety
/// `block` came from [`begin`], and was not freed since.
unsafe fn owner(block: *mut u8) -> u32 {
    // SAFETY: `begin` wrote there, and what it wrote is before the block, where its owner may not write.
    unsafe { block.sub(8).cast::<u32>().read() }
}

// SAFETY: each block is a part of one that the inner allocator gave for a layout that is larger by `begins` and at least as aligned; it
// begins at a multiple of its alignment, since `begins` is one. So it is as large and as aligned as was asked for, and as much its
// owner's as the inner one is ours. A null pointer of the inner allocator is handed on before anything is written. Nothing here
// unwinds: `add` and `current` do not panic, lock or allocate. `dealloc` and `realloc` compute the same outer layout from the
// same layout as `alloc` did, for which the inner allocator gave the memory.
unsafe impl<A: GlobalAlloc> GlobalAlloc for MeteredAlloc<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((outer, begins)) = around(layout) else { return std::ptr::null_mut() };
        // SAFETY: the outer layout has at least 16 bytes, which is not zero.
        let taken = unsafe { self.inner.alloc(outer) };
        if taken.is_null() {
            return taken;
        }
        // SAFETY: it was taken for this layout just now.
        unsafe { begin(taken, begins, layout.size()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some((outer, begins)) = around(layout) else { return std::ptr::null_mut() };
        // SAFETY: as in `alloc`.
        let taken = unsafe { self.inner.alloc_zeroed(outer) };
        if taken.is_null() {
            return taken;
        }
        // SAFETY: as in `alloc`; what is written is before the block, which stays zero.
        unsafe { begin(taken, begins, layout.size()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // The block was given for this layout, so there is one around it.
        let Some((outer, begins)) = around(layout) else { return };
        // SAFETY: the caller says that the block is ours and was given for this layout: what was taken for it begins `begins` before.
        unsafe {
            add(owner(block), -(layout.size() as i64));
            self.inner.dealloc(block.sub(begins), outer);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Some((outer, begins)) = around(layout) else { return std::ptr::null_mut() };
        let Some(new_outer) = new_size.checked_add(begins) else { return std::ptr::null_mut() };
        if Layout::from_size_align(new_outer, outer.align()).is_err() {
            return std::ptr::null_mut();
        }
        // SAFETY: as in `dealloc`. The new size is not zero, and not too large for the alignment, as was just seen. The first bytes stay
        // as they are, among them whose it is. When it fails, the block is as it was, and nothing is booked.
        unsafe {
            let whose = owner(block);
            let taken = self.inner.realloc(block.sub(begins), outer, new_outer);
            if taken.is_null() {
                return taken;
            }
            add(whose, new_size as i64 - layout.size() as i64);
            taken.add(begins)
        }
    }
}
