use std::path::PathBuf;

use tempfile::TempDir;
use tower_mtls::dev::{Authority, Issued};

/// A certificate authority, and a folder for what it issues.
pub struct Pki {
    pub authority: Authority,
    pub directory: TempDir,
}

impl Pki {
    /// Writes `ca.pem`.
    pub fn new(trust_domain: &str) -> Self {
        let authority = Authority::new(trust_domain.parse().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let pki = Self {
            authority,
            directory,
        };
        pki.write("ca.pem", &pki.authority.ca_pem());
        pki
    }

    /// Issues a workload's certificate and writes `NAME.pem` and `NAME.key`.
    pub fn svid(&self, name: &str, id: &str) -> Issued {
        self.keep(name, self.authority.svid(id).unwrap())
    }

    /// Issues a host's certificate and writes `NAME.pem` and `NAME.key`.
    pub fn dns(&self, name: &str, host: &str) -> Issued {
        self.keep(name, self.authority.dns(&[host]).unwrap())
    }

    /// Writes `NAME.pem` and `NAME.key`.
    pub fn keep(&self, name: &str, issued: Issued) -> Issued {
        self.write(&format!("{name}.pem"), issued.chain_pem());
        self.write(&format!("{name}.key"), issued.key_pem());
        issued
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}
