//! The corpus: chains that break one rule each, and chains that come close without breaking it.

mod constraints;
mod key;
mod leaf;
mod names;
mod path;
mod revocation;
mod svid;

use tower_mtls::error::Reason;

use crate::setup::Setup;

/// A chain, and what must become of whoever presents it.
pub struct Case {
    pub name: &'static str,
    /// Where the rule stands that the verdict follows.
    pub rule: &'static str,
    pub modes: &'static [Mode],
    pub roles: &'static [Role],
    pub verdict: Verdict,
    /// From the good chain to this one.
    pub change: fn(&mut Setup<'_>),
    /// Whether the `openssl` command can present it: it loads no damaged certificate, and no key of somebody else.
    pub presentable: bool,
}

/// How peers are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Spiffe,
    Plain,
}

/// What presents the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Server,
    Client,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    /// Refused for this reason, of which the peer is told by this alert (RFC 8446, 6.2); our error has these words.
    Refuse(Reason, Alert, &'static str),
}

/// The number of a TLS alert.
pub type Alert = u8;

pub fn all() -> Vec<Case> {
    let groups = [
        path::cases(),
        key::cases(),
        leaf::cases(),
        svid::cases(),
        names::cases(),
        constraints::cases(),
        revocation::cases(),
    ];
    groups.into_iter().flatten().collect()
}

/// A case in both modes and both roles.
fn case(
    name: &'static str,
    rule: &'static str,
    verdict: Verdict,
    change: fn(&mut Setup<'_>),
) -> Case {
    Case {
        name,
        rule,
        modes: &[Mode::Spiffe, Mode::Plain],
        roles: &[Role::Server, Role::Client],
        verdict,
        change,
        presentable: true,
    }
}

impl Case {
    fn spiffe(self) -> Self {
        let modes = &[Mode::Spiffe];
        Self { modes, ..self }
    }

    fn plain(self) -> Self {
        let modes = &[Mode::Plain];
        Self { modes, ..self }
    }

    fn server(self) -> Self {
        let roles = &[Role::Server];
        Self { roles, ..self }
    }

    fn client(self) -> Self {
        let roles = &[Role::Client];
        Self { roles, ..self }
    }

    fn unpresentable(self) -> Self {
        Self {
            presentable: false,
            ..self
        }
    }
}

fn bad(words: &'static str) -> Verdict {
    Verdict::Refuse(Reason::BadCertificate, 42, words)
}

fn wrong_purpose(words: &'static str) -> Verdict {
    Verdict::Refuse(Reason::BadCertificate, 43, words)
}

fn no_svid(words: &'static str) -> Verdict {
    Verdict::Refuse(Reason::NotAnSvid, 43, words)
}

fn unknown_issuer(words: &'static str) -> Verdict {
    Verdict::Refuse(Reason::UnknownIssuer, 48, words)
}

fn status_unknown(words: &'static str) -> Verdict {
    Verdict::Refuse(Reason::RevocationUnknown, 48, words)
}

const GOOD: Verdict = Verdict::Accept;
const UNKNOWN_DOMAIN: Verdict = Verdict::Refuse(Reason::UnknownTrustDomain, 48, "no bundle");
const EXPIRED: Verdict = Verdict::Refuse(Reason::Expired, 45, "expired 6");
const NOT_YET_VALID: Verdict = Verdict::Refuse(Reason::NotYetValid, 45, "for another");
const WRONG_IDENTITY: Verdict = Verdict::Refuse(Reason::WrongIdentity, 49, "expected dns:peer");
const REVOKED: Verdict = Verdict::Refuse(Reason::Revoked, 44, "is revoked");
const MAY_NOT_SIGN: &str = "may not sign certificates";
const NO_PATH: &str = "no path leads";
const BAD_SIGNATURE: &str = "not by the key";
