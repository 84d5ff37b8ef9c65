//! Turning a message of one hop into a message of the next (RFC 9110, section 7.6).

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{self, Entry},
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body::Body;

use super::{
    body::Expectation,
    forwarded::{is_claim, pass_via},
    list,
    refusal::Refusal,
};
use crate::config::Limits;

/// Checks a request and makes it neutral: `Host` names the authority, the target is in origin
/// form, and no field belongs to the client's connection any more.
///
/// # Errors
///
/// A refusal where the request is malformed or ambiguous: it is never repaired.
pub fn admit<B>(request: &mut Request<B>, limits: &Limits) -> Result<(), Refusal> {
    if request.headers().len() > limits.header_count {
        return Err(Refusal::TooManyFields);
    }
    // hyper has looked at the bytes of HTTP/1 itself.
    if request.version() == Version::HTTP_2 && head_bytes(request) > limits.header_bytes.bytes() {
        return Err(Refusal::HeadTooLarge);
    }
    if request.method() == Method::CONNECT || has_unknown_coding(request.headers()) {
        return Err(Refusal::NotImplemented);
    }
    if is_looping(request.headers()) {
        return Err(Refusal::Loop);
    }
    count_forward(request)?;
    let authority = authority(request)?;
    let path = path(request.uri(), request.method())?;
    remove_hop_by_hop(request.headers_mut());
    // Whoever knows how to wait for the endpoint's sign passes it on.
    request.headers_mut().remove(header::EXPECT);
    request.headers_mut().insert(header::HOST, authority);
    *request.uri_mut() = Uri::from(path);
    Ok(())
}

/// Removes what belongs to the endpoint's connection, and says that the response came through here.
pub fn release<B>(response: &mut Response<B>) {
    // hyper has read the body by its transfer coding, which overrides a length (RFC 9112, section
    // 6.3); and these statuses have no body whose length could be told.
    let lengthless =
        [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT].contains(&response.status());
    if lengthless || response.headers().contains_key(header::TRANSFER_ENCODING) {
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    remove_hop_by_hop(response.headers_mut());
    let version = std::mem::replace(response.version_mut(), Version::HTTP_11);
    pass_via(response.headers_mut(), version);
}

/// Writes an admitted request for HTTP/1.1.
pub fn for_http1<B: Body>(request: &mut Request<B>) {
    *request.version_mut() = Version::HTTP_11;
    join_cookies(request.headers_mut());
    let body = request.body();
    let unknown_length = !body.is_end_stream() && body.size_hint().exact().is_none();
    if unknown_length && !request.headers().contains_key(header::CONTENT_LENGTH) {
        // hyper sends such a body with GET and HEAD only where it is told to.
        let chunked = HeaderValue::from_static("chunked");
        request
            .headers_mut()
            .insert(header::TRANSFER_ENCODING, chunked);
    }
}

/// Writes an admitted request for HTTP/2: the authority moves from `Host` to the target.
pub fn for_http2<B>(request: &mut Request<B>, scheme: Scheme) {
    *request.version_mut() = Version::HTTP_2;
    // Nothing switches here, and hyper's client tells of no interim answer.
    for name in [header::CONNECTION, header::UPGRADE, header::EXPECT] {
        request.headers_mut().remove(name);
    }
    // Of a request that came back from a connection of HTTP/1.
    request.headers_mut().remove(header::TRANSFER_ENCODING);
    if let Some(expectation) = request.extensions().get::<Expectation>() {
        expectation.meet();
    }
    let authority = request.headers_mut().remove(header::HOST);
    let authority = authority.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = authority.is_some().then_some(scheme);
    parts.authority = authority;
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

/// Undoes [`for_http2`], for a connection that may speak something else.
pub fn for_anyone<B>(mut request: Request<B>) -> Request<B> {
    let authority = request.uri().authority().map(Authority::as_str);
    if let Some(Ok(host)) = authority.map(HeaderValue::from_str) {
        request.headers_mut().insert(header::HOST, host);
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    }
    request
}

/// Whether a message speaks gRPC. gRPC-Web is another protocol: it knows no trailers.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = media_type.and_then(|value| value.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.trim_ascii_start().first(), None | Some(b'+' | b';')))
}

/// A proxy that is its own endpoint would else fill itself with one request.
fn is_looping(headers: &HeaderMap) -> bool {
    let ours = |member: &&str| member.ends_with(" proxy");
    headers.contains_key(header::VIA)
        && list(headers, &header::VIA).filter(ours).count() >= MOST_HOPS
}

/// How far TRACE and OPTIONS may still go (RFC 9110, section 7.6.2).
fn count_forward<B>(request: &mut Request<B>) -> Result<(), Refusal> {
    if ![Method::TRACE, Method::OPTIONS].contains(request.method()) {
        return Ok(());
    }
    let left = request.headers().get(header::MAX_FORWARDS);
    let left: Option<u64> = left.and_then(|left| left.to_str().ok()?.trim().parse().ok());
    if left == Some(0) {
        // We are the one that is asked, and have nothing to say.
        return Err(Refusal::NotImplemented);
    }
    if let Some(left) = left {
        let headers = request.headers_mut();
        headers.insert(header::MAX_FORWARDS, (left - 1).into());
    }
    Ok(())
}

/// As HTTP/2 counts them (RFC 9113, section 6.5.2).
fn head_bytes<B>(request: &Request<B>) -> usize {
    let fields = request.headers().iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD);
    let target = request.uri().path_and_query();
    fields.sum::<usize>() + target.map_or(0, |target| target.as_str().len())
}

/// hyper undoes `chunked` and nothing else (RFC 9112, section 6.1).
pub(crate) fn has_unknown_coding(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(header::TRANSFER_ENCODING);
    codings
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

/// The one authority that a request names.
fn authority<B>(request: &Request<B>) -> Result<HeaderValue, Refusal> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Refusal::Malformed("more than one Host"));
    }
    let host = host.map(parse_host).transpose()?;
    match (request.uri().authority(), host) {
        (None, None) => Err(Refusal::Malformed("no Host")),
        (None, Some(host)) => Ok(host),
        (Some(target), None) => parse_host_bytes(target.as_str().as_bytes()),
        (Some(target), Some(host)) => {
            let target = parse_host_bytes(target.as_str().as_bytes())?;
            // RFC 9112, section 3.2.2: the target wins in HTTP/1.1; in HTTP/2 they must agree.
            if request.version() == Version::HTTP_2
                && !target.as_bytes().eq_ignore_ascii_case(host.as_bytes())
            {
                return Err(Refusal::Malformed("Host and :authority differ"));
            }
            Ok(target)
        }
    }
}

pub(crate) fn parse_host(host: &HeaderValue) -> Result<HeaderValue, Refusal> {
    parse_host_bytes(host.as_bytes()).map(|_| host.clone())
}

fn parse_host_bytes(host: &[u8]) -> Result<HeaderValue, Refusal> {
    let refusal = Refusal::Malformed("Host is not a host with an optional port");
    let authority = Authority::try_from(host).map_err(|_| refusal)?;
    let port_is_plain = match authority.as_str().strip_prefix(authority.host()) {
        Some("") => true,
        Some(port) => {
            let digits = port.strip_prefix(':').unwrap_or_default();
            authority.port_u16().is_some() && digits.bytes().all(|byte| byte.is_ascii_digit())
        }
        None => false,
    };
    if authority.host().is_empty() || !port_is_plain {
        return Err(refusal);
    }
    HeaderValue::from_str(authority.as_str()).map_err(|_| refusal)
}

/// The target in origin form, or `*` for OPTIONS.
fn path(uri: &Uri, method: &Method) -> Result<PathAndQuery, Refusal> {
    // `GET a.test`: an authority alone is the target of CONNECT only.
    if uri.authority().is_some() && uri.scheme().is_none() {
        return Err(Refusal::Malformed("the target is not a path"));
    }
    match uri.path_and_query() {
        Some(path) if path.as_str().starts_with('/') => Ok(path.clone()),
        Some(path) if path.as_str() == "*" && method == Method::OPTIONS => Ok(path.clone()),
        Some(path) if path.as_str().starts_with('?') => PathAndQuery::try_from(format!("/{path}"))
            .map_err(|_| Refusal::Malformed("the target is not a path")),
        Some(_) => Err(Refusal::Malformed("the target is not a path")),
        None => Ok(PathAndQuery::from_static("/")),
    }
}

pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let trailers_wanted = wants_trailers(headers);
    if headers.contains_key(header::CONNECTION) {
        for name in connection_options(headers) {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    if trailers_wanted {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

fn connection_options(headers: &HeaderMap) -> Vec<HeaderName> {
    // An end-to-end field that the message cannot do without, or that tells who has sent it, is not
    // the connection's to remove.
    list(headers, &header::CONNECTION)
        .filter_map(|option| HeaderName::try_from(option).ok())
        .filter(|name| !PROTECTED.contains(name) && !is_claim(name))
        .collect()
}

fn wants_trailers(headers: &HeaderMap) -> bool {
    list(headers, &header::TE).any(|option| option.eq_ignore_ascii_case("trailers"))
}

/// HTTP/2 may split `cookie`; HTTP/1.1 may not (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let Entry::Occupied(mut cookies) = headers.entry(header::COOKIE) else {
        return;
    };
    if cookies.iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<_> = cookies.iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        cookies.insert(joined);
    }
}

/// So many proxies of ours may stand in a row.
const MOST_HOPS: usize = 10;

/// What a field counts beyond its name and value.
const FIELD_OVERHEAD: usize = 32;

const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
];

const PROTECTED: [HeaderName; 5] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::VIA,
];
