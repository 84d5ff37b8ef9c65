use http::Method;

use super::{HostPattern, PathPrefix, RequestHost, Unroutable, has_dot_segments};

/// Which requests a route takes; what it does not say, it does not ask.
#[derive(Clone, Debug, Default)]
pub struct Match {
    /// Whose requests.
    pub host: Option<HostPattern>,
    /// What their paths begin with.
    pub path_prefix: Option<PathPrefix>,
    /// Their methods.
    pub methods: Option<Vec<Method>>,
}

/// The routes of one listener: the first that takes a request has it.
#[derive(Clone, Debug)]
pub struct Rules {
    matches: Vec<Match>,
    has_default: bool,
    guard_paths: bool,
    name_hosts: bool,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// To the route of this index.
    Route(usize),
    /// Where everything goes that no route takes.
    Default,
}

impl Match {
    /// Whether it takes every request that `other` takes.
    pub fn covers(&self, other: &Self) -> bool {
        covers(&self.host, &other.host, HostPattern::covers)
            && covers(&self.path_prefix, &other.path_prefix, PathPrefix::covers)
            && covers(&self.methods, &other.methods, |methods, others| {
                others.iter().all(|method| methods.contains(method))
            })
    }

    fn takes(&self, host: RequestHost<'_>, path: &str, method: &Method) -> bool {
        let takes_method = |methods: &Vec<Method>| methods.contains(method);
        self.takes_host(host)
            && self
                .path_prefix
                .as_ref()
                .is_none_or(|prefix| prefix.rest(path).is_some())
            && self.methods.as_ref().is_none_or(takes_method)
    }

    fn takes_host(&self, host: RequestHost<'_>) -> bool {
        self.host.as_ref().is_none_or(|pattern| pattern.takes(host))
    }
}

impl Rules {
    /// In the order of the file; with `has_default` what none of them takes goes somewhere too.
    pub fn new(matches: Vec<Match>, has_default: bool) -> Self {
        Self {
            has_default,
            guard_paths: matches.iter().any(|rule| rule.path_prefix.is_some()),
            name_hosts: matches.iter().all(|rule| rule.host.is_some()),
            matches,
        }
    }

    /// Finds where a request goes: `authority` is its `Host`, `path` is without its query.
    ///
    /// Allocates nothing, and looks at one rule after the other.
    ///
    /// # Errors
    ///
    /// Why it goes nowhere.
    pub fn choose(
        &self,
        authority: &[u8],
        path: &str,
        method: &Method,
    ) -> Result<Choice, Unroutable> {
        if self.guard_paths && has_dot_segments(path) {
            return Err(Unroutable::DotSegments);
        }
        let host = RequestHost::of(authority);
        let found = self
            .matches
            .iter()
            .position(|rule| rule.takes(host, path, method));
        match found {
            Some(index) => Ok(Choice::Route(index)),
            None if self.has_default => Ok(Choice::Default),
            None if self.is_ours(host) => Err(Unroutable::NoRoute),
            None => Err(Unroutable::Misdirected),
        }
    }

    fn is_ours(&self, host: RequestHost<'_>) -> bool {
        !self.name_hosts || self.matches.iter().any(|rule| rule.takes_host(host))
    }
}

fn covers<T>(one: &Option<T>, other: &Option<T>, both: impl Fn(&T, &T) -> bool) -> bool {
    match (one, other) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(one), Some(other)) => both(one, other),
    }
}
