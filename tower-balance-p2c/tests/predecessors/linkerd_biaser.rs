//! linkerd2-proxy's load biaser, which turns failures into latencies.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;
use tower_balance_p2c::{BalanceLayer, Ejection, Health, Outcome};

use crate::{
    answering, find, ms, seeded, send, share,
    support::{Answer, Key, Probe, Refused, balance, settle},
};

#[tokio::test(start_paused = true)]
async fn a_transport_error_is_no_latency_and_makes_the_endpoint_dearer() {
    for latency in [0, 1, 3001] {
        let [probe] = answering([20]);
        let (mut ours, _discovery) = balance(seeded(), &[&probe]).await;
        send(&mut ours, 3, 1).await;
        let before = find(&ours, 1);
        probe.control.answer(Answer::Err(ms(latency)));
        assert_eq!(send(&mut ours, 1, 1).await, 1);
        let after = find(&ours, 1);
        assert_eq!(after.latency, before.latency);
        assert_eq!(after.latency_per_place, before.latency_per_place);
        assert!(
            after.cost > before.cost * 1.4,
            "{} {}",
            after.cost,
            before.cost
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_that_is_quicker_than_an_answer_changes_nothing() {
    let [probe] = answering([103]);
    let (mut ours, _discovery) = balance(seeded(), &[&probe]).await;
    send(&mut ours, 3, 1).await;
    let before = find(&ours, 1);
    for _ in 0..20 {
        assert!(timeout(ms(1), ours.clone().oneshot(())).await.is_err());
    }
    let after = find(&ours, 1);
    assert_eq!((after.cost, after.latency), (before.cost, before.latency));
    assert_eq!((after.in_flight, after.requests), (0, 3));
}

/// One failure in a hundred, everywhere, must not make a slow endpoint look good.
#[tokio::test(start_paused = true)]
async fn a_few_errors_everywhere_do_not_send_the_requests_to_the_slow_one() {
    for ejection in [Ejection::new(), Ejection::off()] {
        let layer = BalanceLayer::builder().seed(7).ejection(ejection).build();
        let probes = answering([10, 10, 10, 307]);
        let (mut ours, _discovery) = balance(layer.unwrap(), &probes.each_ref()).await;
        send(&mut ours, 8, 8).await;
        let mut rng = StdRng::seed_from_u64(7);
        let mut failed = 0;
        for _ in 0..5000 {
            let fails = rng.random_bool(0.01);
            for probe in &probes {
                probe.control.answer(match (fails, probe.control.key) {
                    (true, _) => Answer::Err(ms(1)),
                    (false, 4) => Answer::Ok(ms(307)),
                    (false, _) => Answer::Ok(ms(10)),
                });
            }
            failed += send(&mut ours, 1, 1).await;
        }
        assert!((30..70).contains(&failed), "{failed}");
        let slow = share(&probes, 4);
        assert!(slow < 0.01, "{slow}");
        assert!((1..=3).all(|key| share(&probes, key) > 0.2));
        let ejections = ours.stats().endpoints;
        let ejections = ejections.iter().map(|endpoint| endpoint.ejections);
        assert_eq!(ejections.sum::<u64>(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_failure_is_forgotten_soon() {
    let probes = answering([10, 10]);
    let (mut ours, _discovery) = balance(seeded(), &probes.each_ref()).await;
    send(&mut ours, 10, 2).await;
    probes[0].control.answer(Answer::Err(ms(1)));
    while find(&ours, 1).failures == 0 {
        send(&mut ours, 1, 1).await;
    }
    probes[0].control.answer(Answer::Ok(ms(10)));
    sleep(Duration::from_millis(10_007)).await;
    assert_eq!(find(&ours, 1).success, 1.0);
    let before = probes[0].control.calls();
    send(&mut ours, 200, 1).await;
    let calls = probes[0].control.calls() - before;
    assert!((70..130).contains(&calls), "{calls}");
}

#[tokio::test(start_paused = true)]
async fn what_is_set_is_heeded() {
    for (window, remembers) in [(ms(503), false), (ms(5003), true)] {
        let ejection = Ejection::new().window(window);
        let layer = BalanceLayer::builder().ejection(ejection).build().unwrap();
        let probe = Probe::ready(1).answering(Answer::Err(ms(1)));
        let (mut ours, _discovery) = balance(layer, &[&probe]).await;
        send(&mut ours, 1, 1).await;
        sleep(ms(1009)).await;
        assert_eq!(find(&ours, 1).success < 1.0, remembers);
    }
    let mut left = Vec::new();
    for decay in [1, 100] {
        let layer = BalanceLayer::builder().decay(Duration::from_secs(decay));
        let probes = answering([10, 10, 503]);
        let (mut ours, _discovery) = balance(layer.build().unwrap(), &probes.each_ref()).await;
        // Ten thousand requests a second, so that it is the decay that counts.
        probes[0]
            .control
            .answer(Answer::Ok(Duration::from_micros(100)));
        send(&mut ours, 20_000, 8).await;
        left.push(find(&ours, 3).latency_per_place);
    }
    assert!(left[0] < left[1] / 2, "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn the_time_for_which_an_endpoint_asks_is_bounded() {
    let asked = Duration::from_secs(300);
    let classify = move |result: Result<&Key, &Refused>| match result {
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::Pushback(asked),
    };
    let layer = BalanceLayer::builder().classify(classify).build().unwrap();
    let probes = answering([0, 0]);
    probes[0].control.answer(Answer::Err(ms(0)));
    let inserts = probes.each_ref().map(Probe::insert);
    let (mut ours, driver) = layer.pair(futures::stream::iter(inserts));
    tokio::spawn(driver);
    settle().await;
    send(&mut ours, 20, 1).await;
    let Health::Ejected { remaining } = ours.stats().endpoints[0].health else {
        panic!("not ejected");
    };
    assert_eq!(remaining, Duration::from_secs(30));
}

#[cfg(feature = "http")]
mod http {
    use std::{
        convert::Infallible,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::SeqCst},
        },
        time::Duration,
    };

    use ::http::{HeaderMap, HeaderValue, Response};
    use bytes::Bytes;
    use futures::stream;
    use http_body::Frame;
    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::time::sleep;
    use tower::{ServiceExt as _, service_fn};
    use tower_balance_p2c::{
        BalanceLayer, Change, Health,
        http::{AtEndOfBody, HttpClassify},
    };

    use crate::ms;

    /// The second of two endpoints answers well after 20 ms, the first at once and badly. Returns
    /// how many of 2,000 requests the first gets, and what is said of its health after the first
    /// bad answer.
    async fn beside_a_good_one(
        status: u16,
        head: &'static [(&'static str, &'static str)],
        trailers: &'static [(&'static str, &'static str)],
    ) -> (usize, Health) {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let endpoint = move |key: u8| {
            let counted = Arc::clone(&counted);
            service_fn(move |()| {
                let is_bad = key == 1;
                counted.fetch_add(usize::from(is_bad), SeqCst);
                async move {
                    if !is_bad {
                        sleep(ms(20)).await;
                        return Ok::<_, Infallible>(answer(200, &[], &[]));
                    }
                    Ok(answer(status, head, trailers))
                }
            })
        };
        let layer = BalanceLayer::builder().seed(7).classify(HttpClassify);
        let layer = layer.completion(AtEndOfBody).build().unwrap();
        let inserts = [1, 2].map(|key| Ok::<_, Infallible>(Change::Insert(key, endpoint(key))));
        let (pool, driver) = layer.pair(stream::iter(inserts));
        tokio::spawn(driver);
        let mut health = None;
        for _ in 0..2000 {
            let response = pool.clone().oneshot(()).await.unwrap();
            response.into_body().collect().await.unwrap();
            if health.is_none() && calls.load(SeqCst) > 0 {
                health = Some(pool.stats().endpoints[0].health);
            }
        }
        (calls.load(SeqCst), health.unwrap())
    }

    fn answer(
        status: u16,
        head: &[(&'static str, &'static str)],
        trailers: &[(&'static str, &'static str)],
    ) -> Response<impl http_body::Body<Data = Bytes, Error = Infallible> + use<>> {
        let fields = |fields: &[(&'static str, &'static str)]| -> HeaderMap {
            let fields = fields.iter();
            fields
                .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
                .collect()
        };
        let frames = [
            Ok(Frame::data(Bytes::from_static(b"data"))),
            Ok(Frame::trailers(fields(trailers))),
        ];
        let mut response = Response::new(StreamBody::new(stream::iter(frames)));
        *response.status_mut() = status.try_into().unwrap();
        *response.headers_mut() = fields(head);
        response
    }

    #[tokio::test(start_paused = true)]
    async fn a_grpc_status_in_trailers_is_seen() {
        let (good, _) = beside_a_good_one(200, &[], &[("grpc-status", "0")]).await;
        assert!(good > 1900, "{good}");
        let (failing, _) = beside_a_good_one(200, &[], &[("grpc-status", "14")]).await;
        assert!(failing < 20, "{failing}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_limits_its_rate_is_left_alone() {
        let (limiting, health) = beside_a_good_one(429, &[], &[]).await;
        assert!(limiting < 20, "{limiting}");
        assert_eq!(health, Health::Admitted, "one of them is no reason yet");
        for head in [[("retry-after", "7")], [("grpc-retry-pushback-ms", "7000")]] {
            let head: &'static [_] = Vec::from(head).leak();
            let (limiting, _) = beside_a_good_one(429, head, &[]).await;
            assert!(limiting < 20, "{limiting}");
            let (limiting, health) = beside_a_good_one(503, head, &[]).await;
            // Over forty seconds, and each time for seven.
            assert!(limiting <= 7, "{limiting}");
            let remaining = Duration::from_secs(7);
            assert_eq!(health, Health::Ejected { remaining });
        }
    }
}
