use std::{fmt, str::FromStr};

use http::uri::PathAndQuery;

use super::Unroutable;

/// Whole segments at the beginning of a path: `/v1` is that of `/v1/x` and not of `/v10`.
///
/// A slash at its end says nothing: `/v1/` is `/v1`, and `/` is the beginning of every path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPrefix(Box<str>);

impl PathPrefix {
    /// The beginning of every path.
    pub fn root() -> Self {
        Self("".into())
    }

    /// What follows the prefix in `path`: nothing, or something that begins with a slash. `None`
    /// where `path` begins in another way.
    pub fn rest<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(&*self.0)?;
        let is_whole = match rest.is_empty() {
            true => !path.is_empty(),
            false => rest.starts_with('/'),
        };
        is_whole.then_some(rest)
    }

    /// Puts this prefix in the place of `matched`; the query stays as it is.
    ///
    /// # Errors
    ///
    /// Where an empty segment follows the prefix: an endpoint might take `//` for something else.
    /// Where the path has dot segments, which might lead out of the new prefix.
    pub fn replace(
        &self,
        matched: &Self,
        target: &PathAndQuery,
    ) -> Result<PathAndQuery, Unroutable> {
        let path = target.path();
        // `OPTIONS *` has no path that could be rewritten.
        let Some(rest) = matched.rest(path) else {
            return Ok(target.clone());
        };
        if rest.starts_with("//") {
            return Err(Unroutable::EmptySegment);
        }
        if has_dot_segments(path) {
            return Err(Unroutable::DotSegments);
        }
        let query = target.as_str().get(path.len()..).unwrap_or_default();
        let path = match (&*self.0, rest) {
            ("", "") => "/",
            (prefix, _) => prefix,
        };
        PathAndQuery::try_from([path, rest, query].concat()).map_err(|_| Unroutable::NoRoute)
    }

    /// Whether it is the beginning of every path that `other` is the beginning of.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self == other || self.rest(&other.0).is_some()
    }
}

impl FromStr for PathPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!(
                "`{text}` is not a path: begin it with a slash, as in \"/v1\""
            ));
        }
        if text.contains('*') {
            return Err(format!(
                "`{text}` has a star, and a prefix takes all that is below it anyway: write it without, as in \"/v1\""
            ));
        }
        if text.contains(['?', '#']) {
            return Err(format!(
                "`{text}` is more than a path: write it without query and fragment"
            ));
        }
        if has_dot_segments(text) || text.contains('\\') {
            return Err(format!(
                "`{text}` can be read in two ways: write it without dot segments"
            ));
        }
        let prefix = text.strip_suffix('/').unwrap_or(text);
        if text.contains("//") {
            return Err(format!(
                "`{text}` has an empty segment: write single slashes, as in \"/v1\""
            ));
        }
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_plain || PathAndQuery::try_from(text).is_err() {
            return Err(format!(
                "`{text}` is not a path: write other characters as %20, for example"
            ));
        }
        Ok(Self(prefix.into()))
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            "" => f.write_str("/"),
            prefix => f.write_str(prefix),
        }
    }
}

/// Whether a segment of `path` is `.` or `..`, as anybody might read it: dots and separators may be
/// percent-encoded, a backslash may separate, and parameters may follow (`..;x`).
pub fn has_dot_segments(path: &str) -> bool {
    let mut rest = path.as_bytes();
    let mut segment = Segment::default();
    loop {
        let (unit, length) = unit(rest);
        match unit {
            Unit::Separator | Unit::End if segment.is_dots() => return true,
            Unit::End => return false,
            Unit::Separator => segment = Segment::default(),
            Unit::Dot if !segment.has_parameters => segment.dots += 1,
            Unit::Semicolon => segment.has_parameters = true,
            Unit::Other if !segment.has_parameters => segment.has_more = true,
            Unit::Dot | Unit::Other => {}
        }
        rest = rest.get(length..).unwrap_or_default();
    }
}

#[derive(Default)]
struct Segment {
    dots: usize,
    has_more: bool,
    has_parameters: bool,
}

enum Unit {
    Separator,
    Dot,
    Semicolon,
    Other,
    End,
}

impl Segment {
    fn is_dots(&self) -> bool {
        !self.has_more && (1..=2).contains(&self.dots)
    }
}

/// What the next byte, or the next three, stand for.
fn unit(bytes: &[u8]) -> (Unit, usize) {
    match bytes {
        [] => (Unit::End, 0),
        [b'%', b'2', b'e' | b'E', ..] => (Unit::Dot, 3),
        [b'%', b'2', b'f' | b'F', ..] | [b'%', b'5', b'c' | b'C', ..] => (Unit::Separator, 3),
        [b'.', ..] => (Unit::Dot, 1),
        [b'/' | b'\\', ..] => (Unit::Separator, 1),
        [b';', ..] => (Unit::Semicolon, 1),
        _ => (Unit::Other, 1),
    }
}
