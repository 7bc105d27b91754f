//! Calls that take something, before they are sent.

use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::clock::UnixMillis;
use crate::id::{AgentId, RunId};
use crate::log::Usage;
use crate::model::CalledModel;
use crate::name::Tenant;
use crate::resource::limits::{Limit, OnLimit, Whose};
use crate::resource::money::Money;

/// Which call: the same for the same try of the same step, and for no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u128);

/// A call before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which.
    pub id: CallId,
    /// Whose.
    pub tenant: Tenant,
    /// Of which agent.
    pub agent: AgentId,
    /// For which run.
    pub run: RunId,
    /// The model that is called, with the name of the credential that the call carries. `None`: it is none.
    pub model: Option<CalledModel>,
    /// What it takes at most, as far as the caller knows.
    pub most: Usage,
    /// What becomes of it when there is no room.
    pub on_limit: OnLimit,
    /// Higher ones come first.
    pub priority: u8,
}

/// What became of the wish to make a call.
#[must_use = "what is not held must not be sent"]
pub enum Admission {
    /// It may be sent: this is held for it.
    Held {
        /// What it takes at most, as far as is known now: at least what the caller said.
        most: Usage,
        /// What that costs at most; `None`: nobody knows.
        price: Option<Money>,
    },
    /// There is no room now. Whoever drops this gives up its place.
    Waits(Box<dyn Turn>),
    /// It is not to be sent.
    Refused(Refused),
}

/// A place among those that wait for room.
pub trait Turn: Send {
    /// Ready when there is room, or never will be. Looks again when it is woken, and at [`Waiting::until`].
    fn poll(&mut self, now: UnixMillis, cx: &mut Context<'_>) -> Poll<Admission>;

    /// What it waits for, and at which place: to find that takes the longer, the more wait.
    fn waiting(&self) -> Waiting;

    /// The same without the place, which is left open (0): for whoever looks again and again.
    fn waits_for(&self) -> Waiting {
        self.waiting()
    }

    /// Why it waits now; what the limit is may be left open. Whoever wants to know the place as well asks for
    /// [`waiting`](Self::waiting), which takes longer.
    fn no_room(&self) -> NoRoom;

    /// When it wants to look again, beside being woken.
    fn until(&self) -> Option<UnixMillis>;

    /// Whether nothing but another limit can make room for it. Then whoever waits may as well go away, and ask anew when a limit
    /// changes.
    fn only_by_limit(&self) -> bool {
        false
    }
}

/// What a call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The limit that has least room.
    pub limit: Limit,
    /// Its place in the queue for it; 1 comes next, 0 is left open ([`Turn::waits_for`]).
    pub place: u32,
    /// When there will be room if nobody takes it before. `None`: when a call under way takes less than is held for it, or
    /// the limit is raised.
    pub until: Option<UnixMillis>,
}

/// That there is no room under a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom {
    /// The limit that has least room.
    pub limit: Limit,
    /// Whose it is.
    pub whose: Whose,
    /// What it is, in its unit; money in millionths of a dollar. `None`: whoever says this does not know.
    pub allowed: Option<u64>,
    /// Whether somebody waits for room; otherwise somebody is refused.
    pub waits: bool,
    /// When there will be room if nobody takes it before, as far as is known.
    pub until: Option<UnixMillis>,
}

/// Why a call is not to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// A limit is reached, and its agent does not wait.
    #[error(
        "`{limit}` is reached{}; {}, or set `on_limit` of the agent to \"wait\"",
        after(.retry_after),
        .whose.raises(*.limit)
    )]
    Reached {
        /// Which.
        limit: Limit,
        /// Whose it is.
        #[serde(default)]
        whose: Whose,
        /// When there will be room if nobody takes it before.
        retry_after: Option<Duration>,
    },
    /// A limit is lower than what this one call may take.
    #[error(
        "`{limit}` is {}, and one call may take {}; {}, or let the agent ask for less (`max_tokens`)",
        .limit.amount(*.max),
        .limit.amount(*.needs),
        .whose.raises(*.limit)
    )]
    Never {
        /// Which.
        limit: Limit,
        /// Whose it is.
        #[serde(default)]
        whose: Whose,
        /// What the call may take, in the limit's unit; money in millionths of a dollar.
        needs: u64,
        /// What the limit is.
        max: u64,
    },
    /// Money is limited, and nobody knows what the model costs.
    #[error("nobody knows what `{model}` costs, and money is limited; give it a price in `[prices]`")]
    Unpriced {
        /// The model.
        model: String,
    },
    /// What was used before cannot be read, and something of it is limited.
    #[error(
        "what was used before cannot be read ({what}), so that nothing is let through under limits; see `agent-runtime state verify`"
    )]
    Unreadable {
        /// What is damaged.
        what: String,
    },
    /// As many wait as may.
    #[error("too many calls wait for room under `{limit}`; try again later, or {}", .whose.raises(*.limit))]
    Crowded {
        /// The limit.
        limit: Limit,
        /// Whose it is.
        #[serde(default)]
        whose: Whose,
    },
}

impl Refused {
    /// When to try again, as far as is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Reached { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The limit for which it is refused, if it is for one.
    pub fn no_room(&self, now: UnixMillis) -> Option<NoRoom> {
        let refused =
            |limit, whose, allowed, until| Some(NoRoom { limit, whose, allowed, waits: false, until });
        match *self {
            Self::Reached { limit, whose, retry_after } => {
                refused(limit, whose, None, retry_after.map(|after| now.after(after)))
            }
            Self::Never { limit, whose, max, .. } => refused(limit, whose, Some(max), None),
            Self::Crowded { limit, whose } => refused(limit, whose, None, None),
            Self::Unpriced { .. } | Self::Unreadable { .. } => None,
        }
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { most, price } => {
                f.debug_struct("Held").field("most", most).field("price", price).finish()
            }
            Self::Waits(turn) => f.debug_tuple("Waits").field(&turn.waiting()).finish(),
            Self::Refused(refused) => f.debug_tuple("Refused").field(refused).finish(),
        }
    }
}

fn after(retry_after: &Option<Duration>) -> String {
    retry_after.map(|after| format!(", for {} s more", after.as_secs().max(1))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Limit, Refused, Whose};

    #[test]
    fn a_refusal_says_who_can_raise_the_limit_and_shows_money_as_money() {
        let limit = Limit::MaxCostPerDay;
        for (whose, remedy) in [
            (Whose::Run, "`agent-runtime agents limit NAME max_cost_per_day=VALUE`"),
            (Whose::Agent, "`agent-runtime agents limit NAME max_cost_per_day=VALUE`"),
            (Whose::Tenant, "`agent-runtime limits max_cost_per_day=VALUE`"),
            (Whose::Provider, "`[quotas]`"),
        ] {
            let reached = Refused::Reached { limit, whose, retry_after: None }.to_string();
            let never = Refused::Never { limit, whose, needs: 7_000_000, max: 5_000_000 }.to_string();
            let crowded = Refused::Crowded { limit, whose }.to_string();

            assert!(never.starts_with("`max_cost_per_day` is 5.00, and one call may take 7.00; "), "{never}");
            for says in [reached, never, crowded] {
                assert!(says.contains(remedy), "{says}");
            }
        }
    }
}
