use std::{
    error::Error,
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
};

use super::{Span, place, words};

/// What is wrong with a configuration file: `file:line:column: what, and what to write instead`.
#[derive(Debug)]
pub struct ConfigError {
    path: PathBuf,
    position: Option<Position>,
    text: String,
}

/// A problem that knows its place in the text, but not yet the file.
#[derive(Debug)]
pub(super) struct Problem {
    at: Option<Range<usize>>,
    /// Of the table that this is about, where `at` is all of it.
    key: Option<String>,
    text: String,
}

/// Makes problems out of values that know their place.
pub(super) trait At {
    fn problem(&self, text: impl Into<String>) -> Problem;
}

#[derive(Clone, Copy, Debug)]
struct Position {
    line: usize,
    column: usize,
}

impl ConfigError {
    /// The line, counted from one, where the error has a place.
    pub fn line(&self) -> Option<usize> {
        self.position.map(|position| position.line)
    }

    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        let text = format!("cannot be read ({error}): check the path and its permissions");
        Self {
            path: path.to_owned(),
            position: None,
            text,
        }
    }

    pub(super) fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let at = error.span();
        let plain = words::plain(error.message(), text, at.clone());
        let problem = Problem {
            at,
            key: None,
            text: plain,
        };
        Self::located(path, text, problem)
    }

    pub(super) fn located(path: &Path, text: &str, problem: Problem) -> Self {
        let at = match (problem.at, &problem.key) {
            (Some(table), Some(key)) => Some(place::of_key(text, table, key)),
            (at, _) => at,
        };
        let position = at.map(|at| Position::of(text, at.start));
        Self {
            path: path.to_owned(),
            position,
            text: problem.text,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some(Position { line, column }) = self.position {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.text)
    }
}

impl Error for ConfigError {}

impl Problem {
    /// A problem of the file as a whole.
    pub(super) fn whole(text: impl Into<String>) -> Self {
        Self {
            at: None,
            key: None,
            text: text.into(),
        }
    }

    /// A problem of the first key of its table that the text names, `like this`.
    pub(super) fn of_key(self) -> Self {
        let key = self.text.split('`').nth(1).map(str::to_owned);
        Self { key, ..self }
    }
}

impl<T> At for Span<T> {
    fn problem(&self, text: impl Into<String>) -> Problem {
        Problem {
            at: Some(self.span()),
            key: None,
            text: text.into(),
        }
    }
}

impl Position {
    fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}
