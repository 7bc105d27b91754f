//! A bus to work with: that of the server of the store, or one of this process's own.

use std::sync::Arc;

use agent_runtime::bus::{Requeue, Requeued};
use agent_runtime::events::{Bus, BusError, Event, Page, Position, Published, Topic, Who};
use agent_runtime::fleet::FleetBus;
use agent_runtime::service::RemoteEvents;
use agent_runtime::{Clock, Name, SystemClock, Tenant, UnixMillis};

use crate::args::RequeueArgs;
use crate::error::CliError;
use crate::open::{self, Opened};
use crate::place::Place;
use crate::reach::server;
use crate::screen::Screen;
use crate::socket::SocketPath;

/// A bus to work with.
pub(crate) enum ReachedBus {
    /// The server's. Its folder is reached through the socket as long as that is there.
    Served(RemoteEvents, #[expect(dead_code, reason = "it is held")] SocketPath),
    /// This process's own.
    Own { bus: Arc<dyn Bus>, who: Who, tenant: Tenant },
}

/// Where to begin to read a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// At the first event that is kept.
    First,
    /// At a place.
    At(Position),
    /// At the first event that was appended then or later.
    Since(UnixMillis),
}

impl ReachedBus {
    /// Asks the server of the store, or opens the bus.
    pub(crate) async fn at(
        place: &Place,
        tenant: Tenant,
        agent: Option<Name>,
        screen: &Screen,
    ) -> Result<Self, CliError> {
        let served = || served(place, tenant.clone(), agent.clone());
        if let Some(served) = served()? {
            return Ok(served);
        }
        let fleet = place.fleet.as_ref();
        let of_file = fleet.map_or_else(FleetBus::default, |fleet| fleet.bus.clone());
        let who = Who::Tenant { tenant: tenant.clone(), agent: agent.clone() };
        if let Some(bus) = of_file.open_elsewhere().await? {
            return Ok(Self::Own { bus, who, tenant });
        }
        let opened = open::store(&place.store, screen, served).await;
        match opened.map_err(|error| place.refusal(error))? {
            Opened::Here(store) => {
                let durability = open::durability(&store, fleet.and_then(|fleet| fleet.durability));
                let bus = of_file.open(store, durability).await?;
                Ok(Self::Own { bus, who, tenant })
            }
            // A server has come up meanwhile.
            Opened::Served(served) => Ok(served),
        }
    }

    /// Publishes an event that has all that it needs.
    pub(crate) async fn publish(&self, event: Event) -> Result<Published, BusError> {
        match self {
            Self::Served(events, _) => events.publish(&event).await,
            Self::Own { bus, who, .. } => bus.publish(who, Arc::new(event)).await,
        }
    }

    /// Sends dead letters again.
    pub(crate) async fn requeue(&self, args: &RequeueArgs) -> Result<Requeued, BusError> {
        let RequeueArgs { subscription, place, topic, .. } = args;
        match self {
            Self::Served(events, _) => events.requeue(subscription, *place, topic.as_ref()).await,
            Self::Own { bus, who, tenant } => {
                let requeue = Requeue {
                    tenant: tenant.clone(),
                    subscription: subscription.clone(),
                    position: *place,
                    topic: topic.clone(),
                };
                bus.requeue(who, &requeue, SystemClock::default().now()).await
            }
        }
    }

    /// Some events of a topic that is kept.
    pub(crate) async fn read(&self, topic: &Topic, begin: Begin, limit: u32) -> Result<Page, BusError> {
        match self {
            Self::Served(events, _) => match begin {
                Begin::First => events.read_first(topic, limit).await,
                Begin::At(place) => events.read(topic, place, limit).await,
                Begin::Since(time) => events.read_since(topic, time, limit).await,
            },
            Self::Own { bus, who, tenant } => {
                let mut from = match begin {
                    Begin::First => Position::FIRST,
                    Begin::At(place) => place,
                    Begin::Since(time) => bus.find(who, tenant, topic, time).await?,
                };
                loop {
                    match bus.read(who, tenant, topic, from, limit).await {
                        // Nobody asked for this place.
                        Err(BusError::BeforeRetention { first, .. })
                            if first > from && !matches!(begin, Begin::At(_)) =>
                        {
                            from = first;
                        }
                        page => return page,
                    }
                }
            }
        }
    }
}

fn served(place: &Place, tenant: Tenant, agent: Option<Name>) -> Result<Option<ReachedBus>, CliError> {
    let Some(socket) = server(place)? else { return Ok(None) };
    let events = RemoteEvents::at(&format!("unix:{}", socket.usable().display()))?;
    Ok(Some(ReachedBus::Served(events.acting_for(tenant, agent), socket)))
}
