//! Where webhooks are not sent.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use agent_runtime::prelude::*;
use agent_runtime::webhooks::{Lookup, Webhook, WebhookError, Webhooks};
use runtime_testkit::fakes::MapStore;

use super::endpoint::{Endpoint, Says};
use super::{KEY, LONG, died, run, secret, soon, telling, webhook};

/// Every host is on this machine.
#[derive(Debug)]
struct Here;

#[async_trait]
impl Lookup for Here {
    async fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![IpAddr::from([127, 0, 0, 1])])
    }
}

#[tokio::test]
async fn private_addresses_are_refused_however_they_are_spelt() {
    let runtime = RuntimeManager::new().await.unwrap();
    let private = [
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://172.16.0.1/",
        "https://192.168.1.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/",
        "https://0.0.0.0/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://[::1]/",
        "https://[fe80::1]/",
        "https://[fd00::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[64:ff9b::7f00:1]/",
    ];
    for url in private {
        let hook = Webhook::new("hook", url).unwrap().secret(secret(KEY));
        let refused = Webhooks::of(&runtime).webhook(hook).start().await.unwrap_err();
        assert!(matches!(refused, WebhookError::Address { .. }), "{url}: {refused}");
        assert!(
            refused.to_string().contains("`hook`") && refused.to_string().contains("allow private"),
            "{refused}"
        );
    }
    // What belongs to a cloud, or is disguised, is refused also where private addresses are allowed.
    for url in [
        "http://169.254.169.254/",
        "http://[fe80::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[fd00:ec2::254]/latest/meta-data",
        "http://[fd20:ce::254]/",
        "http://100.100.100.200/latest/meta-data",
        "http://100.64.0.1/",
    ] {
        let refused = Webhook::new("hook", url).unwrap().allow_private().check_address().unwrap_err();
        assert!(matches!(refused, WebhookError::Address { .. }), "{url}: {refused}");
    }
    for url in ["http://127.0.0.1:8000/", "http://[::1]/", "http://10.1.2.3/", "http://[fd12::1]/"] {
        Webhook::new("hook", url).unwrap().allow_private().check_address().unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_a_webhook_is_refused_by_its_own_error() {
    let runtime = RuntimeManager::new().await.unwrap();
    let start = async |hooks: Vec<Webhook>| Webhooks::of(&runtime).all(hooks).start().await.unwrap_err();
    let hook = |url: &str| Webhook::new("hook", url).unwrap();
    let good = || hook("https://example.com/").secret(secret(KEY));
    assert!(matches!(start(vec![hook("http://example.com/")]).await, WebhookError::Unencrypted { .. }));
    assert!(matches!(start(vec![hook("https://example.com/")]).await, WebhookError::Unsigned { .. }));
    for url in ["", "example.com", "ftp://example.com/", "https://me:secret@example.com/"] {
        let refused = start(vec![hook(url)]).await;
        assert!(matches!(refused, WebhookError::Address { .. }), "{url}: {refused}");
        assert!(!refused.to_string().contains("secret@"), "{refused}");
    }
    let not_kept = start(vec![good()]).await;
    assert!(matches!(not_kept, WebhookError::NotKept { .. }), "{not_kept}");
    for name in ["", "a/b", "-", &"x".repeat(57)] {
        assert!(
            matches!(Webhook::new(name, "https://example.com/"), Err(WebhookError::Name { .. })),
            "{name}"
        );
    }
    let builder = RuntimeManager::builder(Arc::new(MapStore::new())).keep_for_webhooks([&good()]).unwrap();
    let runtime: RuntimeManager = builder.open().await.unwrap().into();
    let twin = Webhook::new("HOOK", "https://example.com/").unwrap().secret(secret(KEY));
    let twins = Webhooks::of(&runtime).webhook(good()).webhook(twin).start().await.unwrap_err();
    assert!(matches!(twins, WebhookError::Twin { .. }), "{twins}");
}

#[tokio::test]
async fn a_host_that_turns_out_to_be_private_is_not_connected_to() {
    let trap = Endpoint::says(|_| Says::Status(200)).await;
    let url = format!("https://hook.example:{}/", trap.address.port());
    let hook =
        Webhook::new("hook", url).unwrap().secret(secret(KEY)).lookup(Arc::new(Here)).redelivery(soon(2));
    let (runtime, webhooks) = telling(Arc::new(MapStore::new()), &[hook]).await;
    run(&runtime, "hello").await;
    let letters = died(&runtime, "hook", 1).await;
    let cause = letters[0].event.headers.get("deadcause").unwrap();
    assert!(cause.contains("`hook.example` is not asked: 127.0.0.1 is this machine"), "{cause}");
    assert_eq!(trap.reached(), 0);
    webhooks.end(LONG).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let trap = Endpoint::says(|_| Says::Status(200)).await;
    let to = format!("Location: {}\r\n", trap.url());
    let endpoint = Endpoint::says(move |_| Says::With(307, to.clone())).await;
    let hook = webhook("hook", &endpoint.url()).redelivery(soon(2));
    let (runtime, webhooks) = telling(Arc::new(MapStore::new()), &[hook]).await;
    run(&runtime, "hello").await;
    let letters = died(&runtime, "hook", 1).await;
    assert!(letters[0].event.headers.get("deadcause").unwrap().contains("status 307"));
    assert_eq!((endpoint.all().len(), trap.reached()), (2, 0));
    webhooks.end(LONG).await;
}
