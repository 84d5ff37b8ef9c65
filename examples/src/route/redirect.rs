use std::{
    fmt::{self, Write},
    str::FromStr,
};

use http::{HeaderValue, StatusCode, Uri};

use super::PathPrefix;
use crate::http::forward;

/// An answer that says where else to ask.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
    /// Where.
    pub to: Target,
}

/// An absolute URL with placeholders, or a literal path.
#[derive(Clone, Debug)]
pub struct Target(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    /// The authority that was asked, without its port.
    Host,
    /// Path and query as they were sent.
    Path,
    /// What follows the matched prefix, with the query.
    Rest,
}

impl Target {
    /// The `Location` of a request for `authority` and `uri`, whose path begins with `matched`.
    ///
    /// What is not allowed in a URL is percent-encoded; what follows the host always begins with
    /// a slash or a question mark, so that no path can make it another host.
    pub fn location(
        &self,
        authority: &[u8],
        uri: &Uri,
        matched: &PathPrefix,
    ) -> Option<HeaderValue> {
        let mut location = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => location.push_str(text),
                Part::Host => escape(&mut location, host(authority)),
                Part::Path => {
                    escape(&mut location, path(uri).as_bytes());
                    push_query(&mut location, uri);
                }
                Part::Rest => {
                    let rest = matched.rest(path(uri)).unwrap_or_default();
                    escape(&mut location, rest.as_bytes());
                    push_query(&mut location, uri);
                }
            }
        }
        HeaderValue::try_from(location).ok()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| {
            f.write_str(match part {
                Part::Text(text) => text,
                Part::Host => "{host}",
                Part::Path => "{path}",
                Part::Rest => "{rest}",
            })
        })
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let target = Self(parse(text)?);
        let is_plain = |byte: u8| is_of_a_url(byte) || byte == b'{' || byte == b'}';
        if !text.bytes().all(is_plain) {
            return Err(format!(
                "`{text}` is not a URL: write other characters as %20, for example"
            ));
        }
        if let [Part::Text(path)] = target.0.as_slice()
            && path.starts_with('/')
        {
            return match path.starts_with("//") {
                true => Err(format!(
                    "`{text}` names a host without a scheme: write https:{text}"
                )),
                false => Ok(target),
            };
        }
        target.check_url(text)?;
        Ok(target)
    }
}

impl Target {
    /// The host must be whole, and settled by the configuration or by `{host}` alone, before
    /// anything else of the request comes.
    fn check_url(&self, text: &str) -> Result<(), String> {
        let start = match self.0.first() {
            Some(Part::Text(start)) => SCHEMES.iter().find_map(|scheme| start.strip_prefix(scheme)),
            _ => None,
        };
        let Some(start) = start else {
            return Err(format!(
                "`{text}` is not absolute: write \"https://example.com{{path}}\", or a path without placeholders"
            ));
        };
        let (is_ended, rest) = match (start, self.0.get(1..).unwrap_or_default()) {
            ("", [Part::Host, Part::Text(port), rest @ ..]) => {
                (check_authority(text, "host.test", port)?, rest)
            }
            ("", [Part::Host, rest @ ..]) => (false, rest),
            (start, rest) => (check_authority(text, "", start)?, rest),
        };
        match rest {
            _ if is_ended => Ok(()),
            [] | [Part::Path, ..] | [Part::Rest] => Ok(()),
            [Part::Rest, ..] => Err(format!(
                "`{text}`: {{rest}} may be empty, so nothing may follow it right after the host"
            )),
            _ => Err(format!(
                "`{text}`: {{host}} is a whole host: nothing but a port or a path may stand beside it"
            )),
        }
    }
}

/// Checks `host` and what `literal` adds to it, and says whether a path, a query or a fragment
/// ends the authority there.
fn check_authority(text: &str, host: &str, literal: &str) -> Result<bool, String> {
    let end = literal.find(['/', '?', '#']);
    let more = literal
        .get(..end.unwrap_or(literal.len()))
        .unwrap_or_default();
    if more.contains('@') {
        return Err(format!("`{text}` has user information: remove it"));
    }
    let authority = format!("{host}{more}");
    let is_one = host.is_empty() || more.is_empty() || more.starts_with(':');
    let field = HeaderValue::try_from(authority).ok();
    match field.is_some_and(|field| is_one && forward::parse_host(&field).is_ok()) {
        true => Ok(end.is_some()),
        false => Err(format!(
            "`{text}` has no host with an optional port: write \"https://example.com{{path}}\" or \"https://{{host}}{{path}}\""
        )),
    }
}

fn parse(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(['{', '}']) {
        let opened = rest.as_bytes().get(before.len()) == Some(&b'{');
        let Some((name, after)) = after.split_once('}').filter(|_| opened) else {
            return Err(format!(
                "`{text}` has a brace without its other half: write {{host}}, {{path}} or {{rest}}"
            ));
        };
        if !before.is_empty() {
            parts.push(Part::Text(before.into()));
        }
        parts.push(match name {
            "host" => Part::Host,
            "path" => Part::Path,
            "rest" => Part::Rest,
            _ => {
                return Err(format!(
                    "there is no placeholder `{{{name}}}`: write {{host}}, {{path}} or {{rest}}"
                ));
            }
        });
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.into()));
    }
    Ok(parts)
}

/// Without the port.
fn host(authority: &[u8]) -> &[u8] {
    let colon = authority.iter().rposition(|byte| *byte == b':');
    match colon.and_then(|colon| authority.split_at_checked(colon)) {
        Some((host, [b':', port @ ..])) if port.iter().all(u8::is_ascii_digit) => host,
        _ => authority,
    }
}

/// `OPTIONS *` asks for no path.
fn path(uri: &Uri) -> &str {
    match uri.path() {
        path if path.starts_with('/') => path,
        _ => "/",
    }
}

fn push_query(location: &mut String, uri: &Uri) {
    if let Some(query) = uri.query() {
        location.push('?');
        escape(location, query.as_bytes());
    }
}

fn escape(location: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        match is_of_a_url(byte) {
            true => location.push(char::from(byte)),
            // Writing into a string does not fail.
            false => {
                let _ = write!(location, "%{byte:02X}");
            }
        }
    }
}

/// RFC 3986, section 2: unreserved, reserved, or a percent sign.
fn is_of_a_url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

const SCHEMES: [&str; 2] = ["https://", "http://"];
