//! Revocation lists: RFC 5280, 6.3.

use std::time::Duration;

use tower_mtls::UnknownStatus;

use super::*;
use crate::pki::{
    certificate::*,
    der::{named_bits, sequence},
    key::Hash,
    list::point_name,
};
use crate::setup::HOUR;

pub fn cases() -> Vec<Case> {
    vec![
        case("lists that revoke neither", RULE, GOOD, |setup| {
            setup.lists();
        }),
        case("a revoked leaf", RULE, REVOKED, |setup| {
            let serial = setup.leaf.serial.clone();
            setup.lists()[1].revoked.push(serial);
        }),
        case("a revoked intermediate", RULE, REVOKED, |setup| {
            let serial = setup.intermediate().serial.clone();
            setup.lists()[0].revoked.push(serial);
        }),
        case(
            "the leaf's serial in another issuer's list",
            RULE,
            GOOD,
            |setup| {
                setup.leaf.serial = vec![0x17];
                setup.lists()[0].revoked.push(vec![0x17]);
            },
        ),
        case(
            "no list of the leaf's issuer",
            UNKNOWN,
            status_unknown("no revocation list"),
            |setup| {
                setup.lists();
                setup.lists.remove(1);
            },
        ),
        case(
            "no list of the intermediate's issuer",
            UNKNOWN,
            status_unknown("no revocation list"),
            |setup| {
                setup.lists();
                setup.lists.remove(0);
            },
        ),
        case(
            "no list of the leaf's issuer, accepted",
            UNKNOWN,
            GOOD,
            |setup| {
                setup.lists();
                setup.lists.remove(1);
                setup.unknown_status = UnknownStatus::Accept;
            },
        ),
        case(
            "revoked, where unknown ones are accepted",
            RULE,
            REVOKED,
            |setup| {
                let serial = setup.leaf.serial.clone();
                setup.lists()[1].revoked.push(serial);
                setup.unknown_status = UnknownStatus::Accept;
            },
        ),
        case(
            "an outdated list",
            "RFC 5280, 6.3.3 (a)",
            status_unknown("was due"),
            |setup| {
                setup.lists()[1].updates = (setup.now - 2 * HOUR, setup.now - 60);
            },
        ),
        case(
            "a list outdated within the clock's skew",
            "setting `clock_skew`",
            GOOD,
            |setup| {
                setup.lists()[1].updates = (setup.now - 2 * HOUR, setup.now - 60);
                setup.clock_skew = Duration::from_secs(180);
            },
        ),
        case("an outdated list, accepted", UNKNOWN, GOOD, |setup| {
            setup.lists()[1].updates = (setup.now - 2 * HOUR, setup.now - 60);
            setup.unknown_status = UnknownStatus::Accept;
        }),
        case(
            "revoked by an outdated list, where that is accepted",
            RULE,
            REVOKED,
            |setup| {
                let serial = setup.leaf.serial.clone();
                setup.lists()[1].updates = (setup.now - 2 * HOUR, setup.now - 60);
                setup.lists[1].revoked.push(serial);
                setup.unknown_status = UnknownStatus::Accept;
            },
        ),
        case(
            "a list signed by another key",
            "RFC 5280, 6.3.3 (g)",
            status_unknown("not signed by"),
            |setup| {
                let other = setup.keys.other.clone();
                setup.lists()[1].key = other;
            },
        ),
        case(
            "a list signed by another key, where unknown ones are accepted",
            "RFC 5280, 6.3.3 (g)",
            status_unknown("not signed by"),
            |setup| {
                let other = setup.keys.other.clone();
                setup.lists()[1].key = other;
                setup.unknown_status = UnknownStatus::Accept;
            },
        ),
        case(
            "a list signed with SHA-1",
            "RFC 9155",
            status_unknown("not accepted"),
            |setup| {
                setup.lists()[1].hash = Hash::Sha1;
            },
        ),
        case(
            "a list of an issuer without cRLSign",
            "RFC 5280, 6.3.3 (f)",
            status_unknown("may not sign its"),
            |setup| {
                setup
                    .intermediate()
                    .set(KEY_USAGE, named_bits(&[KEY_CERT_SIGN]));
                setup.lists();
            },
        ),
        case(
            "lists of the old and of the new key of an issuer",
            RULE,
            GOOD,
            |setup| {
                let old = setup.keys.other.clone();
                let mut list = setup.lists()[1].clone();
                list.key = old;
                setup.lists.insert(0, list);
            },
        ),
        case(
            "revoked, with lists of the old and of the new key of an issuer",
            RULE,
            REVOKED,
            |setup| {
                let (old, serial) = (setup.keys.other.clone(), setup.leaf.serial.clone());
                let mut list = setup.lists()[1].clone();
                list.key = old;
                setup.lists[1].revoked.push(serial);
                setup.lists.insert(0, list);
            },
        ),
        case(
            "a list of the leaf's distribution point",
            POINT,
            GOOD,
            |setup| {
                setup.lists()[1].point = Some(HERE);
                at_point(setup, HERE);
            },
        ),
        case(
            "revoked by the list of the leaf's distribution point",
            POINT,
            REVOKED,
            |setup| {
                let serial = setup.leaf.serial.clone();
                setup.lists()[1].revoked.push(serial);
                setup.lists[1].point = Some(HERE);
                at_point(setup, HERE);
            },
        ),
        case(
            "a list of another distribution point alone",
            POINT,
            status_unknown("no revocation list"),
            |setup| {
                setup.lists()[1].point = Some(HERE);
                at_point(setup, "http://elsewhere.example/list");
            },
        ),
        case(
            "a list of some distribution point alone, and a leaf of none",
            POINT,
            status_unknown("no revocation list"),
            |setup| {
                setup.lists()[1].point = Some(HERE);
            },
        ),
        case(
            "an intermediate of no distribution point",
            POINT,
            status_unknown("no revocation list"),
            |setup| {
                setup.lists()[0].point = Some(HERE);
            },
        ),
        case(
            "revoked, with a newer list of some distribution point beside",
            POINT,
            REVOKED,
            |setup| {
                let (now, serial) = (setup.now, setup.leaf.serial.clone());
                let mut list = setup.lists()[1].clone();
                setup.lists[1].revoked.push(serial);
                list.point = Some(HERE);
                list.updates.0 = now - 60;
                setup.lists.insert(0, list);
            },
        ),
        case("revoked by a newer list", RULE, REVOKED, |setup| {
            let (now, serial) = (setup.now, setup.leaf.serial.clone());
            let mut list = setup.lists()[1].clone();
            list.revoked.push(serial);
            list.updates.0 = now - 60;
            setup.lists.push(list);
        }),
    ]
}

/// Lets the leaf name a distribution point.
fn at_point(setup: &mut Setup<'_>, uri: &str) {
    let point = sequence(&[&point_name(uri)]);
    let extension = Extension::new(DISTRIBUTION_POINTS, false, sequence(&[&point]));
    setup.leaf.extensions.push(extension);
}

const HERE: &str = "http://ca.example/list";
const POINT: &str = "RFC 5280, 5.2.5 and 6.3.3 (b)(2)";
const RULE: &str = "RFC 5280, 6.3.3";
const UNKNOWN: &str = "setting `unknown_status`";
