//! x
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_mtls::{BoxError, PeerIdentity, authorize::{AllowList, AuthorizeLayer}};
struct Request { peer: Option<PeerIdentity> }
type P = fn(&Request) -> Option<&PeerIdentity>;
#[cfg(a)]
#[tokio::test]
async fn a() { // closure, oneshot, BoxError
    let l = AuthorizeLayer::new(AllowList::default(), |r: &Request| r.peer.as_ref());
    let h = ServiceBuilder::new().layer(l).service(service_fn(|_: Request| async { Ok::<_, BoxError>(()) }));
    tokio::spawn(async move { h.oneshot(Request { peer: None }).await });
}
#[cfg(b)]
#[tokio::test]
async fn b() { // fn pointer
    let l = AuthorizeLayer::new(AllowList::default(), (|r: &Request| r.peer.as_ref()) as P);
    let h = ServiceBuilder::new().layer(l).service(service_fn(|_: Request| async { Ok::<_, BoxError>(()) }));
    tokio::spawn(async move { h.oneshot(Request { peer: None }).await });
}
#[cfg(c)]
#[tokio::test]
async fn c() { // tower's own layer with the same bound
    let h = ServiceBuilder::new().layer(tower::load_shed::LoadShedLayer::new()).service(service_fn(|_: Request| async { Ok::<_, BoxError>(()) }));
    tokio::spawn(async move { h.oneshot(Request { peer: None }).await });
}
