//! How long a route's requests may take: its timeout, its learnt limit, its cluster's pauses.

use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep};

use crate::{
    front::bounded,
    routed::{BOTH, Routed, ask, head, one, one_cluster, plain},
    support::{
        admin::{get, metric},
        body::{channel, empty, full},
        client::text,
        eventually,
        upstream::Upstream,
    },
};

#[tokio::test]
async fn a_routes_timeout_ends_what_takes_longer() {
    let routed = one(
        "",
        slow(Duration::from_secs(2)).await,
        r#"
[[route]]
listener = "web"
path_prefix = "/short"
cluster = "a"
timeout = "200ms"
[[route]]
listener = "web"
cluster = "a"
"#,
    );
    let began = Instant::now();
    let answer = routed.get("a.test", "/short").await;
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    let why = answer.headers()["proxy-status"].to_str().unwrap();
    assert!(why.contains("error=http_response_timeout"), "{why}");
    assert!(Instant::now().saturating_duration_since(began) >= Duration::from_millis(400));
    assert_eq!(routed.get("a.test", "/long").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_client_may_shorten_the_timeout_and_not_lengthen_it() {
    let routed = one(
        "",
        slow(Duration::from_millis(700)).await,
        "[[route]]\nlistener = \"web\"\npath_prefix = \"/x\"\ncluster = \"a\"\ntimeout = \"60s\"\n\
         [[route]]\nlistener = \"web\"\ncluster = \"a\"\ntimeout = \"100ms\"\n",
    );
    for version in BOTH {
        for (path, theirs, status) in [("/x", "100m", 504), ("/x", "60S", 200), ("/y", "60S", 504)]
        {
            let mut client = routed.client(version).await;
            let request = Request::get(path).header("grpc-timeout", theirs);
            let answer = ask(&mut client, "a.test", request.body(empty()).unwrap()).await;
            assert_eq!(answer.status(), status, "{path} {theirs}");
        }
    }
}

#[tokio::test]
async fn an_endpoint_is_told_what_is_left_of_the_routes_timeout() {
    let upstream = Upstream::start(|request: Request<Incoming>| async move {
        let left = request.headers()["grpc-timeout"]
            .to_str()
            .unwrap()
            .to_owned();
        Response::new(full(left))
    });
    let routed = one(
        "",
        upstream.await,
        "[[route]]\nlistener = \"web\"\ncluster = \"a\"\ntimeout = \"3s\"\n",
    );
    let mut client = routed.client(http::Version::HTTP_11).await;
    let request = Request::get("/").header("grpc-timeout", "1H");
    let answer = ask(&mut client, "a.test", request.body(empty()).unwrap()).await;
    let left = text(answer).await;
    let millis = tower_timeout_ewma::grpc_timeout::GrpcTimeout::parse(left.as_bytes()).unwrap();
    assert!(millis.duration() <= Duration::from_secs(3), "{left}");
}

#[tokio::test]
async fn a_routes_timeout_ends_a_body_that_drips() {
    let upstream = Upstream::start(|_| async {
        let (pieces, body) = channel();
        tokio::spawn(async move {
            while !pieces.is_abandoned() {
                pieces.send("drip ").await;
                sleep(Duration::from_millis(50)).await;
            }
        });
        Response::new(body)
    });
    let routed = one(
        "",
        upstream.await,
        "[[route]]\nlistener = \"web\"\ncluster = \"a\"\ntimeout = \"300ms\"\n",
    );
    for version in BOTH {
        let mut client = routed.client(version).await;
        let began = Instant::now();
        let answer = ask(&mut client, "a.test", plain("/")).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let body = bounded(answer.into_body().collect()).await;
        assert!(body.is_err(), "a body that was cut shall not look whole");
        let lasted = Instant::now().saturating_duration_since(began);
        assert!(lasted >= Duration::from_millis(250), "{lasted:?}");
    }
}

#[tokio::test]
async fn each_route_has_a_limit_that_learns_from_its_own_answers() {
    let upstream = Upstream::start(|request: Request<Incoming>| async move {
        match request.uri().path() {
            "/hang" => sleep(Duration::from_secs(120)).await,
            path if path.starts_with("/slow") => sleep(Duration::from_millis(100)).await,
            _ => {}
        }
        Response::new(empty())
    });
    let routed = one(
        "[cluster.timeout]\ninitial = \"40s\"\nmax = \"40s\"\n",
        upstream.await,
        r#"
[[route]]
name = "slow"
listener = "web"
path_prefix = "/slow"
cluster = "a"
[[route]]
listener = "web"
cluster = "a"
"#,
    );
    let mut client = routed.client(http::Version::HTTP_11).await;
    for path in ["/slow", "/fast"] {
        for _ in 0..60 {
            text(ask(&mut client, "a.test", plain(path)).await).await;
        }
    }
    let status = routed.proxy.status().remove(0);
    let limits: Vec<_> = status.timeouts.iter().map(|limit| &*limit.route).collect();
    assert_eq!(limits, ["slow", "2"]);
    let (slow, fast) = (status.timeouts[0].limit_ms, status.timeouts[1].limit_ms);
    assert!((100.0..40_000.0).contains(&slow), "{slow}");
    assert!(fast < 40_000.0, "{fast}");
    assert_eq!(
        status.timeout_ms,
        Some(40_000.0),
        "nothing came without a route"
    );
    let series = "proxy_route_timeout_seconds{cluster=\"a\",route=\"slow\"}";
    let shown = metric(routed.proxy.admin(), series).await.unwrap();
    assert!((0.1..40.0).contains(&shown), "{shown}");
    let (_, json) = get(routed.proxy.admin(), "/clusters").await;
    assert!(json.contains("\"route\": \"slow\""), "{json}");

    let began = Instant::now();
    let answer = ask(&mut client, "a.test", plain("/hang")).await;
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    let waited = Instant::now().saturating_duration_since(began);
    assert!(
        waited < Duration::from_secs(20),
        "not its own limit: {waited:?}"
    );
}

#[tokio::test]
async fn what_comes_without_a_route_teaches_the_cluster() {
    let upstream = Upstream::start(|_| async { Response::new(empty()) }).await;
    let config = head(Some("a"))
        + &one_cluster("a", "http1", upstream.address)
        + "[cluster.timeout]\ninitial = \"40s\"\nmax = \"40s\"\n";
    let routed = Routed::of(vec![upstream], &config);
    let mut client = routed.client(http::Version::HTTP_11).await;
    for _ in 0..60 {
        text(ask(&mut client, "a.test", plain("/")).await).await;
    }
    let status = routed.proxy.status().remove(0);
    assert!(status.timeout_ms.unwrap() < 40_000.0, "{status:?}");
    assert!(status.timeouts.is_empty());
}

#[tokio::test]
async fn a_body_may_pause_as_long_as_its_own_cluster_allows() {
    let pausing = || {
        Upstream::start(|_| async {
            let (pieces, body) = channel();
            tokio::spawn(async move {
                pieces.send("half").await;
                sleep(Duration::from_secs(1)).await;
                if !pieces.is_abandoned() {
                    pieces.send(" and half").await;
                }
            });
            Response::new(body)
        })
    };
    let (short, long) = (pausing().await, pausing().await);
    let config = head(Some("long"))
        + &one_cluster("short", "http1", short.address)
        + "timeout = { body_idle = \"200ms\" }\n"
        + &one_cluster("long", "http1", long.address)
        + "[[route]]\nlistener = \"web\"\npath_prefix = \"/short\"\ncluster = \"short\"\n";
    let routed = Routed::of(vec![short, long], &config);
    for version in BOTH {
        let mut client = routed.client(version).await;
        let answer = ask(&mut client, "a.test", plain("/long")).await;
        assert_eq!(text(answer).await, "half and half");
        let answer = ask(&mut client, "a.test", plain("/short")).await;
        assert!(bounded(answer.into_body().collect()).await.is_err());
    }
    eventually("nothing is in flight", || {
        let endpoints = routed.proxy.status();
        let mut endpoints = endpoints.iter().flat_map(|cluster| &cluster.endpoints);
        endpoints.all(|endpoint| endpoint.in_flight == 0)
    })
    .await;
}

async fn slow(pause: Duration) -> Upstream {
    Upstream::start(move |_| async move {
        sleep(pause).await;
        Response::new(empty())
    })
    .await
}
