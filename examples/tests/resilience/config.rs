//! Bad configurations: each is refused at its place, in words that say what to write instead.

use std::path::Path;

use examples::config::Config;
use proptest::prelude::*;

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
    let unhelpful: Vec<_> = BAD.iter().filter_map(Bad::complaint).collect();
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
    assert_eq!(
        config.cleartext().collect::<Vec<_>>(),
        ["listener `local`", "cluster `legacy`"]
    );
    assert_eq!(config.limits.header_bytes.bytes(), 32 * 1024);
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
    for bad in BAD.iter().step_by(9) {
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

const BAD: &[Bad] = &[
    // Unknown keys, at each level.
    Bad {
        from: "threads = 1",
        to: "^thread = 1",
        says: &[
            "`thread`",
            "write one of threads, shutdown, admin, identity, listener, cluster, limits",
        ],
    },
    Bad {
        from: "delay = ",
        to: "^wait = ",
        says: &["`wait`", "delay", "grace"],
    },
    Bad {
        from: "[admin]\n",
        to: "[admin]\n^port = 1\n",
        says: &["`port`", "listen"],
    },
    Bad {
        from: "requests = ",
        to: "^request = ",
        says: &["`request`", "requests"],
    },
    Bad {
        from: LISTENER,
        to: "^clusters = \"backend\"\n",
        says: &["`clusters`", "cluster"],
    },
    Bad {
        from: CLUSTER,
        to: "^endpoint = []\n",
        says: &["`endpoint`", "endpoints"],
    },
    Bad {
        from: "[\"127.0.0.1:9001\"]",
        to: "[{ ^adress = \"127.0.0.1:9001\" }]",
        says: &["`adress`", "address"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { ^decya = \"1s\" }\n",
        says: &["`decya`", "decay"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nretry = { ^attempt = 2 }\n",
        says: &["`attempt`", "attempts"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntimeout = { ^maximum = \"1s\" }\n",
        says: &["`maximum`", "max"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nreconnect = { backoff = { ^bas = \"1s\", max = \"2s\" } }\n",
        says: &["`bas`", "base"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntls = { ^cacert = \"ca.pem\" }\n",
        says: &["`cacert`", "ca"],
    },
    // Wrong types and bad values.
    Bad {
        from: "threads = 1",
        to: "threads = ^\"one\"",
        says: &["`threads`", "\"one\"", "write a whole number above zero"],
    },
    Bad {
        from: "threads = 1",
        to: "threads = ^0",
        says: &["above zero"],
    },
    Bad {
        from: "\"1s\"",
        to: "^1",
        says: &["write", "\"250ms\""],
    },
    Bad {
        from: "\"1s\"",
        to: "^\"1 parsec\"",
        says: &["`1 parsec`", "write", "\"250ms\""],
    },
    Bad {
        from: "delay = \"1s\"",
        to: "grace = ^\"0s\"",
        says: &["longer than zero", "write"],
    },
    Bad {
        from: "\"127.0.0.1:9990\"",
        to: "^\"localhost:9990\"",
        says: &["`localhost:9990`", "IP address", "write"],
    },
    Bad {
        from: "\"127.0.0.1:8080\"",
        to: "^\"127.0.0.1\"",
        says: &["`127.0.0.1`", "port", "write"],
    },
    Bad {
        from: "\"127.0.0.1:8080\"",
        to: "^8080",
        says: &["write", "\"127.0.0.1:8080\""],
    },
    Bad {
        from: "\"127.0.0.1:9001\"",
        to: "^\"backend:http\"",
        says: &["`backend:http`", "IP address", "write"],
    },
    Bad {
        from: "\"127.0.0.1:9001\"",
        to: "^9001",
        says: &["write", "\"127.0.0.1:9001\""],
    },
    Bad {
        from: "requests = 1000",
        to: "requests = ^-1",
        says: &["above zero", "write"],
    },
    Bad {
        from: "requests = 1000",
        to: "requests = ^0",
        says: &["above zero"],
    },
    Bad {
        from: "requests = 1000",
        to: "header_bytes = ^\"64kb\"",
        says: &["`64kb`", "write", "64KiB"],
    },
    Bad {
        from: "requests = 1000",
        to: "header_bytes = ^\"1KiB\"",
        says: &["8KiB", "1MiB"],
    },
    Bad {
        from: "requests = 1000",
        to: "body_bytes = ^-5",
        says: &["negative"],
    },
    Bad {
        from: "requests = 1000",
        to: "http2_streams = ^100000",
        says: &["1 to 10000"],
    },
    Bad {
        from: "name = \"web\"",
        to: "name = ^7",
        says: &["write", "\"web\""],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = ^\"127.0.0.1:9001\"\n",
        says: &["`endpoints`", "write a list"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nretry = ^4\n",
        says: &["write", "attempts"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nretry = { attempts = ^\"four\" }\n",
        says: &["write", "4"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nretry = { budget = ^\"20%\" }\n",
        says: &["write", "0.2"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nretry = { methods = ^[\"get\"] }\n",
        says: &["capitals", "[\"GET\""],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nretry = { statuses = ^[200] }\n",
        says: &["400 to 599"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nprotocol = ^\"grpc\"\n",
        says: &["`grpc`", "http1", "http2"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nprotocol = ^2\n",
        says: &["`protocol`", "write", "in quotes"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\nprotocol = ^\"https\"\n",
        says: &["`https`", "\"http\""],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = ^\"on\"\n",
        says: &["\"on\"", "\"off\""],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = ^true\n",
        says: &["\"off\"", "table"],
    },
    // Missing and contradicting things.
    Bad {
        from: "[[listener]]\nname = \"web\"\n",
        to: "^[[listener]]\n",
        says: &["`name` is missing"],
    },
    Bad {
        from: "[[listener]]\nname = \"web\"\nlisten = \"127.0.0.1:8080\"\n",
        to: "^[[listener]]\nname = \"web\"\n",
        says: &["`listen` is missing"],
    },
    Bad {
        from: "[[cluster]]\nname = \"backend\"\nendpoints = [\"127.0.0.1:9001\"]\n",
        to: "^[[cluster]]\nname = \"backend\"\n",
        says: &["`endpoints` is missing"],
    },
    Bad {
        from: "cluster = \"backend\"",
        to: "cluster = ^\"backnd\"",
        says: &["`backnd`", "backend"],
    },
    Bad {
        from: "name = \"web\"",
        to: "name = ^\"\"",
        says: &["needs a name", "write"],
    },
    Bad {
        from: "name = \"backend\"\n",
        to: "name = \"backend\"\nendpoints = [\"127.0.0.1:1\"]\n[[cluster]]\nname = ^\"backend\"\n",
        says: &["two clusters", "`backend`"],
    },
    Bad {
        from: "name = \"web\"\n",
        to: "name = \"web\"\nlisten = \"127.0.0.1:0\"\ncluster = \"backend\"\n[[listener]]\nname = ^\"web\"\n",
        says: &["two listeners", "`web`"],
    },
    Bad {
        from: "[\"127.0.0.1:9001\"]",
        to: "^[]",
        says: &["needs an endpoint", "write"],
    },
    Bad {
        from: "[\"127.0.0.1:9001\"]",
        to: "[\"127.0.0.1:1\", ^\"127.0.0.1:1\"]",
        says: &["127.0.0.1:1", "twice"],
    },
    // Not supported yet.
    Bad {
        from: "[[cluster]]",
        to: "^[[route]]\ncluster = \"backend\"\n[[cluster]]",
        says: &["route", "not supported yet"],
    },
    Bad {
        from: "[limits]",
        to: "^[trust]\nforwarded = []\n[limits]",
        says: &["trust", "not supported yet"],
    },
    Bad {
        from: "requests = 1000",
        to: "upgrade_idle = ^\"1h\"",
        says: &["upgrade_idle", "not supported yet"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ndiscovery = ^{ kind = \"dns\" }\n",
        says: &["discovery", "not supported yet"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { eject = ^{} }\n",
        says: &["eject", "not supported yet"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { slow_start = ^\"10s\" }\n",
        says: &["slow_start", "not supported yet"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { zone = ^\"a\" }\n",
        says: &["zone", "not supported yet"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { subset = ^0 }\n",
        says: &["subset", "not supported yet"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nretry = { hedge = ^{ quantile = 0.95 } }\n",
        says: &["hedge", "not supported yet"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nreconnect = { max_age = ^\"10m\" }\n",
        says: &["max_age", "not supported yet"],
    },
    Bad {
        from: "[\"127.0.0.1:9001\"]",
        to: "[{ address = \"127.0.0.1:9001\", weight = ^2 }]",
        says: &["weight", "not supported yet"],
    },
    Bad {
        from: "[\"127.0.0.1:9001\"]",
        to: "[{ address = \"127.0.0.1:9001\", zone = ^\"b\" }]",
        says: &["zone", "not supported yet"],
    },
    Bad {
        from: "[limits]",
        to: "[identity]\nspiffe = ^\"unix:/run/spire/agent.sock\"\n[limits]",
        says: &["spiffe", "not supported yet"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { crl = ^[\"ca.crl\"] }\n",
        says: &["crl", "not supported yet"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\nprotocol = ^\"auto\"\n",
        says: &["not supported yet", "\"http\""],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\nprotocol = ^\"tcp\"\n",
        says: &["not supported yet", "\"http\""],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nprotocol = ^\"tcp\"\n",
        says: &["not supported yet", "\"http1\""],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nprotocol = ^\"auto\"\n",
        says: &["TLS", "\"http1\""],
    },
    // Identities.
    Bad {
        from: "[limits]",
        to: "^[identity]\ncertificate = \"a.pem\"\nprivate_key = \"a.key\"\ntrust_bundle = \"b.pem\"\n[limits]",
        says: &["trust_domain", "write"],
    },
    Bad {
        from: "[limits]",
        to: "[identity]\ncertificate = \"a.pem\"\nprivate_key = \"a.key\"\ntrust_bundle = \"b.pem\"\ntrust_domain = ^\"Example.org\"\n[limits]",
        says: &["Example.org"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = ^{ certificate = \"a.pem\" }\n",
        says: &["private_key"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = ^{ private_key = \"a.key\" }\n",
        says: &["certificate"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = ^{}\n",
        says: &["certificate", "private_key"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = ^{ certificate = \"a.pem\", private_key = \"a.key\", allow = [\"dns:a.test\"] }\n",
        says: &["allow", "client_ca"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = ^{ certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\" }\n",
        says: &["nobody is allowed", "allow = "],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, allow = ^[\"dns:a.test\"] }\n",
        says: &["allow_any", "remove one"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow = ^[\"spiffe://Example.org/a\"] }\n",
        says: &["spiffe://Example.org/a"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow = ^[\"frontend\"] }\n",
        says: &["frontend", "spiffe://", "dns:"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = ^{ certificate = \"a.pem\", private_key = \"a.key\", trust_domain = \"example.org\" }\n",
        says: &["trust_domain", "client_ca"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntls = ^{ trust_domain = \"example.org\" }\n",
        says: &["ca = "],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntls = ^{ ca = \"ca.pem\" }\n",
        says: &["trust_domain", "server_name"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntls = ^{ ca = \"ca.pem\", trust_domain = \"example.org\", server_name = \"a.test\" }\n",
        says: &["server_name", "trust_domain", "remove one"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntls = { ca = \"ca.pem\", identity = ^[\"spiffe://example.org/a\"] }\n",
        says: &["trust_domain"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntls = { ca = \"ca.pem\", trust_domain = \"example.org\", identity = ^[] }\n",
        says: &["expects nobody", "write"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntls = { ca = \"ca.pem\", trust_domain = \"example.org\", identity = ^[\"backend\"] }\n",
        says: &["backend", "spiffe://"],
    },
    // What a layer refuses.
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nretry = ^{ attempts = 0 }\n",
        says: &["attempts", "1"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nretry = ^{ budget = 11.0 }\n",
        says: &["`budget`", "11", "0 to 10"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nretry = ^{ backoff = { base = \"2s\", max = \"1s\" } }\n",
        says: &["base", "2s", "max"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntimeout = ^{ min = \"2s\", max = \"1s\" }\n",
        says: &["min", "max", "1s"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = ^{ decay = \"1us\" }\n",
        says: &["decay", "1ms"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { choices = ^0 }\n",
        says: &["above zero"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nreconnect = ^{ backoff = { base = \"2s\", max = \"1s\" } }\n",
        says: &["2s", "1s"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nreconnect = ^{ connect_timeout = \"100h\" }\n",
        says: &["connect_timeout", "24 h"],
    },
    // Not TOML.
    Bad {
        from: "threads = 1",
        to: "threads = ^",
        says: &["not TOML"],
    },
    Bad {
        from: "threads = 1",
        to: "threads ^1",
        says: &["not TOML", "`=`"],
    },
    Bad {
        from: "\"127.0.0.1:9001\"]",
        to: "\"127.0.0.1:9001\"^",
        says: &["not TOML", "`]`"],
    },
    Bad {
        from: "threads = 1",
        to: "threads = 1\n^threads = 2",
        says: &["`threads`", "twice"],
    },
    Bad {
        from: "\"web\"",
        to: "\"web^",
        says: &["not TOML"],
    },
];

const EVERY_KEY: &str = r#"
threads = 2

[shutdown]
delay = "1s"
grace = "30s"

[admin]
listen = "127.0.0.1:9990"

[identity]
certificate = "me.pem"
private_key = "me.key"
trust_bundle = "bundle.pem"
trust_domain = "example.org"

[[listener]]
name = "web"
listen = "127.0.0.1:8080"
protocol = "http"
cluster = "backend"

[listener.tls]
certificate = "server.pem"
private_key = "server.key"
client_ca = "ca.pem"
trust_domain = "example.org"
allow = ["spiffe://example.org/frontend"]
allow_any = false
handshake_timeout = "10s"
max_handshakes = 256

[[listener]]
name = "mesh"
listen = "[::1]:8081"
cluster = "mesh"

[[listener]]
name = "local"
listen = "127.0.0.1:8082"
cluster = "legacy"
tls = "off"

[[cluster]]
name = "backend"
protocol = "http2"
endpoints = ["127.0.0.1:9001", { address = "127.0.0.1:9002" }]

[cluster.tls]
certificate = "client.pem"
private_key = "client.key"
ca = "ca.pem"
trust_domain = "example.org"
identity = ["spiffe://example.org/backend"]

[cluster.balance]
decay = "10s"
choices = 2
wait = "1s"

[cluster.retry]
attempts = 3
budget = 0.2
min_per_second = 1
burst = 20
backoff = { base = "25ms", max = "250ms" }
per_try = "1s"
statuses = [502, 503]
methods = ["GET", "HEAD"]
body_limit = "64KiB"

[cluster.timeout]
min = "10ms"
max = "10s"
initial = "1s"
body_idle = "60s"

[cluster.reconnect]
connect_timeout = "1s"
backoff = { base = "100ms", max = "10s" }
stable_after = "5s"
max_connections = 512
max_pending = 1024
idle = "90s"
keepalive = "30s"

[[cluster]]
name = "mesh"
protocol = "auto"
endpoints = ["[::1]:9003"]
tls = { ca = "public.pem", server_name = "backend.internal" }
timeout = { fixed = "500ms" }

[[cluster]]
name = "legacy"
protocol = "http1"
endpoints = ["127.0.0.1:9004"]
tls = "off"

[limits]
connections = 10000
requests = 100000
header_bytes = "32KiB"
header_count = 100
body_bytes = 1048576
header_timeout = "10s"
body_idle = "60s"
idle_timeout = "60s"
connection_age = "1h"
http2_streams = 200
"#;
