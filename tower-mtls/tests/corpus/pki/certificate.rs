//! Certificates, of which every part can be wrong.

use super::{
    der::{self, element, identifier, integer, named_bits, octets, sequence},
    key::{Hash, Key},
};

/// A certificate before it is signed.
#[derive(Clone)]
pub struct Certificate {
    /// 2 is version 3; 0 is version 1, which is written by leaving it out.
    pub version: u8,
    pub serial: Vec<u8>,
    pub issuer: Vec<u8>,
    pub subject: Vec<u8>,
    /// From and until, in seconds since 1970.
    pub validity: (i64, i64),
    pub key: Key,
    pub extensions: Vec<Extension>,
    pub hash: Hash,
    /// Another algorithm inside than the one that signs.
    pub inner_algorithm: Option<Vec<u8>>,
    /// Another key than the issuer's.
    pub signed_by: Option<Key>,
    /// What happens to the bytes in the end.
    pub damage: Option<fn(Vec<u8>) -> Vec<u8>>,
}

#[derive(Clone)]
pub struct Extension {
    pub id: &'static [u32],
    pub critical: bool,
    pub value: Vec<u8>,
}

impl Certificate {
    /// A good one of an authority.
    pub fn authority(name: &str, issuer: &str, key: &Key, validity: (i64, i64)) -> Self {
        let extensions = vec![
            Extension::new(BASIC_CONSTRAINTS, true, basic_constraints(true, None)),
            Extension::new(KEY_USAGE, true, named_bits(&[KEY_CERT_SIGN, CRL_SIGN])),
        ];
        Self::new(name, issuer, key, validity, extensions)
    }

    /// A good leaf, for both sides.
    pub fn leaf(issuer: &str, key: &Key, validity: (i64, i64), names: &[Name<'_>]) -> Self {
        let extensions = vec![
            Extension::new(BASIC_CONSTRAINTS, true, basic_constraints(false, None)),
            Extension::new(KEY_USAGE, true, named_bits(&[DIGITAL_SIGNATURE])),
            Extension::new(
                EXTENDED_KEY_USAGE,
                false,
                purposes(&[SERVER_AUTH, CLIENT_AUTH]),
            ),
            Extension::new(ALTERNATIVE_NAMES, false, names_of(names)),
        ];
        Self::new("peer", issuer, key, validity, extensions)
    }

    fn new(
        subject: &str,
        issuer: &str,
        key: &Key,
        validity: (i64, i64),
        extensions: Vec<Extension>,
    ) -> Self {
        Self {
            version: 2,
            serial: vec![0x2a],
            issuer: der::name(issuer),
            subject: der::name(subject),
            validity,
            key: key.clone(),
            extensions,
            hash: Hash::Sha256,
            inner_algorithm: None,
            signed_by: None,
            damage: None,
        }
    }

    /// Puts this value in the place of the extension's, or adds it.
    pub fn set(&mut self, id: &'static [u32], value: Vec<u8>) {
        match self.extensions.iter_mut().find(|one| one.id == id) {
            Some(extension) => extension.value = value,
            None => self.extensions.push(Extension::new(id, true, value)),
        }
    }

    pub fn set_critical(&mut self, id: &'static [u32], critical: bool) {
        let mut extensions = self.extensions.iter_mut();
        extensions
            .find(|one| one.id == id)
            .expect("it is there")
            .critical = critical;
    }

    pub fn remove(&mut self, id: &'static [u32]) {
        self.extensions.retain(|one| one.id != id);
    }

    pub fn names(&mut self, names: &[Name<'_>]) {
        self.set(ALTERNATIVE_NAMES, names_of(names));
    }

    /// The certificate in DER.
    pub fn sign(&self, issuer: &Key) -> Vec<u8> {
        let signer = self.signed_by.as_ref().unwrap_or(issuer);
        let algorithm = signer.algorithm(self.hash);
        let inner = self.inner_algorithm.as_ref().unwrap_or(&algorithm);

        let version = element(0xa0, integer(&[self.version]));
        let (from, until) = self.validity;
        let extensions = self.extensions.iter().map(Extension::der);
        let extensions = sequence(&[&extensions.collect::<Vec<_>>().concat()]);
        let signed = sequence(&[
            if self.version == 0 { &[] } else { &version },
            &integer(&self.serial),
            inner,
            &self.issuer,
            &sequence(&[&der::time(from), &der::time(until)]),
            &self.subject,
            &self.key.info,
            &match self.extensions.is_empty() {
                true => Vec::new(),
                false => element(0xa3, extensions),
            },
        ]);
        let signature = signer.sign(self.hash, &signed);
        let whole = sequence(&[&signed, &algorithm, &der::bits(&signature)]);
        match self.damage {
            Some(damage) => damage(whole),
            None => whole,
        }
    }
}

impl Extension {
    pub fn new(id: &'static [u32], critical: bool, value: Vec<u8>) -> Self {
        Self {
            id,
            critical,
            value,
        }
    }

    fn der(&self) -> Vec<u8> {
        let critical = match self.critical {
            true => der::boolean(true),
            false => Vec::new(),
        };
        sequence(&[&identifier(self.id), &critical, &octets(&self.value)])
    }
}

/// A general name, as in the alternative names and in name constraints.
#[derive(Clone, Copy)]
pub enum Name<'a> {
    Uri(&'a str),
    Dns(&'a str),
    Email(&'a str),
    Ip(&'a [u8]),
    Directory(&'a str),
    Raw(u8, &'a [u8]),
}

impl Name<'_> {
    fn der(self) -> Vec<u8> {
        match self {
            Name::Email(text) => element(0x81, text),
            Name::Dns(text) => element(0x82, text),
            Name::Directory(text) => element(0xa4, der::name(text)),
            Name::Uri(text) => element(0x86, text),
            Name::Ip(bytes) => element(0x87, bytes),
            Name::Raw(tag, bytes) => element(tag, bytes),
        }
    }
}

pub fn names_of(names: &[Name<'_>]) -> Vec<u8> {
    let names = names.iter().map(|name| name.der());
    sequence(&[&names.collect::<Vec<_>>().concat()])
}

pub fn basic_constraints(authority: bool, path_length: Option<u8>) -> Vec<u8> {
    let flag = match authority {
        true => der::boolean(true),
        false => Vec::new(),
    };
    let length = path_length.map(|length| integer(&[length]));
    sequence(&[&flag, &length.unwrap_or_default()])
}

pub fn purposes(purposes: &[&[u32]]) -> Vec<u8> {
    let purposes = purposes.iter().map(|purpose| identifier(purpose));
    sequence(&[&purposes.collect::<Vec<_>>().concat()])
}

/// Name constraints: what is permitted and what is excluded.
pub fn constraints(permitted: &[Name<'_>], excluded: &[Name<'_>]) -> Vec<u8> {
    let list = |tag: u8, names: &[Name<'_>]| match names {
        [] => Vec::new(),
        names => {
            let subtrees = names.iter().map(|name| sequence(&[&name.der()]));
            element(tag, subtrees.collect::<Vec<_>>().concat())
        }
    };
    sequence(&[&list(0xa0, permitted), &list(0xa1, excluded)])
}

pub const BASIC_CONSTRAINTS: &[u32] = &[2, 5, 29, 19];
pub const KEY_USAGE: &[u32] = &[2, 5, 29, 15];
pub const EXTENDED_KEY_USAGE: &[u32] = &[2, 5, 29, 37];
pub const ALTERNATIVE_NAMES: &[u32] = &[2, 5, 29, 17];
pub const NAME_CONSTRAINTS: &[u32] = &[2, 5, 29, 30];
pub const DISTRIBUTION_POINTS: &[u32] = &[2, 5, 29, 31];
pub const UNKNOWN_EXTENSION: &[u32] = &[1, 3, 6, 1, 4, 1, 99_999, 1];

pub const SERVER_AUTH: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 3, 1];
pub const CLIENT_AUTH: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 3, 2];
pub const CODE_SIGNING: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 3, 3];
pub const ANY_PURPOSE: &[u32] = &[2, 5, 29, 37, 0];

pub const DIGITAL_SIGNATURE: u8 = 0;
pub const KEY_ENCIPHERMENT: u8 = 2;
pub const KEY_AGREEMENT: u8 = 4;
pub const KEY_CERT_SIGN: u8 = 5;
pub const CRL_SIGN: u8 = 6;
