//! Which fields pass: end-to-end ones do, a connection's own do not.

use http::{HeaderMap, Request, Response, Version, header};

use crate::{
    front::{Front, Hops, get, noting},
    support::{
        body::{TestBody, empty},
        client::read,
    },
};

through_all_hops!(
    a_requests_end_to_end_fields_pass_in_order,
    a_responses_end_to_end_fields_pass_in_order,
    a_requests_connection_fields_stay_behind,
    a_responses_connection_fields_stay_behind,
    the_host_is_kept,
    the_path_and_query_are_kept_byte_by_byte,
    crumbs_of_cookies_arrive_as_one,
);

async fn a_requests_end_to_end_fields_pass_in_order(hops: Hops) {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let (_front, mut client) = hops.through(&upstream).await;
    let mut request = get("/");
    extend(request.headers_mut(), &END_TO_END);
    read(client.send(request).await.unwrap()).await;
    assert_has(&heads.try_recv().unwrap().headers, &END_TO_END);
}

async fn a_responses_end_to_end_fields_pass_in_order(hops: Hops) {
    let (upstream, _heads) = noting(|| {
        let mut response = Response::new(empty());
        extend(response.headers_mut(), &END_TO_END);
        extend(
            response.headers_mut(),
            &[("set-cookie", "a=1"), ("set-cookie", "b=2")],
        );
        response
    })
    .await;
    let (_front, mut client) = hops.through(&upstream).await;
    let response = client.send(get("/")).await.unwrap();
    assert_has(response.headers(), &END_TO_END);
    assert_has(
        response.headers(),
        &[("set-cookie", "a=1"), ("set-cookie", "b=2")],
    );
}

async fn a_requests_connection_fields_stay_behind(hops: Hops) {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let (_front, mut client) = hops.through(&upstream).await;
    let mut request = get("/");
    extend(
        request.headers_mut(),
        &[("x-kept", "1"), ("te", "trailers")],
    );
    if hops.client == Version::HTTP_11 {
        request.headers_mut().remove(header::TE);
        extend(request.headers_mut(), &CONNECTION);
        extend(
            request.headers_mut(),
            &[("te", "gzip, trailers;q=0.5"), ("te", "Trailers")],
        );
    }
    read(client.send(request).await.unwrap()).await;
    let headers = heads.try_recv().unwrap().headers;
    assert_connection_fields_are_gone(&headers);
    assert_has(&headers, &[("x-kept", "1"), ("te", "trailers")]);
}

async fn a_responses_connection_fields_stay_behind(hops: Hops) {
    let (upstream, _heads) = noting(move || {
        let mut response = Response::new(empty());
        extend(response.headers_mut(), &[("x-kept", "1")]);
        if hops.upstream == Version::HTTP_11 {
            extend(response.headers_mut(), &CONNECTION);
        }
        response
    })
    .await;
    let (_front, mut client) = hops.through(&upstream).await;
    for _ in 0..2 {
        let response = client.send(get("/")).await.unwrap();
        assert_connection_fields_are_gone(response.headers());
        assert_has(response.headers(), &[("x-kept", "1")]);
    }
}

async fn the_host_is_kept(hops: Hops) {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let (_front, mut client) = hops.through(&upstream).await;
    read(client.send(get("/")).await.unwrap()).await;
    let head = heads.try_recv().unwrap();
    match hops.upstream {
        Version::HTTP_2 => {
            assert_eq!(head.uri.authority().unwrap(), "proxy.test");
            assert_eq!(head.uri.scheme_str(), Some("http"));
            assert!(!head.headers.contains_key(header::HOST));
        }
        _ => {
            assert_has(&head.headers, &[("host", "proxy.test")]);
            assert!(head.uri.authority().is_none());
        }
    }
}

async fn the_path_and_query_are_kept_byte_by_byte(hops: Hops) {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let (_front, mut client) = hops.through(&upstream).await;
    for target in [
        "/",
        "/a//b/../c/./",
        "/%2e%2E/%7Ea?x=%20&y=+&&=",
        "/?",
        "/a?b?c/../d",
        "//evil.test/x",
    ] {
        read(client.send(get(target)).await.unwrap()).await;
        let seen = heads.try_recv().unwrap().uri;
        assert_eq!(seen.path_and_query().unwrap(), target);
    }
}

async fn crumbs_of_cookies_arrive_as_one(hops: Hops) {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let (_front, mut client) = hops.through(&upstream).await;
    let mut request = get("/");
    match hops.client {
        Version::HTTP_2 => extend(
            request.headers_mut(),
            &[("cookie", "a=1"), ("cookie", "b=2; c=3"), ("cookie", "d=4")],
        ),
        _ => extend(request.headers_mut(), &[("cookie", "a=1; b=2; c=3; d=4")]),
    }
    read(client.send(request).await.unwrap()).await;
    let headers = heads.try_recv().unwrap().headers;
    let cookies: Vec<_> = headers
        .get_all(header::COOKIE)
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    assert_eq!(cookies.join("; "), "a=1; b=2; c=3; d=4");
    if hops.upstream == Version::HTTP_11 {
        assert_eq!(cookies.len(), 1, "HTTP/1.1 has one cookie field");
    }
}

#[tokio::test]
async fn a_field_that_a_message_needs_is_not_the_connections_to_remove() {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let front = Front::start("http1", upstream.address, "");
    let mut client = front.client(Version::HTTP_11).await;
    let request = Request::post("/")
        .header("connection", "host, content-length, authorization, x-mine")
        .header("authorization", "Bearer t")
        .header("x-mine", "1")
        .body(crate::support::body::full("body"))
        .unwrap();
    read(client.send(request).await.unwrap()).await;
    let headers = heads.try_recv().unwrap().headers;
    assert_has(
        &headers,
        &[
            ("host", "proxy.test"),
            ("content-length", "4"),
            ("authorization", "Bearer t"),
        ],
    );
    assert!(!headers.contains_key("x-mine"));
}

#[tokio::test]
async fn an_absolute_target_names_the_host() {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let front = Front::start("http1", upstream.address, "");
    let mut client = front.client(Version::HTTP_11).await;
    let request: Request<TestBody> = Request::get("http://target.test:81?q")
        .header("host", "other.test")
        .body(empty())
        .unwrap();
    let response = client.send(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let head = heads.try_recv().unwrap();
    assert_has(&head.headers, &[("host", "target.test:81")]);
    assert_eq!(head.uri, "/?q");
}

fn extend(headers: &mut HeaderMap, fields: &[(&'static str, &'static str)]) {
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
}

fn assert_has(headers: &HeaderMap, fields: &[(&str, &str)]) {
    for (name, _) in fields {
        let expected: Vec<_> = fields
            .iter()
            .filter(|field| field.0 == *name)
            .map(|field| field.1)
            .collect();
        let actual: Vec<_> = headers
            .get_all(*name)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        assert_eq!(actual, expected, "{name}");
    }
}

fn assert_connection_fields_are_gone(headers: &HeaderMap) {
    for (name, _) in CONNECTION {
        assert!(
            !headers.contains_key(name),
            "{name} is the other connection's"
        );
    }
}

const END_TO_END: [(&str, &str); 10] = [
    ("authorization", "Bearer t"),
    ("x-repeated", "one"),
    ("x-repeated", "two, three"),
    ("x-repeated", "one"),
    ("x-empty", ""),
    ("cache-control", "no-store"),
    (
        "traceparent",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
    ("accept-encoding", "gzip"),
    ("x-by", "me"),
    ("x-trailing", "a;b=\"c, d\""),
];

const CONNECTION: [(&str, &str); 9] = [
    ("connection", "keep-alive, X-One"),
    ("connection", "x-two"),
    ("connection", "upgrade"),
    ("upgrade", "h2c"),
    ("keep-alive", "timeout=5"),
    ("proxy-connection", "keep-alive"),
    ("x-one", "1"),
    ("x-two", "2"),
    ("http2-settings", "AAMAAABkAAQAAP__"),
];
