//! Keys of all kinds, weak ones too, which only the `openssl` command still makes.

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};
use rustls_pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};

use super::der::{element, identifier, sequence};

/// A private key, with the public key's info in DER.
#[derive(Clone)]
pub struct Key {
    pub pem: String,
    pub info: Vec<u8>,
    kind: Kind,
    // A short way, for the many signatures that are nothing special.
    pair: Option<Arc<KeyPair>>,
}

#[derive(Clone, Copy)]
enum Kind {
    Ecdsa,
    Ed25519,
    Rsa,
}

/// A hash under a signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    Sha256,
    Sha1,
    Md5,
}

impl Key {
    pub fn p256() -> Self {
        let pair = KeyPair::generate().expect("a key");
        Self {
            pem: pair.serialize_pem(),
            info: pair.subject_public_key_info(),
            kind: Kind::Ecdsa,
            pair: Some(Arc::new(pair)),
        }
    }

    pub fn ecdsa(curve: &str) -> Self {
        let curve = format!("ec_paramgen_curve:{curve}");
        Self::generate("EC", &["-pkeyopt", &curve], Kind::Ecdsa)
    }

    pub fn ed25519() -> Self {
        Self::generate("ED25519", &[], Kind::Ed25519)
    }

    pub fn rsa(bits: u32) -> Self {
        let bits = format!("rsa_keygen_bits:{bits}");
        Self::generate("RSA", &["-pkeyopt", &bits], Kind::Rsa)
    }

    /// The identifier of the algorithm that this key signs with.
    pub fn algorithm(&self, hash: Hash) -> Vec<u8> {
        let null = element(0x05, []);
        match (self.kind, hash) {
            (Kind::Ecdsa, Hash::Sha1) => sequence(&[&identifier(&[1, 2, 840, 10045, 4, 1])]),
            (Kind::Ecdsa, _) => sequence(&[&identifier(&[1, 2, 840, 10045, 4, 3, 2])]),
            (Kind::Ed25519, _) => sequence(&[&identifier(&[1, 3, 101, 112])]),
            (Kind::Rsa, hash) => {
                let last = match hash {
                    Hash::Md5 => 4,
                    Hash::Sha1 => 5,
                    Hash::Sha256 => 11,
                };
                sequence(&[&identifier(&[1, 2, 840, 113_549, 1, 1, last]), &null])
            }
        }
    }

    pub fn sign(&self, hash: Hash, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Some(pair) if hash == Hash::Sha256 => pair.sign(message).expect("a signature"),
            _ => self.sign_by_openssl(hash, message),
        }
    }

    fn sign_by_openssl(&self, hash: Hash, message: &[u8]) -> Vec<u8> {
        let file = scratch("key");
        fs::write(&file, &self.pem).expect("a file for the key");
        let key = file.to_str().expect("a path in UTF-8");
        let hash = match hash {
            Hash::Sha256 => "-sha256",
            Hash::Sha1 => "-sha1",
            Hash::Md5 => "-md5",
        };
        let signature = openssl(&["dgst", hash, "-sign", key], message);
        fs::remove_file(file).expect("the key's file");
        signature
    }

    fn generate(algorithm: &str, options: &[&str], kind: Kind) -> Self {
        let pem = openssl(
            &[&["genpkey", "-algorithm", algorithm], options].concat(),
            b"",
        );
        let public = openssl(&["pkey", "-pubout"], &pem);
        let info = SubjectPublicKeyInfoDer::from_pem_slice(&public).expect("a public key");
        Self {
            pem: String::from_utf8(pem).expect("PEM"),
            info: info.to_vec(),
            kind,
            pair: None,
        }
    }
}

/// The output of the `openssl` command, which must be installed (Debian: `apt-get install openssl`).
fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut process = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the openssl command is needed: apt-get install openssl");
    let mut stdin = process.stdin.take().expect("piped");
    stdin.write_all(input).expect("openssl reads");
    drop(stdin);
    let output = process.wait_with_output().expect("openssl ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {errors}");
    output.stdout
}

/// A file of its own in the tests' folder.
pub fn scratch(name: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);

    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("corpus");
    fs::create_dir_all(&folder).expect("a folder");
    let number = NUMBER.fetch_add(1, Relaxed);
    folder.join(format!("{}-{number}-{name}", std::process::id()))
}
