//! nginx as endpoint, over HTTP/1.1 and HTTP/2, and nginx in front of the proxy.

use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::{
    front::{Front, Hops, get, protocol},
    support::{
        body::{TestBody, channel, empty, full, noise},
        client::{Client, read},
        nginx::Nginx,
        upstream::Upstream,
    },
};

through_all_hops!(
    files_are_served,
    parts_of_files_are_served,
    what_has_not_changed_is_not_sent,
    what_is_compressed_stays_compressed,
    what_nginx_writes_anew_is_passed_on,
    refusals_and_redirects_are_passed_on,
    uploads_are_stored,
    a_long_download_is_whole,
    connections_are_used_again,
);

async fn files_are_served(hops: Hops) {
    let mut world = World::start(hops).await;
    for length in [0, 1, 1000, 100_000] {
        world.write("file.txt", noise(length));
        let answer = world.ask(get("/file.txt")).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.field("content-length"), length.to_string());
        assert_eq!(answer.field("content-type"), "text/plain");
        assert!(answer.field("server").starts_with("nginx"));
        assert!(answer.body == noise(length));

        let head = Request::head("/file.txt").body(empty()).unwrap();
        let head = world.ask(head).await;
        assert_eq!(head.status, StatusCode::OK);
        assert_eq!(head.field("content-length"), length.to_string());
        assert_eq!(head.field("etag"), answer.field("etag"));
        assert!(head.body.is_empty());
    }
}

async fn parts_of_files_are_served(hops: Hops) {
    let mut world = World::start(hops).await;
    world.write("file.txt", noise(1000));
    let part = world.ask(with("/file.txt", "range", "bytes=10-19")).await;
    assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.field("content-range"), "bytes 10-19/1000");
    assert_eq!(part.body, noise(1000).slice(10..20));

    let parts = with("/file.txt", "range", "bytes=0-0,-1");
    let parts = world.ask(parts).await;
    assert_eq!(parts.status, StatusCode::PARTIAL_CONTENT);
    let kind = parts.field("content-type");
    let (_, boundary) = kind.split_once("multipart/byteranges; boundary=").unwrap();
    let end = format!("\r\n--{boundary}--\r\n");
    assert!(parts.body.ends_with(end.as_bytes()));

    let beyond = with("/file.txt", "range", "bytes=1000-");
    let beyond = world.ask(beyond).await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.field("content-range"), "bytes */1000");
}

async fn what_has_not_changed_is_not_sent(hops: Hops) {
    let mut world = World::start(hops).await;
    world.write("file.txt", "content");
    let whole = world.ask(get("/file.txt")).await;
    let (etag, modified) = (whole.field("etag"), whole.field("last-modified"));
    for (name, value) in [("if-none-match", &etag), ("if-modified-since", &modified)] {
        let answer = world.ask(with("/file.txt", name, value)).await;
        assert_eq!(answer.status, StatusCode::NOT_MODIFIED, "{name}");
        assert_eq!(answer.field("etag"), etag);
        assert!(answer.body.is_empty());
    }
    let changed = with("/file.txt", "if-match", "\"other\"");
    let changed = world.ask(changed).await;
    assert_eq!(changed.status, StatusCode::PRECONDITION_FAILED);
}

async fn what_is_compressed_stays_compressed(hops: Hops) {
    let mut world = World::start(hops).await;
    world.write("file.txt", "the same again; ".repeat(1000));
    let answer = world
        .ask(with("/file.txt", "accept-encoding", "gzip"))
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.field("content-encoding"), "gzip");
    assert_eq!(answer.field("vary"), "Accept-Encoding");
    assert!(!answer.fields.contains_key("content-length"));
    assert!(answer.body.starts_with(&[0x1f, 0x8b]), "the mark of gzip");
    assert!(answer.body.len() < 1000, "{}", answer.body.len());
}

/// nginx does not know the length before the end: it comes in chunks, or in frames.
async fn what_nginx_writes_anew_is_passed_on(hops: Hops) {
    let mut world = World::start(hops).await;
    world.write("changed.txt", "old ".repeat(10_000));
    let answer = world.ask(get("/changed.txt")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(!answer.fields.contains_key("content-length"));
    assert!(answer.body == "new ".repeat(10_000));

    std::fs::create_dir(world.www().join("folder")).unwrap();
    world.write("folder/inside", "");
    let listing = world.ask(get("/folder/")).await;
    assert_eq!(listing.status, StatusCode::OK);
    let listing = String::from_utf8(listing.body.to_vec()).unwrap();
    assert!(
        listing.contains("<a href=\"inside\">inside</a>"),
        "{listing}"
    );
}

async fn refusals_and_redirects_are_passed_on(hops: Hops) {
    let mut world = World::start(hops).await;
    let missing = world.ask(get("/nothing")).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(missing.body.ends_with(b"</html>\r\n"));
    assert!(!missing.fields.contains_key("proxy-status"), "not ours");

    let moved = world.ask(get("/moved?a=b%20c")).await;
    assert_eq!(moved.status, StatusCode::PERMANENT_REDIRECT);
    assert_eq!(moved.field("location"), "http://proxy.test/there?a=b%20c");

    world.write("file.txt", "content");
    let post = Request::post("/file.txt").body(full("body")).unwrap();
    assert_eq!(world.ask(post).await.status, StatusCode::METHOD_NOT_ALLOWED);
    // nginx closes such a connection, or resets such a stream; others go on.
    let large = Request::put("/stored/large").body(full(noise(3 << 20)));
    let large = world.ask(large.unwrap()).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    world.client = world.front.client(hops.client).await;
    assert_eq!(world.ask(get("/nothing")).await.status, missing.status);
}

async fn uploads_are_stored(hops: Hops) {
    let mut world = World::start(hops).await;
    let known = Request::put("/stored/known").body(full(noise(1 << 20)));
    let (pieces, unknown) = channel();
    let unknown = Request::put("/stored/unknown").body(unknown);
    let sending = tokio::spawn(async move {
        for piece in noise(1 << 20).chunks(50_000) {
            pieces.send(Bytes::copy_from_slice(piece)).await;
        }
    });
    for (name, request) in [("known", known), ("unknown", unknown)] {
        let answer = world.ask(request.unwrap()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{name}");
        let stored = std::fs::read(world.www().join("stored").join(name)).unwrap();
        assert!(stored == noise(1 << 20), "{name}");
    }
    sending.await.unwrap();
    let delete = Request::delete("/stored/known").body(empty()).unwrap();
    assert_eq!(world.ask(delete).await.status, StatusCode::NO_CONTENT);
    assert!(!world.www().join("stored/known").exists());
}

async fn a_long_download_is_whole(hops: Hops) {
    let mut world = World::start(hops).await;
    world.write("long.bin", noise(5 << 20));
    let answer = world.ask(get("/long.bin")).await;
    assert_eq!(answer.field("content-length"), (5 << 20).to_string());
    assert!(answer.body == noise(5 << 20));
}

async fn connections_are_used_again(hops: Hops) {
    let mut world = World::start(hops).await;
    world.write("file.txt", "content");
    for _ in 0..50 {
        assert_eq!(world.ask(get("/file.txt")).await.body, "content");
    }
    let endpoint = world.front.endpoint();
    assert_eq!((endpoint.requests, endpoint.failures), (50, 0));
    let connections = world.ask(get("/connections")).await.body;
    let connections = String::from_utf8(connections.to_vec()).unwrap();
    // Ours, and the one that asked whether it listens.
    assert_eq!(connections, "2", "the number of the last connection");
}

#[tokio::test]
async fn nginx_in_front_keeps_its_connections() {
    let upstream = Upstream::start(answer).await;
    let front = Front::start("http1", upstream.address, "");
    let nginx = in_front(&front).await;
    for _client in 0..2 {
        let mut client = Client::connect(nginx.address, Version::HTTP_11).await;
        for number in 0..50 {
            let path = format!("/{number}");
            let response = client.send(get(&path)).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()["x-method"], "GET");
            assert_eq!(read(response).await.to_bytes(), path);
        }
        let head = Request::head("/head").body(empty()).unwrap();
        let head = client.send(head).await.unwrap();
        assert_eq!(head.headers()["content-length"], "5");
        assert!(read(head).await.to_bytes().is_empty());
    }
    let connections = "proxy_connections_total{listener=\"web\"}";
    let connections = crate::support::admin::metric(front.admin(), connections).await;
    assert_eq!(connections, Some(1.0), "102 requests, one connection");
}

#[tokio::test]
async fn nginx_in_front_passes_bodies_both_ways() {
    let upstream = Upstream::start(answer).await;
    let front = Front::start("http1", upstream.address, "");
    let nginx = in_front(&front).await;
    let mut client = Client::connect(nginx.address, Version::HTTP_11).await;
    let known = full(noise(3 << 20));
    let (pieces, unknown) = channel();
    let sending = tokio::spawn(async move {
        for piece in noise(3 << 20).chunks(50_000) {
            pieces.send(Bytes::copy_from_slice(piece)).await;
        }
    });
    for body in [known, unknown] {
        let request = Request::put("/").body(body).unwrap();
        let response = client.send(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(read(response).await.to_bytes() == noise(3 << 20));
    }
    sending.await.unwrap();
}

struct World {
    front: Front,
    client: Client<TestBody>,
    nginx: Nginx,
}

struct Answer {
    status: StatusCode,
    fields: HeaderMap,
    body: Bytes,
}

impl World {
    async fn start(hops: Hops) -> Self {
        let listen = match hops.upstream {
            Version::HTTP_2 => "LISTEN http2",
            _ => "LISTEN",
        };
        let nginx = Nginx::start(&SERVER.replace("LISTEN", listen)).await;
        let front = Front::start(protocol(hops.upstream), nginx.address, "");
        let client = front.client(hops.client).await;
        Self {
            front,
            client,
            nginx,
        }
    }

    fn www(&self) -> &Path {
        self.nginx.www()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.www().join(name), content).unwrap();
    }

    async fn ask(&mut self, request: Request<TestBody>) -> Answer {
        let response = self.client.send(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            fields: parts.headers,
            body,
        }
    }
}

impl Answer {
    fn field(&self, name: &str) -> String {
        let value = self.fields.get(name).unwrap_or_else(|| panic!("no {name}"));
        value.to_str().unwrap().to_owned()
    }
}

fn with(path: &str, name: &str, value: &str) -> Request<TestBody> {
    Request::get(path)
        .header(name, value)
        .body(empty())
        .unwrap()
}

/// An nginx that sends everything to the proxy, over connections that it keeps.
async fn in_front(front: &Front) -> Nginx {
    let server = IN_FRONT.replace("PROXY", &front.web().to_string());
    Nginx::start(&server).await
}

/// An upload comes back; anything else is told its path.
async fn answer(request: Request<Incoming>) -> Response<TestBody> {
    let method = request.method().as_str().to_owned();
    let body = if method == "PUT" {
        BodyExt::boxed_unsync(request.into_body().map_err(Into::into))
    } else {
        full(request.uri().path().to_owned())
    };
    let response = Response::builder().header("x-method", method);
    response.body(body).unwrap()
}

const SERVER: &str = r#"
server {
    listen LISTEN;
    root www;
    types { text/plain txt; }
    location / { gzip on; gzip_proxied any; gzip_vary on; gzip_types text/plain; }
    location /folder/ { autoindex on; }
    location /changed.txt { sub_filter old new; sub_filter_once off; sub_filter_types text/plain; }
    location /moved { return 308 http://$host/there?$args; }
    location /stored/ { dav_methods PUT DELETE; create_full_put_path on; client_max_body_size 2m; }
    location /connections { return 200 $connection; }
}
"#;

const IN_FRONT: &str = "
upstream proxy { server PROXY; keepalive 8; }
server {
    listen LISTEN;
    location / {
        proxy_pass http://proxy;
        proxy_http_version 1.1;
        proxy_set_header connection '';
        proxy_request_buffering off;
        client_max_body_size 0;
    }
}
";
