//! A `[[route]]` as `/config` shows it: in the words of the file, without the values of fields.

use std::{collections::BTreeMap, fmt::Display, time::Duration};

use http::{HeaderName, Method, StatusCode};
use serde::{Serialize, Serializer};

use super::{Action, HedgeConfig, RetryBackoffConfig, RetryConfig, RouteConfig, Size, show};
use crate::route::FieldChanges;

#[derive(Serialize)]
struct Route<'a> {
    name: Option<&'a str>,
    listener: &'a str,
    host: Option<String>,
    path_prefix: Option<String>,
    methods: Option<Vec<&'a str>>,
    cluster: Option<&'a str>,
    timeout: Option<Duration>,
    retry: Option<Retry<'a>>,
    rewrite: Option<Rewrite>,
    redirect: Option<Redirect>,
    headers: Option<Fields<'a>>,
    response_headers: Option<Fields<'a>>,
}

/// What a route may say; the rest is the cluster's.
#[derive(Serialize)]
struct Retry<'a> {
    attempts: u32,
    backoff: RetryBackoffConfig,
    per_try: Option<Duration>,
    statuses: Vec<u16>,
    grpc_statuses: Vec<&'a str>,
    grpc_trailers: Size,
    methods: Vec<&'a str>,
    idempotency_key: bool,
    #[serde(serialize_with = "show::switch")]
    retry_after: Option<Duration>,
    attempt_header: Option<&'a str>,
    body_limit: Size,
    #[serde(serialize_with = "show::switch")]
    hedge: Option<HedgeConfig>,
}

#[derive(Serialize)]
struct Rewrite {
    prefix: String,
}

#[derive(Serialize)]
struct Redirect {
    to: String,
    status: u16,
}

#[derive(Serialize)]
struct Fields<'a> {
    set: BTreeMap<&'a str, &'static str>,
    remove: Vec<&'a str>,
}

impl Serialize for RouteConfig {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (forward, redirect) = match &self.action {
            Action::Forward(forward) => (Some(forward), None),
            Action::Redirect(redirect) => (None, Some(redirect)),
        };
        let methods = self.matching.methods.as_ref();
        let route = Route {
            // A number stands for a name that was not given.
            name: Some(&*self.name).filter(|name| !name.bytes().all(|byte| byte.is_ascii_digit())),
            listener: &self.listener,
            host: text(self.matching.host.as_ref()),
            path_prefix: text(self.matching.path_prefix.as_ref()),
            methods: methods.map(|methods| names(methods)),
            cluster: self.cluster(),
            timeout: forward.and_then(|forward| forward.timeout),
            retry: forward
                .and_then(|forward| forward.retry.as_deref())
                .map(retry),
            rewrite: forward
                .and_then(|forward| text(forward.rewrite.as_ref()))
                .map(|prefix| Rewrite { prefix }),
            redirect: redirect.map(|redirect| Redirect {
                to: redirect.to.to_string(),
                status: redirect.status.as_u16(),
            }),
            headers: fields(&self.request_fields),
            response_headers: fields(&self.response_fields),
        };
        route.serialize(to)
    }
}

fn retry(config: &RetryConfig) -> Retry<'_> {
    Retry {
        attempts: config.attempts,
        backoff: config.backoff,
        per_try: config.per_try,
        statuses: config.statuses.iter().map(StatusCode::as_u16).collect(),
        grpc_statuses: config
            .grpc_statuses
            .iter()
            .map(|code| code.name())
            .collect(),
        grpc_trailers: config.grpc_trailers,
        methods: names(&config.methods),
        idempotency_key: config.idempotency_key,
        retry_after: config.retry_after,
        attempt_header: config.attempt_header.as_ref().map(HeaderName::as_str),
        body_limit: config.body_limit,
        hedge: config.hedge,
    }
}

fn names(methods: &[Method]) -> Vec<&str> {
    methods.iter().map(Method::as_str).collect()
}

fn text(value: Option<impl Display>) -> Option<String> {
    value.map(|value| value.to_string())
}

/// Names only: a value may be a secret.
fn fields(changes: &FieldChanges) -> Option<Fields<'_>> {
    let set = changes.names_set();
    let fields = Fields {
        set: set.map(|name| (name.as_str(), HIDDEN)).collect(),
        remove: changes.names_removed().map(HeaderName::as_str).collect(),
    };
    (!changes.is_empty()).then_some(fields)
}

const HIDDEN: &str = "(not shown)";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    #[test]
    fn a_route_is_shown_as_it_was_written_but_for_the_values_of_its_fields() {
        let config = r#"
            [[listener]]
            name = "web"
            listen = "127.0.0.1:0"

            [[cluster]]
            name = "api"
            endpoints = ["127.0.0.1:9001"]

            [[route]]
            name = "one"
            listener = "web"
            host = "*.Example.com"
            path_prefix = "/v1/"
            methods = ["GET"]
            cluster = "api"
            timeout = "2s"
            rewrite = { prefix = "/" }
            headers = { set = { authorization = "Bearer hush" }, remove = ["x-debug"] }

            [[route]]
            listener = "web"
            redirect = { to = "https://{host}:8443{path}", status = 307 }
        "#;
        let config = Config::parse(config, Path::new("test.toml")).unwrap();
        let json = config.to_json().unwrap();
        assert!(!json.contains("hush"), "{json}");
        let shown: serde_json::Value = serde_json::from_str(&json).unwrap();
        let routes = serde_json::json!([
            {
                "name": "one",
                "listener": "web",
                "host": "*.example.com",
                "path_prefix": "/v1",
                "methods": ["GET"],
                "cluster": "api",
                "timeout": "2s",
                "rewrite": { "prefix": "/" },
                "headers": { "set": { "authorization": "(not shown)" }, "remove": ["x-debug"] },
            },
            {
                "listener": "web",
                "redirect": { "to": "https://{host}:8443{path}", "status": 307 },
            },
        ]);
        assert_eq!(shown["route"], routes);
    }
}
