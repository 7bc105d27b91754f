//! Memory is charged to whoever asked for it first, wherever it is freed.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::test_runner::Config;
use runtime_resources::Heap;

/// How many heaps take part.
const HEAPS: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    /// Asks for a block, in a poll, in this thread or in another one.
    Ask { heap: usize, bytes: usize, elsewhere: bool },
    /// One block grows or shrinks, in whosever name.
    Resize { block: usize, bytes: usize, by: usize, elsewhere: bool },
    /// One block is freed, in whosever name.
    Free { block: usize, by: usize, elsewhere: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = || prop_oneof![1..64_usize, 64..4_096_usize, 4_096..200_000_usize];
    prop_oneof![
        5 => (0..HEAPS, bytes(), any::<bool>()).prop_map(|(heap, bytes, elsewhere)| Step::Ask { heap, bytes, elsewhere }),
        2 => (any::<usize>(), bytes(), 0..HEAPS, any::<bool>())
            .prop_map(|(block, bytes, by, elsewhere)| Step::Resize { block, bytes, by, elsewhere }),
        3 => (any::<usize>(), 0..HEAPS, any::<bool>())
            .prop_map(|(block, by, elsewhere)| Step::Free { block, by, elsewhere }),
    ]
}

/// Another thread, which does what it is given.
struct Elsewhere {
    work: SyncSender<Box<dyn FnOnce() + Send>>,
    done: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Elsewhere {
    fn begin() -> Self {
        let (work, given) = sync_channel::<Box<dyn FnOnce() + Send>>(1);
        let (tell, done) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            for work in given {
                work();
                tell.send(()).expect("somebody waits for it");
            }
        });
        Self { work, done, thread }
    }

    fn run<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> R {
        let (put, get) = sync_channel(1);
        self.work.send(Box::new(move || put.send(work()).expect("it is waited for"))).expect("it works");
        self.done.recv().expect("it works");
        get.recv().expect("it was put there")
    }

    fn end(self) {
        drop(self.work);
        self.thread.join().expect("it ends by itself");
    }
}

/// Asks for a block within the second poll of a future.
async fn ask(bytes: usize) -> Vec<u8> {
    let mut polled = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    Vec::with_capacity(bytes)
}

fn poll_to_the_end<F: Future>(future: F) -> F::Output {
    let (mut future, mut cx) = (pin!(future), Context::from_waker(Waker::noop()));
    loop {
        if let Poll::Ready(output) = Pin::as_mut(&mut future).poll(&mut cx) {
            return output;
        }
    }
}

fn heaps() -> Vec<Heap> {
    (0..HEAPS).map(|_| Heap::new().expect("there is room")).collect()
}

proptest! {
    #![proptest_config(Config::with_cases(20))]

    #[test]
    fn after_each_step_each_heap_is_charged_with_what_is_alive_of_what_was_asked_for_in_its_name(
        steps in vec(step(), 1_000),
    ) {
        assert!(Heap::is_metered());
        let (heaps, other) = (heaps(), Elsewhere::begin());
        let mut blocks: BTreeMap<usize, (usize, Vec<u8>)> = BTreeMap::new();
        let mut count = 0;
        for step in steps {
            let nth = |block: usize, blocks: &BTreeMap<usize, (usize, Vec<u8>)>| {
                blocks.keys().nth(block % blocks.len().max(1)).copied()
            };
            match step {
                Step::Ask { heap, bytes, elsewhere } => {
                    let future = heaps[heap].charge(ask(bytes));
                    let block = if elsewhere { other.run(move || poll_to_the_end(future)) } else { poll_to_the_end(future) };
                    blocks.insert(count, (heap, block));
                    count += 1;
                }
                Step::Resize { block, bytes, by, elsewhere } => {
                    let Some(place) = nth(block, &blocks) else { continue };
                    let (_, block) = blocks.get_mut(&place).expect("it is there");
                    let (by, mut moved) = (heaps[by].clone(), std::mem::take(block));
                    let resize = move || by.enter(|| {
                        if bytes > moved.capacity() {
                            moved.reserve_exact(bytes);
                        } else {
                            moved.shrink_to(bytes);
                        }
                        moved
                    });
                    *block = if elsewhere { other.run(resize) } else { resize() };
                }
                Step::Free { block, by, elsewhere } => {
                    let Some(place) = nth(block, &blocks) else { continue };
                    let (_, block) = blocks.remove(&place).expect("it is there");
                    let by = heaps[by].clone();
                    let free = move || by.enter(|| drop(block));
                    if elsewhere { other.run(free) } else { free() }
                }
            }
            for (number, heap) in heaps.iter().enumerate() {
                let alive = blocks.values().filter(|(of, _)| *of == number).map(|(_, block)| block.capacity() as u64);
                assert_eq!(heap.live(), alive.sum::<u64>(), "heap {number}");
            }
        }
        other.end();
    }
}

#[test]
fn what_is_dropped_with_a_future_was_charged_and_is_given_back() {
    let heap = Heap::new().expect("there is room");
    let mut waiting = Box::pin(heap.charge(async {
        let held = vec![7_u8; 50_000];
        std::future::pending::<()>().await;
        drop(held);
    }));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(heap.live(), 50_000);

    drop(waiting);
    assert_eq!(heap.live(), 0);
}

#[test]
fn what_is_asked_for_behind_the_runtimes_back_is_nobodys() {
    let heap = Heap::new().expect("there is room");
    let before = Heap::unattributed();
    let block = heap.enter(|| {
        let bare = std::thread::spawn(|| Vec::<u8>::with_capacity(10_000_000));
        bare.join().expect("it ends by itself")
    });

    // Starting a thread asks for some bytes in the name of who starts it.
    assert!(heap.live() < 10_000, "{}", heap.live());
    assert!(Heap::unattributed() > before + 5_000_000);
    drop(block);
}

#[test]
fn zeroed_aligned_and_grown_blocks_are_what_was_asked_for() {
    #[repr(align(256))]
    struct Page([u8; 512]);

    let heap = Heap::new().expect("there is room");
    heap.enter(|| {
        let mut pages: Vec<Page> = (0..3).map(|_| Page([9; 512])).collect();
        pages.reserve_exact(100);
        assert!(pages.iter().all(|page| page.0 == [9; 512] && (&raw const *page).addr() % 256 == 0));
        let zeros = vec![0_u64; 100_000];
        assert!(zeros.iter().all(|zero| *zero == 0));
        assert_eq!(heap.live(), (pages.capacity() * size_of::<Page>() + 800_000) as u64);
    });
    assert_eq!(heap.live(), 0);
}

#[test]
fn a_panic_leaves_the_name() {
    let heap = Heap::new().expect("there is room");
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        heap.enter(|| std::panic::resume_unwind(Box::new("on purpose")))
    }));
    assert!(caught.is_err());
    let live = heap.live();
    let block = Vec::<u8>::with_capacity(100_000);

    assert_eq!(heap.live(), live);
    drop((block, caught));
    assert_eq!(heap.live(), 0);
}

#[test]
fn the_number_of_a_heap_is_used_again_when_nothing_of_it_is_alive() {
    let block = Heap::new().expect("there is room").enter(|| Vec::<u8>::with_capacity(100_000));
    for _ in 0..40_000 {
        let heap = Heap::new().expect("the numbers of those before are free again");
        assert_eq!(heap.live(), 0);
    }
    drop(block);
}

#[test]
fn what_a_thread_did_last_is_counted_when_it_has_ended() {
    let before = Heap::unattributed();
    // Less than a thread keeps to itself.
    let thread = || std::thread::spawn(|| Vec::<u8>::with_capacity(3_000));
    let blocks: Vec<_> = (0..2_000).map(|_| thread().join().unwrap()).collect();

    let more = Heap::unattributed().abs_diff(before);
    assert!(more.abs_diff(6_000_000) < 1_000_000, "{more} bytes for {} blocks", blocks.len());
}
