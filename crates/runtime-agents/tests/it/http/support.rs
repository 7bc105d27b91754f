//! Hosts that are where a test says, and calls of tools.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use runtime_agents::http::{Lookup, WebRules};
use runtime_traits::{StepCall, Tool};
use serde_json::json;

/// Where the hosts of a test are: at each question the next answer, and the last one again and again.
#[derive(Debug, Default)]
pub(crate) struct Hosts(Mutex<BTreeMap<String, VecDeque<Vec<IpAddr>>>>);

impl Hosts {
    pub(crate) fn of(hosts: &[(&str, &[&[&str]])]) -> Arc<Self> {
        let parsed = |found: &&[&str]| found.iter().map(|address| address.parse().unwrap()).collect();
        let answers = |answers: &[&[&str]]| answers.iter().map(parsed).collect();
        let hosts = hosts.iter().map(|(host, found)| ((*host).to_owned(), answers(found)));
        Arc::new(Self(Mutex::new(hosts.collect())))
    }
}

#[async_trait]
impl Lookup for Hosts {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let mut hosts = self.0.lock().unwrap();
        let Some(answers) = hosts.get_mut(host) else { return Err(io::Error::other("no such host")) };
        let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Ok(next.unwrap())
    }
}

/// Rules under which loopback is the public net: for what is not about addresses.
pub(crate) fn here(ports: &[u16]) -> WebRules {
    let rules = WebRules::default().allow("127.0.0.0/8").unwrap();
    ports.iter().fold(rules, |rules, port| rules.port(*port))
}

/// Calls a tool; its words if it fails.
pub(crate) async fn call(tool: &dyn Tool, arguments: serde_json::Value) -> Result<String, String> {
    let call = StepCall::detached("the run's key");
    tool.call(&call, &arguments.to_string()).await.map_err(|error| error.to_string())
}

/// Fetches.
pub(crate) async fn get(tool: &dyn Tool, url: &str) -> Result<String, String> {
    call(tool, json!({ "url": url })).await
}
