//! The table of routes: complete, and the one in the README.

use std::collections::BTreeSet;

use runtime_service::{ROUTES, Reach, table};

#[test]
fn the_readme_holds_the_table_of_the_code() {
    let readme = include_str!("../../README.md");

    assert!(readme.contains(&table()), "put this into README.md:\n{}", table());
}

#[test]
fn every_method_of_the_contract_has_its_route_under_v1() {
    let contract = include_str!("../../../runtime-traits/src/runtime/trait.rs");
    let methods: BTreeSet<String> = contract
        .lines()
        .filter_map(|line| line.trim().strip_prefix("async fn "))
        .map(|rest| {
            let end = rest.find('(').expect("a method has parameters");
            format!("`{}`", &rest[..end])
        })
        // A part of what `tenant_limits` answers: by itself it is asked of the runtime of this process.
        .filter(|method| method != "`kept_tenant_limits`")
        .collect();
    let routed: BTreeSet<String> = ROUTES
        .iter()
        .filter(|route| route.path.starts_with("/v1/") && !route.path.starts_with("/v1/events"))
        .map(|route| route.operation.methods().to_owned())
        .collect();

    assert!(methods.len() > 15, "the contract was read: {methods:?}");
    assert_eq!(routed, methods);
}

#[test]
fn every_method_of_the_bus_has_its_route() {
    let contract = include_str!("../../../runtime-traits/src/bus/contract.rs");
    let methods = contract.lines().filter_map(|line| line.trim().strip_prefix("async fn "));
    let methods: BTreeSet<&str> = methods.filter_map(|rest| rest.split('(').next()).collect();
    let routed = ROUTES.iter().filter(|route| route.path.starts_with("/v1/events"));
    let routed: String = routed.map(|route| route.operation.methods()).collect();

    // To wait for the next event is to read on, and one subscription over HTTP is about one topic.
    for method in methods.iter().filter(|method| !matches!(**method, "next" | "open_pattern")) {
        assert!(routed.contains(&format!("::{method}`")), "`{method}` has no route");
    }
    assert!(methods.len() >= 8, "the contract was read: {methods:?}");
}

#[test]
fn no_route_is_there_twice() {
    let mut seen = BTreeSet::new();

    for route in ROUTES {
        assert!(seen.insert((route.method, route.path)), "{route:?}");
    }
}

#[test]
fn on_tcp_a_caller_may_ask_and_read_runs_and_no_more() {
    let anywhere: Vec<&str> =
        ROUTES.iter().filter(|route| route.reach == Reach::Anywhere).map(|route| route.path).collect();

    let of_a_run = ["/v1/runs/{run}", "/v1/runs/{run}/join", "/v1/runs/{run}/stream"];
    assert_eq!(
        anywhere,
        [&["/run", "/health", "/livez", "/readyz", "/startupz", "/status"][..], &of_a_run].concat()
    );
}
