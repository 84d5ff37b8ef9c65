use std::{
    collections::HashMap,
    net::SocketAddr,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// The built `proxy`, running; killed when dropped.
pub struct ProxyProcess {
    pub child: Child,
    log: Arc<Mutex<String>>,
    addresses: HashMap<String, SocketAddr>,
}

/// How a run that ended by itself ended.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl ProxyProcess {
    /// `proxy run --config FILE`, ready to be connected to.
    pub async fn start(config: &Path, listeners: &[&str]) -> Self {
        Self::start_as(command(&["run"]), config, listeners).await
    }

    /// The same by a command of the caller's, which says all but the configuration.
    pub async fn start_as(mut command: Command, config: &Path, listeners: &[&str]) -> Self {
        let mut child = command
            .arg("--config")
            .arg(config)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let copy = log.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut log = copy.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut process = Self {
            child,
            log,
            addresses: HashMap::new(),
        };
        for listener in listeners {
            let address =
                timeout(Duration::from_secs(10), process.wait_for_address(listener)).await;
            let address =
                address.unwrap_or_else(|_| panic!("no `{listener}` in {}", process.log()));
            process.addresses.insert((*listener).to_owned(), address);
        }
        process
    }

    /// Where a listener, or `admin`, listens.
    pub fn address(&self, listener: &str) -> SocketAddr {
        self.addresses[listener]
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().expect("still running").to_string();
        let sent = std::process::Command::new("kill")
            .args([&format!("-{name}"), &id])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for its end, for at most `limit`.
    pub async fn ended(&mut self, limit: Duration) -> ExitStatus {
        timeout(limit, self.child.wait())
            .await
            .expect("ends in time")
            .unwrap()
    }

    async fn wait_for_address(&self, listener: &str) -> SocketAddr {
        let mark = format!("listener=\"{listener}\"");
        loop {
            let log = self.log();
            let line = log
                .lines()
                .find(|line| line.contains("listening") && line.contains(&mark));
            if let Some((_, rest)) = line.and_then(|line| line.split_once("address=")) {
                return rest.split_whitespace().next().unwrap().parse().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Runs `proxy ARGS` to its end.
pub async fn run(args: &[&str]) -> Ended {
    let output = timeout(Duration::from_secs(30), command(args).output())
        .await
        .expect("ends in time")
        .unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_proxy"));
    command.args(args);
    plain(command)
}

/// Says nothing in colour, and ends with the test.
pub fn plain(mut command: Command) -> Command {
    command
        .env_remove("PROXY_LOG")
        .env("NO_COLOR", "1")
        .kill_on_drop(true);
    command
}
