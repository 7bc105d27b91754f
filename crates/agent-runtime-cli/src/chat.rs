//! `chat`: a conversation with an agent.

mod consent;
mod keyboard;
mod orders;
mod plain;
mod stage;
mod story;
mod talk;
mod tty;
mod turn;

use std::io::IsTerminal;

use agent_runtime::runtime::RunFilter;
use agent_runtime::{AgentId, RunId, RunRequest, Runtime, RuntimeError, SessionName, UnixMillis};

use crate::args::ChatArgs;
use crate::commands::all_runs;
use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::time::moment;
use crate::signals::Signals;

/// How what is said is asked for.
struct Manner {
    session: SessionName,
    priority: u8,
}

impl Manner {
    fn ask(&self, text: String) -> RunRequest {
        RunRequest::new(text).in_session(self.session.clone()).with_priority(self.priority)
    }
}

/// Talks with an agent: on a terminal with all that helps people, elsewhere a line for each turn.
pub(crate) async fn chat(
    desk: &Desk,
    runtime: &dyn Runtime,
    args: &ChatArgs,
    signals: &mut Signals,
) -> Result<Exit, CliError> {
    let agent = runtime.agent(&args.agent).await?;
    let session = match &args.session {
        Some(session) => session.clone(),
        None if args.new => new_session(desk.now())?,
        None => SessionName::default(),
    };
    let manner = Manner { session, priority: args.priority };
    let terminal = desk.screen.terminal;
    let steers = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    if desk.screen.json || !terminal.out || !terminal.err || !std::io::stdin().is_terminal() || !steers {
        return plain::lines(desk, runtime, agent.id, &manner, signals).await;
    }
    talk::Talk::new(desk, runtime, &agent, manner, signals)?.hold().await
}

/// A name for a conversation that begins now.
fn new_session(now: UnixMillis) -> Result<SessionName, CliError> {
    let digits: String = moment(now).chars().filter(char::is_ascii_digit).collect();
    let (day, time) = digits.split_at(8);
    let name = format!("chat-{day}-{time}-{:03}", now.0 % 1_000);
    Ok(SessionName::new(name).map_err(RuntimeError::Name)?)
}

/// The runs of a conversation that are not over, oldest first.
async fn open_runs(
    runtime: &dyn Runtime,
    agent: AgentId,
    session: &SessionName,
) -> Result<Vec<RunId>, CliError> {
    let filter = RunFilter { agent: Some(agent), open: true, ..RunFilter::default() };
    let runs = all_runs(runtime, filter).await?;
    Ok(runs.into_iter().filter(|run| run.session == *session).map(|run| run.run).collect())
}
