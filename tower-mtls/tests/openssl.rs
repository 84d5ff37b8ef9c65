//! The other implementation: handshakes on real sockets with the `openssl` command.
//!
//! The command must be installed (Debian: `apt-get install openssl`); without it these tests fail.

#![allow(clippy::unwrap_used)]

mod support;

use std::{fs, net::SocketAddr, path::PathBuf, process::Stdio, time::Duration};

use support::handshake_error;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdout, Command},
    time::timeout,
};
use tower::{Layer, ServiceExt, service_fn};
use tower_mtls::{
    BoxError, Credentials, Expected, MtlsLayer, MtlsStream,
    accept::Acceptor,
    dev::{Authority, Issued},
    error::{HandshakeError, Reason},
};

#[tokio::test]
async fn our_client_and_their_server_verify_each_other() {
    let authority = authority();
    let server = Server::start("mutual", &authority, &authority.svid("/theirs").unwrap()).await;
    let ours = authority.svid("/ours").unwrap().credentials();
    let mut stream = dial(server.address, &authority, Some(ours)).await.unwrap();
    assert_eq!(
        stream.peer().unwrap().to_string(),
        "spiffe://example.org/theirs"
    );
    assert_eq!(stream.alpn(), Some(&b"h2"[..]));

    // The server gives back each line reversed.
    stream.write_all(b"drawer\n").await.unwrap();
    let mut line = String::new();
    BufReader::new(&mut stream)
        .read_line(&mut line)
        .await
        .unwrap();
    assert_eq!(line, "reward\n");
}

#[tokio::test]
async fn their_server_refuses_our_client_without_a_certificate_at_the_first_read() {
    let authority = authority();
    let server = Server::start("strict", &authority, &authority.svid("/theirs").unwrap()).await;
    let mut stream = dial(server.address, &authority, None).await.unwrap();
    let error = stream.read_u8().await.unwrap_err();
    let error = error
        .get_ref()
        .unwrap()
        .downcast_ref::<HandshakeError>()
        .unwrap();
    assert_eq!(error.reason(), Reason::RejectedByPeer);
}

#[tokio::test]
async fn our_client_refuses_their_server_of_another_authority() {
    let (authority, other) = (authority(), authority());
    let server = Server::start("stranger", &other, &other.svid("/theirs").unwrap()).await;
    let error = dial(server.address, &authority, None).await.unwrap_err();
    assert_eq!(handshake_error(&error).reason(), Reason::UnknownIssuer);
}

#[tokio::test]
async fn their_client_and_our_server_verify_each_other() {
    let authority = authority();
    let folder = folder("client", &authority, &authority.svid("/theirs").unwrap());
    let (theirs, ours) = their_client(
        &folder,
        &authority,
        &["-cert", "tls.crt", "-key", "tls.key"],
    )
    .await;
    let mut stream = ours.unwrap();
    assert_eq!(
        stream.peer().unwrap().to_string(),
        "spiffe://example.org/theirs"
    );
    let mut word = [0; 5];
    stream.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"hello");
    stream.shutdown().await.unwrap();
    let said = theirs.await;
    assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
    assert!(said.contains("TLSv1.3"), "{said}");
}

#[tokio::test]
async fn our_server_refuses_their_client_without_or_with_a_strange_certificate() {
    let authority = authority();
    let stranger = self::authority();
    let folder = folder("strange", &authority, &stranger.svid("/theirs").unwrap());
    let (theirs, ours) = their_client(&folder, &authority, &[]).await;
    assert_eq!(ours.unwrap_err().reason(), Reason::NoCertificate);
    let said = theirs.await;
    assert!(said.contains("certificate required"), "{said}");

    let strange = ["-cert", "tls.crt", "-key", "tls.key"];
    let (theirs, ours) = their_client(&folder, &authority, &strange).await;
    assert_eq!(ours.unwrap_err().reason(), Reason::UnknownIssuer);
    let said = theirs.await;
    assert!(said.contains("unknown ca"), "{said}");
}

#[tokio::test]
async fn our_server_does_not_speak_older_versions() {
    let authority = authority();
    let folder = folder("older", &authority, &authority.svid("/theirs").unwrap());
    let older = ["-cert", "tls.crt", "-key", "tls.key", "-tls1_2"];
    let (theirs, ours) = their_client(&folder, &authority, &older).await;
    assert_eq!(ours.unwrap_err().reason(), Reason::Protocol);
    assert!(theirs.await.contains("protocol version"));
}

/// An `openssl s_server` that wants a client certificate of the authority.
struct Server {
    address: SocketAddr,
    _process: Child,
    _output: BufReader<ChildStdout>,
}

impl Server {
    async fn start(name: &str, authority: &Authority, issued: &Issued) -> Self {
        let folder = folder(name, authority, issued);
        let mut process = openssl(&folder)
            .args([
                "s_server",
                "-accept",
                "127.0.0.1:0",
                "-tls1_3",
                "-rev",
                "-alpn",
                "h2",
            ])
            .args(["-cert", "tls.crt", "-key", "tls.key"])
            .args(["-CAfile", "ca.crt", "-Verify", "1", "-verify_return_error"])
            .spawn()
            .expect("the openssl command is needed: apt-get install openssl");
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let address = timeout(PATIENCE, async {
            loop {
                let mut line = String::new();
                assert_ne!(output.read_line(&mut line).await.unwrap(), 0, "it ended");
                if let Some(address) = line.strip_prefix("ACCEPT ") {
                    return address.trim().parse().unwrap();
                }
            }
        });
        Self {
            address: address.await.expect("it listens"),
            _process: process,
            _output: output,
        }
    }
}

async fn dial(
    address: SocketAddr,
    authority: &Authority,
    credentials: Option<Credentials>,
) -> Result<MtlsStream<TcpStream>, BoxError> {
    let mut builder = MtlsLayer::builder(authority.trust_bundle())
        .expect(Expected::Spiffe(vec![
            "spiffe://example.org/theirs".parse()?,
        ]))
        .alpn(["h2"]);
    if let Some(credentials) = credentials {
        builder = builder.credentials(credentials);
    }
    let connector = service_fn(|address: SocketAddr| TcpStream::connect(address));
    builder.build()?.layer(connector).oneshot(address).await
}

/// One `openssl s_client` against our acceptor: what it says in the end, and what we got.
async fn their_client(
    folder: &PathBuf,
    authority: &Authority,
    arguments: &[&str],
) -> (
    impl Future<Output = String>,
    Result<MtlsStream<TcpStream>, HandshakeError>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut process = openssl(folder)
        .args([
            "s_client",
            "-connect",
            &address,
            "-CAfile",
            "ca.crt",
            "-verify_return_error",
        ])
        .args(arguments)
        .spawn()
        .expect("the openssl command is needed: apt-get install openssl");
    process
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"hello")
        .await
        .unwrap();

    let acceptor = Acceptor::builder(authority.svid("/ours").unwrap().credentials())
        .require_client(authority.trust_bundle())
        .build()
        .unwrap();
    let accepted = timeout(PATIENCE, listener.accept())
        .await
        .expect("it dials");
    let ours = acceptor.oneshot(accepted.unwrap().0).await;
    let said = async {
        let output = timeout(PATIENCE, process.wait_with_output()).await;
        let output = output.expect("it ends").unwrap();
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&said).into_owned()
    };
    (said, ours)
}

fn openssl(folder: &PathBuf) -> Command {
    let mut command = Command::new("openssl");
    command
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn authority() -> Authority {
    Authority::new("example.org".parse().unwrap()).unwrap()
}

fn folder(name: &str, authority: &Authority, issued: &Issued) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("openssl")
        .join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("ca.crt"), authority.ca_pem()).unwrap();
    fs::write(folder.join("tls.crt"), issued.chain_pem()).unwrap();
    fs::write(folder.join("tls.key"), issued.key_pem()).unwrap();
    folder
}

const PATIENCE: Duration = Duration::from_secs(30);
