//! What a route changes: the path, the fields, and the address that was asked.

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use tokio::process::Command;

use crate::{
    front::bounded,
    routed::{BOTH, Routed, ask, head, one_cluster},
    support::{
        body::{empty, full},
        client::text,
        upstream::Upstream,
    },
};

#[tokio::test]
async fn a_prefix_is_replaced_and_the_query_kept() {
    let routed = Routed::start(
        None,
        r#"
[[route]]
listener = "web"
path_prefix = "/v1"
cluster = "a"
rewrite = { prefix = "/api/one" }
[[route]]
listener = "web"
path_prefix = "/bare/"
cluster = "a"
rewrite = { prefix = "/" }
[[route]]
listener = "web"
cluster = "b"
rewrite = { prefix = "/rest/" }
"#,
    )
    .await;
    for (path, answer) in [
        ("/v1", "a /api/one"),
        ("/v1/", "a /api/one/"),
        ("/v1/x//y?q=/v1&%20", "a /api/one/x//y?q=/v1&%20"),
        ("/v1?", "a /api/one?"),
        ("/bare", "a /"),
        ("/bare/", "a /"),
        ("/bare?x", "a /?x"),
        ("/bare/x/bare/y", "a /x/bare/y"),
        ("/", "b /rest/"),
        ("/x", "b /rest/x"),
        ("/v10", "b /rest/v10"),
    ] {
        assert_eq!(routed.get("a.test", path).await.body(), answer);
    }
    for path in ["/v1//x", "/bare//evil.test/x", "//x"] {
        let answer = routed.get("a.test", path).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path}");
        assert!(answer.body().contains("empty segment"), "{}", answer.body());
    }
}

#[tokio::test]
async fn dots_lead_nobody_out_of_the_new_prefix() {
    let routed = Routed::start(
        None,
        "[[route]]\nlistener = \"web\"\ncluster = \"a\"\nrewrite = { prefix = \"/mine\" }\n",
    )
    .await;
    for path in ["/../yours", "/x/..%2f../yours"] {
        let answer = routed.get("a.test", path).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path}");
    }
    assert_eq!(routed.get("a.test", "/x").await.body(), "a /mine/x");
}

#[tokio::test]
async fn options_of_the_server_itself_has_no_path_to_rewrite() {
    let routed = Routed::start(
        None,
        "[[route]]\nlistener = \"web\"\ncluster = \"a\"\nrewrite = { prefix = \"/x\" }\n",
    )
    .await;
    let mut client = routed.client(http::Version::HTTP_11).await;
    let asterisk = Request::builder().method(Method::OPTIONS).uri("*");
    let answer = ask(&mut client, "a.test", asterisk.body(empty()).unwrap()).await;
    assert_eq!(text(answer).await, "a *");
}

#[tokio::test]
async fn options_of_the_server_itself_is_redirected_to_the_root() {
    let routed = Routed::start(
        None,
        "[[route]]\nlistener = \"web\"\nredirect = { to = \"https://b.test{rest}\" }\n",
    )
    .await;
    let mut client = routed.client(http::Version::HTTP_11).await;
    let asterisk = Request::builder().method(Method::OPTIONS).uri("*");
    let answer = ask(&mut client, "a.test", asterisk.body(empty()).unwrap()).await;
    assert_eq!(answer.headers()["location"], "https://b.test/");
}

#[tokio::test]
async fn fields_are_removed_and_set_both_ways() {
    let routed = Routed::start(
        Some("a"),
        r#"
[[route]]
listener = "web"
path_prefix = "/changed"
cluster = "a"
headers = { set = { "X-Env" = "prod", host = "inner.test:81" }, remove = ["x-debug", "x-absent"] }
response_headers = { set = { "x-frame" = "deny" }, remove = ["x-server"] }
"#,
    )
    .await;
    for version in BOTH {
        let mut client = routed.client(version).await;
        let request = |path: &str| {
            let request = Request::get(path.to_owned())
                .header("x-env", "one")
                .header("x-env", "two")
                .header("x-debug", "1")
                .header("x-kept", "kept");
            request.body(empty()).unwrap()
        };
        let answer = ask(&mut client, "a.test", request("/changed")).await;
        let all = |name: &str| -> Vec<_> { answer.headers().get_all(name).iter().collect() };
        assert_eq!(all("seen-x-env"), ["prod"]);
        assert_eq!(all("seen-host"), ["inner.test:81"]);
        assert_eq!(all("seen-x-kept"), ["kept"]);
        assert_eq!(all("x-frame"), ["deny"]);
        assert!(all("seen-x-debug").is_empty() && all("x-server").is_empty());

        let answer = ask(&mut client, "a.test", request("/other")).await;
        let all = |name: &str| -> Vec<_> { answer.headers().get_all(name).iter().collect() };
        assert_eq!(all("seen-x-env"), ["one", "two"]);
        assert_eq!(all("seen-x-debug"), ["1"]);
        assert_eq!(all("x-server"), ["a"]);
        assert!(all("x-frame").is_empty());
    }
}

#[tokio::test]
async fn a_host_that_is_set_is_the_authority_over_http2() {
    let upstream = Upstream::start(|request: Request<Incoming>| async move {
        http::Response::new(full(request.uri().authority().unwrap().to_string()))
    })
    .await;
    let config = head(None)
        + &one_cluster("a", "http2", upstream.address)
        + "[[route]]\nlistener = \"web\"\ncluster = \"a\"\nheaders = { set = { host = \"inner.test\" } }\n";
    let routed = Routed::of(vec![upstream], &config);
    assert_eq!(routed.get("a.test", "/").await.body(), "inner.test");
}

#[tokio::test]
async fn a_redirect_says_where_else_to_ask() {
    let routed = Routed::start(
        None,
        r#"
[[route]]
listener = "web"
path_prefix = "/old"
redirect = { to = "https://new.test/now{rest}", status = 301 }
response_headers = { set = { "x-moved" = "yes" } }
[[route]]
listener = "web"
path_prefix = "/fixed"
redirect = { to = "/elsewhere?x=1", status = 303 }
[[route]]
listener = "web"
redirect = { to = "https://{host}:8443{path}" }
"#,
    )
    .await;
    for (host, path, status, location) in [
        ("a.test", "/old", 301, "https://new.test/now"),
        (
            "a.test",
            "/old/x?q=%20&b",
            301,
            "https://new.test/now/x?q=%20&b",
        ),
        ("a.test", "/old?q", 301, "https://new.test/now?q"),
        ("a.test", "/fixed/x?y", 303, "/elsewhere?x=1"),
        ("A.test:80", "/x//y?", 308, "https://A.test:8443/x//y?"),
        ("[::1]:80", "/", 308, "https://[::1]:8443/"),
        (
            "a.test",
            "//evil.test/x",
            308,
            "https://a.test:8443//evil.test/x",
        ),
        (
            "a.test",
            "/\u{e4}\"{x}",
            308,
            "https://a.test:8443/%C3%A4%22%7Bx%7D",
        ),
    ] {
        let answer = routed.get(host, path).await;
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["location"], location);
        let why = answer.headers()["proxy-status"].to_str().unwrap();
        assert!(why.starts_with("proxy; details="), "{why}");
        assert_eq!(answer.body().lines().count(), 1);
        assert_eq!(answer.headers().contains_key("x-moved"), status == 301);
    }
}

#[tokio::test]
async fn a_redirect_of_head_has_no_body_and_that_of_grpc_is_a_grpc_status() {
    let routed = Routed::start(
        None,
        "[[route]]\nlistener = \"web\"\nredirect = { to = \"https://b.test{path}\" }\n",
    )
    .await;
    for version in BOTH {
        let mut client = routed.client(version).await;
        let request = Request::head("/x").body(empty()).unwrap();
        let answer = ask(&mut client, "a.test", request).await;
        assert_eq!(answer.headers()["location"], "https://b.test/x");
        assert_eq!(text(answer).await, "");
    }
    let mut client = routed.client(http::Version::HTTP_2).await;
    let call = Request::post("/grpc.health.v1.Health/Check")
        .header("content-type", "application/grpc")
        .body(empty());
    let answer = ask(&mut client, "a.test", call.unwrap()).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["grpc-status"], "12");
    assert!(!answer.headers().contains_key("location"));
}

#[tokio::test]
async fn curl_follows_a_redirect_to_its_end() {
    let routed = Routed::start(
        Some("a"),
        "[[route]]\nlistener = \"web\"\npath_prefix = \"/old\"\nredirect = { to = \"/new/home\" }\n",
    )
    .await;
    let output = Command::new("curl")
        .args([
            "-sL",
            "--max-time",
            "20",
            "-w",
            "|%{num_redirects}|%{url_effective}",
        ])
        .arg(format!("http://{}/old/x?y", routed.web()))
        .output();
    let output = bounded(output).await.unwrap();
    let expected = format!("a /new/home|1|http://{}/new/home", routed.web());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}
