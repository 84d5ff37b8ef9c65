//! Keys and signatures, weak ones and others.

use super::*;
use crate::pki::key::Hash;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::from([
        case(
            "a leaf with a P-384 key",
            "RFC 8446, 4.2.3",
            GOOD,
            |setup| {
                setup.leaf.key = setup.keys.p384.clone();
            },
        ),
        case(
            "a leaf with an Ed25519 key",
            "RFC 8446, 4.2.3",
            GOOD,
            |setup| {
                setup.leaf.key = setup.keys.ed25519.clone();
            },
        ),
        case(
            "a leaf with an RSA key of 2,048 bits",
            "NIST SP 800-57",
            GOOD,
            |setup| {
                setup.leaf.key = setup.keys.rsa.clone();
            },
        ),
        case(
            "a leaf with an RSA key of 1,024 bits",
            "NIST SP 800-57",
            bad("its RSA key"),
            |setup| {
                setup.leaf.key = setup.keys.rsa_1024.clone();
            },
        ),
        case(
            "a leaf with an RSA key of 2,040 bits",
            "NIST SP 800-57",
            bad("its RSA key"),
            |setup| {
                setup.leaf.key = setup.keys.rsa_2040.clone();
            },
        ),
        case(
            "a leaf with a key on P-224",
            "RFC 8446, 4.2.3",
            bad("on a curve"),
            |setup| {
                setup.leaf.key = setup.keys.p224.clone();
            },
        ),
        case(
            "a leaf with a key on secp256k1",
            "RFC 8446, 4.2.3",
            bad("on a curve"),
            |setup| {
                setup.leaf.key = setup.keys.secp256k1.clone();
            },
        ),
        case(
            "an RSA intermediate of 2,048 bits",
            "NIST SP 800-57",
            GOOD,
            |setup| {
                setup.intermediate().key = setup.keys.rsa.clone();
            },
        ),
        case(
            "an RSA intermediate of 1,024 bits",
            "NIST SP 800-57",
            bad("an issuer is weak"),
            |setup| {
                setup.intermediate().key = setup.keys.rsa_1024.clone();
            },
        ),
        case(
            "an RSA root of 1,024 bits",
            "NIST SP 800-57",
            bad("an issuer is weak"),
            |setup| {
                setup.root.key = setup.keys.rsa_1024.clone();
            },
        ),
        case(
            "a leaf signed with SHA-1 and ECDSA",
            "RFC 9155; RFC 8446, 4.4.2.4",
            bad("not accepted, such as SHA-1"),
            |setup| {
                setup.leaf.hash = Hash::Sha1;
            },
        ),
        case(
            "a leaf signed with SHA-1 and RSA",
            "RFC 9155; RFC 8446, 4.4.2.4",
            bad("not accepted, such as SHA-1"),
            |setup| {
                setup.intermediate().key = setup.keys.rsa.clone();
                setup.leaf.hash = Hash::Sha1;
            },
        ),
        case(
            "a leaf signed with MD5",
            "RFC 8446, 4.4.2.4",
            bad("not accepted, such as SHA-1"),
            |setup| {
                setup.intermediate().key = setup.keys.rsa.clone();
                setup.leaf.hash = Hash::Md5;
            },
        ),
        case(
            "an intermediate signed with SHA-1",
            "RFC 8446, 4.4.2.4",
            bad("not accepted, such as SHA-1"),
            |setup| {
                setup.intermediate().hash = Hash::Sha1;
            },
        ),
        case(
            "a root signed with SHA-1",
            "RFC 8446, 4.4.2.4: but for self-signed roots",
            GOOD,
            |setup| {
                setup.root.hash = Hash::Sha1;
            },
        ),
    ]);
    for case in &mut cases {
        // The presenting side has no signature to make with these.
        case.presentable &= !case.name.contains("P-224") && !case.name.contains("secp256k1");
    }
    cases
}
