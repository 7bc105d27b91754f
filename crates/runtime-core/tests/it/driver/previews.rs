//! What is shown before it is recorded: to whoever watches, whenever they come.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use runtime_core::RuntimeManager;
use runtime_testkit::agents::Gates;
use runtime_testkit::fakes::MapStore;
use runtime_traits::agent::WaitFor;
use runtime_traits::log::{EntryKind, Phase};
use runtime_traits::model::Deltas;
use runtime_traits::runtime::{AgentRef, RunRequest, RunStream, Runtime, StreamItem};
use runtime_traits::store::Seq;
use runtime_traits::{Agent, AgentError, AgentSpec, Content, Ctx, Effect, RunId};
use tokio::task::JoinSet;

/// How many pieces `count` shows.
const COUNT: u32 = 1_000;

/// Shows what its input says.
#[derive(Debug)]
struct Shows(Gates);

impl Shows {
    /// A step that shows these pieces.
    async fn step(&self, ctx: &Ctx, name: &str, pieces: &[&str]) -> Result<String, AgentError> {
        let showing = ctx.step(name, Effect::Repeatable, &pieces, |call| async move {
            pieces.iter().for_each(|piece| call.text(piece));
            self.0.pass(name).await;
            Ok(name.to_owned())
        });
        Ok(showing.await?)
    }
}

#[async_trait]
impl Agent for Shows {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("shows", "shows").unwrap()
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        match input.as_text()? {
            "both" => {
                let (large, many) = ("b".repeat(5_000), "c".repeat(9_000));
                let (a, b) = (["a1 ", "a2 "], ["b1 ", &large]);
                let (a, b) = (self.step(&ctx, "a", &a), self.step(&ctx, "b", &b));
                futures_util::try_join!(a, b)?;
                self.step(&ctx, "c", &[&many, "end"]).await?;
            }
            "wait" => {
                ctx.preview("soon");
                ctx.wait_for(WaitFor::answer("well?")).await?;
                self.step(&ctx, "end", &["at last"]).await?;
            }
            "count" => {
                let counting = ctx.step("count", Effect::Repeatable, "", |call| async move {
                    for n in 0..COUNT {
                        call.text(&format!("{n} "));
                        tokio::task::yield_now().await;
                        if n % 100 == 0 {
                            self.0.pass(&n.to_string()).await;
                        }
                    }
                    Ok(())
                });
                counting.await?;
            }
            _ => {}
        }
        Ok(Content::text("done"))
    }
}

async fn run(input: &str) -> (RuntimeManager, Gates, RunId) {
    let gates = Gates::new();
    let builder = RuntimeManager::builder(Arc::new(MapStore::new()));
    let runtime =
        builder.configure(|config| config.park_after = Duration::from_millis(20)).open().await.unwrap();
    let agent = runtime.register_agent(Shows(gates.clone())).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let run = runtime.submit(&AgentRef::Id(agent), RunRequest::new(input)).await.unwrap().run;
    (runtime, gates, run)
}

async fn stream(runtime: &RuntimeManager, run: &RunId) -> RunStream {
    runtime.stream(run, Seq::FIRST).await.unwrap()
}

/// The next preview: its step, its text, and whether something is missing before it.
async fn preview(items: &mut RunStream) -> (String, String, bool) {
    loop {
        match items.next().await.unwrap().unwrap() {
            StreamItem::Preview { step, text, gap } => {
                return (step.map(|step| step.to_string()).unwrap_or_default(), text, gap);
            }
            StreamItem::Retracted { step } => unreachable!("{step:?}"),
            StreamItem::Entry { .. } => {}
        }
    }
}

fn piece(step: &str, text: impl Into<String>, gap: bool) -> (String, String, bool) {
    (step.to_owned(), text.into(), gap)
}

#[tokio::test]
async fn who_comes_late_is_shown_one_piece_of_each_step_and_told_what_is_missing() {
    let (runtime, gates, run) = run("both").await;
    gates.arrived("a").await;
    gates.arrived("b").await;

    let mut late = stream(&runtime, &run).await;
    assert_eq!(preview(&mut late).await, piece("a", "a1 a2 ", false));
    assert_eq!(preview(&mut late).await, piece("b", format!("b1 {}", "b".repeat(5_000)), false));

    gates.open("a");
    gates.open("b");
    gates.arrived("c").await;
    let mut later = stream(&runtime, &run).await;
    let end = format!("{}end", "c".repeat(8 * 1024 - 3));
    assert_eq!(preview(&mut later).await, piece("c", end, true), "`a` and `b` have settled");
    assert_eq!(preview(&mut late).await, piece("c", "c".repeat(9_000), false));
    gates.open("c");
}

#[tokio::test]
async fn what_an_attempt_showed_is_gone_with_it() {
    let (runtime, gates, run) = run("wait").await;
    while runtime.run_status(&run).await.unwrap().phase != Phase::Parked {
        tokio::task::yield_now().await;
    }
    let mut late = stream(&runtime, &run).await;

    let view = runtime.run_status(&run).await.unwrap();
    let step = view.waits[0].on.step().unwrap().clone();
    let answer = runtime_traits::runtime::Reply::Answer("yes".into());
    runtime.answer(&run, &step, answer).await.unwrap();

    assert_eq!(preview(&mut late).await, piece("end", "at last", false));
    gates.open("end");
}

#[tokio::test]
async fn a_slow_reader_is_shown_anew_what_it_has_lost_and_nothing_after_the_step_has_settled() {
    let (runtime, gates, run) = run("count").await;
    let mut slow = stream(&runtime, &run).await;
    gates.arrived("0").await;
    assert_eq!(preview(&mut slow).await, piece("count", "0 ", false));
    for n in 0..9 {
        gates.open(&(n * 100).to_string());
    }
    gates.arrived("900").await;

    let anew = loop {
        match slow.next().await.unwrap().unwrap() {
            StreamItem::Retracted { .. } => break preview(&mut slow).await,
            item => assert!(matches!(item, StreamItem::Preview { .. }), "{item:?}"),
        }
    };
    let all: String = (0..=900).map(|n| format!("{n} ")).collect();
    assert_eq!(anew, piece("count", all, false));

    gates.open("900");
    let mut rest = String::new();
    let mut settled = false;
    while let Some(item) = slow.next().await {
        match item.unwrap() {
            StreamItem::Preview { text, .. } if !settled => rest += &text,
            StreamItem::Entry { entry, .. } => settled |= matches!(entry.kind, EntryKind::StepSettled(_)),
            item => unreachable!("{item:?}"),
        }
    }
    assert_eq!(rest, (901..COUNT).map(|n| format!("{n} ")).collect::<String>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_whenever_somebody_comes() {
    let (runtime, gates, run) = run("count").await;
    let mut viewers = JoinSet::new();
    for n in 0..COUNT {
        if n % 100 == 0 {
            gates.arrived(&n.to_string()).await;
            gates.open(&n.to_string());
        }
        if n % 20 != 0 {
            tokio::task::yield_now().await;
            continue;
        }
        let runtime = runtime.clone();
        viewers.spawn(async move {
            let mut items = stream(&runtime, &run).await;
            let mut seen = String::new();
            loop {
                match items.next().await.unwrap().unwrap() {
                    StreamItem::Preview { text, gap, .. } => {
                        assert!(!gap);
                        seen += &text;
                    }
                    StreamItem::Retracted { .. } => seen.clear(),
                    StreamItem::Entry { entry, .. } if matches!(entry.kind, EntryKind::StepSettled(_)) => {
                        return seen;
                    }
                    StreamItem::Entry { .. } => {}
                }
            }
        });
    }
    let whole: String = (0..COUNT).map(|n| format!("{n} ")).collect();
    while let Some(seen) = viewers.join_next().await {
        let seen = seen.unwrap();
        // Who comes when all is recorded, or lags behind that, is shown nothing.
        assert!(seen == whole || seen.is_empty(), "{seen}");
    }
}
