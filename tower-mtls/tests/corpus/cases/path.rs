//! From the leaf to the root: RFC 5280, section 6.

use std::time::Duration;

use super::*;
use crate::pki::{
    certificate::*,
    der::{self, named_bits},
};
use crate::setup::HOUR;

pub fn cases() -> Vec<Case> {
    vec![
        case("one intermediate", "RFC 5280, 6.1", GOOD, |_| {}),
        case("no intermediate", "RFC 5280, 6.1", GOOD, |setup| {
            setup.without_intermediate();
        }),
        case("two intermediates", "RFC 5280, 6.1", GOOD, |setup| {
            setup.second_intermediate();
        }),
        case("a certificate too many", "RFC 8446, 4.4.2", GOOD, |setup| {
            let validity = setup.leaf.validity;
            let key = &setup.keys.other;
            let extra = Certificate::authority("nobody", "nobody", key, validity);
            setup.extra.push(extra);
        }),
        case("the root presented too", "RFC 8446, 4.4.2", GOOD, |setup| {
            let mut root = setup.root.clone();
            root.signed_by = Some(setup.keys.root.clone());
            setup.extra.push(root);
        }),
        case(
            "intermediates in any order",
            "RFC 8446, 4.4.2",
            GOOD,
            |setup| {
                setup.second_intermediate();
                let mut first = setup.intermediates[0].clone();
                first.signed_by = Some(setup.keys.root.clone());
                setup.presented = 1;
                setup.extra.push(first);
            },
        ),
        case(
            "another root",
            "RFC 5280, 6.1.1 (d)",
            unknown_issuer(NO_PATH),
            |setup| {
                setup.root = Certificate::authority(
                    "other",
                    "other",
                    &setup.keys.other,
                    setup.root.validity,
                );
                setup.intermediates[0].signed_by = Some(setup.keys.root.clone());
            },
        ),
        case(
            "another root of the same name",
            "RFC 5280, 6.1.3 (a)(1)",
            unknown_issuer(BAD_SIGNATURE),
            |setup| {
                setup.intermediates[0].signed_by = Some(setup.keys.other.clone());
            },
        ),
        case(
            "a leaf signed by itself",
            "RFC 5280, 6.1.1 (d)",
            unknown_issuer(NO_PATH),
            |setup| {
                setup.without_intermediate();
                setup.leaf.issuer = setup.leaf.subject.clone();
                setup.leaf.signed_by = Some(setup.keys.leaf.clone());
            },
        ),
        case(
            "an intermediate is missing",
            "RFC 5280, 6.1",
            unknown_issuer(NO_PATH),
            |setup| {
                setup.presented = 0;
            },
        ),
        case(
            "the leaf names another issuer",
            "RFC 5280, 6.1.3 (a)(4)",
            unknown_issuer(NO_PATH),
            |setup| {
                setup.leaf.issuer = der::name("somebody");
            },
        ),
        case(
            "a signature with a wrong bit",
            "RFC 5280, 6.1.3 (a)(1)",
            unknown_issuer(BAD_SIGNATURE),
            |setup| {
                setup.leaf.damage = Some(|mut der| {
                    let last = der.len() - 1;
                    der[last] ^= 1;
                    der
                });
            },
        ),
        case(
            "two algorithms for one signature",
            "RFC 5280, 4.1.1.2",
            bad("two signature algorithms"),
            |setup| {
                setup.leaf.inner_algorithm =
                    Some(setup.keys.ed25519.algorithm(crate::pki::key::Hash::Sha256));
            },
        )
        .unpresentable(),
        case("expired", "RFC 5280, 6.1.3 (a)(2)", EXPIRED, |setup| {
            setup.leaf.validity = (setup.now - 2 * HOUR, setup.now - 60);
        }),
        case(
            "not yet valid",
            "RFC 5280, 6.1.3 (a)(2)",
            NOT_YET_VALID,
            |setup| {
                setup.leaf.validity = (setup.now + 60, setup.now + HOUR);
            },
        ),
        case(
            "expired within the clock's skew",
            "setting `clock_skew`",
            GOOD,
            |setup| {
                setup.leaf.validity = (setup.now - 2 * HOUR, setup.now - 60);
                setup.clock_skew = Duration::from_secs(180);
            },
        ),
        case(
            "not yet valid within the clock's skew",
            "setting `clock_skew`",
            GOOD,
            |setup| {
                setup.leaf.validity = (setup.now + 60, setup.now + HOUR);
                setup.clock_skew = Duration::from_secs(180);
            },
        ),
        case(
            "all but the root not yet valid within the clock's skew",
            "setting `clock_skew`",
            GOOD,
            |setup| {
                setup.leaf.validity = (setup.now + 90, setup.now + HOUR);
                setup.intermediate().validity = (setup.now + 60, setup.now + HOUR);
                setup.clock_skew = Duration::from_secs(180);
            },
        ),
        case(
            "expired beyond the clock's skew",
            "setting `clock_skew`",
            EXPIRED,
            |setup| {
                setup.leaf.validity = (setup.now - 2 * HOUR, setup.now - 60);
                setup.clock_skew = Duration::from_secs(30);
            },
        ),
        case(
            "ends before it begins",
            "RFC 5280, 4.1.2.5",
            bad("ends before"),
            |setup| {
                setup.leaf.validity = (setup.now + HOUR, setup.now - HOUR);
            },
        ),
        case("valid beyond 2050", "RFC 5280, 4.1.2.5.2", GOOD, |setup| {
            setup.leaf.validity.1 = 4_000_000_000;
        }),
        case(
            "an expired intermediate",
            "RFC 5280, 6.1.3 (a)(2)",
            EXPIRED,
            |setup| {
                setup.intermediate().validity = (setup.now - 2 * HOUR, setup.now - 60);
            },
        ),
        case(
            "an intermediate not yet valid",
            "RFC 5280, 6.1.3 (a)(2)",
            NOT_YET_VALID,
            |setup| {
                setup.intermediate().validity = (setup.now + 60, setup.now + HOUR);
            },
        ),
        case(
            "an expired root",
            "RFC 5280, 6.1.1 (d): a trust anchor has no validity",
            GOOD,
            |setup| {
                setup.root.validity = (setup.now - 2 * HOUR, setup.now - HOUR);
            },
        ),
        case(
            "an intermediate that is no authority",
            "RFC 5280, 6.1.4 (k)",
            bad(MAY_NOT_SIGN),
            |setup| {
                setup
                    .intermediate()
                    .set(BASIC_CONSTRAINTS, basic_constraints(false, None));
            },
        ),
        case(
            "an intermediate without basic constraints",
            "RFC 5280, 6.1.4 (k)",
            bad(MAY_NOT_SIGN),
            |setup| {
                setup.intermediate().remove(BASIC_CONSTRAINTS);
            },
        ),
        case(
            "an intermediate of version 1",
            "RFC 5280, 6.1.4 (k)",
            bad("version 3"),
            |setup| {
                setup.intermediate().version = 0;
                setup.intermediate().extensions.clear();
            },
        ),
        case(
            "an intermediate without keyCertSign",
            "RFC 5280, 6.1.4 (n); X.509-SVID, 4.3",
            bad(MAY_NOT_SIGN),
            |setup| {
                setup.intermediate().set(KEY_USAGE, named_bits(&[CRL_SIGN]));
            },
        ),
        case(
            "an intermediate without key usage",
            "RFC 5280, 6.1.4 (n)",
            GOOD,
            |setup| {
                setup.intermediate().remove(KEY_USAGE);
            },
        ),
        case(
            "a root without keyCertSign",
            "RFC 5280, 4.2.1.3",
            bad(MAY_NOT_SIGN),
            |setup| {
                setup.root.set(KEY_USAGE, named_bits(&[CRL_SIGN]));
            },
        ),
        case(
            "a leaf signed by a leaf",
            "RFC 5280, 6.1.4 (k)",
            bad(MAY_NOT_SIGN),
            |setup| {
                let mut other = setup.leaf.clone();
                other.subject = der::name("other leaf");
                other.key = setup.keys.second.clone();
                setup.leaf.issuer = other.subject.clone();
                setup.intermediates.push(other);
            },
        ),
        case(
            "a path of the length that is allowed",
            "RFC 5280, 6.1.4 (l)",
            GOOD,
            |setup| {
                setup
                    .second_intermediate()
                    .set(BASIC_CONSTRAINTS, basic_constraints(true, Some(0)));
                setup.intermediates[0].set(BASIC_CONSTRAINTS, basic_constraints(true, Some(1)));
            },
        ),
        case(
            "a path that is too long for an intermediate",
            "RFC 5280, 6.1.4 (l)",
            bad("longer than an issuer"),
            |setup| {
                setup.second_intermediate();
                setup.intermediates[0].set(BASIC_CONSTRAINTS, basic_constraints(true, Some(0)));
            },
        ),
        case(
            "a path that is too long for the root",
            "RFC 5280, 4.2.1.9",
            bad("longer than an issuer"),
            |setup| {
                setup
                    .root
                    .set(BASIC_CONSTRAINTS, basic_constraints(true, Some(0)));
            },
        ),
        case(
            "a path of the length that the root allows",
            "RFC 5280, 4.2.1.9",
            GOOD,
            |setup| {
                setup
                    .root
                    .set(BASIC_CONSTRAINTS, basic_constraints(true, Some(1)));
            },
        ),
        case(
            "an intermediate for the other purpose",
            "RFC 5280, 4.2.1.12",
            wrong_purpose("other purposes"),
            |setup| {
                setup
                    .intermediate()
                    .set(EXTENDED_KEY_USAGE, purposes(&[CODE_SIGNING]));
            },
        ),
        case(
            "an intermediate for both purposes",
            "RFC 5280, 4.2.1.12",
            GOOD,
            |setup| {
                setup
                    .intermediate()
                    .set(EXTENDED_KEY_USAGE, purposes(&[SERVER_AUTH, CLIENT_AUTH]));
            },
        ),
        case(
            "an unknown critical extension in an intermediate",
            "RFC 5280, 6.1.4 (o)",
            bad("unknown critical"),
            |setup| {
                let extension = Extension::new(UNKNOWN_EXTENSION, true, vec![5, 0]);
                setup.intermediate().extensions.push(extension);
            },
        ),
        case(
            "ten intermediates",
            "a limit of the path validation",
            bad("too many certificates"),
            |setup| {
                for (number, name) in NUMBERS.into_iter().enumerate() {
                    let (above, key) = match number % 2 {
                        0 => (setup.keys.intermediate.clone(), setup.keys.second.clone()),
                        _ => (setup.keys.second.clone(), setup.keys.intermediate.clone()),
                    };
                    let issuer = setup.intermediate().subject.clone();
                    let mut next = Certificate::authority(name, "", &key, setup.root.validity);
                    next.issuer = issuer;
                    next.signed_by = Some(above);
                    setup.leaf.issuer = next.subject.clone();
                    setup.intermediates.push(next);
                }
            },
        ),
        case(
            "an expired certificate of the intermediate beside a good one",
            "RFC 4158, 3",
            GOOD,
            |setup| {
                let mut old = setup.intermediate().clone();
                old.validity = (setup.now - 2 * HOUR, setup.now - HOUR);
                old.signed_by = Some(setup.keys.root.clone());
                setup.extra.push(old);
            },
        ),
        case(
            "a certificate of the intermediate by a stranger beside a good one",
            "RFC 4158, 2.4",
            GOOD,
            |setup| {
                let mut cross = setup.intermediate().clone();
                cross.issuer = der::name("stranger");
                cross.signed_by = Some(setup.keys.other.clone());
                setup.extra.push(cross);
            },
        ),
        case(
            "intermediates that sign each other",
            "RFC 4158, 2.4.2",
            unknown_issuer(NO_PATH),
            |setup| {
                setup.second_intermediate();
                setup.intermediates[0].issuer = der::name("second");
                setup.intermediates[0].signed_by = Some(setup.keys.second.clone());
            },
        ),
        case(
            "a new key of the root, certified by the old one",
            "RFC 4210, 4.4",
            GOOD,
            |setup| {
                let (name, old) = (setup.root.subject.clone(), setup.keys.root.clone());
                let new = setup.intermediate();
                (new.subject, new.signed_by) = (name.clone(), Some(old));
                setup.leaf.issuer = name;
            },
        ),
        case(
            "a root without basic constraints",
            "RFC 5280, 4.2.1.9",
            GOOD,
            |setup| {
                // Of version 1, which cannot say what it is for. Of version 3 it cannot be loaded: `tests/credentials.rs`.
                setup.root.version = 0;
                setup.root.extensions.clear();
            },
        ),
        case(
            "a root whose basic constraints are not critical",
            "RFC 5280, 4.2.1.9: a rule for issuers",
            GOOD,
            |setup| {
                setup.root.set_critical(BASIC_CONSTRAINTS, false);
            },
        ),
    ]
}

const NUMBERS: [&str; 9] = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
