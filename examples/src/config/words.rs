//! The words of serde and TOML, in those of a user.

use std::ops::Range;

/// Says what is wrong at `at`, and what to write instead, given what the parser says of it.
pub(super) fn plain(message: &str, text: &str, at: Option<Range<usize>>) -> String {
    let message = message.trim_end().replace('\n', "; ");
    // Deserializing stops at the first problem; only text that is no TOML at all fails here.
    if text.parse::<toml::Table>().is_err() {
        return syntax(&message, text, at);
    }
    let key = at.and_then(|at| key(text, at.start));
    if message == NOT_YET {
        let key = key.map_or_else(|| "this key".to_owned(), |key| format!("`{key}`"));
        return format!("{key} is not supported yet: remove it");
    }
    if let Some(rest) = message.strip_prefix("unknown field ") {
        return unknown(rest, "there is no key", " here");
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        return unknown(rest, "there is no", "");
    }
    if let Some(field) = message.strip_prefix("missing field ") {
        let name = field.trim_matches('`');
        return format!("{field} is missing: write {name} = …");
    }
    if message == "wanted string or table" {
        let key = key.unwrap_or("this");
        return format!("`{key}` cannot be that: write one of its words in quotes");
    }
    let mismatch = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "));
    match mismatch.and_then(|mismatch| mismatch.split_once(", expected ")) {
        Some((found, expected)) => wrong(key, found, expected),
        None => message,
    }
}

/// What a key says that belongs to the contract and is not served yet.
pub(super) const NOT_YET: &str = "this key is not supported yet: remove it";

fn syntax(message: &str, text: &str, at: Option<Range<usize>>) -> String {
    let written = at.and_then(|at| text.get(at)).unwrap_or_default();
    match message {
        "duplicate key" => format!("`{written}` is written twice: remove one"),
        _ => format!("this is not TOML: {message}"),
    }
}

/// `` `x`, expected one of `a`, `b` ``
fn unknown(rest: &str, there_is_no: &str, here: &str) -> String {
    let Some((found, expected)) = rest.split_once(", expected ") else {
        return format!("{there_is_no} {rest}{here}: remove it");
    };
    let expected = expected.strip_prefix("one of ").unwrap_or(expected);
    let known: Vec<_> = expected
        .split(", ")
        .flat_map(|names| names.split(" or "))
        .map(|name| name.trim_matches('`'))
        .filter(|name| !UNSUPPORTED.contains(name))
        .collect();
    let one_of = if known.len() > 1 { "one of " } else { "" };
    format!(
        "{there_is_no} {found}{here}: write {one_of}{}",
        known.join(", ")
    )
}

/// `` string "one" `` in the place of `usize`
fn wrong(key: Option<&str>, found: &str, expected: &str) -> String {
    let found = match found {
        "map" => "a table",
        "sequence" => "a list",
        "unit value" => "nothing",
        value => value
            .strip_prefix("string ")
            .or_else(|| value.rsplit_once(' ').map(|(_, value)| value))
            .unwrap_or(value)
            .trim_matches('`'),
    };
    let expected = match expected.split_once(": write ") {
        Some((_, expected)) => expected,
        None => expectation(expected),
    };
    match key {
        Some(key) => format!("`{key}` cannot be {found}: write {expected}"),
        None => format!("{found} cannot stand here: write {expected}"),
    }
}

fn expectation(expected: &str) -> &str {
    match expected {
        "a string" | "path string" => "text in quotes, such as \"web\"",
        "a boolean" => "true or false",
        "a sequence" => "a list, such as [1, 2]",
        "a nonzero usize" => "a whole number above zero, such as 4",
        "usize" | "u64" | "u32" | "u16" => "a whole number, such as 4",
        "f64" => "a number, such as 0.2",
        "struct PricesConfig" => "a table, such as { timeout = 10 }",
        "struct RetryConfig" => "a table, such as { attempts = 4 }",
        other if other.starts_with("struct ") => "a table, such as { key = \"value\" }",
        other if other.starts_with("enum ") => "one of the words that are known here, in quotes",
        other => other,
    }
}

/// The key whose value, or the table whose header, begins at `offset`.
fn key(text: &str, offset: usize) -> Option<&str> {
    let (before, after) = text.split_at_checked(offset)?;
    let line = before.rsplit('\n').next().unwrap_or(before).trim_end();
    let key = match line.strip_suffix('=') {
        Some(key) => key.trim_end().rsplit([' ', ',', '{', '\t']).next()?,
        None if line.is_empty() => after.trim_start_matches('[').split([']', '\n']).next()?,
        None => return None,
    };
    Some(key).filter(|key| !key.is_empty() && key.chars().all(is_of_a_key))
}

fn is_of_a_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || ['_', '-', '.'].contains(&c)
}

/// Known, and refused: no advice to give.
const UNSUPPORTED: &[&str] = &["discovery", "spiffe", "tcp"];
