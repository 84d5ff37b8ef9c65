//! Answers that no service gives: hyper's own refusals, and ours where hyper gives none.

use crate::http::refusal::Refusal;

/// What to write in the place of `bytes`, if they are hyper's own refusal of a head: a status, no
/// body, and nothing else. Only for bytes that belong to no exchange.
pub(super) fn instead_of(bytes: &[u8]) -> Option<Vec<u8>> {
    let refusal = match bytes.get(..STATUS.len() + 3)?.strip_prefix(STATUS)? {
        b"400" => Refusal::Malformed("this is not a request"),
        b"414" => Refusal::UriTooLong,
        b"431" => Refusal::HeadTooLarge,
        _ => return None,
    };
    let head = bytes.strip_suffix(b"\r\n\r\n")?;
    let is_alone = !head.windows(4).any(|end| end == b"\r\n\r\n");
    is_alone.then(|| last(refusal))
}

/// A whole HTTP/1.1 answer, after which the connection ends.
pub(super) fn last(refusal: Refusal) -> Vec<u8> {
    let text = refusal.text();
    let status = refusal.status();
    let reason = status.canonical_reason().unwrap_or_default();
    format!(
        "HTTP/1.1 {} {reason}\r\n\
         content-type: text/plain; charset=utf-8\r\n\
         content-length: {}\r\n\
         connection: close\r\n\
         proxy-status: {}\r\n\
         date: {}\r\n\r\n\
         {text}\n",
        status.as_str(),
        text.len() + 1,
        refusal.proxy_status(),
        httpdate::fmt_http_date(std::time::SystemTime::now()),
    )
    .into_bytes()
}

const STATUS: &[u8] = b"HTTP/1.1 ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_refusal_gets_its_reason() {
        let bare = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let words = String::from_utf8(instead_of(bare).unwrap()).unwrap();
        assert!(words.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"));
        assert!(words.contains("\r\nproxy-status: proxy; error=http_request_error; details="));
        assert!(words.ends_with("\r\n\r\nthe head of the request is too large\n"));
    }

    #[test]
    fn anything_else_is_left_alone() {
        let others = [
            &b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\nhi"[..],
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\nHTTP/1.1 400 Bad Request\r\n\r\n",
            b"HTTP/1.1 40",
            b"",
        ];
        for bytes in others {
            assert_eq!(instead_of(bytes), None, "{}", bytes.escape_ascii());
        }
    }
}
