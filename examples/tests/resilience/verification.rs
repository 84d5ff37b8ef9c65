//! The settings that say which certificates are good, each against a peer that it is about.

use std::{
    net::SocketAddr,
    process::Stdio,
    time::{Duration, SystemTime},
};

use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use tokio::process::Command;
use tower_mtls::Credentials;

use crate::support::{
    BoxError, admin,
    authority::OpensslAuthority,
    cleartext, eventually,
    mutual::{MutualClient, MutualUpstream},
    pki::Pki,
    start,
    tools::program,
    upstream::Upstream,
};

#[tokio::test]
async fn a_client_that_no_list_tells_about_is_refused_unless_that_is_accepted() {
    let pki = Pki::new("example.org");
    pki.svid("proxy", "/proxy");
    let others = OpensslAuthority::new();
    std::fs::copy(others.directory.path().join("ca.crl"), pki.path("ca.crl")).unwrap();
    let web = pki.authority.svid("/web").unwrap().credentials();
    let upstream = upstream().await;
    for (keys, is_taken) in [
        ("crl = [\"ca.crl\"]", false),
        ("crl = [\"ca.crl\"]\ncrl_unknown_status = \"accept\"", true),
        ("", true),
    ] {
        let proxy = start(&pki.directory, &listener(upstream.address, keys));
        let answer = get(&pki, proxy.address("web").unwrap(), &web).await;
        assert_eq!(answer.ok(), is_taken.then_some(StatusCode::OK), "{keys}");
        let refused = "proxy_handshakes_total{listener=\"web\",result=\"revocation_unknown\"}";
        let count = admin::metric(proxy.admin(), refused).await;
        assert_eq!(count, Some(f64::from(u8::from(!is_taken))), "{keys}");
    }
}

#[tokio::test]
async fn a_client_whose_certificate_is_just_over_comes_in_by_clock_skew() {
    let pki = Pki::new("example.org");
    pki.svid("proxy", "/proxy");
    let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
    let late = pki
        .authority
        .valid(now - hour, now - Duration::from_secs(60));
    let late = late.svid("/web").unwrap().credentials();
    let upstream = upstream().await;
    for (keys, is_taken) in [("", false), ("clock_skew = \"10m\"", true)] {
        let proxy = start(&pki.directory, &listener(upstream.address, keys));
        let answer = get(&pki, proxy.address("web").unwrap(), &late).await;
        assert_eq!(answer.ok(), is_taken.then_some(StatusCode::OK), "{keys}");
    }
}

#[tokio::test]
async fn an_endpoint_whose_certificate_is_just_over_is_taken_by_clock_skew() {
    let pki = Pki::new("example.org");
    pki.svid("proxy", "/proxy");
    let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
    let late = pki
        .authority
        .valid(now - hour, now - Duration::from_secs(60));
    let late = late.svid("/backend").unwrap().credentials();
    let upstream = MutualUpstream::start(late, pki.authority.trust_bundle());
    for (keys, is_taken) in [("", false), ("clock_skew = \"10m\"", true)] {
        let tls = format!(
            "endpoints = [\"{}\"]\n[cluster.tls]\ncertificate = \"proxy.pem\"\nprivate_key = \"proxy.key\"\nca = \"ca.pem\"\ntrust_domain = \"example.org\"\n{keys}\n",
            upstream.address
        );
        let proxy = start(&pki.directory, &cleartext(&tls));
        let is_done = |result: &str| {
            format!("proxy_endpoint_handshakes_total{{cluster=\"backend\",result=\"{result}\"}}")
        };
        let expected = is_done(if is_taken { "succeeded" } else { "expired" });
        let dialled = || {
            proxy.status()[0]
                .endpoints
                .iter()
                .any(|it| it.connection.dials > 0)
        };
        eventually("it is dialled", dialled).await;
        let ended = || {
            proxy.status()[0]
                .endpoints
                .iter()
                .any(|it| it.connection.dial_failures > 0 || it.ready)
        };
        eventually("the dial has ended", ended).await;
        assert!(
            admin::metric(proxy.admin(), &expected).await >= Some(1.0),
            "{keys}"
        );
    }
}

#[tokio::test]
async fn an_endpoint_of_a_federated_trust_domain_is_met_by_its_own_bundle() {
    let (pki, partner) = (Pki::new("example.org"), Pki::new("partner.example"));
    pki.svid("proxy", "/proxy");
    pki.write("partner.pem", &partner.authority.ca_pem());
    let id = "spiffe://partner.example/backend";
    for (authority, shown, result) in [
        (&partner.authority, Some(id), "succeeded"),
        // Ours vouches for nobody but our own.
        (&pki.authority, None, "unknown_issuer"),
    ] {
        let backend = authority.svid(id).unwrap().credentials();
        let upstream = MutualUpstream::start(backend, pki.authority.trust_bundle());
        let tls = format!(
            "endpoints = [\"{}\"]\n[cluster.tls]\ncertificate = \"proxy.pem\"\nprivate_key = \"proxy.key\"\nca = \"ca.pem\"\ntrust_domain = \"example.org\"\nfederated = {{ \"partner.example\" = \"partner.pem\" }}\nidentity = [\"{id}\"]\n",
            upstream.address
        );
        let proxy = start(&pki.directory, &cleartext(&tls));
        let ended = || {
            let status = proxy.status();
            let mut endpoints = status[0].endpoints.iter();
            endpoints.any(|it| it.connection.dial_failures > 0 || it.ready)
        };
        eventually("the dial has ended", ended).await;
        let status = proxy.status();
        assert_eq!(status[0].endpoints[0].connection.peer.as_deref(), shown);
        let series =
            format!("proxy_endpoint_handshakes_total{{cluster=\"backend\",result=\"{result}\"}}");
        assert!(
            admin::metric(proxy.admin(), &series).await >= Some(1.0),
            "{result}"
        );
    }
}

#[tokio::test]
async fn tls_1_2_is_spoken_only_where_that_is_written() {
    let pki = Pki::new("example.org");
    pki.svid("proxy", "/proxy");
    pki.svid("web", "/web");
    let upstream = upstream().await;
    for (keys, is_taken) in [("", false), ("allow_tls12 = true", true)] {
        let proxy = start(&pki.directory, &listener(upstream.address, keys));
        let web = proxy.address("web").unwrap().to_string();
        let client = Command::new(program("openssl", "openssl"))
            .args(["s_client", "-tls1_2", "-cert", "web.pem", "-key", "web.key"])
            .args(["-connect", &web])
            .current_dir(pki.directory.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = client.await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.success(), is_taken, "{keys}: {text}");
        assert_eq!(text.contains("New, TLSv1.2, Cipher is"), is_taken, "{text}");
    }
}

#[tokio::test]
async fn a_connection_ends_when_its_clients_certificate_does_unless_it_may_stay() {
    let pki = Pki::new("example.org");
    pki.svid("proxy", "/proxy");
    let upstream = upstream().await;
    let ends = start(&pki.directory, &listener(upstream.address, ""));
    let stays = listener(upstream.address, "end_connections = false");
    let stays = start(&pki.directory, &stays);
    let now = SystemTime::now();
    let short = pki
        .authority
        .valid(now - Duration::from_secs(60), now + Duration::from_secs(4));
    let short = short.svid("/web").unwrap().credentials();
    let [mut ended, mut kept] = [
        connect(&pki, &ends, &short).await,
        connect(&pki, &stays, &short).await,
    ];
    for client in [&mut ended, &mut kept] {
        assert_eq!(client.get().await.unwrap().status(), StatusCode::OK);
    }
    eventually("the connection ends", || ended.is_closed()).await;
    let series = "proxy_clients_no_longer_valid_total{listener=\"web\",reason=\"expired\"}";
    admin::metric_becomes(ends.admin(), series, 1.0).await;
    admin::metric_becomes(stays.admin(), series, 1.0).await;
    // Who stays connected is refused by each request.
    assert_eq!(kept.get().await.unwrap().status(), StatusCode::FORBIDDEN);
    let denied = "proxy_requests_denied_total{listener=\"web\",reason=\"no_longer_valid\"}";
    assert_eq!(admin::metric(stays.admin(), denied).await, Some(1.0));
}

async fn upstream() -> Upstream {
    Upstream::start(|_: Request<Incoming>| async { Response::new(Empty::<bytes::Bytes>::new()) })
        .await
}

fn listener(endpoint: SocketAddr, keys: &str) -> String {
    let tls = format!(
        "[listener.tls]\ncertificate = \"proxy.pem\"\nprivate_key = \"proxy.key\"\nclient_ca = \"ca.pem\"\ntrust_domain = \"example.org\"\nallow_any = true\n{keys}\n\n[[cluster]]"
    );
    cleartext(&format!("endpoints = [\"{endpoint}\"]\n")).replacen("[[cluster]]", &tls, 1)
}

async fn connect(pki: &Pki, proxy: &examples::proxy::Proxy, own: &Credentials) -> MutualClient {
    let web = proxy.address("web").unwrap();
    MutualClient::connect(web, pki.authority.trust_bundle(), Some(own.clone()))
        .await
        .unwrap()
}

async fn get(pki: &Pki, proxy: SocketAddr, own: &Credentials) -> Result<StatusCode, BoxError> {
    let trust = pki.authority.trust_bundle();
    let mut client = MutualClient::connect(proxy, trust, Some(own.clone())).await?;
    Ok(client.get().await?.status())
}
