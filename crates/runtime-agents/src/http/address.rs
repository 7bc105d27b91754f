//! Which addresses are public: the registries of special-purpose addresses of the IANA, and the clouds' own.

use std::net::IpAddr;

use crate::http::network::Network;

/// Where machines of clouds find their credentials, of several clouds within networks that others call their own.
const CLOUDS: [(Network, &str); 8] = [
    (Network::v4([100, 100, 100, 200], 32), "where a cloud keeps credentials"),
    (Network::v4([168, 63, 129, 16], 32), "a cloud's own"),
    (Network::v4([169, 254, 0, 0], 16), "link-local, where clouds keep credentials"),
    (Network::v4([192, 0, 0, 192], 32), "where a cloud keeps credentials"),
    (Network::v6([0xfd00, 0x0042], 32), "where a cloud keeps credentials"),
    (Network::v6([0xfd00, 0x00c1], 32), "where a cloud keeps credentials"),
    (Network::v6([0xfd00, 0x0ec2], 32), "where a cloud keeps credentials"),
    (Network::v6([0xfd20, 0x00ce], 32), "where a cloud keeps credentials"),
];

/// What is not public of IPv4 beside that.
const SPECIAL_V4: [(Network, &str); 16] = [
    (Network::v4([0, 0, 0, 0], 8), "this machine"),
    (Network::v4([10, 0, 0, 0], 8), "private"),
    (Network::v4([100, 64, 0, 0], 10), "shared by a carrier"),
    (Network::v4([127, 0, 0, 0], 8), "this machine"),
    (Network::v4([172, 16, 0, 0], 12), "private"),
    (Network::v4([192, 0, 0, 0], 24), "reserved"),
    (Network::v4([192, 0, 2, 0], 24), "documentation"),
    (Network::v4([192, 31, 196, 0], 24), "reserved"),
    (Network::v4([192, 52, 193, 0], 24), "reserved"),
    (Network::v4([192, 88, 99, 0], 24), "a way into IPv6"),
    (Network::v4([192, 168, 0, 0], 16), "private"),
    (Network::v4([192, 175, 48, 0], 24), "reserved"),
    (Network::v4([198, 18, 0, 0], 15), "for measurements"),
    (Network::v4([198, 51, 100, 0], 24), "documentation"),
    (Network::v4([203, 0, 113, 0], 24), "documentation"),
    // 224 to 255: multicast, reserved, broadcast.
    (Network::v4([224, 0, 0, 0], 3), "multicast or reserved"),
];

/// What is public of IPv6. All else is not: loopback, mapped and translated IPv4, link-local, unique-local, multicast.
const PUBLIC_V6: Network = Network::v6([0x2000, 0], 3);

/// What is not public within that.
const SPECIAL_V6: [(Network, &str); 4] = [
    (Network::v6([0x2001, 0], 23), "a protocol's own, such as Teredo"),
    (Network::v6([0x2001, 0x0db8], 32), "documentation"),
    (Network::v6([0x2002, 0], 16), "a way into IPv4"),
    (Network::v6([0x3fff, 0], 20), "documentation"),
];

/// Why an address is not public; nothing if it is.
pub(crate) fn special(address: IpAddr) -> Option<&'static str> {
    if let Some((_, why)) = of_cloud(address) {
        return Some(why);
    }
    let table: &[(Network, &str)] = match address {
        IpAddr::V4(_) => &SPECIAL_V4,
        IpAddr::V6(_) if !PUBLIC_V6.has(address) => return Some("not of the public part of IPv6"),
        IpAddr::V6(_) => &SPECIAL_V6,
    };
    table.iter().find(|(network, _)| network.has(address)).map(|(_, why)| *why)
}

/// The network of a cloud's own that has the address.
pub(crate) fn cloud(address: IpAddr) -> Option<&'static Network> {
    of_cloud(address).map(|(network, _)| network)
}

fn of_cloud(address: IpAddr) -> Option<&'static (Network, &'static str)> {
    CLOUDS.iter().find(|(network, _)| network.has(address))
}
