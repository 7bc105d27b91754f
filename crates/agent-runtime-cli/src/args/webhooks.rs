//! What people type about webhooks.

use agent_runtime::Name;
use agent_runtime::events::Position;
use clap::{ArgGroup, Args, Subcommand};

use super::events::place;

/// `webhooks …`.
#[derive(Debug, Args)]
pub(crate) struct WebhooksArgs {
    /// What to do; without it, they are listed.
    #[command(subcommand)]
    pub(crate) command: Option<WebhooksCommand>,
}

/// What to do with webhooks.
#[derive(Debug, Subcommand)]
pub(crate) enum WebhooksCommand {
    /// List them, and how it stands with each
    List,
    /// Show the deliveries that were tried in vain, and why
    Dead(WebhookArg),
    /// Send such deliveries again
    Requeue(WebhookRequeueArgs),
    /// Have the server send a ping; one that is taken lets a webhook go on whose endpoint was gone
    Test(WebhookArg),
}

/// A webhook.
#[derive(Debug, Args)]
pub(crate) struct WebhookArg {
    /// The webhook, by its name in the fleet file
    pub(crate) webhook: Name,
}

/// `webhooks requeue`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["place", "all"])))]
pub(crate) struct WebhookRequeueArgs {
    /// The webhook, by its name in the fleet file
    pub(crate) webhook: Name,
    /// The place of one, as `webhooks dead` shows it
    #[arg(value_name = "PLACE", value_parser = place)]
    pub(crate) place: Option<Position>,
    /// All that were not sent again yet
    #[arg(long)]
    pub(crate) all: bool,
}
