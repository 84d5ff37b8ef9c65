//! What belongs to one hop and is nevertheless passed on: a wish for another protocol, and for a
//! sign before the body is sent.

use http::{
    HeaderMap, HeaderValue, Request, Version,
    header::{self, HeaderName},
};
use http_body::Body;

use crate::http::list;

/// The wishes of one request.
#[derive(Debug)]
pub(super) struct Wishes {
    upgrade: Option<HeaderValue>,
    expects_continue: bool,
}

impl Wishes {
    /// Looks for them, before the fields of this hop are removed.
    pub(super) fn of<B: Body>(request: &Request<B>) -> Self {
        let is_http11 = request.version() == Version::HTTP_11;
        let has_body = !request.body().is_end_stream();
        Self {
            // What follows the head would be the body for one side, and the tunnel for the other.
            upgrade: (is_http11 && !has_body)
                .then(|| upgrade(request.headers()))
                .flatten(),
            expects_continue: is_http11 && has_body && expects_continue(request.headers()),
        }
    }

    /// Whether the client waits for a sign before it sends its body.
    pub(super) fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// Writes them for the next hop.
    pub(super) fn pass_on(self, headers: &mut HeaderMap) {
        if let Some(protocols) = self.upgrade {
            headers.insert(header::UPGRADE, protocols);
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        }
        if self.expects_continue {
            headers.insert(header::EXPECT, HeaderValue::from_static("100-continue"));
        }
    }
}

fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let connection = |token| has_token(headers, &header::CONNECTION, token);
    if !connection("upgrade") || connection("close") {
        return None;
    }
    let mut protocols = headers.get_all(header::UPGRADE).iter();
    let (only, None) = (protocols.next()?, protocols.next()) else {
        return None;
    };
    // HTTP/2 within a tunnel would go round everything that looks at requests.
    let is_fine = |protocol: &str| {
        let is_http = protocol.as_bytes().get(..2).is_some_and(is_h2) || is_http(protocol);
        !is_http && is_protocol(protocol)
    };
    list(headers, &header::UPGRADE)
        .all(is_fine)
        .then(|| only.clone())
}

fn is_h2(start: &[u8]) -> bool {
    start.eq_ignore_ascii_case(b"h2")
}

fn is_http(protocol: &str) -> bool {
    let name = protocol.split('/').next();
    name.is_some_and(|name| name.eq_ignore_ascii_case("http") || name.eq_ignore_ascii_case("tls"))
}

/// `name` or `name/version`, each a token (RFC 9110, section 7.8).
fn is_protocol(protocol: &str) -> bool {
    let is_token = |part: &str| HeaderName::try_from(part).is_ok();
    let mut parts = protocol.split('/');
    parts.next().is_some_and(is_token)
        && parts.next().is_none_or(is_token)
        && parts.next().is_none()
}

fn expects_continue(headers: &HeaderMap) -> bool {
    has_token(headers, &header::EXPECT, "100-continue")
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    list(headers, name).any(|member| member.eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use http_body_util::{Empty, Full};

    use super::*;

    type Bytes = bytes::Bytes;

    fn asks(fields: &[(&'static str, &'static str)]) -> http::request::Builder {
        fields
            .iter()
            .fold(Request::get("/"), |request, (name, value)| {
                request.header(*name, *value)
            })
    }

    fn passed_on<B: Body>(request: &Request<B>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        Wishes::of(request).pass_on(&mut headers);
        headers
    }

    #[test]
    fn an_upgrade_is_passed_on_as_it_was_asked_for() {
        let request = asks(&[
            ("connection", "Keep-Alive, Upgrade"),
            ("upgrade", "websocket"),
        ]);
        let headers = passed_on(&request.body(Empty::<Bytes>::new()).unwrap());
        assert_eq!(headers["upgrade"], "websocket");
        assert_eq!(headers["connection"], "upgrade");
    }

    #[test]
    fn no_tunnel_for_http_nor_without_the_connection_option_nor_with_a_body() {
        let cases: [&[_]; 10] = [
            &[("connection", "upgrade"), ("upgrade", "h2c")],
            &[("connection", "upgrade"), ("upgrade", "websocket, H2C")],
            &[("connection", "upgrade"), ("upgrade", "HTTP/2.0")],
            &[("connection", "upgrade"), ("upgrade", "TLS/1.3")],
            &[
                ("connection", "upgrade"),
                ("upgrade", "a"),
                ("upgrade", "b"),
            ],
            &[("upgrade", "websocket")],
            &[("connection", "close, upgrade"), ("upgrade", "a")],
            &[("connection", "upgrade"), ("upgrade", "\"h2c\"")],
            &[("connection", "upgrade"), ("upgrade", "websocket;h2c")],
            &[("connection", "upgrade"), ("upgrade", "")],
        ];
        for fields in cases {
            let headers = passed_on(&asks(fields).body(Empty::<Bytes>::new()).unwrap());
            assert!(headers.is_empty(), "{fields:?}");
        }
        let request = asks(&[("connection", "upgrade"), ("upgrade", "websocket")]);
        let headers = passed_on(&request.body(Full::new(Bytes::from("body"))).unwrap());
        assert!(headers.is_empty());
    }

    #[test]
    fn an_expectation_is_passed_on_where_a_body_follows() {
        let expects = [("expect", "100-Continue")];
        let headers = passed_on(&asks(&expects).body(Full::new(Bytes::from("body"))).unwrap());
        assert_eq!(headers["expect"], "100-continue");
        let headers = passed_on(&asks(&expects).body(Empty::<Bytes>::new()).unwrap());
        assert!(headers.is_empty());
    }
}
