//! The store is looked over for damage while runs are worked, and no faster than it was asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use runtime_core::ScrubRate;
use runtime_traits::runtime::Runtime;
use runtime_traits::scrub::{Finding, Heard, Pace, Scrub, ScrubCount};
use runtime_traits::store::StateError;

use super::house::House;
use super::warnings::Warnings;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Finds damage, and reads so many values more, one by one.
#[derive(Debug, Default)]
struct Reader {
    values: u64,
    read: AtomicU64,
    fails: bool,
}

fn finding() -> Finding {
    let (tenant, agent, session, run) = (None, None, None, None);
    Finding { tenant, agent, session, run, place: "cell x".to_owned(), what: "it is bad".to_owned() }
}

#[async_trait]
impl Scrub for Reader {
    async fn pass(&self, pace: Arc<dyn Pace>, heard: Arc<dyn Heard>) -> Result<ScrubCount, StateError> {
        if self.fails {
            return Err(StateError::NoSpace);
        }
        let mut count = ScrubCount::default();
        heard.found(finding());
        for _ in 0..self.values {
            pace.read(1).await;
            count.cells += 1;
            self.read.fetch_add(1, Ordering::Relaxed);
            heard.read(count);
        }
        pace.read(1).await;
        Ok(ScrubCount { damaged: 1, ..count })
    }
}

fn rate() -> Option<ScrubRate> {
    Some(ScrubRate { every: 24 * HOUR, pages_per_second: 1 })
}

#[tokio::test(start_paused = true)]
async fn a_pass_is_made_once_a_day_at_the_pace_that_was_set_and_its_findings_are_shown() {
    let warnings = Warnings::begin();
    let house = House::new().by_executor();
    let reader = Arc::new(Reader { values: 64 * 60, ..Reader::default() });
    let builder = house.builder().configure(|config| config.scrub = rate());
    let runtime = builder.scrub(Arc::clone(&reader) as Arc<dyn Scrub>).open().await.unwrap();
    let status = async || runtime.status().await.unwrap().scrub.unwrap();

    tokio::time::sleep(HOUR - Duration::from_secs(1)).await;
    assert_eq!(reader.read.load(Ordering::Relaxed), 0, "an hour of peace");
    assert!(status().await.on && status().await.running.is_none() && status().await.next.is_some());

    // A page a second: it takes a minute.
    tokio::time::sleep(Duration::from_secs(31)).await;
    let half = reader.read.load(Ordering::Relaxed);
    assert!((64 * 25..64 * 35).contains(&half), "{half}");
    assert!(status().await.running.is_some_and(|running| running.count.cells > 0));
    assert_eq!(status().await.findings, vec![finding()], "what was found is shown before the pass is over");
    let told = warnings.about("the store is damaged");
    assert!(told.len() == 1 && told[0].contains("cell x") && told[0].contains("it is bad"), "{told:?}");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let done = status().await;
    assert_eq!((done.running, done.findings), (None, vec![finding()]));
    assert_eq!(done.last.unwrap().count, ScrubCount { cells: 64 * 60, entries: 0, damaged: 1 });

    let once = reader.read.load(Ordering::Relaxed);
    tokio::time::sleep(22 * HOUR).await;
    assert_eq!(reader.read.load(Ordering::Relaxed), once);
    tokio::time::sleep(3 * HOUR).await;
    assert_eq!(reader.read.load(Ordering::Relaxed), 2 * once);
    runtime.shutdown(Duration::ZERO).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pass_ends_with_the_runtime() {
    let house = House::new().by_executor();
    let reader = Arc::new(Reader { values: u64::MAX, ..Reader::default() });
    let builder = house.builder().configure(|config| config.scrub = rate());
    let runtime = builder.scrub(Arc::clone(&reader) as Arc<dyn Scrub>).open().await.unwrap();
    tokio::time::sleep(2 * HOUR).await;

    let ended = tokio::time::timeout(Duration::from_secs(1), runtime.shutdown(Duration::ZERO)).await;

    ended.expect("it ends at once").unwrap();
    let read = reader.read.load(Ordering::Relaxed);
    tokio::time::sleep(HOUR).await;
    assert_eq!(reader.read.load(Ordering::Relaxed), read);
}

#[tokio::test(start_paused = true)]
async fn nobody_looks_where_it_is_switched_off_or_at_rest_and_a_failure_is_told() {
    let house = House::new().by_executor();
    let reader = Arc::new(Reader { values: 1, ..Reader::default() });
    let builder = house.builder().configure(|config| config.scrub = None);
    let runtime = builder.scrub(Arc::clone(&reader) as Arc<dyn Scrub>).open().await.unwrap();
    tokio::time::sleep(48 * HOUR).await;
    assert_eq!(runtime.status().await.unwrap().scrub.map(|scrub| scrub.on), Some(false));
    runtime.shutdown(Duration::ZERO).await.unwrap();

    let builder = house.builder().configure(|config| (config.scrub, config.at_rest) = (rate(), true));
    let runtime = builder.scrub(Arc::clone(&reader) as Arc<dyn Scrub>).open().await.unwrap();
    tokio::time::sleep(48 * HOUR).await;
    assert_eq!(runtime.status().await.unwrap().scrub, None);
    assert_eq!(reader.read.load(Ordering::Relaxed), 0);
    runtime.shutdown(Duration::ZERO).await.unwrap();

    let broken = Arc::new(Reader { fails: true, ..Reader::default() });
    let builder = house.builder().configure(|config| config.scrub = rate());
    let runtime = builder.scrub(broken as Arc<dyn Scrub>).open().await.unwrap();
    tokio::time::sleep(2 * HOUR).await;
    let status = runtime.status().await.unwrap().scrub.unwrap();
    assert!(status.failed.is_some_and(|why| why.contains("no space")) && status.next.is_some());
    runtime.shutdown(Duration::ZERO).await.unwrap();
}
