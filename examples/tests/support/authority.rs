use std::{fs, path::PathBuf, process::Command};

use tempfile::TempDir;
use tower_mtls::{Credentials, TrustBundle};

use super::tools::program;

/// An authority that revokes, by openssl; its files are those of an operator.
pub struct OpensslAuthority {
    pub directory: TempDir,
}

impl OpensslAuthority {
    /// Writes `ca.pem`, and `ca.crl`, which revokes nothing.
    pub fn new() -> Self {
        let authority = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        for (name, text) in [
            ("ca.cnf", AUTHORITY),
            ("crl.cnf", LISTS),
            ("revoked.txt", ""),
            ("number.txt", "01\n"),
        ] {
            authority.write(name, text);
        }
        authority.openssl(
            "req -x509 -config ca.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /O=test -keyout ca.key -out ca.pem",
        );
        authority.publish();
        authority
    }

    /// Issues the SVID `spiffe://example.org/NAME`, and writes `NAME.pem` and `NAME.key`.
    pub fn svid(&self, name: &str) -> Credentials {
        self.write(&format!("{name}.cnf"), &LEAF.replace("NAME", name));
        self.openssl(&format!(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /O=test -config ca.cnf -keyout {name}.key -out {name}.csr"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -days 1 -extfile {name}.cnf -out {name}.pem"
        ));
        let (chain, key) = (format!("{name}.pem"), format!("{name}.key"));
        Credentials::from_files(self.path(&chain), self.path(&key)).unwrap()
    }

    /// Revokes what was issued under this name, and publishes a new `ca.crl`.
    pub fn revoke(&self, name: &str) {
        self.openssl(&format!(
            "ca -config crl.cnf -cert ca.pem -keyfile ca.key -revoke {name}.pem"
        ));
        self.publish();
    }

    pub fn trust_bundle(&self) -> TrustBundle {
        let bundle = TrustBundle::from_file(self.path("ca.pem")).unwrap();
        bundle.with_trust_domain("example.org".parse().unwrap())
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn publish(&self) {
        self.openssl("ca -config crl.cnf -cert ca.pem -keyfile ca.key -gencrl -out new.crl");
        fs::rename(self.path("new.crl"), self.path("ca.crl")).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new(program("openssl", "openssl"))
            .args(arguments.split(' '))
            .current_dir(self.directory.path())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {error}");
    }
}

const AUTHORITY: &str = "\
[req]
distinguished_name = name
x509_extensions = authority
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
";

const LEAF: &str = "\
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = URI:spiffe://example.org/NAME
authorityKeyIdentifier = keyid
";

const LISTS: &str = "\
[ca]
default_ca = lists
[lists]
database = revoked.txt
crlnumber = number.txt
unique_subject = no
default_md = sha256
default_crl_days = 1
crl_extensions = of_list
[of_list]
authorityKeyIdentifier = keyid
";
