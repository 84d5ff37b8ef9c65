use std::{
    env, fmt,
    io::{self, IsTerminal},
    str::FromStr,
    sync::OnceLock,
};

use tracing_subscriber::{
    EnvFilter, Registry,
    fmt::layer,
    layer::SubscriberExt,
    reload::{Handle, Layer},
    util::SubscriberInitExt,
};

/// What is logged: levels, for all or for one target, such as `info,access=off`.
///
/// Spans and fields, which `tracing` would also filter by, cost every event a look at the filter;
/// they are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

/// What is wrong with a [`LogFilter`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadFilter(String);

/// This process logs by somebody else's means, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOurLog;

/// Sends logs to standard error, filtered by the environment variable `PROXY_LOG`, else by
/// `default` (for example `info` or `warn,access=info`).
pub fn init(default: &str) {
    let wanted = env::var("PROXY_LOG")
        .ok()
        .filter(|text| !text.is_empty())
        .map(|text| text.parse());
    let (filter, bad) = match wanted {
        Some(Ok(LogFilter(filter))) => (filter, None),
        Some(Err(error)) => (default.to_owned(), Some(error)),
        None => (default.to_owned(), None),
    };
    let (filter, handle) = Layer::new(EnvFilter::new(filter));
    let log = layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // A second call (several proxies in one process) keeps the first one's settings.
    if tracing_subscriber::registry()
        .with(filter)
        .with(log)
        .try_init()
        .is_ok()
    {
        let _ = FILTER.set(handle);
    }
    if let Some(error) = bad {
        tracing::warn!(%error, "PROXY_LOG is ignored");
    }
}

/// The filter in force. All proxies of a process share its log.
///
/// # Errors
///
/// [`init`] did not start this process's log.
pub fn filter() -> Result<String, NotOurLog> {
    let handle = FILTER.get().ok_or(NotOurLog)?;
    handle
        .with_current(ToString::to_string)
        .map_err(|_| NotOurLog)
}

/// Puts another filter in force at once, for the whole process, and returns it as it is read.
///
/// # Errors
///
/// As for [`filter`].
pub fn set_filter(LogFilter(wanted): &LogFilter) -> Result<String, NotOurLog> {
    let handle = FILTER.get().ok_or(NotOurLog)?;
    handle
        .reload(EnvFilter::new(wanted))
        .map_err(|_| NotOurLog)?;
    filter()
}

impl FromStr for LogFilter {
    type Err = BadFilter;

    fn from_str(text: &str) -> Result<Self, BadFilter> {
        let directives: Vec<_> = text.split(',').map(str::trim).collect();
        if directives.iter().all(|directive| directive.is_empty()) {
            return Err(BadFilter("nothing is written".to_owned()));
        }
        let directives: Result<Vec<_>, _> = directives.into_iter().map(directive).collect();
        Ok(Self(directives?.join(",")))
    }
}

/// A level, or `target=level`.
fn directive(text: &str) -> Result<String, BadFilter> {
    let (target, level) = match text.split_once('=') {
        Some((target, level)) => (Some(target.trim_end()), level.trim_start()),
        None => (None, text),
    };
    if !LEVELS.iter().any(|known| level.eq_ignore_ascii_case(known)) {
        let level = shortened(level);
        return Err(BadFilter(format!(
            "`{level}` is no level: write one of {}",
            LEVELS.join(", ")
        )));
    }
    match target {
        Some(target) if target.is_empty() || !target.chars().all(is_of_a_target) => {
            let target = shortened(target);
            Err(BadFilter(format!("`{target}` is no target of the log")))
        }
        Some(target) => Ok(format!("{target}={level}")),
        None => Ok(level.to_owned()),
    }
}

/// In one line, and no longer than one.
fn shortened(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(LONGEST_SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(LONGEST_SHOWN).is_some() {
        short.push('…');
    }
    short
}

fn is_of_a_target(c: char) -> bool {
    c.is_ascii_alphanumeric() || ['_', '-', '.', ':'].contains(&c)
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BadFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; for example: info,access=off", self.0)
    }
}

impl std::error::Error for BadFilter {}

impl fmt::Display for NotOurLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this process has a log of its own, which the proxy does not filter")
    }
}

impl std::error::Error for NotOurLog {}

/// Of the process's one log.
static FILTER: OnceLock<Handle<EnvFilter, Registry>> = OnceLock::new();

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Characters of a bad filter that its error repeats.
const LONGEST_SHOWN: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_levels_for_all_or_for_a_target() {
        for (text, read) in [
            ("debug", "debug"),
            ("INFO", "INFO"),
            (
                " info , access=off,tower_mtls::accept = trace\n",
                "info,access=off,tower_mtls::accept=trace",
            ),
        ] {
            let LogFilter(filter) = text.parse().unwrap();
            assert_eq!(filter, read);
        }
    }

    #[test]
    fn what_is_no_filter_says_why_in_one_line() {
        for (text, says) in [
            ("", "nothing is written"),
            (" ,\n", "nothing is written"),
            ("debgu", "`debgu` is no level: write one of off, error"),
            ("info,access=loud", "`loud` is no level"),
            ("info,", "`` is no level"),
            ("=info", "`` is no target"),
            ("[span]=info", "`[span]` is no target"),
            ("access{field=1}=info", "is no level"),
            ("in\r\nfo", "`in\\r\\nfo` is no level"),
            (&"é".repeat(4000), "… is no level"),
        ] {
            let error = text.parse::<LogFilter>().unwrap_err().to_string();
            let says = says.replace("… is", "…` is");
            assert!(error.contains(&says), "no {says:?} in {error}");
            assert!(error.ends_with("for example: info,access=off"), "{error}");
            assert!(error.len() < 250 && error.lines().count() == 1, "{error}");
        }
    }

    #[test]
    fn every_filter_that_is_taken_is_one() {
        let LogFilter(filter) = "info, access = off,tower_mtls::accept=TRACE"
            .parse()
            .unwrap();
        let filter = EnvFilter::try_new(filter).unwrap().to_string();
        for directive in ["info", "access=off", "tower_mtls::accept=trace"] {
            assert!(filter.split(',').any(|one| one == directive), "{filter}");
        }
    }
}
