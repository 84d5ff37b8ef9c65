//! Retries as a route says, paid from its cluster's budget.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::sleep;

use crate::{
    front::bounded,
    routed::{BOTH, ask, one, plain},
    support::{
        body::{empty, full},
        upstream::Upstream,
    },
};

#[tokio::test]
async fn a_route_retries_as_it_says_and_else_as_its_cluster() {
    let (upstream, count) = failing(StatusCode::SERVICE_UNAVAILABLE).await;
    let routed = one(
        "[cluster.retry]\nattempts = 3\nreserve = 1000\nbackoff = { base = \"1ms\", max = \"2ms\" }\n",
        upstream,
        r#"
[[route]]
listener = "web"
path_prefix = "/once"
cluster = "a"
retry = { attempts = 1 }
[[route]]
listener = "web"
path_prefix = "/five"
cluster = "a"
retry = { attempts = 5 }
[[route]]
listener = "web"
path_prefix = "/other"
cluster = "a"
retry = { statuses = [500], methods = ["POST"] }
[[route]]
listener = "web"
cluster = "a"
"#,
    );
    for (path, attempts) in [
        ("/once", 1),
        ("/five", 5),
        ("/other", 1),
        ("/as-the-cluster", 3),
    ] {
        let answer = routed.get("a.test", path).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        // Over HTTP/1.1 and over HTTP/2.
        assert_eq!(count.swap(0, Ordering::Relaxed), 2 * attempts, "{path}");
    }
    let status = routed.proxy.status().remove(0);
    assert_eq!(status.retries.retries, 2 * (4 + 2), "of all its routes");
    assert_eq!(status.retries.requests, 8);
}

#[tokio::test]
async fn a_route_may_retry_other_methods_and_statuses() {
    let (upstream, count) = failing(StatusCode::INTERNAL_SERVER_ERROR).await;
    let routed = one(
        "",
        upstream,
        "[[route]]\nlistener = \"web\"\ncluster = \"a\"\n\
         retry = { attempts = 3, statuses = [500], methods = [\"POST\"], backoff = { base = \"1ms\", max = \"2ms\" }, body_limit = 64 }\n",
    );
    for version in BOTH {
        for (length, attempts) in [(4, 3), (65, 1)] {
            let mut client = routed.client(version).await;
            let request = Request::post("/").body(full(vec![b'x'; length])).unwrap();
            let answer = ask(&mut client, "a.test", request).await;
            assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(count.swap(0, Ordering::Relaxed), attempts, "{length}");
        }
    }
    assert!(
        routed.proxy.status()[0].retry_budget.is_some(),
        "a cluster without a table has a budget since a route retries"
    );
}

#[tokio::test]
async fn all_routes_to_a_cluster_share_its_budget() {
    let (upstream, count) = failing(StatusCode::SERVICE_UNAVAILABLE).await;
    let routed = one(
        "[cluster.retry]\nattempts = 1\nburst = 3\nbudget = 0.0\nmin_per_second = 0\n",
        upstream,
        r#"
[[route]]
listener = "web"
path_prefix = "/one"
cluster = "a"
retry = { attempts = 9, backoff = { base = "1ms", max = "2ms" } }
[[route]]
listener = "web"
cluster = "a"
retry = { attempts = 9, backoff = { base = "1ms", max = "2ms" } }
"#,
    );
    routed.get("a.test", "/one").await;
    routed.get("a.test", "/two").await;
    assert_eq!(
        count.load(Ordering::Relaxed),
        4 + 3,
        "four requests, three tokens"
    );
    assert_eq!(routed.proxy.status()[0].retries.exhausted, 4);
}

#[tokio::test]
async fn an_attempt_may_take_as_long_as_its_route_or_else_its_cluster_says() {
    for (cluster, route) in [
        (
            "retry = { attempts = 1, reserve = 20 }\n",
            "retry = { attempts = 2, per_try = \"200ms\" }\n",
        ),
        ("retry = { per_try = \"200ms\", reserve = 20 }\n", ""),
        (
            "retry = { per_try = \"200ms\", reserve = 20 }\n",
            "retry = { attempts = 2 }\n",
        ),
        (
            "retry = { per_try = \"100s\", reserve = 20 }\n",
            "retry = { per_try = \"200ms\" }\n",
        ),
    ] {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let upstream = Upstream::start(move |_| {
            let first = counted.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                if first {
                    sleep(Duration::from_secs(120)).await;
                }
                Response::new(empty())
            }
        });
        let tables = format!("[[route]]\nlistener = \"web\"\ncluster = \"a\"\n{route}");
        let routed = one(cluster, upstream.await, &tables);
        let mut client = routed.client(http::Version::HTTP_11).await;
        let answer = bounded(ask(&mut client, "a.test", plain("/"))).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let attempts = count.load(Ordering::Relaxed);
        assert!(attempts >= 2, "{cluster} {route}: {attempts}");
    }
}

/// An endpoint that always answers with `status`, and how often it was asked.
async fn failing(status: StatusCode) -> (Upstream, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let upstream = Upstream::start(move |request: Request<Incoming>| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            let _ = request.into_body().collect().await;
            let mut response = Response::new(empty());
            *response.status_mut() = status;
            response
        }
    });
    (upstream.await, count)
}
