//! What a web page in the operator's own browser could send to a listener on loopback.
//!
//! A page cannot read answers of another origin, but it can send: hence [`no_web_page`]. A page whose
//! name its owner makes point to loopback (DNS rebinding) is of the listener's own origin, but its
//! browser still writes that name into `Host`: hence [`no_name`].

use std::net::IpAddr;

use http::{HeaderName, HeaderValue, header, request::Parts, uri::Authority};

/// Refuses what only a browser writes.
pub(super) fn no_web_page(head: &Parts) -> Result<(), &'static str> {
    if head.headers.contains_key(header::ORIGIN) {
        return Err("a web page may not do this (there is an `Origin`): use curl");
    }
    let mut sites = head.headers.get_all(SEC_FETCH_SITE).iter();
    if !sites.all(|site| site == "none" || site == "same-origin") {
        return Err("a web page may not do this (see `Sec-Fetch-Site`): use curl");
    }
    Ok(())
}

/// Refuses a host that is neither `localhost` nor an IP address.
pub(super) fn no_name(head: &Parts) -> Result<(), &'static str> {
    let target = head.uri.authority().cloned();
    let hosts = head.headers.get_all(header::HOST).iter().map(authority);
    match hosts
        .chain(target.map(Some))
        .all(|host| host.as_ref().is_some_and(is_address))
    {
        true => Ok(()),
        false => Err("`Host` must be an IP address or localhost here"),
    }
}

fn authority(host: &HeaderValue) -> Option<Authority> {
    Authority::try_from(host.as_bytes()).ok()
}

fn is_address(authority: &Authority) -> bool {
    let host = authority.host();
    let literal = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost") || literal.unwrap_or(host).parse::<IpAddr>().is_ok()
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn addresses_and_localhost_are_no_names() {
        for (host, is_fine) in [
            ("localhost", true),
            ("LOCALHOST:9990", true),
            ("127.0.0.1", true),
            ("10.0.0.7:9990", true),
            ("[::1]:9990", true),
            ("[::1]", true),
            ("evil.test", false),
            ("localhost.evil.test", false),
            ("127.0.0.1.evil.test:9990", false),
            ("localhost@evil.test", false),
            ("", false),
        ] {
            let by_field = Request::post("/drain").header("host", host);
            assert_eq!(no_name(&head(by_field)).is_ok(), is_fine, "{host:?}");
        }
        let by_target = Request::post("http://evil.test/drain").header("host", "localhost");
        assert!(no_name(&head(by_target)).is_err());
        let twice = Request::post("/drain").header("host", "localhost");
        assert!(no_name(&head(twice.header("host", "evil.test"))).is_err());
        assert!(
            no_name(&head(Request::post("/drain"))).is_ok(),
            "no browser"
        );
    }

    #[test]
    fn fields_of_browsers_tell_a_web_page() {
        let post = || Request::post("/drain");
        for (request, is_fine) in [
            (post(), true),
            (post().header("sec-fetch-site", "none"), true),
            (post().header("sec-fetch-site", "same-origin"), true),
            (post().header("sec-fetch-site", "same-site"), false),
            (post().header("sec-fetch-site", "cross-site"), false),
            (post().header("origin", "null"), false),
            (post().header("origin", "http://localhost:9990"), false),
        ] {
            let head = head(request);
            assert_eq!(no_web_page(&head).is_ok(), is_fine, "{head:?}");
        }
    }

    fn head(request: http::request::Builder) -> Parts {
        request.body(()).unwrap().into_parts().0
    }
}
