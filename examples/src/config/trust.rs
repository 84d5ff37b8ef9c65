use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use ipnet::{IpNet, Ipv4Net};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, SeqAccess, Visitor},
};

/// `[trust]`: who may tell us things. Absent: nobody.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrustConfig {
    /// Whose `forwarded`, `x-forwarded-*` and PROXY protocol are believed.
    pub forwarded: Nets,
    /// Who may lengthen a route's timeout.
    pub deadline: Nets,
}

/// Nets and single addresses, IPv4 and IPv6.
#[derive(Clone, Debug, Default)]
pub struct Nets(Arc<[IpNet]>);

impl Nets {
    /// Whether one of the nets holds `address`; an IPv4-mapped IPv6 address counts as IPv4.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }
}

impl Serialize for Nets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|net| match net.prefix_len() {
            all if all == net.max_prefix_len() => net.addr().to_string(),
            _ => net.to_string(),
        }))
    }
}

impl<'de> Deserialize<'de> for Nets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NetsVisitor)
    }
}

struct NetsVisitor;

impl<'de> Visitor<'de> for NetsVisitor {
    type Value = Nets;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of nets such as [\"10.0.0.0/8\", \"2001:db8::1\"]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Nets, A::Error> {
        let mut nets = Vec::new();
        while let Some(Net(net)) = list.next_element()? {
            nets.push(net);
        }
        Ok(Nets(nets.into()))
    }
}

/// One net, or one address as a net of its own.
#[derive(Debug)]
struct Net(IpNet);

impl<'de> Deserialize<'de> for Net {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NetVisitor)
    }
}

struct NetVisitor;

impl Visitor<'_> for NetVisitor {
    type Value = Net;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a net such as \"10.0.0.0/8\" or an address such as \"2001:db8::1\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Net, E> {
        text.parse().map_err(E::custom)
    }
}

impl FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let net = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => text.parse().map_err(|_| not_a_net(text))?,
        };
        if let Some(v4) = unmapped(net) {
            return Err(format!("`{text}` is IPv4 written as IPv6: write \"{v4}\""));
        }
        if net.trunc() != net {
            return Err(format!(
                "`{text}` has bits set after its prefix: write \"{}\", or \"{}\" for the one address",
                net.trunc(),
                net.addr()
            ));
        }
        Ok(Self(net))
    }
}

fn not_a_net(text: &str) -> String {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return format!(
            "`{text}` has a port, and trust has none: write \"{}\"",
            address.ip()
        );
    }
    format!("`{text}` is no net and no IP address: write \"10.0.0.0/8\" or \"2001:db8::1\"")
}

/// Peers are compared as IPv4 where they can be, so a mapped net would never match.
fn unmapped(net: IpNet) -> Option<IpNet> {
    let IpNet::V6(net) = net else { return None };
    let address = net.addr().to_ipv4_mapped()?;
    let prefix = net.prefix_len().checked_sub(96)?;
    let v4 = Ipv4Net::new(address, prefix).ok()?;
    Some(v4.trunc().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_trusted_unless_it_is_written() {
        let trust: TrustConfig = toml::from_str("").unwrap();
        for address in ["127.0.0.1", "::1", "0.0.0.0"] {
            assert!(!trust.forwarded.contain(address.parse().unwrap()));
            assert!(!trust.deadline.contain(address.parse().unwrap()));
        }
    }

    #[test]
    fn a_net_holds_what_is_within_it_and_nothing_else() {
        let trust: TrustConfig = toml::from_str(
            "forwarded = [\"10.0.0.0/8\", \"192.0.2.7\", \"2001:db8::/32\", \"::1\"]\ndeadline = [\"0.0.0.0/0\"]",
        )
        .unwrap();
        let holds = |address: &str| trust.forwarded.contain(address.parse().unwrap());
        for inside in [
            "10.0.0.0",
            "10.255.255.255",
            "192.0.2.7",
            "::ffff:10.1.2.3",
            "2001:db8:ffff::1",
            "::1",
        ] {
            assert!(holds(inside), "{inside}");
        }
        for outside in [
            "11.0.0.0",
            "9.255.255.255",
            "192.0.2.6",
            "::ffff:192.0.2.8",
            "2001:db9::",
            "::2",
            "::10.0.0.1",
        ] {
            assert!(!holds(outside), "{outside}");
        }
        assert!(
            trust
                .deadline
                .contain("::ffff:198.51.100.1".parse().unwrap())
        );
        assert!(!trust.deadline.contain("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn advice_can_be_taken() {
        for (bad, good) in [
            ("10.0.0.1/8", "10.0.0.0/8"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("[::1]:80", "::1"),
        ] {
            let advice = bad.parse::<Net>().unwrap_err();
            assert!(advice.contains(&format!("write \"{good}\"")), "{advice}");
            good.parse::<Net>().unwrap();
        }
    }
}
