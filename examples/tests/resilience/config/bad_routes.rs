//! Kinds of bad routes. Each begins where the one cluster of the good file does.

use super::Bad;

/// A route of the good file's listener, and then its cluster.
macro_rules! route {
    ($($line:literal),+ => $($says:literal),+ $(,)?) => {
        Bad {
            from: "[[cluster]]",
            to: concat!("[[route]]\nlistener = \"web\"\n", $($line, "\n",)+ "[[cluster]]"),
            says: &[$($says),+],
        }
    };
}

pub(super) const BAD: &[Bad] = &[
    // Where it is, and where it leads.
    Bad {
        from: "[[cluster]]",
        to: "^[[route]]\ncluster = \"backend\"\n[[cluster]]",
        says: &["`listener` is missing"],
    },
    Bad {
        from: "[[cluster]]",
        to: "[[route]]\nlistener = ^\"wbe\"\ncluster = \"backend\"\n[[cluster]]",
        says: &["no [[listener]] is named `wbe`", "write one of web"],
    },
    Bad {
        from: "[[cluster]]",
        to: "^[[route]]\nlistener = \"web\"\n[[cluster]]",
        says: &["leads nowhere", "cluster = ", "redirect = "],
    },
    Bad {
        from: "name = \"web\"\nlisten = \"127.0.0.1:8080\"\ncluster = \"backend\"\n",
        to: "name = ^\"web\"\nlisten = \"127.0.0.1:8080\"\n",
        says: &[
            "leads nowhere",
            "cluster = ",
            "[[route]]",
            "listener = \"web\"",
        ],
    },
    route!("cluster = ^\"bakend\"" => "no [[cluster]] is named `bakend`", "write one of backend"),
    route!("cluster = \"backend\"", "redirect = ^{ to = \"/x\" }" => "exclude each other", "remove one"),
    route!("^hosts = \"a.test\"" => "`hosts`", "host", "path_prefix", "redirect"),
    Bad {
        from: "[[cluster]]",
        to: "^[[route]]\nlistener = \"web\"\ncluster = \"backend\"\nmethods = [\"CONNECT\"]\n[[cluster]]",
        says: &["CONNECT", "remove it"],
    },
    route!("cluster = \"backend\"", "path_prefix = ^\"/v1/*\"" => "star", "write it without"),
    route!("cluster = \"backend\"", "headers = { remove = [^\"x-*\"] }" => "star", "write each name"),
    // Names.
    route!("cluster = \"backend\"", "name = ^\"\"" => "needs a name"),
    route!("cluster = \"backend\"", "name = ^\"7\"" => "digits", "write a word"),
    route!(
        "cluster = \"backend\"", "name = \"a\"", "host = \"a.test\"",
        "[[route]]", "listener = \"web\"", "cluster = \"backend\"", "name = ^\"a\""
        => "two routes are named `a`"
    ),
    // Which requests.
    route!("cluster = \"backend\"", "host = ^\"*\"" => "leave host out"),
    route!("cluster = \"backend\"", "host = ^\"a.*.test\"" => "`a.*.test`", "*.example.com"),
    route!("cluster = \"backend\"", "host = ^\"a.test:80\"" => "`a.test:80`", "without a port"),
    route!("cluster = \"backend\"", "host = ^\"\"" => "not a host"),
    route!("cluster = \"backend\"", "host = ^\"[::1\"" => "not a host"),
    route!("cluster = \"backend\"", "path_prefix = ^\"v1\"" => "`v1`", "begin it with a slash"),
    route!("cluster = \"backend\"", "path_prefix = ^\"/v1?a=b\"" => "without query"),
    route!("cluster = \"backend\"", "path_prefix = ^\"/a/%2E./b\"" => "without dot segments"),
    route!("cluster = \"backend\"", "path_prefix = ^\"/a//b\"" => "empty segment"),
    route!("cluster = \"backend\"", "path_prefix = ^\"/a b\"" => "%20"),
    route!("cluster = \"backend\"", "methods = ^[\"get\"]" => "capitals"),
    route!("cluster = \"backend\"", "methods = ^[]" => "no method at all", "[\"GET\", \"HEAD\"]"),
    // How long, how often.
    route!("cluster = \"backend\"", "timeout = ^\"0s\"" => "longer than zero"),
    route!("cluster = \"backend\"", "timeout = ^2" => "`timeout` cannot be 2", "\"250ms\""),
    route!("cluster = \"backend\"", "retry = { ^attempt = 2 }" => "`attempt`", "attempts"),
    route!("cluster = \"backend\"", "retry = { attempts = ^0 }" => "attempts", "1 to 100"),
    route!("cluster = \"backend\"", "retry = { budget = ^0.5 }" => "whole cluster", "[cluster.retry]"),
    route!("cluster = \"backend\"", "retry = { min_per_second = ^2 }" => "[cluster.retry]"),
    route!("cluster = \"backend\"", "retry = { burst = ^2 }" => "[cluster.retry]"),
    route!("cluster = \"backend\"", "retry = { clients = ^2 }" => "[cluster.retry]"),
    route!("cluster = \"backend\"", "retry = { window = ^\"2s\" }" => "[cluster.retry]"),
    route!("cluster = \"backend\"", "retry = { reserve = ^2 }" => "[cluster.retry]"),
    route!("cluster = \"backend\"", "retry = { prices = ^{} }" => "[cluster.retry]"),
    route!("cluster = \"backend\"", "retry = { body_memory = ^\"1MiB\" }" => "[cluster.retry]"),
    route!("cluster = \"backend\"", "retry = { throttle = ^\"off\" }" => "[cluster.retry]"),
    route!("cluster = \"backend\"", "retry = { statuses = ^[200] }" => "from 400 to 599"),
    route!("cluster = \"backend\"", "retry = { hedge = ^\"on\" }" => "hedge = \"off\""),
    route!("cluster = \"backend\"", "retry = { retry_after = ^\"soon\" }" => "`soon`", "\"off\""),
    route!("cluster = \"backend\"", "retry = { body_limit = ^\"1GiB\" }" => "`body_memory`"),
    // Rewriting.
    route!("cluster = \"backend\"", "rewrite = ^{}" => "`prefix` is missing"),
    route!("cluster = \"backend\"", "rewrite = { prefix = ^\"api\" }" => "begin it with a slash"),
    route!("cluster = \"backend\"", "rewrite = { prefix = ^\"/api?x\" }" => "without query"),
    // Redirects.
    route!("redirect = ^{ status = 301 }" => "`to` is missing"),
    route!("redirect = { to = \"/x\", status = ^200 }" => "301, 302, 303, 307, 308"),
    route!("redirect = { to = \"/x\", status = ^\"301\" }" => "`status`", "301, 302, 303, 307, 308"),
    route!("redirect = { to = ^\"example.com\" }" => "not absolute", "https://example.com"),
    route!("redirect = { to = ^\"ftp://example.com\" }" => "not absolute"),
    route!("redirect = { to = ^\"//example.com\" }" => "without a scheme", "https://example.com"),
    route!("redirect = { to = ^\"/x{path}\" }" => "a path without placeholders"),
    route!("redirect = { to = ^\"https://me@example.com\" }" => "user information"),
    route!("redirect = { to = ^\"https://{path}\" }" => "no host"),
    route!("redirect = { to = ^\"https://example.com:8o\" }" => "no host"),
    route!("redirect = { to = ^\"https://example.com{host}\" }" => "{host} is a whole host"),
    route!("redirect = { to = ^\"https://{host}.example.com\" }" => "no host", "https://{host}{path}"),
    route!("redirect = { to = ^\"https://example.com{rest}.test\" }" => "{rest} may be empty"),
    route!("redirect = { to = ^\"https://example.com/{query}\" }" => "`{query}`", "{host}, {path} or {rest}"),
    route!("redirect = { to = ^\"https://example.com/{path\" }" => "without its other half"),
    route!("redirect = { to = ^\"https://example.com/path}\" }" => "without its other half"),
    route!("redirect = { to = ^\"https://example.com/a b\" }" => "%20"),
    route!("redirect = { to = \"/x\" }", "timeout = ^\"1s\"" => "`timeout`", "a redirect sends none"),
    route!("redirect = { to = \"/x\" }", "headers = ^{}" => "`headers`", "a redirect sends none"),
    // Fields.
    route!("cluster = \"backend\"", "headers = { ^sets = {} }" => "`sets`", "set, remove"),
    route!("cluster = \"backend\"", "headers = { set = { ^\"x y\" = \"1\" } }" => "`x y`", "x-env"),
    route!("cluster = \"backend\"", "headers = { set = { ^x = \"a\\nb\" } }" => "visible characters"),
    route!("cluster = \"backend\"", "headers = { set = { x = ^1 } }" => "`x` cannot be 1", "quotes"),
    route!("cluster = \"backend\"", "headers = { set = { ^Connection = \"close\" } }" => "`connection`", "between the proxy and its neighbours"),
    route!("cluster = \"backend\"", "headers = { remove = [^\"transfer-encoding\"] }" => "`transfer-encoding`"),
    route!("cluster = \"backend\"", "headers = { set = { ^\":path\" = \"/\" } }" => "`:path`", "path_prefix"),
    route!("cluster = \"backend\"", "headers = { remove = [^\"host\"] }" => "set it instead"),
    route!("cluster = \"backend\"", "headers = { set = { ^host = \"a@b\" } }" => "no host", "api.example.com"),
    route!("cluster = \"backend\"", "headers = { set = { ^x = \"1\" }, remove = [\"X\"] }" => "set and removed"),
    route!("cluster = \"backend\"", "response_headers = { remove = [^\"content-length\"] }" => "`content-length`"),
    route!("cluster = \"backend\"", "response_headers = { set = { ^host = \"a\" } }" => "`host`"),
    route!(
        "cluster = \"backend\"", "headers = { set = { X = \"1\", ^x = \"2\" } }"
        => "`x` is set twice"
    ),
    // Never reached.
    route!(
        "cluster = \"backend\"", "path_prefix = \"/v1\"",
        "^[[route]]", "listener = \"web\"", "cluster = \"backend\"",
        "path_prefix = \"/v1/x\"", "methods = [\"GET\"]"
        => "never reached: route 1 takes all of it; move it up"
    ),
    route!(
        "cluster = \"backend\"", "host = \"*.a.test\"", "methods = [\"GET\", \"HEAD\"]",
        "^[[route]]", "listener = \"web\"", "cluster = \"backend\"",
        "host = \"b.a.test\"", "methods = [\"HEAD\"]"
        => "never reached: route 1"
    ),
    route!(
        "cluster = \"backend\"",
        "^[[route]]", "listener = \"web\"", "redirect = { to = \"/\" }"
        => "never reached: route 1"
    ),
];
