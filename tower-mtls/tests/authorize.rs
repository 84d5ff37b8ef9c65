//! Every request is checked, and nobody is let through by default.

#![cfg(any(feature = "aws-lc-rs", feature = "ring"))]

mod support;

use support::{API_ID, WEB_ID, fixture_peers};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task::spawn};
use tower_mtls::{
    BoxError, Identity, PeerIdentity,
    authorize::{AllowList, AuthorizeLayer},
    error::Denied,
};
use tower_test::mock;

#[tokio::test]
async fn the_list_permits_exactly_whom_it_names() {
    let (_, web) = fixture_peers().await;
    let lists: [(&[&str], bool); 7] = [
        (&[], false),
        (&[WEB_ID], true),
        (&[API_ID], false),
        (&[API_ID, WEB_ID], true),
        (&["spiffe://example.org/ns/shop/sa/web2"], false),
        (&["spiffe://elsewhere.org/ns/shop/sa/web"], false),
        (&["dns:web.example.org"], false),
    ];
    for (entries, permitted) in lists {
        let list = AllowList::parse(entries).unwrap();
        assert_eq!(list.permits(&web), permitted, "{entries:?}");
        let same: AllowList = entries
            .iter()
            .map(|entry| entry.parse::<Identity>().unwrap())
            .collect();
        assert_eq!(list, same);
    }
    assert!(!AllowList::default().permits(&web));
    assert!(AllowList::any_verified().permits(&web));
}

#[test]
fn a_bad_entry_is_an_error_and_no_smaller_list() {
    let error = AllowList::parse([WEB_ID, "spiffe://example.org/*"]).unwrap_err();
    assert_eq!(error.input(), "spiffe://example.org/*");
    assert!(AllowList::parse(["*"]).is_err());
    assert!(AllowList::parse([""]).is_err());
    assert!(AllowList::parse(["dns:*.example.org"]).is_err());
}

#[tokio::test]
async fn every_request_on_a_connection_is_checked_by_itself() {
    let (api, web) = fixture_peers().await;
    let layer = layer(AllowList::parse([WEB_ID]).unwrap());
    let (mut service, mut handle) = mock::spawn_with(|inner: mock::Mock<Request, &'static str>| {
        tower::Layer::layer(&layer, inner)
    });

    for round in 0..3 {
        assert_ready_ok!(service.poll_ready());
        let mut permitted = spawn(service.call(Request(Some(web.clone()))));
        assert_pending!(permitted.poll());
        let (request, answer) = handle.next_request().await.unwrap();
        assert_eq!(request.0.as_ref(), Some(&web));
        answer.send_response("welcome");
        assert_eq!(assert_ready_ok!(permitted.poll()), "welcome");

        for peer in [Some(api.clone()), None] {
            assert_ready_ok!(service.poll_ready());
            let mut denied = spawn(service.call(Request(peer.clone())));
            let error = assert_ready_err!(denied.poll());
            assert_eq!(denied_peer(&error), peer);
        }
        assert_eq!(layer.stats().permitted(), round + 1);
        assert_eq!(layer.stats().denied(), 2 * (round + 1));
    }
    // Nothing but the three permitted requests reached the service.
    drop(service);
    assert!(handle.next_request().await.is_none());
}

#[tokio::test]
async fn a_refusal_leaves_the_service_ready() {
    let layer = layer(AllowList::default());
    let (mut service, mut handle) = mock::spawn_with(|inner: mock::Mock<Request, &'static str>| {
        tower::Layer::layer(&layer, inner)
    });
    handle.allow(1);
    for _ in 0..3 {
        assert_ready_ok!(service.poll_ready(), "the one permit is not used up");
        let error = assert_ready_err!(spawn(service.call(Request(None))).poll());
        assert!(error.to_string().contains("client certificate"), "{error}");
    }
}

#[tokio::test]
async fn not_ready_and_broken_services_stay_what_they_are() {
    let layer = layer(AllowList::any_verified());
    let (mut service, mut handle) = mock::spawn_with(|inner: mock::Mock<Request, &'static str>| {
        tower::Layer::layer(&layer, inner)
    });
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.send_error("broken");
    let error = assert_ready_err!(service.poll_ready());
    assert!(!error.is::<Denied>());
}

#[tokio::test]
async fn the_error_tells_who_was_refused() {
    let (_, web) = fixture_peers().await;
    let layer = layer(AllowList::default());
    let (mut service, _handle) = mock::spawn_with(|inner: mock::Mock<Request, &'static str>| {
        tower::Layer::layer(&layer, inner)
    });
    assert_ready_ok!(service.poll_ready());
    let error = assert_ready_err!(spawn(service.call(Request(Some(web)))).poll());
    assert!(error.to_string().contains(WEB_ID), "{error}");
}

#[derive(Debug)]
struct Request(Option<PeerIdentity>);

type PeerOf = fn(&Request) -> Option<&PeerIdentity>;

fn layer(allow: AllowList) -> AuthorizeLayer<PeerOf> {
    AuthorizeLayer::new::<Request>(allow, |request| request.0.as_ref())
}

fn denied_peer(error: &BoxError) -> Option<PeerIdentity> {
    error
        .downcast_ref::<Denied>()
        .expect("Denied")
        .peer()
        .cloned()
}

#[cfg(feature = "http")]
mod in_extensions {
    use std::convert::Infallible;

    use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn the_peer_is_found_in_the_extensions_only() {
        let (_, web) = fixture_peers().await;
        let layer = AuthorizeLayer::from_extensions(AllowList::parse([WEB_ID]).unwrap());
        let service = layer.layer(service_fn(|_: http::Request<()>| async {
            Ok::<_, Infallible>("welcome")
        }));

        let mut request = http::Request::new(());
        request.extensions_mut().insert(web);
        assert_eq!(service.clone().oneshot(request).await.unwrap(), "welcome");

        let forged = http::Request::builder()
            .header("x-forwarded-client-cert", format!("URI={WEB_ID}"))
            .header("x-peer-identity", WEB_ID)
            .extension(WEB_ID.to_owned())
            .extension(WEB_ID.parse::<Identity>().unwrap())
            .body(())
            .unwrap();
        let error = service.oneshot(forged).await.unwrap_err();
        assert_eq!(denied_peer(&error), None);
    }

    #[tokio::test]
    async fn it_fits_a_service_builder_whatever_the_body() {
        let service = ServiceBuilder::new()
            .layer(AuthorizeLayer::from_extensions(AllowList::any_verified()))
            .service_fn(|_: http::Request<Vec<u8>>| async { Ok::<_, Infallible>(()) });
        assert!(
            service
                .oneshot(http::Request::new(Vec::new()))
                .await
                .is_err()
        );
    }
}
