//! An agent of one's own, with steps. Its process is killed in the middle of a run; the next process finishes the run,
//! and does not repeat the step that was settled.
//!
//! ```text
//! cargo run -p examples --example own_agent
//! ```

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use agent_runtime::prelude::*;

/// Charges a card, then sends a parcel. Writes what it does into a file, so that everybody can see what was done twice.
#[derive(Debug)]
struct Shop {
    journal: PathBuf,
    /// Whether the parcel gets stuck, as in the process that is killed.
    stuck: bool,
}

#[async_trait]
impl Agent for Shop {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("shop", "shop").expect("both are names")
    }

    async fn run(&self, ctx: Ctx, order: Content) -> Result<Content, AgentError> {
        let order = order.as_text()?.to_owned();
        // Everything with an effect outside is a step. Nobody wants this one twice.
        let receipt: String = ctx
            .step("charge", Effect::AtMostOnce, &order, |call| async move {
                note(&self.journal, "charged the card")?;
                Ok(format!("receipt {}", &call.idempotency_key()[..8]))
            })
            .await?;
        // A parcel service that knows the order's number may be asked again.
        let () = ctx
            .step("send", Effect::Repeatable, &receipt, |call| async move {
                note(&self.journal, &format!("asked for a parcel, try {}", call.try_no()))?;
                if self.stuck {
                    std::future::pending::<()>().await;
                }
                Ok(())
            })
            .await?;
        Ok(Content::text(format!("sent {order} ({receipt})")))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1) {
        Some(folder) => work(Path::new(&folder), true).await.map(drop),
        None => {
            let folder = tempfile::tempdir()?;
            kill_in_the_middle(folder.path())?;
            println!("the process was killed; another one opens the store");
            println!("{}\n", work(folder.path(), false).await?);

            let journal = fs::read_to_string(folder.path().join("journal"))?;
            println!("what was done, by both processes:\n{journal}");
            assert_eq!(journal.matches("charged").count(), 1, "a settled step is never repeated");
            assert_eq!(journal.matches("parcel").count(), 2, "the step in flight was asked for again");
            Ok(())
        }
    }
}

/// Opens the store and works the order. The key makes both processes speak of the same run.
async fn work(folder: &Path, stuck: bool) -> Result<Content, Box<dyn Error>> {
    let store = format!("redb:{}", folder.join("agents.redb").display());
    let runtime = RuntimeManager::open(&store).await?;
    let shop = Shop { journal: folder.join("journal"), stuck };
    let agent = runtime.register_agent(shop).await?;
    runtime.start_agent(&agent).await?;
    let order = RunRequest::new("a kettle").with_key(IdempotencyKey::new("order-1")?);
    Ok(runtime.run_agent(&agent, order).await?.output)
}

/// Starts this program once more, and kills it when the parcel is stuck.
fn kill_in_the_middle(folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut child = Command::new(std::env::current_exe()?).arg(folder).stdout(Stdio::piped()).spawn()?;
    let said = child.stdout.take().ok_or("it was piped")?;
    let stuck = BufReader::new(said).lines().map_while(Result::ok).any(|line| line.contains("parcel"));
    child.kill()?; // SIGKILL: it can do nothing about it.
    child.wait()?;
    if stuck { Ok(()) } else { Err("the first process ended before it was killed".into()) }
}

/// Writes a line into the journal, and says it.
fn note(journal: &Path, line: &str) -> Result<(), std::io::Error> {
    let mut file = OpenOptions::new().create(true).append(true).open(journal)?;
    writeln!(file, "  {line}")?;
    println!("{line}");
    Ok(())
}
