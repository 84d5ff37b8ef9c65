//! `[[route]]`: which requests go where, and how.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use http::{Method, StatusCode};
use serde::Deserialize;

use super::{
    Span,
    cluster::{ClusterConfig, RetryConfig, check_retry, checked},
    error::{At, Problem},
    route_retry::RetryFile,
    value,
};
use crate::route::{Changeable, FieldChanges, HostPattern, Match, PathPrefix, Redirect, Target};

/// One `[[route]]`.
#[derive(Clone, Debug)]
pub struct RouteConfig {
    /// Its name in metrics; its number in the file, counted from one, where it has none.
    pub name: String,
    /// The listener whose requests it takes.
    pub listener: String,
    /// Which of them.
    pub matching: Match,
    /// What becomes of them.
    pub action: Action,
    /// What is changed in a request.
    pub request_fields: FieldChanges,
    /// What is changed in a response.
    pub response_fields: FieldChanges,
}

/// What becomes of the requests of a route.
#[derive(Clone, Debug)]
pub enum Action {
    /// A cluster answers them.
    Forward(ForwardConfig),
    /// The client is told where else to ask.
    Redirect(Redirect),
}

/// How requests of a route go to their cluster.
#[derive(Clone, Debug)]
pub struct ForwardConfig {
    /// Its name.
    pub cluster: String,
    /// From the request's head to the end of the response; `None`: as long as the client allows.
    pub timeout: Option<Duration>,
    /// The cluster's `[cluster.retry]` with what the route says instead; `None`: the cluster's own.
    pub retry: Option<Box<RetryConfig>>,
    /// What comes in the place of the matched prefix.
    pub rewrite: Option<PathPrefix>,
}

impl RouteConfig {
    /// The name of the cluster that it leads to.
    pub fn cluster(&self) -> Option<&str> {
        match &self.action {
            Action::Forward(forward) => Some(&forward.cluster),
            Action::Redirect(_) => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteFile {
    name: Option<Span<String>>,
    pub(super) listener: Span<String>,
    #[serde(default, deserialize_with = "value::some_parsed")]
    host: Option<HostPattern>,
    #[serde(default, deserialize_with = "value::some_parsed")]
    path_prefix: Option<PathPrefix>,
    #[serde(default, deserialize_with = "value::some_methods")]
    methods: Option<Vec<Method>>,
    cluster: Option<Span<String>>,
    redirect: Option<Span<RedirectFile>>,
    timeout: Option<Span<Timeout>>,
    retry: Option<Span<RetryFile>>,
    rewrite: Option<Span<RewriteFile>>,
    headers: Option<Span<FieldsFile>>,
    #[serde(default)]
    response_headers: FieldsFile,
}

#[derive(Deserialize)]
struct Timeout(#[serde(deserialize_with = "value::positive_duration")] Duration);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RedirectFile {
    #[serde(deserialize_with = "value::parsed")]
    to: Target,
    #[serde(default = "permanent", deserialize_with = "value::redirect_status")]
    status: StatusCode,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RewriteFile {
    #[serde(deserialize_with = "value::parsed")]
    prefix: PathPrefix,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FieldsFile {
    set: BTreeMap<Span<String>, Span<String>>,
    remove: Vec<Span<String>>,
}

/// Checks all routes of the file, in its order.
pub(super) fn check_routes(
    files: Vec<Span<RouteFile>>,
    listeners: &HashSet<&str>,
    clusters: &[ClusterConfig],
) -> Result<Vec<RouteConfig>, Problem> {
    let mut routes: Vec<RouteConfig> = Vec::with_capacity(files.len());
    for (index, file) in files.into_iter().enumerate() {
        let table = Span::new(file.span(), ());
        let route = file
            .into_inner()
            .check(index + 1, &table, listeners, clusters)?;
        let mut earlier = routes.iter().enumerate();
        let covering = earlier.find(|(_, earlier)| {
            earlier.listener == route.listener && earlier.matching.covers(&route.matching)
        });
        if let Some((_, covering)) = covering {
            return Err(table.problem(format!(
                "never reached: route {} takes all of it; move it up",
                covering.name
            )));
        }
        routes.push(route);
    }
    Ok(routes)
}

/// Checks that no two routes have one name, and none the number of another.
pub(super) fn check_names(files: &[Span<RouteFile>]) -> Result<(), Problem> {
    let names = || files.iter().filter_map(|file| file.get_ref().name.as_ref());
    super::unique("route", names())?;
    match names().find(|name| name.get_ref().bytes().all(|byte| byte.is_ascii_digit())) {
        Some(name) => Err(name.problem(
            "a name of digits alone is the number of a route that has no name: write a word",
        )),
        None => Ok(()),
    }
}

impl RouteFile {
    fn check(
        self,
        number: usize,
        table: &Span<()>,
        listeners: &HashSet<&str>,
        clusters: &[ClusterConfig],
    ) -> Result<RouteConfig, Problem> {
        super::check_known("listener", &self.listener, listeners)?;
        if self
            .methods
            .iter()
            .flatten()
            .any(|method| method == Method::CONNECT)
        {
            return Err(table.problem("CONNECT is not carried here: remove it from methods"));
        }
        let action = self.action(table, clusters)?;
        let headers = self.headers.map(Span::into_inner).unwrap_or_default();
        Ok(RouteConfig {
            name: self
                .name
                .map_or_else(|| number.to_string(), Span::into_inner),
            listener: self.listener.into_inner(),
            matching: Match {
                host: self.host,
                path_prefix: self.path_prefix,
                methods: self.methods,
            },
            action,
            request_fields: headers.check(Changeable::Request)?,
            response_fields: self.response_headers.check(Changeable::Response)?,
        })
    }

    fn action(&self, table: &Span<()>, clusters: &[ClusterConfig]) -> Result<Action, Problem> {
        match (&self.cluster, &self.redirect) {
            (Some(cluster), None) => self.forward(find(clusters, cluster)?).map(Action::Forward),
            (None, Some(redirect)) => {
                self.check_sends_nothing()?;
                let RedirectFile { to, status } = redirect.get_ref();
                Ok(Action::Redirect(Redirect {
                    status: *status,
                    to: to.clone(),
                }))
            }
            (Some(_), Some(redirect)) => {
                Err(redirect.problem("cluster and redirect exclude each other: remove one"))
            }
            (None, None) => Err(table.problem(
                "a route leads nowhere: write cluster = \"backend\" or redirect = { to = \"https://example.com{path}\" }",
            )),
        }
    }

    fn forward(&self, cluster: &ClusterConfig) -> Result<ForwardConfig, Problem> {
        let retry = self.retry.as_ref().map(|retry| {
            let base = cluster.retry.clone().unwrap_or_default();
            Span::new(retry.span(), retry.get_ref().over(base))
        });
        let rewrite = self.rewrite.as_ref();
        Ok(ForwardConfig {
            cluster: cluster.name.clone(),
            timeout: self.timeout.as_ref().map(|timeout| timeout.get_ref().0),
            retry: checked(retry, check_retry)?.map(Box::new),
            rewrite: rewrite.map(|rewrite| rewrite.get_ref().prefix.clone()),
        })
    }

    fn check_sends_nothing(&self) -> Result<(), Problem> {
        let of_requests = [
            ("timeout", self.timeout.as_ref().map(Span::span)),
            ("retry", self.retry.as_ref().map(Span::span)),
            ("rewrite", self.rewrite.as_ref().map(Span::span)),
            ("headers", self.headers.as_ref().map(Span::span)),
        ];
        let written = of_requests
            .into_iter()
            .find_map(|(key, span)| Some((key, span?)));
        match written {
            None => Ok(()),
            Some((key, span)) => Err(Span::new(span, ()).problem(format!(
                "`{key}` is for requests that a cluster gets, and a redirect sends none: remove it"
            ))),
        }
    }
}

impl FieldsFile {
    fn check(self, of: Changeable) -> Result<FieldChanges, Problem> {
        let mut changes = FieldChanges::default();
        for name in &self.remove {
            changes
                .remove(of, name.get_ref())
                .map_err(|text| name.problem(text))?;
        }
        for (name, value) in &self.set {
            changes
                .set(of, name.get_ref(), value.get_ref())
                .map_err(|text| name.problem(text))?;
        }
        Ok(changes)
    }
}

fn find<'a>(
    clusters: &'a [ClusterConfig],
    name: &Span<String>,
) -> Result<&'a ClusterConfig, Problem> {
    let names = clusters.iter().map(|cluster| cluster.name.as_str());
    super::check_known("cluster", name, &names.collect())?;
    clusters
        .iter()
        .find(|cluster| cluster.name == *name.get_ref())
        .ok_or_else(|| name.problem("there is no such cluster: write the name of one"))
}

fn permanent() -> StatusCode {
    StatusCode::PERMANENT_REDIRECT
}
