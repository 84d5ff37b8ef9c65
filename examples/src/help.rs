//! What `--help` teaches after the list of commands.

/// After `proxy -h`.
pub(crate) const SHORT: &str = "Example: proxy run --config proxy.toml. More: proxy --help";

/// After `proxy --help`.
pub(crate) const LONG: &str = "\
The smallest configuration, proxy.toml:

    [[listener]]
    name = \"web\"
    listen = \"127.0.0.1:8080\"
    cluster = \"backend\"

    [[cluster]]
    name = \"backend\"
    endpoints = [\"127.0.0.1:9001\"]

Examples:
  proxy check --config proxy.toml   is it good? If not: file:line:column and what to write instead
  proxy run --config proxy.toml     serve it
  proxy demo --seconds 30           watch it survive endpoints that break

Admin listener, http://127.0.0.1:9990 unless [admin] says otherwise:
  GET /live /ready /metrics /clusters /config, GET and PUT /log-level, POST /drain

Signals:
  SIGTERM, SIGINT   drain: /ready answers 503, what is in flight ends, then the process; a second
                    one ends it at once
  SIGHUP            nothing yet: restart to change the configuration

Logs go to standard error. PROXY_LOG filters them; by default it is
  info,access=off,tower_mtls=error,tower_mtls::source=info,tower_mtls::connections=info,h2=error
PROXY_LOG=info adds a line for each request. PUT /log-level changes the filter while it runs.

Exit codes:
  0  done
  1  bad configuration; demo: fewer than 99.9 % of the requests succeeded
  2  bad usage
  3  could not start: an address in use, a key that cannot be read; one line says which";

/// After `proxy run --help`.
pub(crate) const RUN: &str = "\
Example:
  proxy run --config proxy.toml

It serves until SIGTERM, SIGINT or POST /drain: /ready answers 503 for shutdown.delay, then what is
in flight has shutdown.grace to end. A second signal ends it at once. Metrics, health and the rest
are at http://127.0.0.1:9990 unless [admin] says otherwise. Logs go to standard error, filtered by
PROXY_LOG. `proxy --help` has the smallest configuration.

Exit codes: 0 drained or cut, 1 bad configuration, 3 could not start.";

/// After `proxy check --help`.
pub(crate) const CHECK: &str = "\
Example:
  proxy check --config proxy.toml

It says how many listeners and clusters there are, and which of them carry cleartext. It reads no
key and binds no address: `proxy run` says at its start what is wrong with those.

Exit codes: 0 good, 1 bad: file:line:column and what to write instead.";
