//! Every request is checked, and nobody is let through by default.

#![cfg(any(feature = "aws-lc-rs", feature = "ring"))]

mod support;

use support::{API_ID, WEB_ID, fixture_peers};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task::spawn};
use tower::{Layer, ServiceExt, service_fn};
use tower_mtls::{
    BoxError, Identity, PeerIdentity,
    authorize::{AllowList, AuthorizeLayer, Live, Policy, RespondWith},
    error::{Denied, DenyReason},
};
use tower_test::mock;

#[tokio::test]
async fn the_list_permits_exactly_whom_it_names() {
    let (_, web) = fixture_peers().await;
    let lists: [(&[&str], bool); 16] = [
        (&[], false),
        (&[WEB_ID], true),
        (&[API_ID], false),
        (&[API_ID, WEB_ID], true),
        (&["spiffe://example.org/ns/shop/sa/web2"], false),
        (&["spiffe://elsewhere.org/ns/shop/sa/web"], false),
        (&["dns:web.example.org"], false),
        (&["spiffe://example.org/*"], true),
        (&["spiffe://elsewhere.org/*"], false),
        (&["spiffe://example.org/ns/shop/*"], true),
        (&["spiffe://example.org/ns/shop/sa/*"], true),
        (&["spiffe://example.org/ns/shop/sa/web/*"], false),
        (&["spiffe://example.org/ns/sho/*"], false),
        (&["spiffe://example.org/ns/shop/sa/we/*"], false),
        (&["spiffe://example.or/*"], false),
        (
            &[
                API_ID,
                "spiffe://elsewhere.org/*",
                "spiffe://example.org/ns/*",
            ],
            true,
        ),
    ];
    for (entries, permitted) in lists {
        let list = AllowList::parse(entries).unwrap();
        assert_eq!(list.permits(&web), permitted, "{entries:?}");
    }
    let same: AllowList = [WEB_ID, API_ID]
        .iter()
        .map(|entry| entry.parse::<Identity>().unwrap())
        .collect();
    assert_eq!(AllowList::parse([API_ID, WEB_ID]).unwrap(), same);
    assert!(!AllowList::default().permits(&web));
    assert!(AllowList::any_verified().permits(&web));
}

#[test]
fn a_bad_entry_is_an_error_and_no_smaller_list() {
    for entry in [
        "",
        "*",
        "/*",
        "spiffe://*",
        "spiffe:///*",
        "spiffe://example.org/*/web",
        "spiffe://example.org/ns//*",
        "spiffe://example.org/ns/*/*",
        "spiffe://example.org/ns/shop*",
        "spiffe://Example.org/*",
        "https://example.org/*",
        "dns:*.example.org",
        "dns:example.org/*",
    ] {
        let error = AllowList::parse([WEB_ID, entry]).unwrap_err();
        assert_eq!(error.input(), entry);
    }
}

#[tokio::test]
async fn every_request_on_a_connection_is_checked_by_itself() {
    let (api, web) = fixture_peers().await;
    let layer = layer(AllowList::parse([WEB_ID]).unwrap());
    let (mut service, mut handle) =
        mock::spawn_with(|inner: mock::Mock<Request, &'static str>| layer.layer(inner));

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
        assert_eq!(layer.stats().denied_total(), 2 * (round + 1));
        assert_eq!(layer.stats().denied(DenyReason::NoPeer), round + 1);
        assert_eq!(layer.stats().denied(DenyReason::NotAllowed), round + 1);
    }
    // Nothing but the three permitted requests reached the service.
    drop(service);
    assert!(handle.next_request().await.is_none());
}

#[tokio::test]
async fn a_refusal_leaves_the_service_ready() {
    let layer = layer(AllowList::default());
    let (mut service, mut handle) =
        mock::spawn_with(|inner: mock::Mock<Request, &'static str>| layer.layer(inner));
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
    let (mut service, mut handle) =
        mock::spawn_with(|inner: mock::Mock<Request, &'static str>| layer.layer(inner));
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
    let (mut service, _handle) =
        mock::spawn_with(|inner: mock::Mock<Request, &'static str>| layer.layer(inner));
    assert_ready_ok!(service.poll_ready());
    let error = assert_ready_err!(spawn(service.call(Request(Some(web)))).poll());
    assert!(error.to_string().contains(WEB_ID), "{error}");
}

#[tokio::test]
async fn a_replaced_policy_judges_the_next_request() {
    let (api, web) = fixture_peers().await;
    let policy = Live::new(AllowList::parse([WEB_ID]).unwrap());
    let service = layer(policy.clone()).layer(service_fn(async |_: Request| Ok::<_, BoxError>(())));
    let call = |peer: &PeerIdentity| service.clone().oneshot(Request(Some(peer.clone())));

    assert!(call(&web).await.is_ok());
    assert!(call(&api).await.is_err());
    policy.replace(AllowList::parse([API_ID]).unwrap());
    assert!(call(&web).await.is_err());
    assert!(call(&api).await.is_ok());
    policy.replace(AllowList::default());
    assert!(call(&web).await.is_err());
    assert!(call(&api).await.is_err());
    assert_eq!(*policy.current(), AllowList::default());
}

#[tokio::test]
async fn a_closure_decides_by_peer_and_request() {
    let (api, web) = fixture_peers().await;
    let web_may_read = |peer: &PeerIdentity, request: &(Option<PeerIdentity>, &str)| {
        peer.to_string() == WEB_ID && request.1 == "read"
    };
    let layer = AuthorizeLayer::new(web_may_read, |request: &(Option<PeerIdentity>, &str)| {
        request.0.as_ref()
    });
    let service = layer.layer(service_fn(async |_| Ok::<_, BoxError>(())));
    for (peer, deed, permitted) in [
        (Some(&web), "read", true),
        (Some(&web), "write", false),
        (Some(&api), "read", false),
        (None, "read", false),
    ] {
        let outcome = service.clone().oneshot((peer.cloned(), deed)).await;
        assert_eq!(outcome.is_ok(), permitted, "{peer:?} {deed}");
    }
}

#[tokio::test]
async fn an_audit_counts_whom_it_lets_through() {
    let (api, web) = fixture_peers().await;
    let layer = layer(AllowList::parse([WEB_ID]).unwrap()).audit(true);
    let service = layer.layer(service_fn(async |_: Request| Ok::<_, BoxError>(())));
    for peer in [Some(web), Some(api), None] {
        assert!(service.clone().oneshot(Request(peer)).await.is_ok());
    }
    let stats = layer.stats();
    assert_eq!((stats.permitted(), stats.denied_total()), (1, 0));
    assert_eq!(stats.audited(DenyReason::NotAllowed), 1);
    assert_eq!(stats.audited(DenyReason::NoPeer), 1);
    assert_eq!(stats.audited_total(), 2);
}

#[tokio::test]
async fn a_closure_answers_in_place_of_the_error() {
    let layer = layer(AllowList::default()).respond(RespondWith(|denied: Denied, _: &Request| {
        denied.reason().as_str()
    }));
    let service = layer.layer(service_fn(async |_: Request| Ok::<_, BoxError>("welcome")));
    assert_eq!(service.oneshot(Request(None)).await.unwrap(), "no_peer");
}

#[derive(Debug)]
struct Request(Option<PeerIdentity>);

type PeerOf = fn(&Request) -> Option<&PeerIdentity>;

fn layer<P: Policy<Request>>(policy: P) -> AuthorizeLayer<PeerOf, P> {
    AuthorizeLayer::new(policy, |request: &Request| request.0.as_ref())
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

    use http::{Response, StatusCode};
    use tower::ServiceBuilder;
    use tower_mtls::{authorize::Forbidden, http::AddPeerLayer};

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

    #[tokio::test]
    async fn a_refusal_is_403_or_permission_denied() {
        let service = ServiceBuilder::new()
            .layer(AuthorizeLayer::from_extensions(AllowList::default()).respond(Forbidden))
            .service_fn(async |_: http::Request<()>| {
                Ok::<_, Infallible>(Response::new(String::new()))
            });
        let request = |content_type: &str| {
            let builder = http::Request::builder().header("content-type", content_type);
            builder.body(()).unwrap()
        };
        for content_type in ["text/plain", "application/grpc-web", "application/grp"] {
            let response = service
                .clone()
                .oneshot(request(content_type))
                .await
                .unwrap();
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{content_type}");
            assert_eq!(response.headers().get("grpc-status"), None);
        }
        for content_type in [
            "application/grpc",
            "application/grpc+proto",
            "Application/gRPC",
        ] {
            let response = service
                .clone()
                .oneshot(request(content_type))
                .await
                .unwrap();
            assert_eq!(response.status(), StatusCode::OK, "{content_type}");
            assert_eq!(response.headers()["grpc-status"], "7");
        }
    }

    #[tokio::test]
    async fn the_peer_of_the_connection_is_in_each_request() {
        let (api, web) = fixture_peers().await;
        let authorize = AuthorizeLayer::from_extensions(AllowList::parse([WEB_ID]).unwrap());
        let inner = authorize.layer(service_fn(|_: http::Request<()>| async {
            Ok::<_, Infallible>("welcome")
        }));
        for (peer, permitted) in [(Some(&web), true), (Some(&api), false), (None, false)] {
            let service = AddPeerLayer::new(peer.cloned()).layer(inner.clone());
            for _ in 0..2 {
                // What another layer has put there is not this connection's.
                let mut request = http::Request::new(());
                request.extensions_mut().insert(web.clone());
                let outcome = service.clone().oneshot(request).await;
                assert_eq!(outcome.is_ok(), permitted, "{peer:?}");
            }
        }
    }
}
