//! The running configuration as JSON, in the words of the file, with what is secret left out.
//!
//! The types of the configuration derive `Serialize`; what serde writes of them is then made into
//! what a user would write: see [`plain`]. So a new setting needs its derive, and nothing here.

use std::{fmt::Display, net::SocketAddr, path::Path};

use http::StatusCode;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use tower_retry_budget::http::GrpcCode;

use super::{Config, Size};

impl Config {
    /// What runs, defaults filled in, with the names of the file and values that could be written
    /// there. Private keys are not named, and fields that routes set are without their values.
    ///
    /// # Errors
    ///
    /// Never in practice: serialising into memory.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let value = plain(serde_json::to_value(self)?);
        Ok(serde_json::to_string_pretty(&value)? + "\n")
    }
}

/// In a user's words: no key without a value, a duration as `"1s"`, no secret.
fn plain(value: Value) -> Value {
    match value {
        Value::Object(object) => match duration(&object) {
            Some(duration) => Value::String(humantime::format_duration(duration).to_string()),
            None => Value::Object(object.into_iter().filter_map(entry).collect()),
        },
        Value::Array(values) => Value::Array(values.into_iter().map(plain).collect()),
        other => other,
    }
}

fn entry((key, value): (String, Value)) -> Option<(String, Value)> {
    match (key.as_str(), value) {
        (_, Value::Null) | ("private_key", _) => None,
        (_, value) => Some((key, plain(value))),
    }
}

/// What serde makes of a [`std::time::Duration`].
fn duration(object: &Map<String, Value>) -> Option<std::time::Duration> {
    if object.len() != 2 {
        return None;
    }
    let seconds = object.get("secs")?.as_u64()?;
    let nanoseconds = object.get("nanos")?.as_u64()?;
    Some(std::time::Duration::new(
        seconds,
        u32::try_from(nanoseconds).ok()?,
    ))
}

/// A table that says where to listen.
pub(super) fn listen<S: Serializer>(address: &SocketAddr, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map([("listen", address)])
}

/// A table, or the word for none.
pub(super) fn switch<T: Serialize, S: Serializer>(
    table: &Option<T>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match table {
        Some(table) => table.serialize(to),
        None => to.serialize_str("off"),
    }
}

/// A path that need not be Unicode.
pub(super) fn path<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&path.display())
}

/// Values as they are written.
pub(super) fn texts<T: Display, S: Serializer>(values: &[T], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(values.iter().map(T::to_string))
}

/// A text as it is written, if there is one.
pub(super) fn text<T: Display, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.collect_str(value),
        None => to.serialize_none(),
    }
}

pub(super) fn grpc_codes<S: Serializer>(codes: &[GrpcCode], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(codes.iter().map(|code| code.name()))
}

pub(super) fn statuses<S: Serializer>(statuses: &[StatusCode], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(statuses.iter().map(StatusCode::as_u16))
}

impl Serialize for Size {
    /// In the largest unit that divides it.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let bytes = self.count();
        let unit = UNITS
            .iter()
            .find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit));
        match unit {
            Some((unit, name)) => to.collect_str(&format_args!("{}{name}", bytes / unit)),
            None => to.serialize_u64(bytes),
        }
    }
}

/// The largest first.
const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn durations_read_as_they_are_written() {
        for (duration, text) in [
            (Duration::ZERO, "0s"),
            (Duration::from_millis(250), "250ms"),
            (Duration::from_secs(3600), "1h"),
            (Duration::from_secs(90), "1m 30s"),
        ] {
            let shown = plain(serde_json::to_value(duration).unwrap());
            assert_eq!(shown, json!(text));
            assert_eq!(humantime::parse_duration(text).unwrap(), duration);
        }
    }

    #[test]
    fn sizes_read_as_they_are_written() {
        for (size, shown) in [
            (Size::kibibytes(64), json!("64KiB")),
            (Size::kibibytes(1024), json!("1MiB")),
            (Size::kibibytes(1536), json!("1536KiB")),
            (Size::default(), json!(0)),
            ("1000".parse().unwrap(), json!(1000)),
        ] {
            assert_eq!(serde_json::to_value(size).unwrap(), shown);
        }
    }

    #[test]
    fn what_is_not_set_and_what_is_secret_is_left_out() {
        let value = json!({
            "zone": null,
            "tls": { "certificate": "a.pem", "private_key": "a.key" },
        });
        assert_eq!(
            plain(value),
            json!({
                "tls": { "certificate": "a.pem" },
            })
        );
    }
}
