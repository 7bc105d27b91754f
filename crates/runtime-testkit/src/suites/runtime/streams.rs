//! Streams.

use futures_util::StreamExt;
use runtime_traits::runtime::{RunStream, StreamItem};
use runtime_traits::store::Seq;
use runtime_traits::{Content, Entry, EntryKind, RunId};

use crate::suites::runtime::RuntimeFixture;
use crate::suites::runtime::scene::Scene;

/// `stream-is-the-log`: a stream gives every entry from the asked one on, in order, and ends after `Ended`.
pub async fn stream_is_the_log(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let gate = scene.started("gate").await;
    let run = scene.submit(&gate, "one two").await;
    scene.gates.arrived("one").await;

    // One reader follows from the start, one joins in the middle, one comes when all is over.
    let early = scene.runtime.stream(&run, Seq(1)).await.expect("a stream");
    let late = scene.runtime.stream(&run, Seq(3)).await.expect("a stream");
    let (early, late, ()) = futures_util::join!(entries(early), entries(late), async {
        scene.gates.open("one");
        scene.gates.arrived("two").await;
        scene.gates.open("two");
    });
    let whole = log(&scene, &run, 1).await;

    let numbers: Vec<u64> = whole.iter().map(|entry| entry.seq.0).collect();
    let expected: Vec<u64> = (1..=whole.len() as u64).collect();
    assert_eq!(numbers, expected, "no entry is missing, none is there twice");
    assert!(matches!(whole.first().map(|entry| &entry.kind), Some(EntryKind::Accepted(_))));
    assert!(matches!(whole.last().map(|entry| &entry.kind), Some(EntryKind::Ended(_))));
    assert_eq!(early, whole);
    assert_eq!(late, whole[2..]);
    assert_eq!(scene.view(&run).await.entries, whole.len() as u64);
    for from in 1..=whole.len() + 1 {
        assert_eq!(log(&scene, &run, from as u64).await, whole[from - 1..], "from {from}");
    }
    what_is_kept_elsewhere_is_given_too(&scene).await;
}

async fn what_is_kept_elsewhere_is_given_too(scene: &Scene) {
    let echo = scene.started("echo").await;
    let large = Content::text("0123456789".repeat(10_000));
    let run = scene.submit(&echo, large.clone()).await;
    let mut items = scene.runtime.stream(&run, Seq(1)).await.expect("a stream");
    let mut given = Vec::new();
    while let Some(item) = items.next().await {
        if let StreamItem::Entry { entry, content } = item.expect("no error")
            && matches!(entry.kind, EntryKind::Accepted(_) | EntryKind::Ended(_))
        {
            given.push(content);
        }
    }
    assert!(given == [Some(large.clone()), Some(large)], "input and output are given whole");
}

/// `late-viewers-catch-up`: whoever comes while a step is under way is shown what the step has shown so far, and then the
/// rest: nothing twice, nothing that was taken back, nothing of a step that has settled.
pub async fn late_viewers_catch_up(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let show = scene.started("show").await;
    let run = scene.submit(&show, "one two again three four").await;
    let stream = || async { scene.runtime.stream(&run, Seq(1)).await.expect("a stream") };
    scene.gates.arrived("one").await;

    let mut early = stream().await;
    assert_eq!(next_shown(&mut early).await, "one", "it was shown before anybody looked");
    scene.gates.open("one");
    scene.gates.arrived("two").await;
    let mut second = stream().await;
    assert_eq!(next_shown(&mut second).await, "onetwo", "in one piece");
    assert_eq!(next_shown(&mut early).await, "two");

    scene.gates.open("two");
    scene.gates.arrived("again").await;
    let third = stream().await;
    scene.gates.open("again");
    scene.gates.arrived("three").await;
    let mut fourth = stream().await;
    assert_eq!(next_shown(&mut fourth).await, "three", "what was taken back is not shown");
    scene.gates.open("three");
    scene.gates.arrived("four").await;
    scene.gates.open("four");
    assert_eq!(scene.output(&run).await, "ONE TWO AGAIN THREE FOUR");

    for (viewer, rest) in
        [(early, "-threefour."), (second, "-threefour."), (third, "threefour."), (fourth, "four.")]
    {
        assert_eq!(shown(viewer).await, rest, "before it is recorded, and never after");
    }
    assert_eq!(shown(stream().await).await, ".", "what is recorded is not shown");
}

/// The next piece that a stream shows.
async fn next_shown(items: &mut RunStream) -> String {
    loop {
        match items.next().await.expect("the run is not over").expect("no error") {
            StreamItem::Preview { text, gap, .. } => {
                assert!(!gap, "so little is kept");
                return text;
            }
            item @ StreamItem::Retracted { .. } => unreachable!("{item:?}"),
            StreamItem::Entry { .. } => {}
        }
    }
}

/// What a stream shows to its end: `-` where it is taken back, `.` where its step has settled.
async fn shown(items: RunStream) -> String {
    let shown = items.filter_map(|item| async {
        match item.expect("no error") {
            StreamItem::Preview { text, .. } => Some(text),
            StreamItem::Retracted { .. } => Some("-".to_owned()),
            StreamItem::Entry { entry, .. } => {
                matches!(entry.kind, EntryKind::StepSettled(_)).then(|| ".".to_owned())
            }
        }
    });
    shown.collect().await
}

async fn log(scene: &Scene, run: &RunId, from: u64) -> Vec<Entry> {
    entries(scene.runtime.stream(run, Seq(from)).await.expect("a stream")).await
}

/// The entries of a stream, to its end.
async fn entries(items: RunStream) -> Vec<Entry> {
    let entries = items.filter_map(|item| async {
        match item.expect("no error") {
            StreamItem::Entry { entry, .. } => Some(*entry),
            StreamItem::Preview { .. } | StreamItem::Retracted { .. } => None,
        }
    });
    entries.collect().await
}
