//! Who may send requests to a listener, and what endpoints and operators learn of it.

use std::{net::SocketAddr, process::Command};

use examples::proxy::Proxy;
use http::{Request, Response, StatusCode, request::Parts};
use http_body_util::Empty;
use hyper::body::Incoming;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower_mtls::Credentials;

use crate::{
    raw,
    support::{
        BoxError, admin,
        authority::OpensslAuthority,
        cleartext, eventually,
        mutual::{MutualClient, MutualUpstream},
        pki::Pki,
        process::{ProxyProcess, plain},
        start,
        tools::program,
        upstream::Upstream,
    },
};

#[tokio::test]
async fn an_endpoint_is_told_of_the_certificate_where_the_listener_says_so() {
    let authority = OpensslAuthority::new();
    let (frontend, _) = (authority.svid("frontend"), authority.svid("proxy"));
    let (upstream, mut heads) = noting().await;
    for (key, told) in [("forward_client_certificate = true", true), ("", false)] {
        let config = listener(upstream.address, &format!("allow_any = true\n{key}"));
        let proxy = start(&authority.directory, &config);
        let web = proxy.address("web").unwrap();
        let client = MutualClient::connect(web, authority.trust_bundle(), Some(frontend.clone()));
        let mut client = client.await.unwrap();
        for claims in [
            &[][..],
            &["Hash=1;URI=spiffe://example.org/admin", "By=evil"],
        ] {
            let mut request = Request::get("/").body(String::new()).unwrap();
            for claim in claims {
                let headers = request.headers_mut();
                headers.append("x-forwarded-client-cert", claim.parse().unwrap());
            }
            assert_eq!(client.send(request).await.unwrap().status(), StatusCode::OK);
            let expected = format!(
                "By=spiffe://example.org/proxy;Hash={};URI=spiffe://example.org/frontend",
                hash_by_openssl(&authority, "frontend.pem")
            );
            let expected: &[_] = if told { &[expected] } else { &[] };
            assert_eq!(certificates(&heads.recv().await.unwrap()), expected);
        }
    }
}

#[tokio::test]
async fn names_of_a_plain_pki_are_told_as_dns() {
    let pki = Pki::new("example.org");
    pki.dns("proxy", "proxy.test");
    let client = pki.authority.dns(&["a.test", "b.test"]).unwrap();
    let (upstream, mut heads) = noting().await;
    let tls = "[listener.tls]\ncertificate = \"proxy.pem\"\nprivate_key = \"proxy.key\"\nclient_ca = \"ca.pem\"\nallow = [\"dns:b.test\"]\nforward_client_certificate = true\n\n[[cluster]]";
    let config = cleartext(&format!("endpoints = [\"{}\"]", upstream.address));
    let proxy = start(&pki.directory, &config.replacen("[[cluster]]", tls, 1));

    let layer = tower_mtls::MtlsLayer::builder(pki.authority.plain_trust_bundle())
        .expect(tower_mtls::Expected::ServerName(
            "proxy.test".parse().unwrap(),
        ))
        .credentials(client.credentials())
        .build()
        .unwrap();
    let connector = tower::service_fn(TcpStream::connect::<SocketAddr>);
    let connector = tower_layer::Layer::layer(&layer, connector);
    let web = proxy.address("web").unwrap();
    let mut stream = tower::ServiceExt::oneshot(connector, web).await.unwrap();
    let answer = speak(
        &mut stream,
        b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert_eq!(raw::status(&answer), Some(200), "{answer}");
    let told = certificates(&heads.recv().await.unwrap()).remove(0);
    let (hash, names) = told.split_once(';').unwrap();
    assert!(hash.starts_with("Hash=") && hash.len() == 5 + 64, "{told}");
    assert_eq!(names, "DNS=a.test;DNS=b.test");
}

/// By bytes, as a library would write the names in lower case.
#[tokio::test]
async fn no_client_can_tell_of_a_certificate_itself() {
    let pki = Pki::new("example.org");
    pki.svid("proxy", "/proxy");
    let frontend = pki.authority.svid("/frontend").unwrap().credentials();
    let (upstream, mut heads) = noting().await;
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Client-Cert: Hash=1\r\n\
        x-forwarded-CLIENT-cert: URI=spiffe://example.org/admin\r\nConnection: close, x-forwarded-client-cert\r\n\
        X-FORWARDED-CLIENT-CERT:\r\n\r\n";
    // Not even whose other fields are believed.
    for trust in ["", "[trust]\nforwarded = [\"127.0.0.0/8\"]\n"] {
        for (key, told) in [("forward_client_certificate = true", 1), ("", 0)] {
            let secure = listener(upstream.address, &format!("allow_any = true\n{key}")) + trust;
            let proxy = start(&pki.directory, &secure);
            let web = proxy.address("web").unwrap();
            let trust_bundle = pki.authority.trust_bundle();
            let stream = MutualClient::stream(web, trust_bundle, Some(frontend.clone()));
            let answer = speak(&mut stream.await.unwrap(), request).await;
            assert_eq!(raw::status(&answer), Some(200), "{answer}");
            let found = certificates(&heads.recv().await.unwrap());
            assert_eq!(found.len(), told, "{found:?}");
            assert!(
                found
                    .iter()
                    .all(|told| told.contains("URI=spiffe://example.org/frontend"))
            );
        }
        let clear = cleartext(&format!("endpoints = [\"{}\"]", upstream.address)) + trust;
        let proxy = start(&pki.directory, &clear);
        let answer = raw::exchange(proxy.address("web").unwrap(), request).await;
        assert_eq!(raw::status(&answer), Some(200), "{answer}");
        assert_eq!(certificates(&heads.recv().await.unwrap()), [""; 0]);
    }
}

#[tokio::test]
async fn who_is_not_allowed_gets_403_or_permission_denied_and_is_counted() {
    let stage = Stage::start("allow = [\"spiffe://example.org/ns/shop/*\"]").await;
    assert_eq!(stage.get("/ns/shop/web").await.unwrap(), StatusCode::OK);
    assert_eq!(
        stage.get("/ns/shopping").await.unwrap(),
        StatusCode::FORBIDDEN
    );
    assert_eq!(stage.get("/ns/shop").await.unwrap(), StatusCode::FORBIDDEN);

    let mut stranger = stage.connect(Some("/stranger")).await.unwrap();
    let call = Request::post("/a/b").header("content-type", "application/grpc");
    let answer = stranger
        .send(call.body(String::new()).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["grpc-status"], "7");
    assert_eq!(stage.denied("not_allowed").await, Some(3.0));
    assert_eq!(stage.denied("no_peer").await, Some(0.0));
}

#[tokio::test]
async fn a_list_that_is_tried_lets_everybody_in_and_counts_whom_it_would_not() {
    let stage = Stage::start("allow = [\"spiffe://example.org/frontend\"]\naudit = true").await;
    assert_eq!(stage.get("/frontend").await.unwrap(), StatusCode::OK);
    assert_eq!(stage.get("/stranger").await.unwrap(), StatusCode::OK);
    let audited = "proxy_requests_audited_total{listener=\"web\",reason=\"not_allowed\"}";
    assert_eq!(admin::metric(stage.proxy.admin(), audited).await, Some(1.0));
    assert_eq!(stage.denied("not_allowed").await, Some(0.0));
}

#[tokio::test]
async fn a_client_without_a_certificate_comes_in_only_where_that_is_written() {
    let optional = "allow = [\"spiffe://example.org/frontend\"]\nclient_certificate = \"optional\"";
    for (keys, anonymous) in [
        ("allow = [\"spiffe://example.org/frontend\"]", None),
        (optional, Some(StatusCode::FORBIDDEN)),
        (
            &format!("{optional}\nallow_anonymous = true"),
            Some(StatusCode::OK),
        ),
    ] {
        let stage = Stage::start(keys).await;
        assert_eq!(stage.answer(None).await.ok(), anonymous, "{keys}");
        assert_eq!(
            stage.get("/frontend").await.unwrap(),
            StatusCode::OK,
            "{keys}"
        );
        assert_eq!(
            stage.get("/stranger").await.unwrap(),
            StatusCode::FORBIDDEN,
            "{keys}"
        );
        let refused = f64::from(anonymous == Some(StatusCode::FORBIDDEN));
        assert_eq!(stage.denied("no_peer").await, Some(refused), "{keys}");
    }
}

#[tokio::test]
async fn workloads_of_a_federated_trust_domain_are_verified_by_its_own_bundle() {
    let partner = Pki::new("partner.example");
    let pki = Pki::new("example.org");
    pki.svid("proxy", "/proxy");
    pki.write("partner.pem", &partner.authority.ca_pem());
    let upstream = Upstream::start(|_: Request<Incoming>| async {
        Response::new(Empty::<bytes::Bytes>::new())
    });
    let upstream = upstream.await;
    for (federated, allowed) in [
        (
            "federated = { \"partner.example\" = \"partner.pem\" }",
            true,
        ),
        ("", false),
    ] {
        let identity = format!(
            "[identity]\ncertificate = \"proxy.pem\"\nprivate_key = \"proxy.key\"\ntrust_bundle = \"ca.pem\"\ntrust_domain = \"example.org\"\n{federated}\n"
        );
        let tls = "[listener.tls]\nallow = [\"spiffe://partner.example/*\"]\n\n[[cluster]]";
        let cluster = format!("endpoints = [\"{}\"]\ntls = \"off\"", upstream.address);
        let config = identity + &cleartext(&cluster).replacen("[[cluster]]", tls, 1);
        let proxy = start(&pki.directory, &config);
        let (web, trust) = (proxy.address("web").unwrap(), pki.authority.trust_bundle());
        let get = async |own: Credentials| {
            let mut client = MutualClient::connect(web, trust.clone(), Some(own)).await?;
            Ok::<_, BoxError>(client.get().await?.status())
        };
        let theirs = partner.authority.svid("/web").unwrap().credentials();
        assert_eq!(get(theirs).await.ok(), allowed.then_some(StatusCode::OK));
        let ours = pki.authority.svid("/web").unwrap().credentials();
        assert_eq!(get(ours).await.unwrap(), StatusCode::FORBIDDEN);
        let forged = pki.authority.svid("spiffe://partner.example/web").unwrap();
        assert!(get(forged.credentials()).await.is_err());
    }
}

#[tokio::test]
async fn the_access_log_names_both_sides() {
    let pki = Pki::new("example.org");
    pki.svid("proxy", "/proxy");
    let backend = pki.authority.svid("/backend").unwrap().credentials();
    let upstream = MutualUpstream::start(backend, pki.authority.trust_bundle());
    let tls = "[cluster.tls]\ncertificate = \"proxy.pem\"\nprivate_key = \"proxy.key\"\nca = \"ca.pem\"\ntrust_domain = \"example.org\"\n";
    let config = listener(upstream.address, "allow_any = true") + tls;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_proxy"));
    command.arg("run");
    let mut command = plain(command);
    command.env("PROXY_LOG", "info");
    let config = pki.write("proxy.toml", &config);
    let proxy = ProxyProcess::start_as(command, &config, &["web", "admin"]).await;
    let frontend = pki.authority.svid("/frontend").unwrap().credentials();
    let trust = pki.authority.trust_bundle();
    let client = MutualClient::connect(proxy.address("web"), trust, Some(frontend)).await;
    assert_eq!(
        client.unwrap().get().await.unwrap().status(),
        StatusCode::OK
    );
    let names = [
        "peer=spiffe://example.org/frontend ",
        "endpoint_peer=spiffe://example.org/backend ",
    ];
    let is_named =
        |line: &str| line.contains(" access: ") && names.iter().all(|name| line.contains(name));
    eventually("a line names both", || proxy.log().lines().any(is_named)).await;
}

/// A proxy before a plain endpoint, whose clients are verified.
struct Stage {
    proxy: Proxy,
    pki: Pki,
    _upstream: Upstream,
}

impl Stage {
    async fn start(keys: &str) -> Self {
        let pki = Pki::new("example.org");
        pki.svid("proxy", "/proxy");
        let upstream = Upstream::start(|_: Request<Incoming>| async {
            Response::new(Empty::<bytes::Bytes>::new())
        });
        let upstream = upstream.await;
        let proxy = start(&pki.directory, &listener(upstream.address, keys));
        Self {
            proxy,
            pki,
            _upstream: upstream,
        }
    }

    async fn connect(&self, path: Option<&str>) -> Result<MutualClient, BoxError> {
        let own = path.map(|path| self.pki.authority.svid(path).unwrap().credentials());
        let web = self.proxy.address("web").unwrap();
        MutualClient::connect(web, self.pki.authority.trust_bundle(), own).await
    }

    async fn answer(&self, path: Option<&str>) -> Result<StatusCode, BoxError> {
        Ok(self.connect(path).await?.get().await?.status())
    }

    async fn get(&self, path: &str) -> Result<StatusCode, BoxError> {
        self.answer(Some(path)).await
    }

    async fn denied(&self, reason: &str) -> Option<f64> {
        let series = format!("proxy_requests_denied_total{{listener=\"web\",reason=\"{reason}\"}}");
        admin::metric(self.proxy.admin(), &series).await
    }
}

fn listener(endpoint: SocketAddr, keys: &str) -> String {
    let tls = format!(
        "[listener.tls]\ncertificate = \"proxy.pem\"\nprivate_key = \"proxy.key\"\nclient_ca = \"ca.pem\"\ntrust_domain = \"example.org\"\n{keys}\n\n[[cluster]]"
    );
    cleartext(&format!("endpoints = [\"{endpoint}\"]\n")).replacen("[[cluster]]", &tls, 1)
}

async fn noting() -> (Upstream, tokio::sync::mpsc::UnboundedReceiver<Parts>) {
    let (seen, heads) = tokio::sync::mpsc::unbounded_channel();
    let upstream = Upstream::start(move |request: Request<Incoming>| {
        seen.send(request.into_parts().0).unwrap();
        async { Response::new(Empty::<bytes::Bytes>::new()) }
    });
    (upstream.await, heads)
}

fn certificates(head: &Parts) -> Vec<String> {
    let values = head.headers.get_all("x-forwarded-client-cert").iter();
    values
        .map(|value| value.to_str().unwrap().to_owned())
        .collect()
}

fn hash_by_openssl(authority: &OpensslAuthority, name: &str) -> String {
    let output = Command::new(program("openssl", "openssl"))
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in", name])
        .current_dir(authority.directory.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, hash) = text.trim().split_once('=').unwrap();
    hash.replace(':', "").to_lowercase()
}

async fn speak(stream: &mut tower_mtls::MtlsStream<TcpStream>, bytes: &[u8]) -> String {
    stream.write_all(bytes).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
