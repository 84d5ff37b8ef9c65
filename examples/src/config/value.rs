//! The values of the file: each a type or a reader that says what to write instead.

mod http;
mod switch;

use std::{fmt, net::SocketAddr, num::NonZeroUsize, str::FromStr, time::Duration};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, IgnoredAny, Visitor},
};
use tower_balance_p2c::Weight;

pub(super) use self::{
    http::{
        failure_statuses, grpc_codes, methods, redirect_status, some_failure_statuses,
        some_field_name, some_grpc_codes, some_methods,
    },
    switch::{Optional, off_or_duration, off_or_table, some_off_or_duration, some_off_or_table},
};
use super::words;

/// A value and its place in the file.
pub type Span<T> = toml::Spanned<T>;

/// A number of bytes, written as `"64KiB"` or as a plain number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size(u64);

/// A key that belongs to the contract and is not served yet. Reading it is an error, so that no
/// setting is ever silently ignored.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) enum NotYet {}

impl Size {
    /// `n` × 1,024 bytes.
    pub const fn kibibytes(n: u64) -> Self {
        Self(n * 1024)
    }

    /// As a count of bytes.
    pub const fn count(self) -> u64 {
        self.0
    }

    /// As a count of bytes that fits this machine.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let (_, unit) = text.split_at(digits.len());
        let unit = match unit {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => {
                return Err(format!(
                    "`{text}` has no unit known here: write bytes as \"64KiB\", \"1MiB\" or 65536"
                ));
            }
        };
        let number: u64 = digits.trim_end().parse().map_err(|_| {
            format!("`{text}` is not a size: write bytes as \"64KiB\", \"1MiB\" or 65536")
        })?;
        number
            .checked_mul(unit)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is more than a machine can hold"))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes such as \"64KiB\", \"1MiB\" or 65536")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, bytes: i64) -> Result<Size, E> {
        u64::try_from(bytes)
            .map(Size)
            .map_err(|_| E::custom("bytes cannot be negative: write \"64KiB\" or 65536"))
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<Size, E> {
        Ok(Size(bytes))
    }
}

impl<'de> Deserialize<'de> for NotYet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer)?;
        Err(D::Error::custom(words::NOT_YET))
    }
}

/// A duration such as `"250ms"`, `"10s"` or `"1h"`.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = expect::<String, D>(
        deserializer,
        "a duration such as \"250ms\", \"10s\" or \"1h\"",
    )?;
    parse_duration(&text).map_err(D::Error::custom)
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is not a duration: write \"250ms\", \"10s\" or \"1h\""))?;
    if duration > LONGEST {
        return Err(format!("`{text}` is too long: write at most \"365days\""));
    }
    Ok(duration)
}

/// For the socket option of TCP keepalive, which counts whole seconds.
pub(super) fn keepalive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let duration = duration(deserializer)?;
    if !(1..=32_767).contains(&duration.as_secs()) || duration.subsec_nanos() > 0 {
        return Err(D::Error::custom(
            "must be whole seconds, from \"1s\" to \"9h\": write \"30s\", for example",
        ));
    }
    Ok(duration)
}

/// A duration that a periodic task can be paced by.
pub(super) fn pace<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let duration = duration(deserializer)?;
    if duration < Duration::from_millis(10) {
        return Err(D::Error::custom("must be at least \"10ms\""));
    }
    Ok(duration)
}

/// A duration above zero.
pub(super) fn positive_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    let duration = duration(deserializer)?;
    if duration.is_zero() {
        return Err(D::Error::custom(
            "must be longer than zero: write \"10s\", for example",
        ));
    }
    Ok(duration)
}

pub(super) fn some_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    positive_duration(deserializer).map(Some)
}

/// A count that HTTP libraries can bear: hyper sets memory aside for as many fields.
pub(super) fn field_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match expect::<usize, D>(deserializer, "a number from 1 to 10000")? {
        count @ 1..=10_000 => Ok(count),
        _ => Err(D::Error::custom("must be from 1 to 10000")),
    }
}

/// Worker threads.
pub(super) fn threads<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<NonZeroUsize>, D::Error> {
    match expect::<usize, D>(deserializer, "a number from 1 to 1024")? {
        count @ 1..=1024 => Ok(NonZeroUsize::new(count)),
        _ => Err(D::Error::custom("must be from 1 to 1024")),
    }
}

/// A count of at least one.
pub(super) fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match expect::<usize, D>(deserializer, "a number above zero")? {
        0 => Err(D::Error::custom("must be above zero: write 1 or more")),
        count => Ok(count),
    }
}

pub(super) fn some_positive<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<usize>, D::Error> {
    positive(deserializer).map(Some)
}

/// An endpoint's share, in relation to the others'.
pub(super) fn weight<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Weight, D::Error> {
    let weight = expect::<f64, D>(deserializer, "a number from 0.001 to 1000, such as 2")?;
    Weight::new(weight).map_err(|error| {
        D::Error::custom(format!(
            "{error}: write 2 for twice the share of an endpoint without a weight"
        ))
    })
}

/// The name of a zone.
pub(super) fn some_zone<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let name = expect::<String, D>(deserializer, "a zone's name, such as \"a\"")?;
    if name.is_empty() {
        return Err(D::Error::custom(
            "a zone needs a name: write zone = \"a\", or leave it out",
        ));
    }
    Ok(Some(name))
}

pub(super) fn header_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
    let size = Size::deserialize(deserializer)?;
    if !(Size::kibibytes(8).0..=Size::kibibytes(1024).0).contains(&size.0) {
        return Err(D::Error::custom("must be from \"8KiB\" to \"1MiB\""));
    }
    Ok(size)
}

pub(super) fn streams<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match expect::<u32, D>(deserializer, "a number from 1 to 10000")? {
        streams @ 1..=10_000 => Ok(streams),
        _ => Err(D::Error::custom("must be from 1 to 10000")),
    }
}

/// An address with a port, such as `"127.0.0.1:8080"`.
pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = expect::<String, D>(deserializer, "an address such as \"127.0.0.1:8080\"")?;
    parse_address(&text).map_err(D::Error::custom)
}

pub(super) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!(
            "`{text}` is not an IP address with a port: write \"127.0.0.1:8080\" or \"[::1]:8080\""
        )
    })
}

/// Anything that can be read from a string and says itself what is wrong with it.
pub(super) fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let text = expect::<String, D>(deserializer, "a string")?;
    text.parse().map_err(D::Error::custom)
}

pub(super) fn some_parsed<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    parsed(deserializer).map(Some)
}

/// Reads a `T`, or says what was expected in the user's words.
pub(super) fn expect<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    expected: &str,
) -> Result<T, D::Error> {
    T::deserialize(deserializer).map_err(|error| {
        D::Error::custom(format!(
            "{}: write {expected}",
            error.to_string().trim_end()
        ))
    })
}

/// Clocks can add this to a time without leaving their range.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
