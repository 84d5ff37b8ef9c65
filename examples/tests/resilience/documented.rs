//! Whatever the proxy says when something is wrong is in the manual, with what to do.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

#[test]
fn every_warning_of_the_log_is_in_the_manual() {
    let mut sources = sources("src");
    for layer in [
        "balance-p2c",
        "retry-budget",
        "reconnect",
        "timeout-ewma",
        "mtls",
    ] {
        sources.extend(self::sources(&format!("../tower-{layer}/src")));
    }
    let messages: Vec<_> = sources.iter().flat_map(Source::warnings).collect();
    assert!(messages.len() >= 12, "{messages:?}");
    assert_eq!(undocumented(&messages), Vec::<String>::new());
}

#[test]
fn every_refusal_is_in_the_manual() {
    let sources = sources("src");
    let malformed = sources
        .iter()
        .flat_map(|source| source.arguments("Malformed("));
    let refusals = Source::read(&root("src/http/refusal.rs")).sentences();
    let messages: Vec<_> = malformed.chain(refusals).collect();
    assert!(messages.len() >= 15, "{messages:?}");
    assert_eq!(undocumented(&messages), Vec::<String>::new());
}

#[test]
fn every_reason_not_to_start_and_every_refusal_of_the_admin_listener_is_in_the_manual() {
    let mut messages = Source::read(&root("src/proxy.rs")).sentences();
    messages.extend(Source::read(&root("src/telemetry/log.rs")).sentences());
    for source in sources("src/admin") {
        messages.extend(source.sentences());
    }
    assert!(messages.len() >= 12, "{messages:?}");
    assert_eq!(undocumented(&messages), Vec::<String>::new());
}

/// The scanner itself.
#[test]
fn a_new_message_is_seen() {
    let source = Source::of(
        r##"
        // warn!("in a comment")
        fn f<'a>(quote: &'a str) { let (_, _) = ('"', quote);
            tracing::warn!(%error, name = g(")"), "a new \"message\" that \
                 nobody knows");
            tracing::debug!("not this one");
            error!(x, "{} of {count} things are broken badly", 1);
            Refusal::Malformed(
                "a new sort of wrong",
            )
        }
        #[cfg(test)]
        mod tests { fn f() { warn!("in a test") } }
        "##,
    );
    let warnings = source.warnings();
    assert_eq!(
        warnings,
        [
            "a new \"message\" that nobody knows",
            "{} of {count} things are broken badly"
        ]
    );
    assert_eq!(source.arguments("Malformed("), ["a new sort of wrong"]);
    assert_eq!(source.sentences().len(), 3);
    assert_eq!(undocumented(&warnings).len(), 2);
    assert_eq!(
        undocumented(&["cannot listen on {address} ({error}): {advice}".to_owned()]),
        Vec::<String>::new()
    );
}

/// Rust, as far as literals and comments go.
struct Source {
    /// As written, with spaces in the place of comments and of what is in quotes.
    code: Vec<char>,
    literals: Vec<(Range<usize>, String)>,
}

impl Source {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path);
        Self::of(&text.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// Without the tests at its end.
    fn of(text: &str) -> Self {
        let text = text.split("#[cfg(test)]").next().unwrap_or(text);
        let mut code: Vec<char> = text.chars().collect();
        let mut literals = Vec::new();
        let mut at = 0;
        while at < code.len() {
            let end = match (code[at], code.get(at + 1), code.get(at + 2)) {
                ('/', Some('/'), _) => end_of(&code, at, |c, _| c == '\n'),
                ('"', ..) => {
                    let end = end_of(&code, at + 1, |c, escaped| c == '"' && !escaped);
                    literals.push((at..end, unescape(&code[at + 1..end])));
                    end
                }
                ('\'', Some('\\'), _) => end_of(&code, at + 1, |c, escaped| c == '\'' && !escaped),
                ('\'', Some(_), Some('\'')) => at + 2,
                _ => {
                    at += 1;
                    continue;
                }
            };
            let end = (end + 1).min(code.len());
            code[at..end].fill(' ');
            at = end;
        }
        Self { code, literals }
    }

    /// The message of each event at WARN and ERROR.
    fn warnings(&self) -> Vec<String> {
        assert!(self.calls(" event!(").is_empty(), "write warn!( or error!(");
        let mut calls = self.calls("warn!(");
        calls.extend(self.calls("error!("));
        let message = |call: Range<usize>| self.within(&call).last().expect("a message").to_owned();
        calls.into_iter().map(message).collect()
    }

    /// What is in quotes among the arguments of each call.
    fn arguments(&self, call: &str) -> Vec<String> {
        let calls = self.calls(call).into_iter();
        calls
            .flat_map(|call| self.within(&call).map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    /// What is in quotes and is neither a name nor a field's value, nor news for the log.
    fn sentences(&self) -> Vec<String> {
        let mut news = self.calls("debug!(");
        news.extend(self.calls("info!("));
        let is_news = |place: &Range<usize>| news.iter().any(|call| call.contains(&place.start));
        let texts = self.literals.iter().filter(|(place, _)| !is_news(place));
        texts
            .map(|(_, text)| text.clone())
            .filter(|text| text.trim().contains(' ') && !text.contains(['=', ';']))
            .filter(|text| text.chars().any(char::is_lowercase))
            .collect()
    }

    fn within(&self, call: &Range<usize>) -> impl Iterator<Item = &str> {
        let literals = self.literals.iter();
        literals
            .filter(|(place, _)| call.contains(&place.start))
            .map(|(_, text)| text.as_str())
    }

    /// From the opening parenthesis to the one that closes it.
    fn calls(&self, opening: &str) -> Vec<Range<usize>> {
        let opening: Vec<char> = opening.chars().collect();
        let starts = self.code.windows(opening.len()).enumerate();
        let starts = starts.filter(|(_, window)| *window == opening);
        let call = |(start, _): (usize, _)| {
            let mut depth = 0_usize;
            let length = self.code[start..].iter().position(|c| {
                depth += usize::from(*c == '(');
                depth -= usize::from(*c == ')' && depth > 0);
                *c == ')' && depth == 0
            });
            start..start + length.expect("it is closed")
        };
        starts.map(call).collect()
    }
}

/// The messages of which a part that is more than a word is not in the manual.
fn undocumented(messages: &[String]) -> Vec<String> {
    let manual: Vec<_> = MANUAL.split_whitespace().collect();
    let manual = manual.join(" ");
    let is_known = |message: &String| {
        let parts = message.split('{').enumerate();
        let parts = parts.map(|(index, part)| match part.split_once('}') {
            Some((_, rest)) if index > 0 => rest,
            _ => part,
        });
        let mut parts = parts.map(|part| part.trim_matches(|c: char| !c.is_alphanumeric()));
        parts.all(|part| {
            let may_be_a_word = message.contains('{') && !part.trim().contains(' ');
            may_be_a_word || manual.contains(part)
        })
    };
    messages
        .iter()
        .filter(|message| !is_known(message))
        .cloned()
        .collect()
}

fn end_of(code: &[char], start: usize, is_end: impl Fn(char, bool) -> bool) -> usize {
    let mut escaped = false;
    let length = code[start..].iter().position(|&c| {
        let ends = is_end(c, escaped);
        escaped = c == '\\' && !escaped;
        ends
    });
    length.map_or(code.len(), |length| start + length)
}

/// Quotes, and lines that go on.
fn unescape(literal: &[char]) -> String {
    let text: String = literal.iter().collect();
    let mut lines = text.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    let text = lines.fold(first, |text, line| text + line.trim_start());
    text.replace("\\\"", "\"").replace("\\n", "\n")
}

fn sources(folder: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(root(folder)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root("")).unwrap();
        if path.is_dir() {
            sources.extend(self::sources(name.to_str().unwrap()));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            sources.push(Source::read(&path));
        }
    }
    sources
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

const MANUAL: &str = include_str!("../../../docs/operations.md");
