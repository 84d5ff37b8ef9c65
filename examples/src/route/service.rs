use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body::Body;
use tower::ServiceExt;
use tower_service::Service;

use super::{Choice, FieldChanges, PathPrefix, Redirect, RoutesFuture, Rules, Unroutable};
use crate::{
    BoxError,
    cluster::{Cluster, Stack},
    config::{Action, RouteConfig},
    http::{body::ResponseBody, forward},
    telemetry::RouteCount,
};

/// Sends each request of a listener where the first route that takes it says.
///
/// Always ready: it polls the chosen stack ready within its response future, and calls that same
/// instance. What no route takes goes to the listener's own cluster, or ends in [`Unroutable`].
#[derive(Clone, Debug)]
pub struct Routes<S = Stack>(Arc<Table<S>>);

#[derive(Debug)]
struct Table<S> {
    rules: Rules,
    routes: Vec<Route<S>>,
    default: Option<S>,
}

#[derive(Debug)]
struct Route<S> {
    count: Arc<RouteCount>,
    matched: PathPrefix,
    outcome: Outcome<S>,
    response_fields: Option<Arc<FieldChanges>>,
}

#[derive(Debug)]
enum Outcome<S> {
    Forward {
        stack: S,
        rewrite: Option<PathPrefix>,
        fields: FieldChanges,
    },
    Redirect(Redirect),
}

impl Routes {
    /// The routes of one listener, in the order of the file, over running clusters.
    ///
    /// # Errors
    ///
    /// A cluster that does not exist, or a setting that a layer refuses.
    pub fn new(
        routes: &[&RouteConfig],
        default: Option<&str>,
        clusters: &[Arc<Cluster>],
    ) -> Result<Self, BoxError> {
        let default = default.map(|name| find(clusters, name)).transpose()?;
        let default = default.map(Cluster::stack);
        let matches = routes.iter().map(|route| route.matching.clone()).collect();
        let rules = Rules::new(matches, default.is_some());
        let routes = routes.iter().map(|config| {
            let outcome = match &config.action {
                Action::Redirect(redirect) => Outcome::Redirect(redirect.clone()),
                Action::Forward(forward) => {
                    let cluster = find(clusters, &forward.cluster)?;
                    Outcome::Forward {
                        stack: cluster.route(&config.name, forward)?,
                        rewrite: forward.rewrite.clone(),
                        fields: config.request_fields.clone(),
                    }
                }
            };
            let fields = Some(&config.response_fields).filter(|fields| !fields.is_empty());
            Ok::<_, BoxError>(Route {
                count: Arc::new(RouteCount::new(&config.name)),
                matched: config
                    .matching
                    .path_prefix
                    .clone()
                    .unwrap_or_else(PathPrefix::root),
                outcome,
                response_fields: fields.cloned().map(Arc::new),
            })
        });
        Ok(Self(Arc::new(Table {
            rules,
            routes: routes.collect::<Result<_, _>>()?,
            default,
        })))
    }
}

impl<S> Routes<S> {
    /// How many requests each route has taken.
    pub fn counts(&self) -> Vec<Arc<RouteCount>> {
        self.0
            .routes
            .iter()
            .map(|route| route.count.clone())
            .collect()
    }
}

impl<S, Q, B> Service<Request<Q>> for Routes<S>
where
    S: Service<Request<Q>, Response = Response<B>, Error = BoxError> + Clone,
    B: Body,
{
    type Response = Response<ResponseBody<B>>;
    type Error = BoxError;
    type Future = RoutesFuture<S, Q, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        self.0
            .route(request)
            .unwrap_or_else(|unroutable| RoutesFuture::own(Err(unroutable.into())))
    }
}

impl<S> Table<S> {
    fn route<Q, B>(&self, request: Request<Q>) -> Result<RoutesFuture<S, Q, B>, Unroutable>
    where
        S: Service<Request<Q>, Response = Response<B>, Error = BoxError> + Clone,
    {
        let authority = authority(&request);
        let choice = self
            .rules
            .choose(authority, request.uri().path(), request.method())?;
        match choice {
            Choice::Default => {
                let stack = self.default.as_ref().ok_or(Unroutable::NoRoute)?;
                Ok(RoutesFuture::cluster(stack.clone().oneshot(request), None))
            }
            Choice::Route(index) => {
                let route = self.routes.get(index).ok_or(Unroutable::NoRoute)?;
                route.count.one();
                route.take(request)
            }
        }
    }
}

impl<S> Route<S> {
    fn take<Q, B>(&self, mut request: Request<Q>) -> Result<RoutesFuture<S, Q, B>, Unroutable>
    where
        S: Service<Request<Q>, Response = Response<B>, Error = BoxError> + Clone,
    {
        let (stack, rewrite, fields) = match &self.outcome {
            Outcome::Forward {
                stack,
                rewrite,
                fields,
            } => (stack, rewrite, fields),
            Outcome::Redirect(redirect) => {
                let mut response = self.redirect(redirect, &request)?;
                if let Some(fields) = &self.response_fields {
                    fields.apply(response.headers_mut());
                }
                return Ok(RoutesFuture::own(Ok(response)));
            }
        };
        if let (Some(rewrite), Some(target)) = (rewrite, request.uri().path_and_query()) {
            *request.uri_mut() = Uri::from(rewrite.replace(&self.matched, target)?);
        }
        fields.apply(request.headers_mut());
        Ok(RoutesFuture::cluster(
            stack.clone().oneshot(request),
            self.response_fields.clone(),
        ))
    }

    fn redirect<Q, B>(
        &self,
        redirect: &Redirect,
        request: &Request<Q>,
    ) -> Result<Response<ResponseBody<B>>, Unroutable> {
        // gRPC knows no redirects.
        if forward::is_grpc(request.headers()) {
            return Err(Unroutable::NoRoute);
        }
        let location = redirect
            .to
            .location(authority(request), request.uri(), &self.matched)
            .ok_or(Unroutable::NoRoute)?;
        let text = match *request.method() {
            // Over HTTP/2 hyper would send a body even here.
            Method::HEAD => "",
            _ => "this has moved: see the field location\n",
        };
        let mut response = Response::new(ResponseBody::own(text));
        *response.status_mut() = redirect.status;
        let headers = response.headers_mut();
        headers.insert(header::LOCATION, location);
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, plain);
        let why = HeaderValue::from_static("proxy; details=\"redirected by a route\"");
        headers.insert("proxy-status", why);
        Ok(response)
    }
}

fn authority<Q>(request: &Request<Q>) -> &[u8] {
    let host = request.headers().get(header::HOST);
    host.map(HeaderValue::as_bytes).unwrap_or_default()
}

fn find<'a>(clusters: &'a [Arc<Cluster>], name: &str) -> Result<&'a Cluster, BoxError> {
    clusters
        .iter()
        .find(|cluster| **cluster.name() == *name)
        .map(|cluster| &**cluster)
        .ok_or_else(|| format!("there is no cluster `{name}`").into())
}
