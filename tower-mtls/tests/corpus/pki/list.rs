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
        let signed = sequence(&[
            &integer(&[1]),
            &algorithm,
            &self.issuer,
            &der::time(this),
            &der::time(next),
            &revoked,
            &element(0xa0, sequence(&[&number])),
        ]);
        let signature = self.key.sign(self.hash, &signed);
        sequence(&[&signed, &algorithm, &der::bits(&signature)])
    }
}
