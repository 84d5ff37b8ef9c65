use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    sync::OnceLock,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// A program that the tests use as a peer; killed when dropped.
pub struct Peer {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    /// Starts it; what it writes on standard error is the test's.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = child.stdout.take().unwrap();
        Self {
            child,
            lines: BufReader::new(stdout).lines(),
        }
    }

    /// Its next line; panics where there is none within a minute.
    pub async fn line(&mut self) -> String {
        let line = timeout(LIMIT, self.lines.next_line()).await;
        let line = line.expect("a line within a minute").unwrap();
        line.expect("another line before the end: see above for its error")
    }

    /// Ends it as if the machine had lost its power, and waits until it has gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }
}

/// Where a program is; panics with the name of the Debian package where it is not.
pub fn program(name: &str, package: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(SYSTEM_FOLDERS.map(PathBuf::from));
    folders
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("`{name}` is missing: apt-get install {package}"))
}

/// A Python that has grpcio: installed below the target folder where it is missing.
pub fn python_with_grpcio() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let target = target();
        // Each test may be a process of its own: the first one installs, the others wait.
        let lock = File::create(target.join("peers-venv.lock")).unwrap();
        lock.lock().unwrap();
        let venv = target.join("peers-venv");
        let python = venv.join("bin/python");
        let installed = venv.join(GRPCIO);
        if !installed.exists() {
            let _ = fs::remove_dir_all(&venv);
            let system = program("python3", "python3");
            let advice = "apt-get install python3-venv";
            run(&system, &["-m", "venv", venv.to_str().unwrap()], advice);
            let pip = ["-m", "pip", "install", "--quiet", GRPCIO];
            run(&python, &pip, "is the package index reachable?");
            File::create(installed).unwrap();
        }
        python
    })
}

/// Lets this process and its children have so many files open.
pub fn allow_open_files(count: u32) {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    if soft.is_some_and(|soft: u32| soft < count) {
        let (id, limit) = (std::process::id().to_string(), format!("--nofile={count}:"));
        let advice = "raise the limit: ulimit -n";
        run(
            &program("prlimit", "util-linux"),
            &["--pid", &id, &limit],
            advice,
        );
    }
}

fn run(program: &Path, arguments: &[&str], advice: &str) {
    let mut command = std::process::Command::new(program);
    let output = command.args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{command:?} failed ({advice}): {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The folder that everything is built in.
fn target() -> PathBuf {
    let proxy = Path::new(env!("CARGO_BIN_EXE_proxy"));
    let target = proxy.ancestors().nth(2);
    target.expect("target/PROFILE/proxy").to_owned()
}

const LIMIT: Duration = Duration::from_secs(60);

const GRPCIO: &str = "grpcio==1.85.1";

/// Servers are often there, and seldom in the PATH.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];
