//! Certificate revocation lists.

use super::{
    der::{self, element, identifier, integer, octets, sequence},
    key::{Hash, Key},
};

/// A list before it is signed.
#[derive(Clone)]
pub struct RevocationList {
    pub issuer: Vec<u8>,
    /// This update and the next, in seconds since 1970.
    pub updates: (i64, i64),
    pub revoked: Vec<Vec<u8>>,
    pub key: Key,
    pub hash: Hash,
    /// The distribution point, a URI, outside of which the list says nothing.
    pub point: Option<&'static str>,
}

impl RevocationList {
    /// The list in DER.
    pub fn sign(&self) -> Vec<u8> {
        let algorithm = self.key.algorithm(self.hash);
        let (this, next) = self.updates;
        let entry = |serial: &Vec<u8>| sequence(&[&integer(serial), &der::time(this)]);
        let revoked = self.revoked.iter().map(entry).collect::<Vec<_>>().concat();
        let revoked = match revoked.is_empty() {
            true => Vec::new(),
            false => sequence(&[&revoked]),
        };
        let number = sequence(&[&identifier(&[2, 5, 29, 20]), &octets(integer(&[1]))]);
        let point = self.point.map(|uri| {
            let value = sequence(&[&point_name(uri)]);
            let id = identifier(&[2, 5, 29, 28]);
            sequence(&[&id, &der::boolean(true), &octets(value)])
        });
        let signed = sequence(&[
            &integer(&[1]),
            &algorithm,
            &self.issuer,
            &der::time(this),
            &der::time(next),
            &revoked,
            &element(0xa0, sequence(&[&number, &point.unwrap_or_default()])),
        ]);
        let signature = self.key.sign(self.hash, &signed);
        sequence(&[&signed, &algorithm, &der::bits(&signature)])
    }
}

/// The name of a distribution point, as lists and certificates have it.
pub fn point_name(uri: &str) -> Vec<u8> {
    element(0xa0, element(0xa0, element(0x86, uri)))
}
