//! Agents that the program does not host, served by the program's own code in this process: a test can steer them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent_runtime::fleet::Fleet;
use agent_runtime::store::StateStore;
use agent_runtime::{AgentKind, OpenError};
use agent_runtime_cli::{Screen, Server, Signals, SocketPath, Terminal, serve};
use tokio::runtime::Runtime as Executor;

use crate::home::Home;

/// The name of the store that is served, in the home's folder.
pub(crate) const STORE: &str = "hosted.redb";

/// Serves in this process. When what it gives back is dropped, all its tasks are, as when a process dies.
pub(crate) fn serve_kinds(folder: &Path, kinds: Vec<Arc<dyn AgentKind>>, fleet: &str) -> Executor {
    let path = folder.join(STORE);
    let executor = Executor::new().expect("there are threads");
    let store = executor.block_on(free_store(&format!("redb:{}", path.display())));
    let server = Server {
        store,
        store_name: STORE.to_owned(),
        disk: None,
        kinds,
        fleet: Fleet::parse(fleet).expect("it is faultless"),
        http: None,
        socket: Some(SocketPath::beside(&path).expect("its folder is there")),
        drain: Duration::ZERO,
    };
    executor.spawn(async move {
        let terminal = Terminal { out: false, err: false, ..Terminal::ask() };
        let screen = Screen::new(terminal, true);
        serve(server, &screen, &mut Signals::listen()?).await
    });
    let socket = folder.join(format!("{STORE}.sock"));
    while !socket.exists() {
        std::thread::yield_now();
    }
    executor
}

/// Opens a store as soon as nobody has it open: what was served before ends in a thread of its own.
async fn free_store(address: &str) -> Arc<dyn StateStore> {
    let free = async {
        loop {
            match agent_runtime::open_store(address).await {
                Err(OpenError::InUse { .. }) => tokio::task::yield_now().await,
                opened => return opened.expect("a good store"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), free).await.expect("nobody has it open")
}

/// A home whose store is served by [`serve_kinds`].
pub(crate) fn home() -> Home {
    let home = Home::new();
    home.write("fleet.toml", &format!("store = \"redb:{STORE}\"\n"));
    home
}
