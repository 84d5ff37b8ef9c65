//! Who may speak to whom, over mutual TLS with SPIFFE identities, and how a refusal shows.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_mtls::{Credentials, Expected, MtlsLayer, accept::Acceptor, dev::Issued};

use crate::support::{
    BoxError, admin, chain, cleartext,
    client::{Client, text},
    eventually,
    pki::Pki,
    process::{ProxyProcess, run},
    relay::Relay,
    start,
    upstream::Upstream,
};

#[tokio::test]
async fn a_listener_lets_in_whom_it_lists_and_says_why_it_refuses_the_others() {
    let pki = Pki::new("example.org");
    pki.svid("proxy", "/proxy");
    let upstream = Upstream::start(hello).await;
    let config = listener_tls(
        &format!("endpoints = [\"{}\"]", upstream.address),
        "trust_domain = \"example.org\"\nallow = [\"spiffe://example.org/frontend\"]",
    );
    let proxy = ProxyProcess::start(&pki.write("proxy.toml", &config), &["web", "admin"]).await;
    let (web, admin) = (proxy.address("web"), proxy.address("admin"));

    let frontend = pki.authority.svid("/frontend").unwrap();
    let response = get(&pki, web, Some(frontend.credentials())).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(text(response).await, "hello");
    assert_eq!(handshakes(admin, "succeeded").await, 1.0);

    let stranger = pki.authority.svid("/stranger").unwrap();
    let response = get(&pki, web, Some(stranger.credentials())).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let status = response.headers()["proxy-status"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(status.contains("http_request_denied"), "{status}");
    assert_eq!(handshakes(admin, "succeeded").await, 2.0);

    let (now, day) = (SystemTime::now(), Duration::from_secs(86_400));
    let elsewhere = Pki::new("example.org");
    let refused: [(&str, Option<Issued>); 5] = [
        ("no_certificate", None),
        (
            "expired",
            Some(
                pki.authority
                    .valid(now - 2 * day, now - day)
                    .svid("/frontend")
                    .unwrap(),
            ),
        ),
        (
            "not_yet_valid",
            Some(
                pki.authority
                    .valid(now + day, now + 2 * day)
                    .svid("/frontend")
                    .unwrap(),
            ),
        ),
        (
            "unknown_issuer",
            Some(elsewhere.authority.svid("/frontend").unwrap()),
        ),
        (
            "unknown_trust_domain",
            Some(pki.authority.svid("spiffe://example.com/frontend").unwrap()),
        ),
    ];
    for (reason, client) in refused {
        let answer = get(&pki, web, client.as_ref().map(Issued::credentials)).await;
        assert!(answer.is_err(), "{reason}: {answer:?}");
        let mark = format!("reason=\"{reason}\"");
        eventually(&mark, || {
            proxy.log().lines().any(|line| line.contains(&mark))
        })
        .await;
        let log = proxy.log();
        let line = log
            .lines()
            .find(|line| line.contains(&mark) && line.contains("listener=web"));
        let line = line.unwrap_or_else(|| panic!("no line names listener and {reason}: {log}"));
        assert!(
            line.contains("WARN") && line.contains("client=127.0.0.1:"),
            "{line}"
        );
        assert_eq!(handshakes(admin, reason).await, 1.0, "{reason}");
    }
    assert_eq!(handshakes(admin, "succeeded").await, 2.0);
    let responses =
        |status| format!("proxy_responses_total{{listener=\"web\",status=\"{status}\"}}");
    assert_eq!(admin::metric(admin, &responses(200)).await, Some(1.0));
    assert_eq!(admin::metric(admin, &responses(403)).await, Some(1.0));
}

#[tokio::test]
async fn a_cluster_meets_whom_it_expects_and_shows_why_it_refuses_the_others() {
    let pki = Pki::new("example.org");
    pki.svid("proxy", "/proxy");
    let (now, day) = (SystemTime::now(), Duration::from_secs(86_400));
    let elsewhere = Pki::new("example.org");
    let cast = [
        ("right", pki.authority.svid("/backend").unwrap(), None),
        (
            "wrong",
            pki.authority.svid("/other").unwrap(),
            Some(
                "expected spiffe://example.org/backend; the peer claims to be spiffe://example.org/other",
            ),
        ),
        (
            "stranger",
            elsewhere.authority.svid("/backend").unwrap(),
            Some("(unknown_issuer)"),
        ),
        (
            "expired",
            pki.authority
                .valid(now - 2 * day, now - day)
                .svid("/backend")
                .unwrap(),
            Some("(expired)"),
        ),
    ];
    let mut config = "[admin]\nlisten = \"127.0.0.1:0\"\n".to_owned();
    let mut upstreams = Vec::new();
    for (name, server, _) in &cast {
        let acceptor =
            Acceptor::builder(server.credentials()).require_client(pki.authority.trust_bundle());
        let upstream = Upstream::start_at(
            "127.0.0.1:0".parse().unwrap(),
            Some(acceptor.build().unwrap()),
            hello,
        )
        .await;
        config += &format!(
            r#"
[[listener]]
name = "to-{name}"
listen = "127.0.0.1:0"
cluster = "{name}"

[[cluster]]
name = "{name}"
endpoints = ["{address}"]
balance = {{ wait = "300ms" }}

[cluster.tls]
certificate = "proxy.pem"
private_key = "proxy.key"
ca = "ca.pem"
trust_domain = "example.org"
identity = ["spiffe://example.org/backend"]
"#,
            address = upstream.address
        );
        upstreams.push(upstream);
    }
    let listeners = ["admin", "to-right", "to-wrong", "to-stranger", "to-expired"];
    let proxy = ProxyProcess::start(&pki.write("proxy.toml", &config), &listeners).await;

    for (name, _, cause) in cast {
        let response = get_clear(proxy.address(&format!("to-{name}")))
            .await
            .unwrap();
        let endpoint = admin::endpoint(proxy.address("admin"), name).await;
        let Some(cause) = cause else {
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(endpoint["connection"], "connected");
            continue;
        };
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{name}");
        let status = response.headers()["proxy-status"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(status.contains("destination_unavailable"), "{status}");
        assert!(
            ["backing off", "connecting"]
                .iter()
                .any(|state| endpoint["connection"] == *state),
            "{endpoint}"
        );
        let shown = until_backing_off(proxy.address("admin"), name).await;
        assert!(shown.contains(cause), "{name}: {shown}");
        let log = proxy.log();
        let address = endpoint["address"].as_str().unwrap();
        let line = log
            .lines()
            .find(|line| line.contains("WARN") && line.contains(cause) && line.contains(address));
        assert!(line.is_some(), "{name}: no line with {cause:?} in {log}");
    }
}

#[tokio::test]
async fn identity_alone_makes_a_chain_of_proxies_unreadable_in_between() {
    let pki = Pki::new("example.org");
    pki.svid("inner", "/inner");
    pki.svid("outer", "/outer");
    let upstream = Upstream::start(echo).await;
    let inner = start(
        &pki.directory,
        &chain("inner", "", "tls = \"off\"", upstream.address),
    );
    let relay = Relay::start(inner.address("web").unwrap()).await;
    let outer = start(
        &pki.directory,
        &chain("outer", "tls = \"off\"", "", relay.address),
    );

    for protocol in [Version::HTTP_11, Version::HTTP_2] {
        assert_eq!(
            secret_round_trip(outer.address("web").unwrap(), protocol).await,
            format!("{SECRET_BODY}, echoed")
        );
    }
    assert!(relay.count() > 500, "it went another way");
    for secret in [SECRET_HEADER, SECRET_BODY, "x-secret", "echoed"] {
        assert!(
            !relay.saw(secret),
            "{secret:?} is readable between two proxies"
        );
    }
    let refused = get_clear(inner.address("web").unwrap()).await;
    assert!(refused.is_err(), "a cleartext client came in: {refused:?}");
}

/// The same chain in cleartext: this is what the test above can see.
#[tokio::test]
async fn cleartext_between_two_proxies_is_readable() {
    let upstream = Upstream::start(echo).await;
    let directory = tempfile::tempdir().unwrap();
    let inner = start(
        &directory,
        &cleartext(&format!("endpoints = [\"{}\"]", upstream.address)),
    );
    let relay = Relay::start(inner.address("web").unwrap()).await;
    let outer = start(
        &directory,
        &cleartext(&format!("endpoints = [\"{}\"]", relay.address)),
    );
    secret_round_trip(outer.address("web").unwrap(), Version::HTTP_11).await;
    assert!(relay.saw(SECRET_HEADER) && relay.saw(SECRET_BODY) && relay.saw("echoed"));
}

#[tokio::test]
async fn cleartext_is_named_by_check_and_by_a_metric() {
    let pki = Pki::new("example.org");
    pki.svid("outer", "/outer");
    let upstream = Upstream::start(hello).await;
    for (listener, cluster, named, metrics) in [
        ("", "", "good\n", (0.0, 0.0)),
        (
            "tls = \"off\"",
            "",
            "good; cleartext: listener `web`\n",
            (1.0, 0.0),
        ),
        (
            "",
            "tls = \"off\"",
            "good; cleartext: cluster `next`\n",
            (0.0, 1.0),
        ),
        (
            "tls = \"off\"",
            "tls = \"off\"",
            "good; cleartext: listener `web`, cluster `next`\n",
            (1.0, 1.0),
        ),
    ] {
        let config = chain("outer", listener, cluster, upstream.address);
        let path = pki.write("proxy.toml", &config);
        let check = run(&["check", "--config", path.to_str().unwrap()]).await;
        assert_eq!(check.code, Some(0), "{}", check.stderr);
        assert!(check.stdout.ends_with(named), "{}", check.stdout);

        let admin = start(&pki.directory, &config);
        let listener =
            admin::metric(admin.admin(), "proxy_listener_cleartext{listener=\"web\"}").await;
        let cluster =
            admin::metric(admin.admin(), "proxy_cluster_cleartext{cluster=\"next\"}").await;
        assert_eq!((listener.unwrap(), cluster.unwrap()), metrics);
    }
}

fn listener_tls(cluster: &str, clients: &str) -> String {
    let tls = format!(
        "[listener.tls]\ncertificate = \"proxy.pem\"\nprivate_key = \"proxy.key\"\nclient_ca = \"ca.pem\"\n{clients}\n\n[[cluster]]"
    );
    cleartext(cluster).replacen("[[cluster]]", &tls, 1)
}

/// One GET over TLS, with or without a certificate of our own.
async fn get(
    pki: &Pki,
    proxy: SocketAddr,
    client: Option<Credentials>,
) -> Result<Response<Incoming>, BoxError> {
    let builder = MtlsLayer::builder(pki.authority.trust_bundle())
        .expect(Expected::TrustDomain)
        .alpn(["http/1.1"]);
    let builder = match client {
        Some(credentials) => builder.credentials(credentials),
        None => builder,
    };
    let connector = builder.build()?.layer(service_fn(|address: SocketAddr| {
        TcpStream::connect(address)
    }));
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(connector.oneshot(proxy).await?)).await?;
    tokio::spawn(connection);
    let request = Request::get("/")
        .header("host", "proxy.test")
        .body(String::new())?;
    Ok(sender.send_request(request).await?)
}

async fn get_clear(proxy: SocketAddr) -> hyper::Result<Response<Incoming>> {
    let mut client = Client::connect(proxy, Version::HTTP_11).await;
    client
        .send(Request::get("/").body(String::new()).unwrap())
        .await
}

async fn secret_round_trip(proxy: SocketAddr, version: Version) -> String {
    let mut client = Client::connect(proxy, version).await;
    let request = Request::post("/")
        .header("x-secret", SECRET_HEADER)
        .body(SECRET_BODY.to_owned())
        .unwrap();
    text(client.send(request).await.unwrap()).await
}

async fn hello(_: Request<Incoming>) -> Response<Full<Bytes>> {
    Response::new(Full::from("hello"))
}

async fn echo(request: Request<Incoming>) -> Response<Full<Bytes>> {
    assert_eq!(request.headers()["x-secret"], SECRET_HEADER);
    let body = request.into_body().collect().await.unwrap().to_bytes();
    Response::new(Full::from(format!(
        "{}, echoed",
        String::from_utf8_lossy(&body)
    )))
}

async fn handshakes(admin: SocketAddr, result: &str) -> f64 {
    let series = format!("proxy_handshakes_total{{listener=\"web\",result=\"{result}\"}}");
    admin::metric(admin, &series)
        .await
        .unwrap_or_else(|| panic!("no {series}"))
}

/// The cause that `/clusters` shows, once it is not dialling at this very moment.
async fn until_backing_off(admin: SocketAddr, cluster: &str) -> String {
    for _ in 0..1000 {
        let endpoint = admin::endpoint(admin, cluster).await;
        if endpoint["connection"] == "backing off" {
            return endpoint["cause"].as_str().unwrap().to_owned();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("cluster {cluster} does not back off");
}

const SECRET_HEADER: &str = "correct horse";
const SECRET_BODY: &str = "battery staple";
