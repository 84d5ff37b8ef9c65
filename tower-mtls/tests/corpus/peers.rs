//! The same chains on sockets, presented by programs that are not ours: `openssl` and `curl`.
//!
//! Both commands must be installed (Debian: `apt-get install openssl curl`); without them these tests fail. A chain
//! that they do not load, because it is damaged, is presented in memory only. Where a case is the same in both modes, one
//! of them is enough here: a process for each takes its time.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use tower_mtls::dev::Authority;

use crate::{
    cases::{self, Case, Mode, Role},
    ours::{self, Outcome, Run},
    pki::key::scratch,
    setup::{Chain, Keys, Setup, pem},
};

#[tokio::test]
async fn openssl_as_a_server_is_judged_by_the_rules() {
    judge_all(Role::Server, <[_]>::first, |files, chain, _| async move {
        serve_by_openssl(&files, &chain).await
    })
    .await;
}

#[tokio::test]
async fn openssl_as_a_client_is_judged_by_the_rules() {
    judge_all(Role::Client, <[_]>::first, |files, chain, own| async move {
        let client = |address| files.openssl_client(address);
        let (outcome, said) = call(client, &chain, &own).await;
        (outcome, number_after(&said, "SSL alert number "))
    })
    .await;
}

#[tokio::test]
async fn curl_as_a_client_is_judged_by_the_rules() {
    judge_all(Role::Client, <[_]>::last, |files, chain, own| async move {
        let (outcome, said) = call(|address| files.curl(address), &chain, &own).await;
        // "(IN), TLS alert, unknown CA (560)": the level of the alert, and its number.
        let alert = said.split("(IN), TLS alert").nth(1);
        let alert = alert.and_then(|alert| number_after(alert, " ("));
        (outcome, alert)
    })
    .await;
}

/// Lets a program present each chain of a role, a few at once, and judges what both sides say.
async fn judge_all<F, Fut>(role: Role, mode: fn(&[Mode]) -> Option<&Mode>, present: F)
where
    F: Fn(Files, Arc<Chain>, Authority) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = (Outcome, Option<u8>)> + Send + 'static,
{
    let cases: &'static [Case] = cases::all().leak();
    let keys = Keys::generate();
    let own = Authority::new("example.org".parse().unwrap()).unwrap();
    let (slots, mut runs) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for run in Run::of(cases) {
        let picked = Some(&run.mode) == mode(run.case.modes);
        if run.role != role || !picked || !run.case.presentable {
            continue;
        }
        let chain = Arc::new(Setup::of(run.case, run.mode, &keys).sign());
        let (slots, present, own) = (slots.clone(), present.clone(), own.clone());
        runs.spawn(async move {
            let _slot = slots.acquire_owned().await.unwrap();
            let files = Files::write(&chain, &own);
            let (outcome, alert) = present(files, chain, own).await;
            run.judge(&outcome, alert)
        });
    }
    let judged = runs.join_all().await;
    let wrong = judged.iter().filter_map(|verdict| verdict.as_ref().err());
    let wrong = wrong.cloned().collect::<Vec<_>>();
    assert!(judged.len() > 130, "only {}", judged.len());
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        judged.len(),
        wrong.join("\n")
    );
}

async fn serve_by_openssl(files: &Files, chain: &Chain) -> (Outcome, Option<u8>) {
    let mut server = files.openssl_server();
    let mut output = BufReader::new(server.stdout.take().unwrap());
    let mut line = String::new();
    let address = loop {
        line.clear();
        let read = timeout(PATIENCE, output.read_line(&mut line)).await;
        assert_ne!(
            read.expect("it starts").unwrap(),
            0,
            "openssl does not start"
        );
        if let Some(address) = line.trim().strip_prefix("ACCEPT ") {
            break address.parse::<SocketAddr>().unwrap();
        }
    };
    let connection = TcpStream::connect(address).await.unwrap();
    let (outcome, stream) = ours::connect(chain, connection).await;
    drop(stream);
    // It would wait for its input otherwise.
    drop(server.stdin.take());
    let said = said_by(server).await;
    (outcome, number_after(&said, "SSL alert number "))
}

async fn call(
    client: impl FnOnce(SocketAddr) -> Child,
    chain: &Chain,
    own: &Authority,
) -> (Outcome, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(listener.local_addr().unwrap());
    let accepted = timeout(PATIENCE, listener.accept())
        .await
        .expect("it dials");
    let (outcome, stream) = ours::accept(chain, own, accepted.unwrap().0).await;
    if let Some(mut stream) = stream {
        // What the client asks for is of no interest, and some ask for nothing.
        let mut request = [0; 1024];
        let asked = stream.read(&mut request);
        let _ = timeout(Duration::from_millis(50), asked).await;
        let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        stream.shutdown().await.unwrap();
    }
    (outcome, said_by(client).await)
}

async fn said_by(process: Child) -> String {
    let output = timeout(PATIENCE, process.wait_with_output()).await;
    let errors = output.expect("it ends").unwrap().stderr;
    String::from_utf8_lossy(&errors).into_owned()
}

/// The number behind the last `mark`, as far as it fits an alert: the level is above eight bits.
fn number_after(text: &str, mark: &str) -> Option<u8> {
    let (_, number) = text.rsplit_once(mark)?;
    let digits = number.split(|other: char| !other.is_ascii_digit()).next()?;
    digits
        .parse::<u32>()
        .ok()
        .map(|number| (number & 0xff) as u8)
}

/// A chain as the programs read it. The files are gone when it is.
struct Files {
    folder: PathBuf,
}

impl Files {
    fn write(chain: &Chain, own: &Authority) -> Self {
        let folder = scratch("chain");
        fs::create_dir_all(&folder).unwrap();
        let mut blocks = chain.certificates.iter().map(|one| pem("CERTIFICATE", one));
        let leaf = blocks.next().unwrap();
        let above = blocks.collect::<String>();
        fs::write(folder.join("leaf.pem"), &leaf).unwrap();
        fs::write(folder.join("above.pem"), &above).unwrap();
        fs::write(folder.join("chain.pem"), leaf + &above).unwrap();
        fs::write(folder.join("key.pem"), &chain.key).unwrap();
        fs::write(folder.join("ca.pem"), own.ca_pem()).unwrap();
        fs::write(folder.join("openssl.cnf"), CREDULOUS).unwrap();
        Self { folder }
    }

    fn openssl_server(&self) -> Child {
        let arguments = [
            "s_server",
            "-accept",
            "127.0.0.1:0",
            "-tls1_3",
            "-naccept",
            "1",
        ];
        self.spawn(self.openssl(&arguments))
    }

    fn openssl_client(&self, address: SocketAddr) -> Child {
        let address = address.to_string();
        let arguments = [
            "s_client", "-connect", &address, "-tls1_3", "-ign_eof", "-CAfile", "ca.pem",
        ];
        self.spawn(self.openssl(&arguments))
    }

    fn openssl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("openssl");
        command
            .args(arguments)
            .args(["-cert", "leaf.pem", "-key", "key.pem"]);
        // An empty file is an error to it.
        if fs::metadata(self.folder.join("above.pem")).is_ok_and(|file| file.len() > 0) {
            command.args(["-cert_chain", "above.pem"]);
        }
        command
    }

    fn curl(&self, address: SocketAddr) -> Child {
        let port = address.port();
        let mut command = Command::new("curl");
        command
            .args(["--verbose", "--silent", "--tlsv1.3", "--max-time", "30"])
            .args([
                "--cacert",
                "ca.pem",
                "--cert",
                "chain.pem",
                "--key",
                "key.pem",
            ])
            .args(["--resolve", &format!("localhost:{port}:127.0.0.1")])
            .arg(format!("https://localhost:{port}/"));
        self.spawn(command)
    }

    fn spawn(&self, mut command: Command) -> Child {
        command
            .current_dir(&self.folder)
            .env("OPENSSL_CONF", Path::new("openssl.cnf"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let program = command.as_std().get_program().to_owned();
        let spawned = command.spawn();
        spawned.unwrap_or_else(|error| panic!("{program:?} is needed: {error}"))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

const AT_ONCE: usize = 4;
const PATIENCE: Duration = Duration::from_secs(30);
/// Weak keys are ours to refuse, not theirs.
const CREDULOUS: &str = "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = tls\n\
                         [tls]\nCipherString = DEFAULT:@SECLEVEL=0\n";
