//! A campaign: lives of a server, one after the other, with callers who never give up.

use std::collections::{BTreeMap, HashMap};
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use agent_runtime::SystemClock;
use agent_runtime::service::{PlaceError, RemoteRuntime};
use agent_runtime_cli::{CliError, SocketPath};
use runtime_traits::clock::UnixMillis;
use runtime_traits::{Clock, Runtime};
use tempfile::TempDir;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::args::CrashArgs;
use super::book::Book;
use super::boundary::Boundary;
use super::caller::Caller;
use super::check::check;
use super::effects::Counter;
use super::evidence::{Evidence, EvidenceError};
use super::lives::{Lives, Now, Up};
use super::operator::{Operator, save};
use super::plan::{End, plan};
use super::report::{Details, Report, percentile};
use super::server::{Heard, Server, Servers, was_killed};
use super::violation::{Law, Violation};

/// How many agents share the runs.
const AGENTS: u32 = 8;
/// How long a process may take until it serves.
const START: Duration = Duration::from_secs(30);
/// How long a process may serve before it dies at its commit; then it is killed from outside.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same where a run has to wait for some seconds first.
const LONG_PATIENCE: Duration = Duration::from_secs(8);
/// How long the runs may take to end, once nothing kills the server any more.
const FINISH: Duration = Duration::from_secs(90);
/// How long no run at all may end meanwhile: longer than the longest wait of a script, and the slowest verdict.
const QUIET: Duration = Duration::from_secs(15);
/// The same when it is known that something is wrong.
const QUIET_ANYWAY: Duration = Duration::from_secs(2);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// How long the last mail may take.
const POSTED: Duration = Duration::from_millis(500);
/// How long the server may take to end in good order.
const STOP: Duration = Duration::from_secs(20);

/// Why a campaign could not be led.
#[derive(Debug, Error)]
pub(super) enum CampaignError {
    /// The system refuses something.
    #[error("the system refuses {what}")]
    System {
        /// What was asked of it.
        what: &'static str,
        /// What it said.
        #[source]
        source: std::io::Error,
    },
    /// The socket cannot be named.
    #[error(transparent)]
    Socket(#[from] CliError),
    /// The server cannot be asked.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

/// A campaign under way.
pub(super) struct Campaign {
    args: CrashArgs,
    folder: TempDir,
    servers: Servers,
    counter: Counter,
    /// Its folder is reached through this as long as the sockets are there.
    _counter_socket: SocketPath,
    book: Book,
    now: watch::Sender<Now>,
    clock: Arc<dyn Clock>,
    kills: u32,
    restarts: Vec<u64>,
    deaths: BTreeMap<String, u32>,
}

fn refused(what: &'static str) -> impl FnOnce(std::io::Error) -> CampaignError {
    move |source| CampaignError::System { what, source }
}

impl Campaign {
    /// Leads a campaign to its end.
    ///
    /// # Errors
    /// [`CampaignError`]: what kept it from being led. What the runtime does wrong is in the report.
    pub(super) async fn run(args: CrashArgs) -> Result<Report, CampaignError> {
        let mut campaign = Self::begin(args)?;
        let mut callers = campaign.callers();
        let mut people = campaign.people();
        let mut good = true;
        for (end, life) in plan(campaign.args.n, campaign.args.seed).into_iter().zip(1..) {
            campaign.tell(&format!("kill {life} of {}", campaign.args.n));
            good = campaign.live(life, end).await?;
            if !good {
                break;
            }
        }
        if good {
            campaign.tell("the last runs end");
            campaign.finish(&mut callers).await?;
        }
        callers.shutdown().await;
        people.shutdown().await;
        campaign.tell("");
        campaign.report().await
    }

    fn begin(args: CrashArgs) -> Result<Self, CampaignError> {
        let folder =
            tempfile::Builder::new().prefix("chaos-").tempdir().map_err(refused("a temporary folder"))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let socket = SocketPath::beside(&folder.path().join("counter"))?;
        let counter = Counter::listen(socket.usable(), Arc::clone(&clock))
            .map_err(refused("a socket for the counter"))?;
        let servers = Servers {
            folder: folder.path().to_owned(),
            counter: socket.shown().to_owned(),
            agents: AGENTS,
            flaw: args.how.flaw,
        };
        Ok(Self {
            args,
            folder,
            servers,
            counter,
            _counter_socket: socket,
            book: Book::default(),
            now: watch::Sender::new(Now::default()),
            clock,
            kills: 0,
            restarts: Vec::new(),
            deaths: BTreeMap::new(),
        })
    }

    fn callers(&self) -> JoinSet<()> {
        let mut callers = JoinSet::new();
        for nth in 0..self.args.runs {
            let caller = Caller {
                nth,
                seed: self.args.seed,
                agents: AGENTS,
                book: self.book.clone(),
                lives: Lives::new(self.now.subscribe()),
                clock: Arc::clone(&self.clock),
            };
            callers.spawn(caller.call());
        }
        callers
    }

    fn people(&self) -> JoinSet<()> {
        let mut people = JoinSet::new();
        let operator = Operator {
            seed: self.args.seed,
            book: self.book.clone(),
            lives: Lives::new(self.now.subscribe()),
            clock: Arc::clone(&self.clock),
            waiting: HashMap::new(),
        };
        people.spawn(operator.work());
        people.spawn(save(self.book.clone(), Lives::new(self.now.subscribe()), AGENTS));
        people
    }

    /// One life of the server, to its planned end. `false`: it came to another one, and there is no use in going on.
    async fn live(&mut self, life: u32, end: End) -> Result<bool, CampaignError> {
        let started = self.clock.now();
        let trap = match end {
            End::Outside(_) => None,
            End::Trapped(trap) => Some(trap),
        };
        let mut server = self.servers.start(life, trap).map_err(refused("a process"))?;
        let until_ready = match end {
            End::Outside(after) => after,
            End::Trapped(_) => START,
        };
        let mut heard = server.ready(until_ready).await.map_err(refused("to hear the server"))?;
        if matches!(heard, Heard::Ready) {
            self.serves(life, started)?;
            let left = match end {
                End::Outside(after) => started.after(after).since(self.clock.now()),
                End::Trapped(trap) if trap.at == Some(Boundary::Parked) => LONG_PATIENCE,
                End::Trapped(_) => PATIENCE,
            };
            heard = server.gone(left).await.map_err(refused("to hear the server"))?;
        } else if matches!((&heard, end), (Heard::Nothing, End::Trapped(_))) {
            self.book.violation(Law::Served, format!("life {life} did not serve within {START:?}"));
        }
        self.now.send_modify(|now| now.up = None);
        let good = match heard {
            Heard::Gone(status) if was_killed(status) => true,
            Heard::Gone(status) => {
                let what = format!("life {life} ended by itself ({status}): {}", server.last_words());
                self.book.violation(Law::Served, what);
                false
            }
            Heard::Ready | Heard::Nothing => {
                server.kill().await.map_err(refused("to kill the server"))?;
                true
            }
        };
        self.kills += u32::from(good);
        self.buried(life, &server, end);
        Ok(good)
    }

    /// A process serves: callers may call.
    fn serves(&mut self, life: u32, started: UnixMillis) -> Result<(), CampaignError> {
        self.restarts.push(self.clock.now().since(started).as_millis() as u64);
        let socket = SocketPath::beside(&self.servers.store())?;
        // Whoever fails asks again by itself, and knows what it asked.
        let runtime = RemoteRuntime::at(&format!("unix:{}", socket.usable().display()))?
            .away_within(Duration::ZERO)
            .answer_within(Duration::from_secs(20));
        let up = Up { life, runtime: Arc::new(runtime), _socket: Arc::new(socket) };
        self.now.send_modify(|now| now.up = Some(up));
        Ok(())
    }

    fn buried(&mut self, life: u32, server: &Server, end: End) {
        let place = match (&server.died_at, end) {
            (Some(at), _) => at.clone(),
            (None, End::Outside(_)) => "outside".to_owned(),
            (None, End::Trapped(trap)) => format!("outside, its trap {trap} was not reached"),
        };
        *self.deaths.entry(place).or_default() += 1;
        for complaint in server.complaints() {
            self.book.violation(Law::Served, format!("life {life} says: {complaint}"));
        }
    }

    /// The last life: nothing kills it, all runs end, and it ends when it is asked to.
    async fn finish(&mut self, callers: &mut JoinSet<()>) -> Result<(), CampaignError> {
        let life = self.args.n + 1;
        let started = self.clock.now();
        let mut server = self.servers.start(life, None).map_err(refused("a process"))?;
        let heard = server.ready(START).await.map_err(refused("to hear the server"))?;
        if !matches!(heard, Heard::Ready) {
            let what = format!("life {life} did not serve within {START:?}: {}", server.last_words());
            self.book.violation(Law::Served, what);
            return server.kill().await.map_err(refused("to kill the server"));
        }
        self.serves(life, started)?;
        self.now.send_modify(|now| now.finishing = true);
        // What has not ended by then is found in the store.
        let _ = timeout(FINISH, self.until_ended(callers)).await;
        self.now.send_modify(|now| now.up = None);
        server.ask_to_end();
        let heard = server.gone(STOP).await.map_err(refused("to hear the server"))?;
        if !matches!(heard, Heard::Gone(status) if status.success()) {
            let what = format!("life {life} was asked to end: {heard:?}: {}", server.last_words());
            self.book.violation(Law::Served, what);
            server.kill().await.map_err(refused("to kill the server"))?;
        }
        for complaint in server.complaints() {
            self.book.violation(Law::Served, format!("life {life} says: {complaint}"));
        }
        Ok(())
    }

    /// Waits until every caller has been told, and runs whose submission was not answered have ended too.
    async fn until_ended(&self, callers: &mut JoinSet<()>) {
        let mut moved = (self.clock.now(), 0);
        loop {
            while let Some(caller) = callers.try_join_next() {
                if let Err(error) = caller {
                    self.book.violation(Law::Served, format!("a caller broke: {error}"));
                }
            }
            let open = self.open_runs().await;
            if callers.is_empty() && open == Some(0) {
                // What runs that are over have sent to each other comes to nothing, but it arrives.
                tokio::time::sleep(POSTED).await;
                return;
            }
            let (told, wrong) = {
                let pages = self.book.open();
                (pages.ended.len(), !pages.violations.is_empty())
            };
            let now = self.clock.now();
            if told != moved.1 {
                moved = (now, told);
            }
            if now.since(moved.0) > if wrong { QUIET_ANYWAY } else { QUIET } {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn open_runs(&self) -> Option<u64> {
        let up = self.now.borrow().up.clone()?;
        up.runtime.status().await.ok().map(|status| status.open_runs)
    }

    async fn report(self) -> Result<Report, CampaignError> {
        let pages = self.book.open().clone();
        let executions = self.counter.executions();
        let (violations, looked) = match Evidence::read(&self.servers.store()).await {
            Ok(evidence) => check(&evidence, &pages, &executions),
            Err(error) => {
                let mut found = pages.violations.clone();
                found.push(unreadable(&error));
                (found, super::check::Looked::default())
            }
        };
        let details = Details {
            looked,
            submitted: pages.asked.iter().map(|asked| asked.times).sum(),
            accepted: pages.accepted.len(),
            snapshots: pages.saves.len(),
            deaths: self.deaths,
        };
        // What went wrong is worth looking at.
        let keep = self.args.how.keep || !violations.is_empty();
        let kept = keep.then(|| self.folder.keep());
        Ok(Report {
            name: "crash",
            n: u64::from(self.kills),
            seed: self.args.seed,
            violations,
            figures: vec![("p50", percentile(&self.restarts, 50)), ("p99", percentile(&self.restarts, 99))],
            details: if self.args.how.details { details.to_string() } else { String::new() },
            kept,
        })
    }

    /// Says in passing what is being done, where somebody sees it.
    fn tell(&self, what: &str) {
        let mut err = std::io::stderr();
        if err.is_terminal() {
            let _ = write!(err, "\r\x1b[K{what}").and_then(|()| err.flush());
        }
    }
}

fn unreadable(error: &EvidenceError) -> Violation {
    Violation::new(Law::Served, format!("the store cannot be read: {}", runtime_traits::Cause::of(error)))
}
