//! Bad configurations: each is refused at its place, in words that say what to write instead.

mod bad;
mod bad_balance;
mod bad_reconnect;
mod bad_retry;
mod bad_routes;
mod bad_tls;

use std::path::Path;

use examples::config::Config;
use proptest::prelude::*;

use self::bad::BAD;
use crate::support::process::run;

/// A kind of bad configuration.
struct Bad {
    /// What is written in the place of what, in `GOOD`. The error is at the first `^` of the
    /// replacement, which is left out.
    from: &'static str,
    to: &'static str,
    /// Words that the message must have.
    says: &'static [&'static str],
}

#[test]
fn each_bad_configuration_is_refused_at_its_place_in_the_users_words() {
    Config::parse(GOOD, Path::new("proxy.toml")).unwrap();
    let unhelpful: Vec<_> = all().filter_map(Bad::complaint).collect();
    assert_eq!(unhelpful, Vec::<String>::new());
    assert!(BAD.len() >= 25);
}

#[test]
fn a_file_without_listener_or_cluster_is_told_what_is_missing() {
    let error = |text| {
        Config::parse(text, Path::new("proxy.toml"))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(""),
        "proxy.toml: no [[listener]]: write one with name, listen and cluster"
    );
    let listener = "[[listener]]\nname = \"web\"\nlisten = \"127.0.0.1:0\"\ncluster = \"b\"\n";
    assert_eq!(
        error(listener),
        "proxy.toml: no [[cluster]]: write one with name and endpoints"
    );
}

#[test]
fn an_example_with_every_supported_key_is_good() {
    let config =
        Config::parse(EVERY_KEY, Path::new("proxy.toml")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.threads.get(), 2);
    assert_eq!((config.listeners.len(), config.clusters.len()), (3, 3));
    let routes: Vec<_> = config.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(routes, ["api", "2"]);
    assert_eq!(
        config.cleartext().collect::<Vec<_>>(),
        ["listener `local`", "cluster `legacy`"]
    );
    assert_eq!(config.limits.header_bytes.bytes(), 32 * 1024);
    assert!(config.trust.forwarded.contain([192, 0, 2, 7].into()));
    assert!(!config.trust.deadline.contain([192, 0, 2, 7].into()));
    let retry = config.clusters[0].retry.as_ref().unwrap();
    assert_eq!(
        (retry.attempts, retry.statuses.len(), retry.methods.len()),
        (3, 2, 2)
    );
}

#[tokio::test]
async fn the_built_binary_says_it_in_one_line_and_exits_with_1() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proxy.toml");
    for bad in all().step_by(9) {
        let (text, place) = bad.text();
        let (line, column) = place.unwrap();
        std::fs::write(&path, &text).unwrap();
        for command in ["check", "run"] {
            let ended = run(&[command, "--config", path.to_str().unwrap()]).await;
            assert_eq!(
                ended.code,
                Some(1),
                "{command} {:?}: {}",
                bad.to,
                ended.stderr
            );
            assert_eq!(ended.stdout, "");
            let start = format!("proxy: {}:{line}:{column}: ", path.display());
            assert!(
                ended.stderr.starts_with(&start),
                "not {start} but {}",
                ended.stderr
            );
            assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        }
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_a_bad_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("no.toml");
    let ended = run(&["check", "--config", path.to_str().unwrap()]).await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stderr
            .starts_with(&format!("proxy: {}: cannot be read", path.display())),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = Config::parse(&text, Path::new("proxy.toml")).map_err(|error| error.to_string());
    }

    #[test]
    fn no_mutation_of_a_good_file_makes_it_panic(
        good in prop_oneof![Just(GOOD), Just(EVERY_KEY)],
        cut in any::<prop::sample::Index>(),
        length in 0_usize..12,
        insert in r#"[ -~äß\n\t"=\[\]{}]{0,6}"#,
    ) {
        let start = cut.index(good.len());
        let end = (start + length).min(good.len());
        prop_assume!(good.is_char_boundary(start) && good.is_char_boundary(end));
        let text = format!("{}{insert}{}", &good[..start], &good[end..]);
        if let Err(error) = Config::parse(&text, Path::new("proxy.toml")) {
            prop_assert_eq!(error.to_string().lines().count(), 1);
        }
    }

    #[test]
    fn no_value_in_the_place_of_another_makes_it_panic(
        line in 0_usize..200,
        value in prop_oneof![
            any::<i64>().prop_map(|number| number.to_string()),
            any::<f64>().prop_map(|number| format!("{number:?}")),
            any::<bool>().prop_map(|flag| flag.to_string()),
            r"[0-9]{1,30}(ns|us|ms|s|h|years|KiB|GiB)".prop_map(|text| format!("{text:?}")),
            Just("[]".to_owned()),
            Just("{}".to_owned()),
            Just("1979-05-27T07:32:00Z".to_owned()),
        ],
    ) {
        let mut lines: Vec<_> = EVERY_KEY.lines().map(str::to_owned).collect();
        let line = line % lines.len();
        if let Some((key, _)) = lines[line].split_once(" = ") {
            lines[line] = format!("{key} = {value}");
        }
        if let Err(error) = Config::parse(&lines.join("\n"), Path::new("proxy.toml")) {
            let error = error.to_string();
            prop_assert_eq!(error.lines().count(), 1);
            prop_assert!(error.starts_with("proxy.toml:"), "{}", error);
        }
    }
}

fn all() -> impl Iterator<Item = &'static Bad> {
    let tables = [
        BAD,
        bad_balance::BAD,
        bad_reconnect::BAD,
        bad_retry::BAD,
        bad_routes::BAD,
        bad_tls::BAD,
    ];
    tables.into_iter().flatten()
}

impl Bad {
    /// What is wrong with the message about it.
    fn complaint(&self) -> Option<String> {
        let (text, place) = self.text();
        let error = match Config::parse(&text, Path::new("proxy.toml")) {
            Ok(_) => return Some(format!("{:?} is taken for good", self.to)),
            Err(error) => error.to_string(),
        };
        let (line, column) = place.expect("each case marks its place");
        let Some(message) = error.strip_prefix(&format!("proxy.toml:{line}:{column}: ")) else {
            return Some(format!(
                "{:?} is at {line}:{column}, not in {error}",
                self.to
            ));
        };
        let missing = self.says.iter().find(|word| !message.contains(**word));
        if let Some(word) = missing {
            return Some(format!("{word:?} is not said in {error}"));
        }
        let raw = SERDES_OWN_WORDS.iter().find(|raw| message.contains(**raw));
        raw.map(|raw| format!("{raw:?} means nothing to a user: {error}"))
    }

    /// The bad file, and the place that it marks.
    fn text(&self) -> (String, Option<(usize, usize)>) {
        assert!(
            GOOD.contains(self.from),
            "{:?} is not in the good file",
            self.from
        );
        let marked = GOOD.replacen(self.from, self.to, 1);
        let place = marked.find('^').map(|offset| {
            let before = &marked[..offset];
            let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
            (before.matches('\n').count() + 1, column)
        });
        (marked.replacen('^', "", 1), place)
    }
}

/// What serde and toml say by themselves, and no user would.
const SERDES_OWN_WORDS: &[&str] = &[
    "invalid type",
    "invalid value",
    "i64",
    "u64",
    "u32",
    "usize",
    "f64",
    "struct",
    "variant",
    "Option",
    "sequence",
    "map,",
    "nonzero",
    "data did not match",
    "untagged",
];

const GOOD: &str = r#"threads = 1
[shutdown]
delay = "1s"
[admin]
listen = "127.0.0.1:9990"
[limits]
requests = 1000
[[listener]]
name = "web"
listen = "127.0.0.1:8080"
cluster = "backend"
[[cluster]]
name = "backend"
endpoints = ["127.0.0.1:9001"]
"#;

const CLUSTER: &str = "endpoints = [\"127.0.0.1:9001\"]\n";
const LISTENER: &str = "cluster = \"backend\"\n";

const EVERY_KEY: &str = include_str!("../../proxy.toml");
