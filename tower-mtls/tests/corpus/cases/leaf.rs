//! What holds for every leaf.

use super::*;
use crate::pki::{
    certificate::*,
    der::{element, named_bits},
};

pub fn cases() -> Vec<Case> {
    vec![
        case(
            "a leaf without extended key usage",
            "RFC 5280, 4.2.1.12",
            GOOD,
            |setup| {
                setup.leaf.remove(EXTENDED_KEY_USAGE);
            },
        ),
        case(
            "a leaf for signing code",
            "RFC 5280, 4.2.1.12",
            wrong_purpose("other purposes"),
            |setup| {
                setup
                    .leaf
                    .set(EXTENDED_KEY_USAGE, purposes(&[CODE_SIGNING]));
            },
        ),
        case(
            "a server with the purpose of a client",
            "RFC 5280, 4.2.1.12",
            wrong_purpose("other purposes"),
            |setup| {
                setup.leaf.set(EXTENDED_KEY_USAGE, purposes(&[CLIENT_AUTH]));
            },
        )
        .server(),
        case(
            "a client with the purpose of a server",
            "RFC 5280, 4.2.1.12",
            wrong_purpose("other purposes"),
            |setup| {
                setup.leaf.set(EXTENDED_KEY_USAGE, purposes(&[SERVER_AUTH]));
            },
        )
        .client(),
        case(
            "a leaf for any purpose, but not for this one",
            "RFC 5280, 4.2.1.12: may be refused",
            wrong_purpose("other purposes"),
            |setup| {
                setup.leaf.set(EXTENDED_KEY_USAGE, purposes(&[ANY_PURPOSE]));
            },
        ),
        case(
            "a leaf for no purpose",
            "RFC 5280, 4.2.1.12",
            wrong_purpose("no purpose"),
            |setup| {
                setup.leaf.set(EXTENDED_KEY_USAGE, purposes(&[]));
            },
        )
        .unpresentable(),
        case(
            "both purposes and one more",
            "RFC 5280, 4.2.1.12",
            GOOD,
            |setup| {
                setup.leaf.set(
                    EXTENDED_KEY_USAGE,
                    purposes(&[CODE_SIGNING, CLIENT_AUTH, SERVER_AUTH]),
                );
            },
        ),
        case(
            "a leaf that may not sign",
            "RFC 8446, 4.4.2.2; X.509-SVID, 4.3",
            bad("lacks digitalSignature"),
            |setup| {
                setup.leaf.set(KEY_USAGE, named_bits(&[KEY_AGREEMENT]));
            },
        )
        .plain(),
        case(
            "a leaf that may sign and encipher",
            "X.509-SVID, 4.3",
            GOOD,
            |setup| {
                setup.leaf.set(
                    KEY_USAGE,
                    named_bits(&[DIGITAL_SIGNATURE, KEY_ENCIPHERMENT]),
                );
            },
        ),
        case(
            "an unknown critical extension",
            "RFC 5280, 6.1.5 (f)",
            bad("unknown critical"),
            |setup| {
                let extension = Extension::new(UNKNOWN_EXTENSION, true, vec![5, 0]);
                setup.leaf.extensions.push(extension);
            },
        ),
        case(
            "an unknown extension that is not critical",
            "RFC 5280, 4.2",
            GOOD,
            |setup| {
                let extension = Extension::new(UNKNOWN_EXTENSION, false, vec![5, 0]);
                setup.leaf.extensions.push(extension);
            },
        ),
        case(
            "the same extension twice",
            "RFC 5280, 4.2",
            bad("there twice"),
            |setup| {
                let again = setup.leaf.extensions[1].clone();
                setup.leaf.extensions.push(again);
            },
        )
        .unpresentable(),
        case(
            "no subject, and critical names",
            "RFC 5280, 4.1.2.6",
            GOOD,
            |setup| {
                setup.leaf.subject = crate::pki::der::name("");
                setup.leaf.set_critical(ALTERNATIVE_NAMES, true);
            },
        ),
        case(
            "no subject, and names that are not critical",
            "X.509-SVID, 3.1",
            no_svid("no critical alternative"),
            |setup| setup.leaf.subject = crate::pki::der::name(""),
        )
        .spiffe(),
        case(
            "no subject, and names that are not critical",
            "RFC 5280, 4.1.2.6",
            bad("no critical alternative"),
            |setup| setup.leaf.subject = crate::pki::der::name(""),
        )
        .plain(),
        case(
            "name constraints in a leaf",
            "RFC 5280, 4.2.1.10",
            bad("only authorities have"),
            |setup| {
                let value = constraints(&[], &[Name::Dns("elsewhere.org")]);
                setup.leaf.set(NAME_CONSTRAINTS, value);
            },
        )
        .plain(),
        case(
            "name constraints in a leaf",
            "RFC 5280, 4.2.1.10",
            no_svid("only authorities have"),
            |setup| {
                let value = constraints(&[], &[Name::Dns("elsewhere.org")]);
                setup.leaf.set(NAME_CONSTRAINTS, value);
            },
        )
        .spiffe(),
        case(
            "a leaf of version 1",
            "RFC 5280, 4.1.2.1",
            bad("version 3"),
            |setup| {
                setup.leaf.version = 0;
                setup.leaf.extensions.clear();
            },
        )
        .plain(),
        case(
            "a leaf of version 1",
            "X.509-SVID, 2",
            no_svid("no URI name"),
            |setup| {
                setup.leaf.version = 0;
                setup.leaf.extensions.clear();
            },
        )
        .spiffe(),
        case(
            "a serial number of zero",
            "RFC 5280, 4.1.2.2: users should handle it",
            GOOD,
            |setup| {
                setup.leaf.serial = vec![0];
            },
        ),
        case(
            "a serial number of 21 bytes",
            "RFC 5280, 4.1.2.2: a rule for issuers",
            GOOD,
            |setup| {
                setup.leaf.serial = vec![0x11; 21];
            },
        ),
        case(
            "a negative serial number",
            "RFC 5280, 4.1.2.2: users should handle it",
            GOOD,
            |setup| {
                setup.leaf.serial = vec![0x80];
            },
        ),
        case(
            "a certificate of somebody else",
            "RFC 8446, 4.4.3",
            NOT_ITS_KEY,
            |setup| {
                setup.presented_key = Some(setup.keys.other.clone());
            },
        )
        .unpresentable(),
        case(
            "bytes behind the certificate",
            "X.690, 8.1",
            bad("damaged"),
            |setup| {
                setup.leaf.damage = Some(|der| [der, vec![0]].concat());
            },
        )
        .unpresentable(),
        case(
            "a certificate cut short",
            "X.690, 8.1",
            bad("damaged"),
            |setup| {
                setup.leaf.damage = Some(|der| der[..der.len() - 7].to_vec());
            },
        )
        .unpresentable(),
        case(
            "a length in more bytes than it needs",
            "X.690, 10.1",
            bad("damaged"),
            |setup| {
                setup.leaf.damage = Some(|der| {
                    // The content with its two bytes of length, as three.
                    [&[0x30, 0x83, 0], &der[2..]].concat()
                });
            },
        )
        .unpresentable(),
        case(
            "no certificate at all, but bytes",
            "RFC 5280, 4.1",
            bad("damaged"),
            |setup| {
                setup.leaf.damage = Some(|_| element(0x04, b"no certificate"));
            },
        )
        .unpresentable(),
    ]
}

/// The one alert that is about the signature of the handshake, not about the certificate.
const NOT_ITS_KEY: Verdict = Verdict::Refuse(Reason::BadCertificate, 51, "BadSignature");
