//! The built proxy, as `curl` sees it.

use std::process::Output;

use http::{Request, Response, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::process::Command;

use crate::{
    front::bounded,
    support::{
        body::{full, noise},
        pki::Pki,
        process::ProxyProcess,
        upstream::Upstream,
    },
};

#[tokio::test]
async fn each_protocol_is_served() {
    let world = World::start().await;
    let ca = world.pki.path("ca.pem");
    let ca = ca.to_str().unwrap();
    for (listener, arguments, version) in [
        ("web", &["--http1.1"][..], "1.1"),
        ("web", &["--http1.0"], "1.1"),
        ("web", &["--http2-prior-knowledge"], "2"),
        ("tls", &["--http2", "--cacert", ca], "2"),
        ("tls", &["--http1.1", "--cacert", ca], "1.1"),
        ("tls", &["--tlsv1.3", "--cacert", ca], "2"),
    ] {
        let told = ["-w", "|%{http_version}|%{http_code}"];
        let output = world.curl(listener, &[arguments, &told].concat()).await;
        let text = output.text();
        assert!(output.0.status.success(), "{arguments:?}: {output:?}");
        assert!(
            text.starts_with("GET / of localhost:"),
            "{arguments:?}: {text}"
        );
        if arguments != ["--http1.0"] {
            assert!(
                text.ends_with(&format!("|{version}|200")),
                "{arguments:?}: {text}"
            );
        }
    }
}

#[tokio::test]
async fn a_client_certificate_is_demanded_where_the_listener_demands_it() {
    let world = World::start().await;
    let path = |name: &str| world.pki.path(name).to_str().unwrap().to_owned();
    let (ca, certificate, key) = (path("ca.pem"), path("client.pem"), path("client.key"));
    let (other, other_key) = (path("other.pem"), path("other.key"));
    let stranger = Pki::new("example.org");
    stranger.svid("stranger", "spiffe://example.org/client");
    let (strange, strange_key) = (stranger.path("stranger.pem"), stranger.path("stranger.key"));
    let (strange, strange_key) = (strange.to_str().unwrap(), strange_key.to_str().unwrap());
    let trusting = ["--cacert", &ca];

    let shown = world
        .curl(
            "mtls",
            &["--cacert", &ca, "--cert", &certificate, "--key", &key],
        )
        .await;
    assert!(shown.0.status.success(), "{shown:?}");
    assert!(shown.text().starts_with("GET / of localhost:"));

    let needless = world
        .curl(
            "tls",
            &["--cacert", &ca, "--cert", &certificate, "--key", &key],
        )
        .await;
    assert!(needless.0.status.success(), "{needless:?}");

    let missing = world.curl("mtls", &trusting).await;
    assert!(!missing.0.status.success(), "{missing:?}");
    assert!(missing.0.stdout.is_empty(), "{missing:?}");

    let forged = world
        .curl(
            "mtls",
            &["--cacert", &ca, "--cert", strange, "--key", strange_key],
        )
        .await;
    assert!(!forged.0.status.success(), "{forged:?}");

    let denied = [
        "--cacert",
        &ca,
        "--cert",
        &other,
        "--key",
        &other_key,
        "-w",
        "%{http_code}",
        "-D",
        "-",
    ];
    let denied = world.curl("mtls", &denied).await;
    assert!(denied.text().ends_with("403"), "{denied:?}");
    assert!(
        denied
            .text()
            .contains("proxy-status: proxy; error=http_request_denied"),
        "{denied:?}"
    );

    let cleartext = world
        .curl_at(&format!("http://{}", world.proxy.address("mtls")), &[])
        .await;
    assert!(!cleartext.0.status.success(), "{cleartext:?}");
}

#[tokio::test]
async fn a_proxy_that_is_not_whom_curl_expects_is_left() {
    let world = World::start().await;
    let other = Pki::new("example.org");
    let ca = other.path("ca.pem");
    let output = world.curl("tls", &["--cacert", ca.to_str().unwrap()]).await;
    assert_eq!(output.0.status.code(), Some(60), "{output:?}");
}

#[tokio::test]
async fn an_upload_is_carried_whole() {
    let world = World::start().await;
    let file = world.pki.path("upload");
    let ca = world.pki.path("ca.pem");
    let ca = ca.to_str().unwrap();
    std::fs::write(&file, noise(3 << 20)).unwrap();
    for (listener, arguments) in [
        ("web", &["--http1.1"][..]),
        ("web", &["--http2-prior-knowledge"]),
        ("tls", &["--http1.1", "--cacert", ca]),
        ("tls", &["--http2", "--cacert", ca]),
        ("web", &["--http1.1", "-H", "Transfer-Encoding: chunked"]),
    ] {
        let expecting = [
            "-T",
            file.to_str().unwrap(),
            "-H",
            "Expect: 100-continue",
            "--expect100-timeout",
            "30",
            "-v",
        ];
        let output = world
            .curl(listener, &[arguments, &expecting].concat())
            .await;
        assert!(output.0.status.success(), "{arguments:?}: {output:?}");
        assert!(
            output.0.stdout == noise(3 << 20),
            "{arguments:?}: {} bytes came back",
            output.0.stdout.len()
        );
        if arguments.contains(&"--http1.1") {
            let said = String::from_utf8_lossy(&output.0.stderr).into_owned();
            assert!(said.contains("100 Continue"), "{arguments:?}: {said}");
        }
    }
}

#[tokio::test]
async fn a_head_is_answered_without_a_body() {
    let world = World::start().await;
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let output = world.curl("web", &["-I", version]).await;
        assert!(output.0.status.success(), "{output:?}");
        let text = output.text();
        assert!(text.contains("content-length: "), "{text}");
        assert!(text.ends_with("\r\n\r\n"), "{text}");
    }
}

#[tokio::test]
async fn a_refusal_is_clean_for_each_method_and_protocol() {
    let world = World::start().await;
    for (version, methods) in [
        ("--http1.1", &["-I", "-G", "-dbody"][..]),
        // This curl takes a stream that is reset after its answer, as it should be where an upload
        // was refused, for a broken one.
        ("--http2-prior-knowledge", &["-I", "-G"]),
    ] {
        for method in methods {
            let refused = [version, "-H", "Host: user@a.test", "-D", "-", method];
            let output = world.curl("web", &refused).await;
            // What ends without an error of the protocol is a clean answer to curl.
            assert!(output.0.status.success(), "{refused:?}: {output:?}");
            assert!(output.text().contains(" 400"), "{refused:?}: {output:?}");
        }
    }
}

struct World {
    proxy: ProxyProcess,
    pki: Pki,
    _upstream: Upstream,
}

/// What curl said, and how it ended.
struct Curl(Output);

impl World {
    async fn start() -> Self {
        let pki = Pki::new("example.org");
        pki.dns("server", "localhost");
        pki.svid("client", "spiffe://example.org/client");
        pki.svid("other", "spiffe://example.org/other");
        let upstream = Upstream::start(answer).await;
        let config = config(&upstream);
        let config = pki.write("proxy.toml", &config);
        let proxy = ProxyProcess::start(&config, &["web", "tls", "mtls"]).await;
        Self {
            proxy,
            pki,
            _upstream: upstream,
        }
    }

    async fn curl(&self, listener: &str, arguments: &[&str]) -> Curl {
        let scheme = if listener == "web" { "http" } else { "https" };
        let port = self.proxy.address(listener).port();
        self.curl_at(&format!("{scheme}://localhost:{port}/"), arguments)
            .await
    }

    async fn curl_at(&self, url: &str, arguments: &[&str]) -> Curl {
        let mut curl = Command::new("curl");
        curl.args(["-q", "-sS", "--ipv4", "--noproxy", "*", "--max-time", "40"])
            .args(arguments)
            .arg(url);
        Curl(
            bounded(curl.kill_on_drop(true).output())
                .await
                .expect("curl must be installed"),
        )
    }
}

impl Curl {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }
}

impl std::fmt::Debug for Curl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {}\n{}",
            self.0.status,
            self.text(),
            String::from_utf8_lossy(&self.0.stderr)
        )
    }
}

/// An upload comes back; anything else is told what it asked for.
async fn answer(request: Request<Incoming>) -> Response<crate::support::body::TestBody> {
    assert_eq!(request.version(), Version::HTTP_11);
    if request.method() == "PUT" {
        return Response::new(BodyExt::boxed_unsync(
            request.into_body().map_err(Into::into),
        ));
    }
    let host = request.headers()["host"].to_str().unwrap();
    let text = format!("{} {} of {host}\n", request.method(), request.uri());
    Response::new(full(text))
}

fn config(upstream: &Upstream) -> String {
    format!(
        r#"
[admin]
listen = "127.0.0.1:0"

[[listener]]
name = "web"
listen = "127.0.0.1:0"
cluster = "backend"

[[listener]]
name = "tls"
listen = "127.0.0.1:0"
cluster = "backend"
tls = {{ certificate = "server.pem", private_key = "server.key" }}

[[listener]]
name = "mtls"
listen = "127.0.0.1:0"
cluster = "backend"

[listener.tls]
certificate = "server.pem"
private_key = "server.key"
client_ca = "ca.pem"
trust_domain = "example.org"
allow = ["spiffe://example.org/client"]

[[cluster]]
name = "backend"
endpoints = ["{}"]
balance = {{ wait = "10s" }}
"#,
        upstream.address
    )
}
