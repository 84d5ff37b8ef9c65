use std::{
    fmt::Write as _,
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use tokio::net::TcpStream;

use super::port::ReservedPort;

/// A real nginx, with a directory of its own; killed when dropped.
pub struct Nginx {
    pub address: SocketAddr,
    child: Child,
    _directory: TempDir,
    _port: ReservedPort,
}

impl Nginx {
    /// Answers every request with 200 and `ok`; `settings` go into its `http` block.
    ///
    /// `None` where nginx is not installed.
    pub async fn start(settings: &str) -> Option<Self> {
        if !std::path::Path::new(PROGRAM).exists() {
            return None;
        }
        let port = ReservedPort::new();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nginx.conf");
        std::fs::write(&path, config(port.address, settings)).unwrap();
        let child = Command::new(PROGRAM)
            .arg("-p")
            .arg(directory.path())
            .arg("-c")
            .arg(&path)
            .args(["-e", "error.log"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Self {
            address: port.address,
            child,
            _directory: directory,
            _port: port,
        };
        nginx.listening().await;
        Some(nginx)
    }

    async fn listening(&self) {
        for _ in 0..2000 {
            if TcpStream::connect(self.address).await.is_ok() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("nginx does not listen");
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One process in the foreground, that leaves nothing outside its directory.
fn config(address: SocketAddr, settings: &str) -> String {
    let mut config = "daemon off;\nmaster_process off;\npid nginx.pid;\n\
                      events { worker_connections 512; }\nhttp {\naccess_log off;\n"
        .to_owned();
    for purpose in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(config, "{purpose}_temp_path {purpose};").unwrap();
    }
    writeln!(config, "{settings}").unwrap();
    writeln!(
        config,
        "server {{ listen {address} reuseport; location / {{ return 200 ok; }} }}\n}}"
    )
    .unwrap();
    config
}

const PROGRAM: &str = "/usr/sbin/nginx";
