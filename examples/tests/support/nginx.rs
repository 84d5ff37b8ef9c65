use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{eventually, port::ReservedPort, tools::program};

/// An nginx on loopback, with a folder of its own; killed when dropped.
pub struct Nginx {
    pub address: SocketAddr,
    www: PathBuf,
    _directory: TempDir,
    _child: Child,
    _port: ReservedPort,
}

impl Nginx {
    /// Serves what `http` says, the inside of `http { … }`; it listens at `LISTEN`.
    pub async fn start(http: &str) -> Self {
        let port = ReservedPort::new();
        let directory = tempfile::tempdir().unwrap();
        let www = directory.path().join("www");
        std::fs::create_dir(&www).unwrap();
        let config = config(&http.replace("LISTEN", &port.address.to_string()));
        std::fs::write(directory.path().join("nginx.conf"), config).unwrap();
        let child = Command::new(program("nginx", "nginx"))
            .arg("-p")
            .arg(directory.path())
            .args(["-c", "nginx.conf", "-e", "stderr"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let nginx = Self {
            address: port.address,
            www,
            _directory: directory,
            _child: child,
            _port: port,
        };
        let listens = || std::net::TcpStream::connect(nginx.address).is_ok();
        eventually("nginx listens", listens).await;
        nginx
    }

    /// The folder that it serves.
    pub fn www(&self) -> &Path {
        &self.www
    }
}

/// One process, in the foreground, that writes nowhere but below its folder.
fn config(http: &str) -> String {
    format!(
        r"
daemon off;
master_process off;
error_log stderr crit;
pid nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    {http}
}}
"
    )
}
