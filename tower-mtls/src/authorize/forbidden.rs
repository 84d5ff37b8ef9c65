use ::http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE,
};

use super::Respond;
use crate::error::Denied;

/// Answers a refused request with status 403; a gRPC request with `PERMISSION_DENIED`, in a response that
/// has only headers. It does not say who may.
///
/// The body is the default one, which should be empty.
///
/// ```
/// use http::{Request, Response, StatusCode};
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_mtls::authorize::{AllowList, AuthorizeLayer, Forbidden};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_mtls::BoxError> {
/// let allow = AllowList::parse(["spiffe://example.org/web"])?;
/// let service = ServiceBuilder::new()
///     .layer(AuthorizeLayer::from_extensions(allow).respond(Forbidden))
///     .service_fn(async |_: Request<String>| Ok::<_, std::io::Error>(Response::new(String::new())));
///
/// let nobody = Request::new(String::new());
/// assert_eq!(service.oneshot(nobody).await?.status(), StatusCode::FORBIDDEN);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forbidden;

impl<B, B2: Default, E> Respond<Request<B>, Response<B2>, E> for Forbidden {
    type Error = E;

    fn respond(&self, _denied: Denied, request: &Request<B>) -> Result<Response<B2>, E> {
        let mut response = Response::new(B2::default());
        if is_grpc(request.headers()) {
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            headers.insert(GRPC_STATUS, HeaderValue::from_static("7"));
            let message = HeaderValue::from_static("the peer is not allowed");
            headers.insert(GRPC_MESSAGE, message);
        } else {
            *response.status_mut() = StatusCode::FORBIDDEN;
        }
        Ok(response)
    }
}

/// Whether the content type is gRPC's, not that of gRPC-Web, which has its status elsewhere.
fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_some_and(|value| {
        let (start, rest) = value.split_at(value.len().min(GRPC.len()));
        start.eq_ignore_ascii_case(GRPC) && rest.first() != Some(&b'-')
    })
}

const GRPC: &[u8] = b"application/grpc";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
