use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::http::forward;

/// Fields that a route removes, and then sets.
#[derive(Clone, Debug, Default)]
pub struct FieldChanges {
    remove: Vec<HeaderName>,
    set: Vec<(HeaderName, HeaderValue)>,
}

/// Whose fields are changed: what may be changed differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changeable {
    /// A request's.
    Request,
    /// A response's.
    Response,
}

impl FieldChanges {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty()
    }

    /// Removes, then sets. A field that is set replaces all of its name.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
    }

    /// The names of the fields that are set.
    pub fn names_set(&self) -> impl Iterator<Item = &HeaderName> {
        self.set.iter().map(|(name, _)| name)
    }

    /// The names of the fields that are removed.
    pub fn names_removed(&self) -> impl Iterator<Item = &HeaderName> {
        self.remove.iter()
    }

    /// Adds a field to set.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what to write instead.
    pub fn set(&mut self, of: Changeable, name: &str, value: &str) -> Result<(), String> {
        let name = field_name(of, name)?;
        if self.remove.contains(&name) {
            return Err(format!(
                "`{name}` is set and removed: what is set replaces what was there, so remove it from `remove`"
            ));
        }
        if self.set.iter().any(|(set, _)| *set == name) {
            return Err(format!("`{name}` is set twice: remove one"));
        }
        let is_host = name == header::HOST;
        let value = HeaderValue::try_from(value).ok();
        let value = match is_host {
            true => value.filter(|value| forward::parse_host(value).is_ok()),
            false => value,
        };
        match value {
            Some(value) => self.set.push((name, value)),
            None if is_host => return Err("host is set to what is no host: write \"api.example.com\" or \"api.example.com:8080\"".to_owned()),
            None => return Err(format!("`{name}` is set to what no field can hold: write visible characters")),
        }
        Ok(())
    }

    /// Adds a field to remove.
    ///
    /// # Errors
    ///
    /// Why it cannot be removed.
    pub fn remove(&mut self, of: Changeable, name: &str) -> Result<(), String> {
        let name = field_name(of, name)?;
        if name == header::HOST && of == Changeable::Request {
            return Err("host cannot be removed, a request needs one: set it instead".to_owned());
        }
        self.remove.push(name);
        Ok(())
    }
}

fn field_name(of: Changeable, text: &str) -> Result<HeaderName, String> {
    if text.starts_with(':') {
        return Err(format!(
            "`{text}` is no field: host, path_prefix and rewrite are for that"
        ));
    }
    if text.contains('*') {
        return Err(format!(
            "`{text}` has a star, and fields are named one by one: write each name"
        ));
    }
    let name = HeaderName::try_from(text).map_err(|_| {
        format!("`{text}` is not a field's name: write letters, digits and dashes, as in \"x-env\"")
    })?;
    if OF_THE_PROXY.contains(&name) || (name == header::HOST && of == Changeable::Response) {
        return Err(format!(
            "`{name}` is between the proxy and its neighbours, which a route cannot change: remove it"
        ));
    }
    Ok(name)
}

/// Fields of one hop, and those that say where a body ends.
const OF_THE_PROXY: [HeaderName; 10] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];
