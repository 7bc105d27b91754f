//! What the rules allow.

use std::net::IpAddr;

use runtime_agents::http::{HttpGet, WebError, WebRules};

use crate::http::support::{Hosts, get, here};
use crate::wire::{Then, Wire, answer};

#[test]
fn public_addresses_are_allowed_up_to_the_edges_of_the_others() {
    let public = [
        "1.0.0.0",
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "93.184.216.34",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "168.63.129.17",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.3.0",
        "192.31.195.255",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "2001:200::",
        "2001:db7:ffff::1",
        "2001:db9::",
        "2001:4860:4860::8888",
        "2003::1",
        "2606:4700::1111",
        "2a00:1450::1",
        "3ffe:ffff::1",
        "3fff:1000::",
    ];
    let rules = WebRules::default();
    for address in public {
        assert!(rules.allows(address.parse().unwrap()), "{address}");
    }
}

#[test]
fn a_network_is_allowed_up_to_its_edges() {
    let rules = |network: &str| WebRules::default().allow(network).unwrap();
    let allows = |network: &str, address: &str| rules(network).allows(address.parse::<IpAddr>().unwrap());

    assert!(allows("10.1.0.0/16", "10.1.0.0") && allows("10.1.0.0/16", "10.1.255.255"));
    assert!(!allows("10.1.0.0/16", "10.2.0.0") && !allows("10.1.0.0/16", "10.0.255.255"));
    assert!(allows("10.1.2.3", "10.1.2.3") && !allows("10.1.2.3", "10.1.2.2"));
    assert!(allows("fd00::/8", "fd12::1") && !allows("fd00::/8", "fc00::1"));
    assert!(allows("::1", "::1") && !allows("::1", "127.0.0.1"));
    assert!(allows("0.0.0.0/0", "127.0.0.1") && !allows("0.0.0.0/0", "::1"));
    for wrong in [
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/x",
        "/8",
        "10.0.0/8",
        "http://a/",
        "a b",
        "",
        "*.",
        "0x7f.1",
        "[::1]",
    ] {
        assert_eq!(WebRules::default().allow(wrong).unwrap_err(), WebError::Rule { rule: wrong.to_owned() });
    }
}

#[test]
fn where_clouds_keep_credentials_is_allowed_by_what_means_just_that_and_by_no_wider_network() {
    let allows = |rule: &str, address: &str| {
        WebRules::default().allow(rule).unwrap().allows(address.parse::<IpAddr>().unwrap())
    };
    for (wide, near, address) in [
        ("fc00::/7", "fd12::1", "fd00:ec2::254"),
        ("fd00::/8", "fd21::1", "fd20:ce::254"),
        ("fd00::/16", "fd00::1", "fd00:42::42"),
        ("::/0", "::1", "fd00:c1::a9fe:a9fe"),
        ("100.64.0.0/10", "100.64.0.1", "100.100.100.200"),
        ("0.0.0.0/0", "127.0.0.1", "169.254.169.254"),
        ("0.0.0.0/0", "10.0.0.1", "168.63.129.16"),
        ("192.0.0.0/24", "192.0.0.1", "192.0.0.192"),
    ] {
        assert!(allows(wide, near) && !allows(wide, address), "{wide} {address}");
        assert!(allows(address, address), "{address}");
    }
    assert!(allows("169.254.0.0/16", "169.254.169.254") && allows("fd00:ec2::/32", "fd00:ec2::254"));
}

#[tokio::test]
async fn with_a_list_of_hosts_only_these_are_asked() {
    let wire = Wire::says([answer("200 OK", "Content-Type: text/plain\r\n", "here")], Then::Closes).await;
    let at: &[&[&str]] = &[&["127.0.0.1"]];
    let names = [
        "api.example.com",
        "a.sub.example.com",
        "sub.example.com",
        "evil.com",
        "api.example.com.evil.com",
        "badsub.example.com",
    ];
    let hosts = Hosts::of(&names.map(|name| (name, at)));
    let rules = here(&[wire.port()])
        .lookup(hosts)
        .allow("API.example.com")
        .unwrap()
        .allow("*.sub.example.com")
        .unwrap();
    let tool = HttpGet::new(rules).unwrap();
    let ask = async |host: &str| get(&tool, &format!("http://{host}:{}/", wire.port())).await;

    for host in ["api.example.com", "API.Example.Com", "a.sub.example.com", "127.0.0.1"] {
        assert_eq!(ask(host).await.as_deref(), Ok("here"), "{host}");
    }
    for host in ["sub.example.com", "evil.com", "api.example.com.evil.com", "badsub.example.com", "8.8.8.8"] {
        let said = ask(host).await.unwrap_err();
        assert!(said.ends_with("is not on the operator's list of hosts"), "{host}: {said}");
    }
    assert_eq!(wire.reached(), 4);
}

#[tokio::test]
async fn a_listed_host_is_still_not_asked_where_nobody_may_go() {
    let hosts = Hosts::of(&[("api.example.com", &[&["10.0.0.1"]])]);
    let tool = HttpGet::new(WebRules::default().allow("api.example.com").unwrap().lookup(hosts)).unwrap();

    let said = get(&tool, "http://api.example.com/").await.unwrap_err();
    assert!(said.contains("10.0.0.1 is private"), "{said}");
    let said = get(&tool, "http://api.example.com:8080/").await.unwrap_err();
    assert!(said.contains("port 8080 is not asked; the operator allows 80, 443"), "{said}");
}
