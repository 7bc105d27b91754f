//! What new code could not go on with is told before it is put to work.

use std::sync::Arc;

use runtime_codec::{StateRecord, encode, keys};
use runtime_state::{Live, LiveSort, check_live};
use runtime_testkit::block_on;
use runtime_traits::agent::{Agent, AgentKind, AgentSpec, SpecError};
use runtime_traits::content::{Content, Payload};
use runtime_traits::error::Cause;
use runtime_traits::name::Name;
use runtime_traits::schema::Schema;
use serde_json::json;

use crate::lived::{Lived, newer};

/// A kind of writers, in some version of its code.
#[derive(Clone, Debug)]
struct Writers {
    name: &'static str,
    version: u32,
    schemas: Vec<Schema>,
    /// Whether it takes no declaration of before.
    refuses: bool,
}

impl AgentKind for Writers {
    fn name(&self) -> Name {
        Name::new(self.name).unwrap()
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn schemas(&self) -> Vec<Schema> {
        self.schemas.clone()
    }

    fn check(&self, spec: &AgentSpec) -> Result<(), SpecError> {
        let refusal =
            || SpecError::Config { agent: spec.name.to_string(), cause: Cause::says("say `config.tone`") };
        if self.refuses { Err(refusal()) } else { Ok(()) }
    }

    fn build(&self, _spec: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        unreachable!("nothing is built to look")
    }
}

fn writers(version: u32, schemas: &[Schema]) -> Writers {
    Writers { name: "writer", version, schemas: schemas.to_vec(), refuses: false }
}

async fn look(lived: &Lived, kind: Writers) -> Live {
    check_live(&*lived.store, &[Arc::new(kind) as Arc<dyn AgentKind>]).await.unwrap()
}

async fn keep(lived: &Lived, value: Content) {
    let value = Payload::of(&value);
    lived.put(keys::state(&lived.tenant, &lived.agent, &lived.session), encode(&StateRecord { value })).await;
}

#[test]
fn what_the_code_knows_is_no_problem() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let live = look(&lived, writers(1, &[])).await;
        assert_eq!((live.agents, live.open_runs, live.found), (1, 1, 0), "{live:#?}");
        // A state that was written before there was a schema is of version 1.
        let mood = Schema::new("mood", 2).migrates(1, Ok);
        let live = look(&lived, writers(1, std::slice::from_ref(&mood))).await;
        assert_eq!((live.values, live.found), (2, 0), "{live:#?}");
        keep(&lived, mood.wrap(&json!({ "mood": "good" })).unwrap()).await;
        assert_eq!(look(&lived, writers(1, &[mood])).await.found, 0);
    });
}

#[test]
fn what_it_does_not_know_is_told_by_agent_session_and_run() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let only = |live: &Live, sort: LiveSort, what: &str| {
            let found: Vec<_> = live.problems.iter().filter(|problem| problem.problem == sort).collect();
            assert!(!found.is_empty() && found[0].what.contains(what), "{live:#?}");
            found[0].clone()
        };

        let live = look(&lived, Writers { name: "reader", ..writers(1, &[]) }).await;
        let problem = only(&live, LiveSort::UnknownKind, "no kind `writer`");
        assert_eq!(
            (problem.whose.agent, problem.name),
            (Some(lived.agent), Some(Name::new("Anna").unwrap()))
        );
        assert_eq!(live.found, 1);

        let problem =
            only(&look(&lived, writers(7, &[])).await, LiveSort::KindVersion, "began with version 1");
        assert_eq!(problem.whose.run, Some(lived.open));

        let refusing = Writers { refuses: true, ..writers(1, &[]) };
        let problem = only(&look(&lived, refusing).await, LiveSort::Declaration, "config.tone");
        assert_eq!(problem.whose.agent, Some(lived.agent));

        // What was written before there was a schema needs a way, too.
        let gap = Schema::new("mood", 3).migrates(2, Ok);
        only(&look(&lived, writers(1, &[gap])).await, LiveSort::Schema, ".migrates(1, …)");
        keep(&lived, Schema::new("mood", 1).wrap(&json!({ "mood": "good" })).unwrap()).await;
        let gap = Schema::new("mood", 3).migrates(1, Ok);
        let problem = only(&look(&lived, writers(1, &[gap])).await, LiveSort::Schema, ".migrates(2, …)");
        assert_eq!(problem.whose.session.as_ref(), Some(&lived.session));
        only(&look(&lived, writers(1, &[])).await, LiveSort::Schema, "does not name");

        keep(&lived, Schema::new("mood", 9).wrap(&json!({})).unwrap()).await;
        let older = Schema::new("mood", 2).migrates(1, Ok);
        only(
            &look(&lived, writers(1, &[older])).await,
            LiveSort::Schema,
            "version 9, and this code knows up to 2",
        );

        let head = runtime_traits::log::Head {
            last: runtime_traits::store::Seq(6),
            messages: 6,
            run: lived.ended[2],
            at: crate::lived::at(3),
        };
        lived.put(lived.head(), newer(&head)).await;
        let problem = only(&look(&lived, writers(1, &[])).await, LiveSort::Newer, "newer runtime");
        assert_eq!(problem.whose.session.as_ref(), Some(&lived.session));

        lived.put(lived.head(), "no record").await;
        let problem = only(&look(&lived, writers(1, &[])).await, LiveSort::Damaged, "");
        assert_eq!(problem.whose.session.as_ref(), Some(&lived.session));
    });
}
