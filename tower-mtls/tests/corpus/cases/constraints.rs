//! Name constraints: RFC 5280, 4.2.1.10.

use super::*;
use crate::pki::{
    certificate::*,
    der::{element, identifier, sequence},
};

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        case(
            "constraints that are not critical hold too",
            RULE,
            NOT_PERMITTED,
            |setup| {
                setup.both_names();
                let value = constraints(&[], &[Name::Dns("example.org")]);
                setup.intermediate().set(NAME_CONSTRAINTS, value);
                setup.intermediate().set_critical(NAME_CONSTRAINTS, false);
            },
        ),
        case(
            "what an authority above excludes",
            RULE,
            NOT_PERMITTED,
            |setup| {
                setup.both_names();
                setup.second_intermediate();
                let value = constraints(&[], &[Name::Uri("example.org")]);
                setup.intermediates[0].set(NAME_CONSTRAINTS, value);
            },
        ),
        case("what an authority above permits", RULE, GOOD, |setup| {
            setup.both_names();
            let value = constraints(&[Name::Uri("example.org")], &[]);
            setup
                .second_intermediate()
                .set(NAME_CONSTRAINTS, value.clone());
            setup.intermediates[0].set(NAME_CONSTRAINTS, value);
        }),
        case(
            "a URI name of an intermediate that is not permitted",
            RULE,
            NOT_PERMITTED,
            |setup| {
                setup.both_names();
                setup
                    .second_intermediate()
                    .names(&[Name::Uri("spiffe://elsewhere.org")]);
                let value = constraints(&[Name::Uri("example.org")], &[]);
                setup.intermediates[0].set(NAME_CONSTRAINTS, value);
            },
        ),
        case(
            "a copy of the intermediate without its constraint",
            "RFC 5280, 6.1.3 (a)(1)",
            bad("an extension"),
            |setup| {
                // The signature is that of the constrained one: it would hold if the verifier mistook the copy for
                // what it makes of the original.
                setup.both_names();
                let value = constraints(&[], &[Name::Uri("example.org")]);
                setup.intermediate().set(NAME_CONSTRAINTS, value);
                setup.copy = Some(|copy| copy.remove(NAME_CONSTRAINTS));
            },
        ),
        case(
            "a copy of the intermediate with another constraint",
            "RFC 5280, 6.1.3 (a)(1)",
            bad("an extension"),
            |setup| {
                setup.both_names();
                let value = constraints(&[], &[Name::Uri("example.org")]);
                setup.intermediate().set(NAME_CONSTRAINTS, value);
                setup.copy = Some(|copy| {
                    let value = constraints(&[], &[Name::Uri("elsewhere.org")]);
                    copy.set(NAME_CONSTRAINTS, value);
                });
            },
        ),
        case(
            "a mail address in the subject, which is constrained",
            RULE,
            NOT_PERMITTED,
            |setup| {
                let mail = [
                    identifier(&[1, 2, 840, 113_549, 1, 9, 1]),
                    element(0x16, "root@example.org"),
                ];
                let attribute = sequence(&[&mail.concat()]);
                setup.leaf.subject = sequence(&[&element(0x31, attribute)]);
                let value = constraints(&[], &[Name::Email("elsewhere.org")]);
                setup.intermediate().set(NAME_CONSTRAINTS, value);
            },
        ),
        case("an address that is permitted", RULE, GOOD, |setup| {
            setup.names_and_address();
            let value = constraints(&[Name::Ip(&[192, 0, 2, 0, 255, 255, 255, 0])], &[]);
            setup.intermediate().set(NAME_CONSTRAINTS, value);
        }),
        case(
            "an address that is not permitted",
            RULE,
            NOT_PERMITTED,
            |setup| {
                setup.names_and_address();
                let value = constraints(&[Name::Ip(&[10, 0, 0, 0, 255, 0, 0, 0])], &[]);
                setup.intermediate().set(NAME_CONSTRAINTS, value);
            },
        ),
        case(
            "an address that is excluded",
            RULE,
            NOT_PERMITTED,
            |setup| {
                setup.names_and_address();
                let value = constraints(&[], &[Name::Ip(&[192, 0, 2, 0, 255, 255, 255, 0])]);
                setup.intermediate().set(NAME_CONSTRAINTS, value);
            },
        ),
        case(
            "a constraint with a mask that is none",
            RULE,
            bad("InvalidNetworkMask"),
            |setup| {
                setup.names_and_address();
                let value = constraints(&[Name::Ip(&[192, 0, 2, 0, 255, 0, 255, 0])], &[]);
                setup.intermediate().set(NAME_CONSTRAINTS, value);
            },
        ),
        case(
            "a DNS name of an intermediate that the root does not permit",
            RULE,
            NOT_PERMITTED,
            |setup| {
                setup.both_names();
                setup.intermediate().names(&[Name::Dns("elsewhere.org")]);
                let value = constraints(&[Name::Dns("example.org")], &[]);
                setup.root.set(NAME_CONSTRAINTS, value);
            },
        ),
        case(
            "an intermediate that permits more than the root",
            RULE,
            NOT_PERMITTED,
            |setup| {
                setup.both_names();
                let narrow = constraints(&[Name::Uri("a.org"), Name::Dns("a.org")], &[]);
                let wide = constraints(&[Name::Uri(".org"), Name::Dns("org")], &[]);
                setup.root.set(NAME_CONSTRAINTS, narrow);
                setup.intermediate().set(NAME_CONSTRAINTS, wide);
            },
        ),
        case(
            "a constraint with a minimum",
            RULE,
            bad("damaged"),
            |setup| {
                setup.both_names();
                let subtree = [element(0x86, "example.org"), element(0x80, [1])].concat();
                let list = sequence(&[&element(0xa0, sequence(&[&subtree]))]);
                setup.intermediate().set(NAME_CONSTRAINTS, list);
            },
        ),
    ];
    for (name, verdict, change) in OF_AN_ISSUER {
        cases.push(case(name, RULE, *verdict, *change));
    }
    cases
}

impl Setup<'_> {
    /// A leaf with a SPIFFE ID and a DNS name, so that constraints on either bind it in both modes.
    fn both_names(&mut self) {
        self.leaf.names(&[
            Name::Uri("spiffe://example.org/peer"),
            Name::Dns("peer.example.org"),
        ]);
    }

    /// The same with an address beside.
    fn names_and_address(&mut self) {
        self.leaf.names(&[
            Name::Uri("spiffe://example.org/peer"),
            Name::Dns("peer.example.org"),
            Name::Ip(&[192, 0, 2, 1]),
        ]);
    }
}

macro_rules! of_an_issuer {
    ($($name:literal, $issuer:ident, $verdict:expr, $permitted:expr, $excluded:expr;)*) => {
        &[$(($name, $verdict, |setup| {
            setup.both_names();
            let value = constraints(&$permitted, &$excluded);
            of_an_issuer!($issuer, setup).set(NAME_CONSTRAINTS, value);
        })),*]
    };
    (root, $setup:ident) => { $setup.root };
    (intermediate, $setup:ident) => { $setup.intermediate() };
}

type Change = fn(&mut Setup<'_>);

const OF_AN_ISSUER: &[(&str, Verdict, Change)] = of_an_issuer! {
    "the URI's host is permitted", intermediate, GOOD, [Name::Uri("example.org")], [];
    "the URI's host is permitted in upper case", intermediate, GOOD, [Name::Uri("EXAMPLE.org")], [];
    "the URI's host is permitted by the root", root, GOOD, [Name::Uri("example.org")], [];
    "the URI's host is permitted among others", intermediate, GOOD, [Name::Uri("a.org"), Name::Uri("example.org")], [];
    "the URI's host is below a permitted domain", intermediate, GOOD, [Name::Uri(".org")], [];
    "the URI's host is the permitted domain, not below", intermediate, NOT_PERMITTED, [Name::Uri(".example.org")], [];
    "another host is permitted", intermediate, NOT_PERMITTED, [Name::Uri("elsewhere.org")], [];
    "another host is permitted by the root", root, NOT_PERMITTED, [Name::Uri("elsewhere.org")], [];
    "a host that ends alike is permitted", intermediate, NOT_PERMITTED, [Name::Uri("ple.org")], [];
    "the URI's host is excluded", intermediate, NOT_PERMITTED, [], [Name::Uri("example.org")];
    "the URI's host is excluded by the root", root, NOT_PERMITTED, [], [Name::Uri("example.org")];
    "the URI's host is below an excluded domain", intermediate, NOT_PERMITTED, [], [Name::Uri(".org")];
    "the URI's host is permitted and excluded", intermediate, NOT_PERMITTED, [Name::Uri("example.org")], [Name::Uri(".org")];
    "another host is excluded", intermediate, GOOD, [], [Name::Uri("elsewhere.org")];
    "a whole URI where a host belongs", intermediate, NOT_PERMITTED, [Name::Uri("spiffe://example.org")], [];
    "an address where a host belongs", intermediate, NOT_PERMITTED, [], [Name::Uri("10.0.0.1")];
    "an empty host", intermediate, NOT_PERMITTED, [Name::Uri("")], [];
    "the DNS name is permitted", intermediate, GOOD, [Name::Dns("example.org")], [];
    "the DNS name is permitted by the root", root, GOOD, [Name::Dns("example.org")], [];
    "another DNS name is permitted", intermediate, NOT_PERMITTED, [Name::Dns("elsewhere.org")], [];
    "another DNS name is permitted by the root", root, NOT_PERMITTED, [Name::Dns("elsewhere.org")], [];
    "the DNS name is excluded", intermediate, NOT_PERMITTED, [], [Name::Dns("example.org")];
    "another DNS name is excluded", intermediate, GOOD, [], [Name::Dns("elsewhere.org")];
    "both names are permitted", intermediate, GOOD, [Name::Uri("example.org"), Name::Dns("example.org")], [];
    "the URI's host is permitted, the DNS name is not", intermediate, NOT_PERMITTED, [Name::Uri("example.org"), Name::Dns("a.org")], [];
    "the DNS name is permitted, the URI's host is not", intermediate, NOT_PERMITTED, [Name::Uri("a.org"), Name::Dns("example.org")], [];
    "addresses are constrained, and there is none", intermediate, GOOD, [Name::Ip(&[10, 0, 0, 0, 255, 0, 0, 0])], [];
    "mail addresses are constrained, and there is none", intermediate, GOOD, [Name::Email("example.org")], [];
    "the subject is permitted", intermediate, GOOD, [Name::Directory("peer")], [];
    "the subject is permitted by the root", root, GOOD, [Name::Directory("peer"), Name::Directory("intermediate")], [];
    "all subjects are permitted", intermediate, GOOD, [Name::Directory("")], [];
    "another subject is permitted", intermediate, NOT_PERMITTED, [Name::Directory("elsewhere")], [];
    "the subject of the leaf alone is permitted by the root", root, NOT_PERMITTED, [Name::Directory("peer")], [];
    "the subject is permitted, the URI's host is not", intermediate, NOT_PERMITTED, [Name::Directory("peer"), Name::Uri("a.org")], [];
    "the subject is excluded", intermediate, NOT_PERMITTED, [], [Name::Directory("peer")];
    "another subject is excluded, which is not evaluated", intermediate, NOT_PERMITTED, [], [Name::Directory("elsewhere")];
};

const RULE: &str = "RFC 5280, 4.2.1.10";
const NOT_PERMITTED: Verdict = Verdict::Refuse(Reason::BadCertificate, 42, "name constraints");
