//! What can be switched off.

use std::{fmt, marker::PhantomData, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{expect, parse_duration};

/// A table that can be `"off"` instead.
pub(in crate::config) trait Optional {
    /// Its name in the file.
    const KEY: &'static str;
    /// A table that could be written.
    const EXAMPLE: &'static str;
}

/// `"off"`, or a table.
pub(in crate::config) fn off_or_table<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Optional + Deserialize<'de>,
{
    deserializer.deserialize_any(OffOrTable(PhantomData))
}

/// `"off"`, or a table, if the key is there.
pub(in crate::config) fn some_off_or_table<'de, D, T>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Optional + Deserialize<'de>,
{
    off_or_table(deserializer).map(Some)
}

/// `"off"`, or a duration.
pub(in crate::config) fn off_or_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let text = expect::<String, D>(deserializer, "\"off\", or a duration such as \"10s\"")?;
    match text.as_str() {
        "off" => Ok(None),
        text => parse_duration(text)
            .map(Some)
            .map_err(|error| D::Error::custom(format!("{error}, or \"off\""))),
    }
}

pub(in crate::config) fn some_off_or_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<Duration>>, D::Error> {
    off_or_duration(deserializer).map(Some)
}

struct OffOrTable<T>(PhantomData<T>);

impl<'de, T> Visitor<'de> for OffOrTable<T>
where
    T: Optional + Deserialize<'de>,
{
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"off\" or a table such as {}", T::EXAMPLE)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        if text == "off" {
            return Ok(None);
        }
        let (key, example) = (T::KEY, T::EXAMPLE);
        Err(E::custom(format!(
            "{key} = \"{text}\" means nothing: write {key} = \"off\", or a table such as {example}"
        )))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }
}
