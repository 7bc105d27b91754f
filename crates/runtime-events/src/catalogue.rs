//! The events that the runtime itself publishes: their topics, their data, and the JSON Schema of each.
//!
//! Nobody else publishes to these topics. The data of a published event is one of these types in JSON; a field may be
//! added later, none is taken away or changed.

mod agent;
mod announcements;
mod breaker;
mod bus;
mod place;
mod run;
mod schedule;
mod webhook;

use runtime_traits::bus::{Event, Pattern, Topic};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use agent::{
    AgentDeleted, AgentPaused, AgentRegistered, AgentRevised, AgentStarted, AgentStopped, SnapshotRestored,
    SnapshotSaved,
};
pub use announcements::Announcements;
pub use breaker::{BreakerClosed, BreakerHalfOpened, BreakerOpened};
pub use bus::{HandlerFailed, HandlerLost};
pub use place::{
    BudgetExhausted, HealthChanged, LimitReached, MemoryExceeded, NodeFenced, NodeJoined, NodeLeft,
    PartitionReleased, PartitionTaken, RecoveryBegan, RecoveryEnded, ThreadBlocked,
};
pub use run::{
    RunAccepted, RunCancelled, RunCompleted, RunContinued, RunFailed, RunQuarantined, RunRequeued,
    RunRolledBack, RunStarted, StepDecided, StepDispatched, StepSettled, StepUnknown, WaitClosed, WaitOpened,
};
pub use schedule::{ScheduleFired, ScheduleMissed};
pub use webhook::WebhookState;

/// What the runtime publishes.
pub trait Announced: Serialize + DeserializeOwned + JsonSchema {
    /// The last segment of its topic: `run.completed`.
    const NAME: &'static str;
    /// All topics of this sort: `agents/*/run.completed`.
    const TOPICS: &'static str;

    /// What is said, and of whom.
    fn topic(&self) -> Topic;

    /// It as an event; id, time and tenant are still to be set.
    fn event(&self) -> Event {
        Event::new(self.topic(), self).expect("what is announced has JSON").from("runtime")
    }
}

/// A sort of event of the catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct Sort {
    /// The last segment of its topic.
    pub name: &'static str,
    /// Its topics.
    pub topics: Pattern,
    /// The JSON Schema of its data.
    pub schema: Value,
}

/// Every sort of event that the runtime publishes, by area.
pub fn all() -> Vec<Sort> {
    let mut sorts = agent::sorts();
    sorts.extend(run::sorts());
    sorts.extend(schedule::sorts());
    sorts.extend(place::sorts());
    sorts.extend(breaker::sorts());
    sorts.extend(bus::sorts());
    sorts.extend(webhook::sorts());
    sorts
}

/// The sort of an event, by its topic.
pub fn sort_of(topic: &Topic) -> Option<Sort> {
    all().into_iter().find(|sort| sort.topics.matches(topic))
}

fn sort<A: Announced>() -> Sort {
    let schema = schemars::schema_for!(A).to_value();
    Sort { name: A::NAME, topics: A::TOPICS.parse().expect("it is a pattern"), schema }
}

/// A segment of a topic made of a text that may be none.
fn segment(text: &str) -> String {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | ':' | '-');
    let mut segment: String =
        text.chars().take(96).map(|letter| if fits(letter) { letter } else { '-' }).collect();
    if !segment.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        segment.insert(0, 'x');
    }
    segment
}

/// Types of the catalogue: their topic is `AREA/<field>/NAME`, or `AREA/NAME` without a field.
macro_rules! announced {
    ($area:literal; $($(#[$doc:meta])* $type:ident $name:literal $(of $of:ident)? { $($(#[$field_doc:meta])* $field:ident: $field_type:ty,)* })+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
            pub struct $type { $($(#[$field_doc])* pub $field: $field_type,)* }

            impl crate::catalogue::Announced for $type {
                const NAME: &'static str = $name;
                const TOPICS: &'static str = concat!($area, $("/*", announced!(@nothing $of),)? "/", $name);

                fn topic(&self) -> runtime_traits::bus::Topic {
                    let mut topic = String::from($area);
                    $(topic.extend(["/", &crate::catalogue::segment(&self.$of)]);)?
                    topic.push_str(concat!("/", $name));
                    topic.parse().expect("its segments are made to fit")
                }
            }
        )+

        pub(in crate::catalogue) fn sorts() -> Vec<crate::catalogue::Sort> {
            vec![$(crate::catalogue::sort::<$type>()),+]
        }
    };
    (@nothing $of:ident) => { "" };
}
use announced;
