//! The names of a plain PKI: RFC 9525. The client expects `peer.example.org`.

use super::*;
use crate::pki::{certificate::*, der};

pub fn cases() -> Vec<Case> {
    let named = |name, rule, verdict, change| case(name, rule, verdict, change).plain().server();
    vec![
        named("the name in upper case", "RFC 9525, 6.3", GOOD, |setup| {
            setup.leaf.names(&[Name::Dns("PEER.Example.ORG")]);
        }),
        named("the name among others", "RFC 9525, 6.2", GOOD, |setup| {
            setup
                .leaf
                .names(&[Name::Dns("a.example.org"), Name::Dns("peer.example.org")]);
        }),
        named("a wildcard for the name", "RFC 9525, 6.3", GOOD, |setup| {
            setup.leaf.names(&[Name::Dns("*.example.org")]);
        }),
        named(
            "a wildcard one level too high",
            "RFC 9525, 6.3",
            WRONG_IDENTITY,
            |setup| {
                setup.leaf.names(&[Name::Dns("*.org")]);
            },
        ),
        named(
            "a wildcard one level too deep",
            "RFC 9525, 6.3",
            WRONG_IDENTITY,
            |setup| {
                setup.leaf.names(&[Name::Dns("*.peer.example.org")]);
            },
        ),
        named(
            "a wildcard that is not the whole label",
            "RFC 9525, 6.3",
            WRONG_IDENTITY,
            |setup| {
                setup.leaf.names(&[Name::Dns("pe*.example.org")]);
            },
        ),
        named(
            "a wildcard behind the first label",
            "RFC 9525, 6.3",
            WRONG_IDENTITY,
            |setup| {
                setup.leaf.names(&[Name::Dns("peer.*.org")]);
            },
        ),
        named("another name", "RFC 9525, 6.2", WRONG_IDENTITY, |setup| {
            setup.leaf.names(&[Name::Dns("other.example.org")]);
        }),
        named(
            "a name that begins alike",
            "RFC 9525, 6.3",
            WRONG_IDENTITY,
            |setup| {
                setup.leaf.names(&[Name::Dns("peer.example.org.evil.com")]);
            },
        ),
        named(
            "a name with a NUL",
            "RFC 5280, 4.2.1.6",
            WRONG_IDENTITY,
            |setup| {
                setup
                    .leaf
                    .names(&[Name::Dns("peer.example.org\0.evil.com")]);
            },
        ),
        named(
            "the name as the common name alone",
            "RFC 9525, 2",
            WRONG_IDENTITY,
            |setup| {
                setup.leaf.subject = der::name("peer.example.org");
                setup.leaf.names(&[Name::Dns("other.example.org")]);
            },
        ),
        named(
            "no alternative names, and the common name",
            "RFC 9525, 2",
            WRONG_IDENTITY,
            |setup| {
                setup.leaf.subject = der::name("peer.example.org");
                setup.leaf.remove(ALTERNATIVE_NAMES);
            },
        ),
        named(
            "the name as a URI",
            "RFC 9525, 6.5",
            WRONG_IDENTITY,
            |setup| {
                setup.leaf.names(&[Name::Uri("https://peer.example.org/")]);
            },
        ),
        named(
            "an address in the place of the name",
            "RFC 9525, 6.2",
            WRONG_IDENTITY,
            |setup| {
                setup.leaf.names(&[Name::Ip(&[127, 0, 0, 1])]);
            },
        ),
        case(
            "no name at all",
            "a client need not have one",
            GOOD,
            |setup| {
                setup.leaf.remove(ALTERNATIVE_NAMES);
            },
        )
        .plain()
        .client(),
        case(
            "two URI names",
            "X.509-SVID, 2: no rule of a plain PKI",
            GOOD,
            |setup| {
                setup.leaf.names(&[
                    Name::Dns("peer.example.org"),
                    Name::Uri("spiffe://example.org/peer"),
                    Name::Uri("spiffe://example.org/other"),
                ]);
            },
        )
        .plain(),
        case(
            "damaged names",
            "RFC 5280, 4.2.1.6",
            bad("names are damaged"),
            |setup| {
                setup
                    .leaf
                    .names(&[Name::Dns("peer.example.org"), Name::Raw(0x82, b"\xff\xfe")]);
            },
        )
        .plain(),
    ]
}
