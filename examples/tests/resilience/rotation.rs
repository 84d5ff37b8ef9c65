//! Certificates, keys, bundles and revocation lists that change while the proxy runs.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::symlink,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use http::StatusCode;
use tokio::task::JoinSet;
use tower_mtls::{Credentials, TrustBundle};

use crate::support::{
    admin::{self, metric, metric_becomes},
    authority::OpensslAuthority,
    cleartext,
    client::text,
    eventually,
    mutual::{MutualClient, MutualUpstream},
    pki::Pki,
    process::ProxyProcess,
    start,
};

/// Each request needs a handshake with the client, and connections to the endpoint are short-lived.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_show_the_new_certificate_and_no_request_fails() {
    let pki = Pki::new("example.org");
    pki.svid("proxy", "/proxy");
    let upstream = upstream(&pki);
    let config = both_sides(upstream.address) + SHORT_LIVES;
    let proxy = start(&pki.directory, &config);
    let (web, admin) = (proxy.address("web").unwrap(), proxy.admin());
    let frontend = pki.authority.svid("/frontend").unwrap().credentials();

    let (over, served) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut load = JoinSet::new();
    for _ in 0..3 {
        let (trust, own) = (pki.authority.trust_bundle(), frontend.clone());
        let (over, served) = (over.clone(), served.clone());
        load.spawn(async move {
            while !over.load(Relaxed) {
                hello(web, &trust, &own).await;
                served.fetch_add(1, Relaxed);
            }
        });
    }
    for rotation in 2..=12 {
        let path = format!("/proxy-{rotation}");
        replace(&pki, &path);
        metric_becomes(admin, ROTATED, f64::from(rotation)).await;
        let new = format!("spiffe://example.org{path}");
        let enough = served.load(Relaxed) + 6;
        eventually("requests flow", || served.load(Relaxed) >= enough).await;

        let met = connect(web, &pki.authority.trust_bundle(), &frontend)
            .await
            .server;
        assert_eq!(met.to_string(), new);
        let last = || upstream.last().unwrap().to_string();
        eventually("the endpoint meets it", || last() == new).await;
    }
    over.store(true, Relaxed);
    while let Some(ended) = load.join_next().await {
        ended.expect("no request has failed");
    }
    let failed = "proxy_handshakes_total{listener=\"web\",result=\"io\"}";
    assert_eq!(metric(admin, failed).await, Some(0.0));
}

#[tokio::test]
async fn the_same_files_are_watched_once() {
    let pki = Pki::new("example.org");
    pki.svid("proxy", "/proxy");
    let upstream = upstream(&pki);
    let proxy = start(&pki.directory, &both_sides(upstream.address));
    let (_, metrics) = admin::get(proxy.admin(), "/metrics").await;
    let sources = metrics
        .lines()
        .filter(|line| line.starts_with("proxy_certificate_not_after_seconds{"));
    let sources: Vec<_> = sources.collect();
    let [source] = sources[..] else {
        panic!("not one source: {sources:?}")
    };
    let expires = source
        .strip_prefix("proxy_certificate_not_after_seconds{source=\"listener web\"} ")
        .unwrap();
    let left = expires.parse::<f64>().unwrap() - now().as_secs_f64();
    assert!((86_300.0..86_400.0).contains(&left), "{left}");
}

#[tokio::test]
async fn a_new_bundle_counts_from_the_next_handshake_and_ends_whom_it_leaves_out() {
    let pki = Pki::new("example.org");
    pki.svid("proxy", "/proxy");
    let upstream = upstream(&pki);
    let proxy = start(&pki.directory, &both_sides(upstream.address));
    let (web, admin) = (proxy.address("web").unwrap(), proxy.admin());
    let frontend = pki.authority.svid("/frontend").unwrap().credentials();
    let mut open = connect(web, &pki.authority.trust_bundle(), &frontend).await;
    assert_eq!(open.get().await.unwrap().status(), StatusCode::OK);

    let other = Pki::new("example.org");
    let both = pki.authority.ca_pem() + &other.authority.ca_pem();
    pki.write("ca.pem", &both);
    metric_becomes(admin, ROTATED, 2.0).await;
    let stranger = other.authority.svid("/frontend").unwrap().credentials();
    hello(web, &pki.authority.trust_bundle(), &stranger).await;
    assert_eq!(open.get().await.unwrap().status(), StatusCode::OK);

    pki.write("ca.pem", &other.authority.ca_pem());
    metric_becomes(admin, ROTATED, 3.0).await;
    eventually("the open connection ends", || open.is_closed()).await;
    assert!(
        try_connect(web, &pki.authority.trust_bundle(), &frontend)
            .await
            .is_err()
    );
    let ended = "proxy_clients_no_longer_valid_total{listener=\"web\",reason=\"unknown_issuer\"}";
    metric_becomes(admin, ended, 1.0).await;
    let ended =
        "proxy_endpoints_no_longer_valid_total{cluster=\"backend\",reason=\"unknown_issuer\"}";
    metric_becomes(admin, ended, 1.0).await;
}

#[tokio::test]
async fn a_list_that_revokes_a_client_ends_its_connection_and_refuses_the_next() {
    let authority = OpensslAuthority::new();
    let [web, other] = ["web", "other"].map(|name| authority.svid(name));
    authority.svid("proxy");
    let upstream = MutualUpstream::start(authority.svid("backend"), authority.trust_bundle());
    let config = both_sides(upstream.address)
        .replace("allow_any = true", "allow_any = true\ncrl = [\"ca.crl\"]");
    let proxy = start(&authority.directory, &config);
    let (address, admin) = (proxy.address("web").unwrap(), proxy.admin());
    let trust = authority.trust_bundle();
    let mut open = connect(address, &trust, &web).await;
    let mut others = connect(address, &trust, &other).await;
    assert_eq!(open.get().await.unwrap().status(), StatusCode::OK);
    assert_eq!(others.get().await.unwrap().status(), StatusCode::OK);

    authority.revoke("web");
    metric_becomes(admin, ROTATED, 2.0).await;
    eventually("the open connection ends", || open.is_closed()).await;
    assert!(try_connect(address, &trust, &web).await.is_err());
    for (series, value) in [
        (
            "proxy_clients_no_longer_valid_total{listener=\"web\",reason=\"revoked\"}",
            1.0,
        ),
        (
            "proxy_handshakes_total{listener=\"web\",result=\"revoked\"}",
            1.0,
        ),
    ] {
        metric_becomes(admin, series, value).await;
    }
    assert_eq!(others.get().await.unwrap().status(), StatusCode::OK);
    hello(address, &trust, &other).await;
}

#[tokio::test]
async fn a_list_that_revokes_an_endpoint_ends_its_connection_and_sends_it_nothing() {
    let authority = OpensslAuthority::new();
    let web = authority.svid("web");
    authority.svid("proxy");
    let upstream = MutualUpstream::start(authority.svid("backend"), authority.trust_bundle());
    let config = both_sides(upstream.address)
        .replace("identity = [", "crl = [\"ca.crl\"]\nidentity = [")
        + "\n[cluster.balance]\nwait = \"300ms\"\n";
    let proxy = start(&authority.directory, &config);
    let (address, admin) = (proxy.address("web").unwrap(), proxy.admin());
    let mut client = connect(address, &authority.trust_bundle(), &web).await;
    assert_eq!(client.get().await.unwrap().status(), StatusCode::OK);
    let shown = admin::endpoint(admin, "backend").await;
    assert_eq!(shown["peer"], "spiffe://example.org/backend");
    let before = upstream.connections();

    authority.revoke("backend");
    let ended = "proxy_endpoints_no_longer_valid_total{cluster=\"backend\",reason=\"revoked\"}";
    metric_becomes(admin, ended, 1.0).await;
    let response = client.get().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let refused = "proxy_endpoint_handshakes_total{cluster=\"backend\",result=\"revoked\"}";
    assert!(metric(admin, refused).await.unwrap() >= 1.0);
    let (_, clusters) = admin::get(admin, "/clusters").await;
    assert!(clusters.contains("\"revoked\": "), "{clusters}");
    // TLS 1.3: the endpoint may take its own part of a handshake for done.
    assert!(upstream.connections() >= before);
}

#[tokio::test]
async fn bad_files_change_nothing_and_are_told_once() {
    let pki = Pki::new("example.org");
    let old = pki.svid("proxy", "/proxy");
    let upstream = upstream(&pki);
    let config = pki.write("proxy.toml", &both_sides(upstream.address));
    let proxy = ProxyProcess::start(&config, &["web", "admin"]).await;
    let (web, admin) = (proxy.address("web"), proxy.address("admin"));
    let frontend = pki.authority.svid("/frontend").unwrap().credentials();
    let trust = pki.authority.trust_bundle();
    let failing = "proxy_rotation_failing{source=\"listener web\"}";
    let (day, now) = (Duration::from_secs(86_400), SystemTime::now());
    let expired = pki
        .authority
        .valid(now - 2 * day, now - day)
        .svid("/proxy")
        .unwrap();
    let other = pki.authority.svid("/proxy").unwrap();

    let half = old.chain_pem()[..200].to_owned();
    let bad: [(&str, &str, &dyn Fn()); 4] = [
        ("malformed", "proxy.pem is not valid PEM", &|| {
            drop(pki.write("proxy.pem", &half));
        }),
        ("key_mismatch", "does not belong", &|| {
            drop(pki.write("proxy.key", other.key_pem()));
        }),
        ("unreadable", "proxy.key cannot be read", &|| {
            fs::remove_file(pki.path("proxy.key")).unwrap();
        }),
        ("expired", "has expired", &|| {
            drop(pki.keep("proxy", expired.clone()));
        }),
    ];
    for (number, (result, words, spoil)) in (2..).zip(bad) {
        spoil();
        let failed =
            format!("proxy_rotations_total{{source=\"listener web\",result=\"{result}\"}}");
        metric_becomes(admin, &failed, 1.0).await;
        assert_eq!(metric(admin, failing).await, Some(1.0), "{result}");
        hello(web, &trust, &frontend).await;
        let told =
            |line: &&str| line.contains("WARN") && line.contains(WARNED) && line.contains(words);
        eventually(words, || proxy.log().lines().any(|line| told(&line))).await;
        assert_eq!(
            proxy.log().lines().filter(told).count(),
            1,
            "{}",
            proxy.log()
        );

        let path = format!("/proxy-{number}");
        replace(&pki, &path);
        metric_becomes(admin, ROTATED, f64::from(number)).await;
        metric_becomes(admin, failing, 0.0).await;
        let met = connect(web, &trust, &frontend).await.server;
        assert_eq!(met.to_string(), format!("spiffe://example.org{path}"));
    }
    let key = old.key_pem().lines().nth(1).unwrap();
    assert!(!proxy.log().contains(key));
}

#[tokio::test]
async fn kubernetes_swaps_all_files_at_once() {
    let (one, other) = (Pki::new("example.org"), Pki::new("example.org"));
    let upstream = MutualUpstream::start(
        one.authority.svid("/backend").unwrap().credentials(),
        one.authority.trust_bundle(),
    );
    let folder = one.path("tls");
    fs::create_dir(&folder).unwrap();
    for name in ["tls.crt", "tls.key", "ca.crt"] {
        symlink(Path::new("..data").join(name), folder.join(name)).unwrap();
    }
    swap(&folder, "..1", &one);
    let config = both_sides(upstream.address)
        .replace("proxy.pem", "tls/tls.crt")
        .replace("proxy.key", "tls/tls.key")
        .replace("client_ca = \"ca.pem\"", "client_ca = \"tls/ca.crt\"");
    let proxy = start(&one.directory, &config);
    let web = proxy.address("web").unwrap();

    // Chain, key and root are of another authority: half of them would fail the handshake.
    for (number, pki) in (2..).zip([&other, &one, &other]) {
        swap(&folder, &format!("..{number}"), pki);
        metric_becomes(proxy.admin(), ROTATED, f64::from(number)).await;
        let client = pki.authority.svid("/frontend").unwrap().credentials();
        drop(connect(web, &pki.authority.trust_bundle(), &client).await);
    }
}

#[tokio::test]
async fn an_expired_certificate_of_ours_is_not_ready_until_there_is_a_new_one() {
    let pki = Pki::new("example.org");
    let now = SystemTime::now();
    let short = pki
        .authority
        .valid(now - Duration::from_secs(60), now + Duration::from_secs(4));
    pki.keep("proxy", short.svid("/proxy").unwrap());
    let upstream = upstream(&pki);
    let proxy = start(&pki.directory, &both_sides(upstream.address));
    let admin = proxy.admin();
    assert_eq!(admin::get(admin, "/ready").await.1, "ready\n");
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let (status, reason) = admin::get(admin, "/ready").await;
        if status == StatusCode::SERVICE_UNAVAILABLE && reason.contains("certificate") {
            assert_eq!(reason, "the certificate of listener web has expired\n");
            break;
        }
        assert!(tokio::time::Instant::now() < end, "{status} {reason}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    pki.svid("proxy", "/proxy");
    metric_becomes(admin, ROTATED, 2.0).await;
    assert_eq!(admin::get(admin, "/ready").await.1, "ready\n");
}

/// Mutual TLS with clients and with one endpoint, by the same files.
fn both_sides(endpoint: SocketAddr) -> String {
    let listener = "[listener.tls]\ncertificate = \"proxy.pem\"\nprivate_key = \"proxy.key\"\nclient_ca = \"ca.pem\"\ntrust_domain = \"example.org\"\nallow_any = true\n\n[[cluster]]";
    let cluster = format!(
        "endpoints = [\"{endpoint}\"]\n[cluster.tls]\ncertificate = \"proxy.pem\"\nprivate_key = \"proxy.key\"\nca = \"ca.pem\"\ntrust_domain = \"example.org\"\nidentity = [\"spiffe://example.org/backend\"]\n"
    );
    cleartext(&cluster).replacen("[[cluster]]", listener, 1)
}

fn upstream(pki: &Pki) -> MutualUpstream {
    let own = pki.authority.svid("/backend").unwrap().credentials();
    MutualUpstream::start(own, pki.authority.trust_bundle())
}

/// Puts other files in the place of `proxy.pem` and `proxy.key`, as careful programs do it.
fn replace(pki: &Pki, path: &str) {
    let issued = pki.authority.svid(path).unwrap();
    for (ending, text) in [("key", issued.key_pem()), ("pem", issued.chain_pem())] {
        let new = pki.write(&format!("new.{ending}"), text);
        fs::rename(new, pki.path(&format!("proxy.{ending}"))).unwrap();
    }
}

/// As the kubelet does it: the new folder, then one link that is renamed, then the old folder.
fn swap(folder: &Path, name: &str, pki: &Pki) {
    let old = fs::read_link(folder.join("..data")).ok();
    let new = folder.join(name);
    fs::create_dir(&new).unwrap();
    let issued = pki.authority.svid("/proxy").unwrap();
    fs::write(new.join("tls.crt"), issued.chain_pem()).unwrap();
    fs::write(new.join("tls.key"), issued.key_pem()).unwrap();
    fs::write(new.join("ca.crt"), pki.authority.ca_pem()).unwrap();
    symlink(name, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    if let Some(old) = old {
        fs::remove_dir_all(folder.join(old)).unwrap();
    }
}

async fn hello(proxy: SocketAddr, trust: &TrustBundle, own: &Credentials) {
    let mut client = connect(proxy, trust, own).await;
    let response = client.get().await.unwrap();
    let status = response.status();
    assert_eq!(
        (status, text(response).await),
        (StatusCode::OK, "hello".to_owned())
    );
}

async fn connect(proxy: SocketAddr, trust: &TrustBundle, own: &Credentials) -> MutualClient {
    MutualClient::connect(proxy, trust.clone(), Some(own.clone()))
        .await
        .unwrap()
}

/// With one request: only its answer tells a client of TLS 1.3 that it was taken.
async fn try_connect(
    proxy: SocketAddr,
    trust: &TrustBundle,
    own: &Credentials,
) -> Result<StatusCode, crate::support::BoxError> {
    let mut client = MutualClient::connect(proxy, trust.clone(), Some(own.clone())).await?;
    Ok(client.get().await?.status())
}

fn now() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap()
}

/// A busy machine may take its time to connect.
const SHORT_LIVES: &str =
    "\n[cluster.reconnect]\nmax_age = \"100ms\"\n\n[cluster.balance]\nwait = \"10s\"\n";
const ROTATED: &str = "proxy_rotations_total{source=\"listener web\",result=\"succeeded\"}";
const WARNED: &str = "rotation failed: what was there stays in force";
