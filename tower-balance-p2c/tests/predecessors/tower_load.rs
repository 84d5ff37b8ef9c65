//! `tower::load`.

use std::{panic::catch_unwind, pin::pin, time::Duration};

use futures::future::join_all;
use tokio::time::{Instant, advance, sleep, timeout};
use tokio_test::{assert_pending, task};
use tower::{
    ServiceExt as _,
    discover::Change,
    load::{CompleteOnResponse, Load, PeakEwma, peak_ewma::Cost},
};
use tower_balance_p2c::{BalanceLayer, Ejection, SlowStart};
use tower_service::Service;

use crate::{
    answering, find, ms, seeded, send, share,
    support::{Answer, Pool, Probe, balance},
    theirs::{self, still},
};

type Answering = <PeakEwma<Probe> as Service<()>>::Future;

const SECOND: f64 = 1e9;

fn peak_ewma(probe: &Probe, seed: Duration, decay: f64) -> PeakEwma<Probe> {
    PeakEwma::new(probe.clone(), seed, decay, CompleteOnResponse::default())
}

fn call(theirs: &mut PeakEwma<Probe>) -> Answering {
    assert!(task::spawn(theirs.ready()).poll().is_ready());
    theirs.call(())
}

fn nanos(cost: Cost) -> f64 {
    // It can be looked at in no other way.
    let text = format!("{cost:?}");
    let number = text.trim_start_matches("Cost(").trim_end_matches(')');
    number.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn reading_the_load_does_not_change_it() {
    async fn ours(looks: bool) -> (f64, Option<Duration>) {
        let [probe] = answering([103]);
        let layer = BalanceLayer::builder().decay(ms(101)).build();
        let (mut pool, _discovery) = balance(layer.unwrap(), &[&probe]).await;
        let looked_at = pool.clone();
        // Under way too, because to pick is to look.
        let looker = tokio::spawn(async move {
            loop {
                sleep(ms(11)).await;
                if looks {
                    looked_at.stats();
                }
            }
        });
        for latency in [103, 51, 51] {
            probe.control.answer(Answer::Ok(ms(latency)));
            send(&mut pool, 1, 1).await;
            sleep(ms(5501)).await;
        }
        looker.abort();
        (find(&pool, 1).cost, find(&pool, 1).latency)
    }
    assert_eq!(ours(true).await, ours(false).await);

    async fn theirs(looks: bool) -> f64 {
        let [probe] = answering([103]);
        let mut theirs = peak_ewma(&probe, ms(1), 10.0 * SECOND);
        for latency in [103, 51] {
            probe.control.answer(Answer::Ok(ms(latency)));
            send(&mut theirs, 1, 1).await;
            for _ in 0..500 {
                sleep(ms(11)).await;
                if looks {
                    theirs.load();
                }
            }
        }
        nanos(theirs.load())
    }
    let (seen, unseen) = (theirs(true).await, theirs(false).await);
    still(seen < unseen * 0.9, "to look at a load changes it");
}

#[tokio::test(start_paused = true)]
async fn the_first_sample_replaces_the_guess() {
    let [probe] = answering([10]);
    let (mut ours, _discovery) = balance(seeded(), &[&probe]).await;
    send(&mut ours, 1, 1).await;
    assert_eq!(find(&ours, 1).latency_per_place, ms(10));
    assert_eq!(ours.stats().typical_latency, ms(10));

    let mut theirs = peak_ewma(&probe, ms(1000), 10.0 * SECOND);
    send(&mut theirs, 100, 1).await;
    let estimate = nanos(theirs.load());
    still(
        estimate > 0.85 * SECOND,
        "the seed outlives a hundred samples",
    );
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_gets_its_first_request_within_a_second() {
    // Even if it is hardly ever a candidate.
    let rare = SlowStart::new()
        .floor(0.01)
        .window(Duration::from_secs(86_400));
    for slow_start in [SlowStart::new(), rare] {
        let layer = BalanceLayer::builder().seed(7).slow_start(slow_start);
        let probes = answering([100, 100, 100]);
        let established = [&probes[0], &probes[1]];
        let (mut ours, discovery) = balance(layer.build().unwrap(), &established).await;
        send(&mut ours, 300, 1).await;
        discovery.send(probes[2].insert()).unwrap();
        let joined = Instant::now();
        while probes[2].control.calls() == 0 {
            send(&mut ours, 1, 1).await;
            assert!(Instant::now() - joined <= ms(1200));
        }
    }

    let probes = answering([10, 10, 10]);
    let with_load = |probe: &Probe| peak_ewma(probe, ms(1000), 10.0 * SECOND);
    let (mut theirs, discovery) = theirs::balance(&probes[..2], with_load);
    send(&mut theirs, 6000, 1).await;
    let insert = Change::Insert(3, with_load(&probes[2]));
    discovery.send(Ok(insert)).unwrap();
    let joined = Instant::now();
    while probes[2].control.calls() == 0 {
        send(&mut theirs, 1, 1).await;
    }
    let starved = Instant::now() - joined;
    still(starved > Duration::from_secs(20), "a newcomer starves");
}

#[tokio::test(start_paused = true)]
async fn failing_fast_does_not_attract_requests() {
    let one_fails = || {
        let probes = answering([1, 20, 20, 20, 20]);
        probes[0].control.answer(Answer::Err(ms(1)));
        probes
    };
    // By ejection, and by the cost alone.
    for (ejection, most) in [(Ejection::new(), 0.01), (Ejection::off(), 0.02)] {
        let layer = BalanceLayer::builder().seed(7).ejection(ejection);
        let probes = one_fails();
        let (mut ours, _discovery) = balance(layer.build().unwrap(), &probes.each_ref()).await;
        send(&mut ours, 5000, 8).await;
        let failing = share(&probes, 1);
        assert!(failing < most, "{failing}");
    }

    let probes = one_fails();
    let with_load = |probe: &Probe| peak_ewma(probe, ms(20), 10.0 * SECOND);
    let (mut theirs, _discovery) = theirs::balance(&probes, with_load);
    send(&mut theirs, 5000, 8).await;
    let failing = share(&probes, 1);
    still(failing > 0.3, "failing fast wins");
}

#[tokio::test(start_paused = true)]
async fn an_idle_endpoint_costs_something_and_more_with_requests_in_flight() {
    let [probe] = answering([10]);
    let (mut ours, _discovery) = balance(seeded(), &[&probe]).await;
    send(&mut ours, 10, 1).await;
    sleep(Duration::from_secs(86_400)).await;
    let idle = find(&ours, 1).cost;
    assert!(idle >= 10e6, "{idle}");
    let requests: Vec<_> = (0..3)
        .map(|_| tokio::spawn(ours.clone().oneshot(())))
        .collect();
    sleep(ms(1)).await;
    assert!((find(&ours, 1).cost / idle - 4.0).abs() < 1e-6);
    assert!(join_all(requests).await.iter().all(Result::is_ok));

    let mut theirs = peak_ewma(&probe, ms(1000), 10.0 * SECOND);
    send(&mut theirs, 10, 1).await;
    sleep(Duration::from_secs(86_400)).await;
    let _requests = [(); 3].map(|()| call(&mut theirs));
    let busy = nanos(theirs.load());
    still(
        busy == 0.0,
        "an idle endpoint costs nothing whatever its queue",
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_failed_is_in_flight_no_more() {
    let probe = Probe::ready(1).answering(Answer::Err(ms(7)));
    let (mut ours, _discovery) = balance(seeded(), &[&probe]).await;
    let mut request = pin!(ours.call(()));
    assert!(request.as_mut().await.is_err());
    assert_eq!(find(&ours, 1).in_flight, 0);

    let mut theirs = peak_ewma(&probe, ms(1000), 1e6 * SECOND);
    let idle = nanos(theirs.load());
    let mut request = task::spawn(call(&mut theirs));
    assert_pending!(request.poll());
    advance(ms(7)).await;
    assert!(request.poll().is_ready());
    let failed = nanos(theirs.load());
    still(failed > idle * 1.9, "in flight until the future is dropped");
}

#[tokio::test(start_paused = true)]
async fn errors_and_cancellations_are_no_latencies() {
    async fn known() -> (Probe, Pool) {
        let [probe] = answering([103]);
        let decay = BalanceLayer::builder().decay(ms(1)).build().unwrap();
        let (mut pool, _discovery) = balance(decay, &[&probe]).await;
        send(&mut pool, 1, 1).await;
        (probe, pool)
    }
    let unchanged = |pool: &Pool| {
        let seen = find(pool, 1);
        seen.latency == Some(ms(103)) && seen.latency_per_place == ms(103)
    };
    let (probe, mut failed) = known().await;
    for latency in [1, 1009] {
        probe.control.answer(Answer::Err(ms(latency)));
        assert_eq!(send(&mut failed, 1, 1).await, 1);
        assert!(unchanged(&failed));
        assert!(find(&failed, 1).success < 1.0);
    }
    let (_probe, cancelled) = known().await;
    assert!(timeout(ms(1), cancelled.clone().oneshot(())).await.is_err());
    assert!(unchanged(&cancelled));
    assert_eq!(find(&cancelled, 1).success, 1.0);

    let probe = Probe::ready(1).answering(Answer::Err(ms(1)));
    let theirs = || peak_ewma(&probe, ms(103), SECOND / 1e4);
    let taken_for_one = |theirs: &PeakEwma<Probe>| (0.9e6..1.1e6).contains(&nanos(theirs.load()));
    let mut failed = theirs();
    send(&mut failed, 1, 1).await;
    still(taken_for_one(&failed), "an error is a latency");
    probe.control.answer(Answer::Never);
    let mut cancelled = theirs();
    assert!(timeout(ms(1), call(&mut cancelled)).await.is_err());
    still(taken_for_one(&cancelled), "a cancellation is a latency");
}

#[tokio::test(start_paused = true)]
async fn a_decay_that_makes_no_sense_is_refused_and_does_not_panic() {
    let refused = BalanceLayer::<()>::builder().decay(Duration::ZERO).build();
    assert_eq!(refused.unwrap_err().field(), "decay");

    let panics = catch_unwind(|| {
        let probe = Probe::ready(1);
        peak_ewma(&probe, ms(1), 0.0)
    });
    still(
        panics.is_err() == cfg!(debug_assertions),
        "a debug assertion and no error",
    );
}

#[cfg(feature = "http")]
#[tokio::test(start_paused = true)]
async fn an_answer_can_be_in_flight_until_its_body_has_ended() {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http::Response;
    use http_body_util::{BodyExt as _, Full};
    use tower_balance_p2c::http::AtEndOfBody;

    let service = tower::service_fn(|()| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"whole"))))
    });
    let layer = BalanceLayer::builder()
        .completion(AtEndOfBody)
        .build()
        .unwrap();
    let insert = Ok::<_, Infallible>(tower_balance_p2c::Change::Insert(1, service));
    let (ours, driver) = layer.pair(futures::stream::iter([insert]));
    tokio::spawn(driver);
    let answer = ours.clone().oneshot(()).await.unwrap();
    sleep(Duration::from_secs(3600)).await;
    let seen = &ours.stats().endpoints[0];
    assert_eq!((seen.in_flight, seen.silence), (1, Duration::ZERO));
    answer.into_body().collect().await.unwrap();
    assert_eq!(ours.stats().endpoints[0].in_flight, 0);

    let completion = CompleteOnResponse::default();
    let mut theirs = PeakEwma::new(service, ms(1000), 1e6 * SECOND, completion);
    let idle = nanos(theirs.load());
    let _answer = theirs.ready().await.unwrap().call(()).await.unwrap();
    still(
        nanos(theirs.load()) == idle,
        "done at the head is all there is",
    );
}
