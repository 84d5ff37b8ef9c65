//! The request that is to tell whether an ejected endpoint is well again.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
};

use futures::stream;
use tokio::time::{sleep, timeout};
use tokio_test::{assert_pending, task};
use tower::{ServiceExt as _, service_fn};
use tower_balance_p2c::{Change, Health};
use tower_service::Service as _;

use super::{OVER, due, health, is_readmitted};
use crate::{
    answering, eject, ms, seeded, send,
    support::{Answer, Readiness, balance, settle},
};

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_before_its_answer_frees_its_place() {
    let (pool, probes, _discovery) = due().await;
    probes[0].control.answer(Answer::Never);
    let mut probe = task::spawn(pool.clone().oneshot(()));
    assert_pending!(probe.poll());
    assert_eq!(health(&pool), Health::Probing);
    assert_eq!(pool.clone().oneshot(()).await.unwrap(), 2, "one at a time");
    drop(probe);
    assert!(matches!(health(&pool), Health::Ejected { .. }));
    sleep(OVER).await;
    probes[0].control.answer(Answer::Ok(ms(20)));
    is_readmitted(&pool).await;
}

#[tokio::test(start_paused = true)]
async fn probes_that_hang_until_their_callers_leave_do_not_end_the_probing() {
    let (pool, probes, _discovery) = due().await;
    probes[0].control.answer(Answer::Never);
    let before = probes[0].control.calls();
    let mut lost = 0;
    for _ in 0..1000 {
        let request = timeout(ms(251), pool.clone().oneshot(()));
        lost += usize::from(request.await.is_err());
        sleep(ms(11)).await;
    }
    assert_eq!(probes[0].control.calls() - before, lost);
    // Thirty seconds: after one, two, four, eight and sixteen.
    assert!((4..=8).contains(&lost), "{lost}");
    probes[0].control.answer(Answer::Ok(ms(20)));
    sleep(60 * OVER).await;
    is_readmitted(&pool).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_before_it_is_polled_was_no_probe() {
    let (mut pool, _probes, _discovery) = due().await;
    drop(pool.call(()));
    assert!(matches!(health(&pool), Health::Ejected { .. }));
    is_readmitted(&pool).await;
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_finds_the_endpoint_not_ready_goes_elsewhere_and_frees_its_place() {
    for readiness in [Readiness::Pending, Readiness::Failed] {
        let (pool, probes, _discovery) = due().await;
        probes[0].control.set(readiness);
        for _ in 0..10 {
            assert_eq!(pool.clone().oneshot(()).await.unwrap(), 2);
        }
        assert!(matches!(health(&pool), Health::Ejected { .. }));
        probes[0].control.set(Readiness::Ready);
        sleep(ms(307)).await;
        is_readmitted(&pool).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_endpoint_is_removed_leaves_nothing_behind() {
    let (mut pool, probes, discovery) = due().await;
    let mut probe = task::spawn(pool.clone().oneshot(()));
    assert_pending!(probe.poll());
    discovery.send(probes[0].remove()).unwrap();
    settle().await;
    assert_eq!(pool.stats().ejected, 0);
    discovery.send(probes[0].insert()).unwrap();
    settle().await;
    assert_eq!(health(&pool), Health::Admitted);
    assert_eq!(probe.await.unwrap(), 1);
    assert_eq!(health(&pool), Health::Admitted);
    // It can be ejected like any other, so it is not counted as one who is.
    eject(&mut pool, &probes).await;
    assert_eq!(pool.stats().ejected, 1);
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_a_service_that_discovery_has_replaced_still_counts() {
    let (pool, probes, discovery) = due().await;
    probes[0].control.answer(Answer::Never);
    let mut probe = task::spawn(pool.clone().oneshot(()));
    assert_pending!(probe.poll());
    let [new] = answering([20]);
    discovery.send(new.insert()).unwrap();
    settle().await;
    assert_eq!(health(&pool), Health::Probing);
    drop(probe);
    sleep(OVER).await;
    is_readmitted(&pool).await;
    assert_eq!(new.control.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_under_a_probe_frees_its_place() {
    let (pool, probes, _discovery) = due().await;
    probes[0].control.when_polled(|| panic!("when it is asked"));
    assert!(tokio::spawn(pool.clone().oneshot(())).await.is_err());
    assert!(matches!(health(&pool), Health::Ejected { .. }));
    // Until the driver has found it ready.
    sleep(ms(307)).await;
    is_readmitted(&pool).await;

    const CALLED: u8 = 1;
    const POLLED: u8 = 2;
    const FAILS: u8 = 3;
    for panics in [CALLED, POLLED] {
        let mode = Arc::new(AtomicU8::new(FAILS));
        let endpoint = |key: u8| {
            let mode = Arc::clone(&mode);
            service_fn(move |()| {
                let mode = if key == 1 { mode.load(SeqCst) } else { 0 };
                assert_ne!(mode, CALLED, "when it is called");
                async move {
                    sleep(ms(1)).await;
                    assert_ne!(mode, POLLED, "when its future is polled");
                    if mode == FAILS { Err("fails") } else { Ok(key) }
                }
            })
        };
        let insert = |key| Ok::<_, Infallible>(Change::Insert(key, endpoint(key)));
        let (mut pool, driver) = seeded().pair(stream::iter([1, 2].map(insert)));
        tokio::spawn(driver);
        settle().await;
        let health =
            |pool: &tower_balance_p2c::Balance<u8, _, ()>| pool.stats().endpoints[0].health;
        while health(&pool) == Health::Admitted {
            send(&mut pool, 10, 10).await;
        }
        sleep(OVER).await;
        mode.store(panics, SeqCst);
        assert!(tokio::spawn(pool.clone().oneshot(())).await.is_err());
        assert!(matches!(health(&pool), Health::Ejected { .. }));
        // A panic is a failure.
        sleep(2 * OVER).await;
        mode.store(0, SeqCst);
        assert_eq!(pool.clone().oneshot(()).await.unwrap(), 1);
        assert_eq!(health(&pool), Health::Probation { at_a_time: 1 });
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_the_ejection_is_no_verdict_of_the_probe() {
    let probes = answering([20, 20]);
    let (mut pool, _discovery) = balance(seeded(), &probes.each_ref()).await;
    probes[1].control.set(Readiness::Pending);
    let mut stragglers = Vec::new();
    for answer in [Answer::Err(ms(1509)), Answer::Ok(ms(1609))] {
        probes[0].control.answer(answer);
        stragglers.push(tokio::spawn(pool.clone().oneshot(())));
        settle().await;
    }
    eject(&mut pool, &probes).await;
    sleep(OVER).await;
    probes[0].control.answer(Answer::Ok(ms(5003)));
    let mut probe = task::spawn(pool.clone().oneshot(()));
    assert_pending!(probe.poll());
    let ends = [false, true];
    for (straggler, is_well) in stragglers.into_iter().zip(ends) {
        assert_eq!(straggler.await.unwrap().is_ok(), is_well);
        assert_eq!(health(&pool), Health::Probing);
    }
    assert_eq!(probe.await.unwrap(), 1);
    assert_eq!(health(&pool), Health::Probation { at_a_time: 1 });
}

#[cfg(feature = "http")]
mod http {
    use std::time::Duration;

    use ::http::{Response, StatusCode};
    use bytes::Bytes;
    use futures::StreamExt as _;
    use http_body::{Body, Frame};
    use http_body_util::{BodyExt as _, StreamBody};
    use tower_balance_p2c::{
        BalanceLayer,
        http::{AtEndOfBody, AtFirstFrame, HttpClassify},
    };

    use super::*;

    fn endless() -> Response<impl Body<Data = Bytes, Error = Infallible> + Unpin> {
        let frame = Ok(Frame::data(Bytes::from_static(b"data")));
        let frames = stream::iter([frame]).chain(stream::pending());
        Response::new(StreamBody::new(frames))
    }

    macro_rules! an_hour_after_a_probe_with {
        ($completion:expr) => {{
            let is_well = Arc::new(AtomicU8::new(0));
            let endpoint = |key: u8| {
                let is_well = Arc::clone(&is_well);
                service_fn(move |()| {
                    let mut answer = endless();
                    if key == 1 && is_well.load(SeqCst) == 0 {
                        *answer.status_mut() = StatusCode::BAD_GATEWAY;
                    }
                    async move {
                        sleep(ms(1)).await;
                        Ok::<_, Infallible>(answer)
                    }
                })
            };
            let layer = BalanceLayer::builder().seed(7).classify(HttpClassify);
            let layer = layer.completion($completion).build().unwrap();
            let insert = |key| Ok::<_, Infallible>(Change::Insert(key, endpoint(key)));
            let (pool, driver) = layer.pair(stream::iter([1, 2].map(insert)));
            tokio::spawn(driver);
            settle().await;
            let mut open = Vec::new();
            while pool.stats().endpoints[0].health == Health::Admitted {
                open.push(pool.clone().oneshot(()).await.unwrap());
            }
            sleep(OVER).await;
            is_well.store(1, SeqCst);
            let mut answer = pool.clone().oneshot(()).await.unwrap();
            assert_eq!(pool.stats().probes, 1);
            answer.body_mut().frame().await.unwrap().unwrap();
            sleep(Duration::from_secs(3600)).await;
            pool.stats().endpoints[0].health
        }};
    }

    #[tokio::test(start_paused = true)]
    async fn an_endless_stream_readmits_its_endpoint_at_the_first_frame() {
        let health = an_hour_after_a_probe_with!(AtFirstFrame);
        assert_eq!(health, Health::Probation { at_a_time: 1 });
    }

    #[tokio::test(start_paused = true)]
    async fn an_endless_stream_that_is_in_flight_readmits_its_endpoint_too() {
        let health = an_hour_after_a_probe_with!(AtEndOfBody);
        assert_ne!(health, Health::Probing);
    }
}
