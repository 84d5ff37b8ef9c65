//! The rules of X.509-SVID and SPIFFE-ID, and the same certificates in a plain PKI, where they do not apply.

use super::*;
use crate::pki::{certificate::*, der::named_bits};

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        case(
            "a DNS name beside the SPIFFE ID",
            "X.509-SVID, 2",
            GOOD,
            |setup| {
                setup.leaf.names(&[
                    Name::Uri("spiffe://example.org/peer"),
                    Name::Dns("a.example.org"),
                ]);
            },
        )
        .spiffe(),
        id(
            "two SPIFFE IDs",
            "X.509-SVID, 2",
            "more than one URI",
            |setup| {
                setup.leaf.names(&[
                    Name::Uri("spiffe://example.org/peer"),
                    Name::Uri("spiffe://example.org/other"),
                ]);
            },
        ),
        id(
            "the same SPIFFE ID twice",
            "X.509-SVID, 2",
            "more than one URI",
            |setup| {
                setup.leaf.names(&[
                    Name::Uri("spiffe://example.org/peer"),
                    Name::Uri("spiffe://example.org/peer"),
                ]);
            },
        ),
        id(
            "a URI of another scheme beside the SPIFFE ID",
            "X.509-SVID, 2",
            "more than one URI",
            |setup| {
                setup.leaf.names(&[
                    Name::Uri("spiffe://example.org/peer"),
                    Name::Uri("https://example.org/"),
                ]);
            },
        ),
        id(
            "a DNS name alone",
            "X.509-SVID, 2",
            "no URI name",
            |setup| {
                setup.leaf.names(&[Name::Dns("peer.example.org")]);
            },
        ),
        id(
            "no alternative names",
            "X.509-SVID, 2",
            "no URI name",
            |setup| {
                setup.leaf.remove(ALTERNATIVE_NAMES);
            },
        ),
        id(
            "a damaged name beside the SPIFFE ID",
            "X.509-SVID, 2",
            "names are damaged",
            |setup| {
                setup.leaf.names(&[
                    Name::Uri("spiffe://example.org/peer"),
                    Name::Raw(0x86, b"\xff\xfe"),
                ]);
            },
        ),
        case(
            "a trust domain without a bundle",
            "X.509-SVID, 5.2; gRPC A87",
            UNKNOWN_DOMAIN,
            |setup| {
                setup
                    .leaf
                    .names(&[Name::Uri("spiffe://elsewhere.org/peer")]);
            },
        )
        .spiffe(),
        case(
            "a trust domain that begins alike",
            "SPIFFE-ID, 2.1",
            UNKNOWN_DOMAIN,
            |setup| {
                setup
                    .leaf
                    .names(&[Name::Uri("spiffe://example.org.evil.com/peer")]);
            },
        )
        .spiffe(),
        case(
            "a trust domain below the own one",
            "SPIFFE-ID, 2.1",
            UNKNOWN_DOMAIN,
            |setup| {
                setup
                    .leaf
                    .names(&[Name::Uri("spiffe://a.example.org/peer")]);
            },
        )
        .spiffe(),
        case("a federated peer", "SPIFFE Federation, 5", GOOD, |setup| {
            partner(setup);
            setup.leaf_issuer = Some(setup.keys.other.clone());
        })
        .spiffe(),
        case(
            "a federated domain by our own root",
            "SPIFFE Federation, 5",
            unknown_issuer(NO_PATH),
            |setup| {
                partner(setup);
                setup.leaf.issuer = setup.root.subject.clone();
                setup.leaf_issuer = Some(setup.keys.root.clone());
            },
        )
        .spiffe(),
        case(
            "our own domain by a federated root",
            "SPIFFE Federation, 5",
            unknown_issuer(NO_PATH),
            |setup| {
                partner(setup);
                setup.leaf.names(&[Name::Uri("spiffe://example.org/peer")]);
                setup.leaf_issuer = Some(setup.keys.other.clone());
            },
        )
        .spiffe(),
    ];
    for (name, uri) in BAD_IDS {
        cases.push(Case {
            name,
            rule: "SPIFFE-ID, 2",
            ..id("", "", "is not a valid identity", *uri)
        });
    }
    cases.extend(fields());
    cases
}

/// What the extensions of a leaf must say.
fn fields() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, rule, words, change) in FIELDS {
        cases.push(case(name, rule, no_svid(words), *change).spiffe());
        let plain = match name.starts_with("an authority") {
            true => bad(words),
            false => GOOD,
        };
        cases.push(case(name, "RFC 5280, 6.1: no such rule", plain, *change).plain());
    }
    cases.extend([
        case(
            "digitalSignature is missing",
            "X.509-SVID, 4.3",
            no_svid("lacks digitalSignature"),
            |setup| {
                setup.leaf.set(KEY_USAGE, named_bits(&[KEY_AGREEMENT]));
            },
        )
        .spiffe(),
        case(
            "the purpose of a client alone",
            "X.509-SVID, 4.4",
            no_svid("extended key usage lacks"),
            |setup| {
                setup.leaf.set(EXTENDED_KEY_USAGE, purposes(&[CLIENT_AUTH]));
            },
        )
        .spiffe()
        .client(),
        case(
            "the purpose of a client alone",
            "RFC 5280, 4.2.1.12",
            GOOD,
            |setup| {
                setup.leaf.set(EXTENDED_KEY_USAGE, purposes(&[CLIENT_AUTH]));
            },
        )
        .plain()
        .client(),
        case(
            "the purpose of a server alone",
            "X.509-SVID, 4.4",
            no_svid("extended key usage lacks"),
            |setup| {
                setup.leaf.set(EXTENDED_KEY_USAGE, purposes(&[SERVER_AUTH]));
            },
        )
        .spiffe()
        .server(),
        case(
            "the purpose of a server alone",
            "RFC 5280, 4.2.1.12",
            GOOD,
            |setup| {
                setup.leaf.set(EXTENDED_KEY_USAGE, purposes(&[SERVER_AUTH]));
            },
        )
        .plain()
        .server(),
    ]);
    cases
}

/// A leaf that is refused for the SPIFFE ID that it has not.
fn id(
    name: &'static str,
    rule: &'static str,
    words: &'static str,
    change: fn(&mut Setup<'_>),
) -> Case {
    case(name, rule, no_svid(words), change).spiffe()
}

/// A leaf of the trust domain `partner.example`, whose root is trusted beside ours and signs it.
fn partner(setup: &mut Setup<'_>) {
    setup.federate();
    setup.intermediates.clear();
    setup.leaf.issuer = crate::pki::der::name("partner");
    setup
        .leaf
        .names(&[Name::Uri("spiffe://partner.example/peer")]);
}

type Change = fn(&mut Setup<'_>);

macro_rules! bad_ids {
    ($($name:literal: $uri:expr,)*) => {
        &[$(($name, |setup| setup.leaf.names(&[Name::Uri($uri)]))),*]
    };
}

const BAD_IDS: &[(&str, Change)] = bad_ids! {
    "another scheme": "https://example.org/peer",
    "a scheme in upper case": "SPIFFE://example.org/peer",
    "no scheme": "example.org/peer",
    "no trust domain": "spiffe:///peer",
    "no path": "spiffe://example.org",
    "an empty path": "spiffe://example.org/",
    "a slash at the end": "spiffe://example.org/peer/",
    "an empty segment": "spiffe://example.org/a//peer",
    "a segment of one dot": "spiffe://example.org/./peer",
    "a segment of two dots": "spiffe://example.org/a/../peer",
    "an escape": "spiffe://example.org/%70eer",
    "a query": "spiffe://example.org/peer?a=b",
    "a fragment": "spiffe://example.org/peer#a",
    "a port": "spiffe://example.org:443/peer",
    "a user": "spiffe://root@example.org/peer",
    "a trust domain in upper case": "spiffe://Example.org/peer",
    "a space": "spiffe://example.org/pe er",
    "a NUL": "spiffe://example.org/peer\0",
    "a letter that is not ASCII": "spiffe://example.org/pe\u{eb}r",
    "more than 2,048 bytes": const { LONG },
};

const FIELDS: &[(&str, &str, &str, Change)] = &[
    (
        "an authority as a leaf",
        "X.509-SVID, 3.2 and 5.2; RFC 5280, 4.2.1.9",
        "it is an authority's",
        |setup| {
            setup
                .leaf
                .set(BASIC_CONSTRAINTS, basic_constraints(true, None));
        },
    ),
    (
        "a leaf without basic constraints",
        "X.509-SVID, 4.1 and 5.2",
        "basic constraints",
        |setup| {
            setup.leaf.remove(BASIC_CONSTRAINTS);
        },
    ),
    (
        "a leaf without key usage",
        "X.509-SVID, 4.3",
        "no key usage",
        |setup| {
            setup.leaf.remove(KEY_USAGE);
        },
    ),
    (
        "a key usage that is not critical",
        "X.509-SVID, 4.3",
        "not critical",
        |setup| {
            setup.leaf.set_critical(KEY_USAGE, false);
        },
    ),
    (
        "a leaf with keyCertSign",
        "X.509-SVID, 4.3 and 5.2",
        "only authorities have",
        |setup| {
            setup
                .leaf
                .set(KEY_USAGE, named_bits(&[DIGITAL_SIGNATURE, KEY_CERT_SIGN]));
        },
    ),
    (
        "a leaf with cRLSign",
        "X.509-SVID, 4.3 and 5.2",
        "only authorities have",
        |setup| {
            setup
                .leaf
                .set(KEY_USAGE, named_bits(&[DIGITAL_SIGNATURE, CRL_SIGN]));
        },
    ),
];

const LONG: &str = {
    const BYTES: [u8; 2049] = {
        let mut bytes = [b'a'; 2049];
        let head = b"spiffe://example.org/";
        let mut at = 0;
        while at < head.len() {
            bytes[at] = head[at];
            at += 1;
        }
        bytes
    };
    match std::str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => "",
    }
};
