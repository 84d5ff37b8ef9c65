//! linkerd2-proxy's EWMA, pool and queue.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use futures::stream;
use tokio::time::{Instant, sleep};
use tokio_test::{assert_pending, task};
use tower::ServiceExt as _;
use tower_balance_p2c::{
    Attributes, Balance, BalanceLayer, Change, EjectionReason, Event, Health, Steer, Weight,
};
use tower_service::Service as _;

use crate::{
    answering, eject, find, ms, seeded, send, share,
    support::{Answer, Key, Probe, Readiness, balance, discovery, settle},
};

#[tokio::test(start_paused = true)]
async fn an_idle_endpoint_becomes_typical_and_not_attractive() {
    let probes = answering([10, 10, 503]);
    let (mut ours, _discovery) = balance(seeded(), &probes.each_ref()).await;
    send(&mut ours, 6, 6).await;
    let slow = find(&ours, 3).latency_per_place;
    assert!(slow > ms(400), "{slow:?}");
    let mut last = slow;
    for _ in 0..100 {
        sleep(Duration::from_secs(61)).await;
        let now = find(&ours, 3).latency_per_place;
        assert!(now <= last && now >= ours.stats().typical_latency);
        last = now;
    }
    let (idle, typical) = (find(&ours, 3).cost, find(&ours, 1).cost);
    assert!((0.95..1.05).contains(&(idle / typical)), "{idle} {typical}");
}

#[tokio::test(start_paused = true)]
async fn samples_count_however_fast_they_come() {
    let [probe] = answering([2]);
    let (mut ours, _discovery) = balance(seeded(), &[&probe]).await;
    send(&mut ours, 100, 1).await;
    probe.control.answer(Answer::Ok(ms(1)));
    // Over a hundredth of the decay: by time alone they would count one percent.
    send(&mut ours, 100, 1).await;
    let latency = find(&ours, 1).latency.unwrap();
    assert!(latency < Duration::from_micros(1100), "{latency:?}");
}

#[tokio::test(start_paused = true)]
async fn failures_count_the_same_however_far_apart_they_are() {
    let mut seen = Vec::new();
    for pause in [1, 101, 1009] {
        let [probe] = answering([0]);
        let (mut ours, _discovery) = balance(seeded(), &[&probe]).await;
        for answer in [Answer::Err(ms(0)), Answer::Ok(ms(0)), Answer::Err(ms(0))] {
            probe.control.answer(answer);
            send(&mut ours, 1, 1).await;
            sleep(ms(pause)).await;
        }
        seen.push(find(&ours, 1).success);
    }
    assert_eq!(seen, [seen[0]; 3]);
    assert!((0.7..0.85).contains(&seen[0]), "{}", seen[0]);
}

#[tokio::test(start_paused = true)]
async fn of_two_equals_none_is_preferred() {
    for seed in 0..20 {
        let probes = answering([10, 10]);
        let layer = BalanceLayer::builder().seed(seed * 10_007).build().unwrap();
        let (mut ours, _discovery) = balance(layer, &probes.each_ref()).await;
        send(&mut ours, 1000, 1).await;
        let first = share(&probes, 1);
        assert!((0.43..0.57).contains(&first), "{first} with seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_the_one_that_was_slow_is_tried_again() {
    let probes = answering([10, 503]);
    let (mut ours, _discovery) = balance(seeded(), &probes.each_ref()).await;
    send(&mut ours, 100, 2).await;
    probes[1].control.answer(Answer::Ok(ms(10)));
    let before = probes[1].control.calls();
    let begun = Instant::now();
    while probes[1].control.calls() == before {
        send(&mut ours, 1, 1).await;
        // Eleven and a bit times what 2,000 requests take: until it is as good as typical.
        assert!(Instant::now() - begun < Duration::from_secs(240));
    }
    send(&mut ours, 3000, 1).await;
    let calls = probes[1].control.calls() - before;
    assert!(calls > 1200, "{calls}");
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_caller_has_left_is_not_sent() {
    let probes = [Probe::new(1, Readiness::Permits(0)), Probe::ready(2)];
    let (ours, discovery) = balance(seeded(), &[&probes[0]]).await;
    let mut left = task::spawn(ours.clone().oneshot(()));
    assert_pending!(left.poll());
    drop(left);
    probes[0].control.set(Readiness::Permits(1));
    discovery.send(probes[1].insert()).unwrap();
    settle().await;
    sleep(ms(101)).await;
    assert_eq!(ours.stats().picks, 0);
    assert_eq!(probes[0].control.permits(), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_stands_between_a_request_and_its_endpoint() {
    let probes = answering([10, 10]);
    let inserts = probes.each_ref().map(Probe::insert);
    let (mut ours, driver) = Balance::<_, _, ()>::new(stream::iter(inserts));
    let mut driver = task::spawn(driver);
    assert_pending!(driver.poll());
    let mut requests: Vec<_> = (0..64).map(|_| task::spawn(ours.call(()))).collect();
    for request in &mut requests {
        assert_pending!(request.poll());
    }
    let calls = probes.each_ref().map(|probe| probe.control.calls());
    assert!(calls.iter().all(|&calls| calls >= 28), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_refused_or_reset_does_not_look_fast() {
    // Refused where it is asked, refused where it is called, and reset under way.
    for (readiness, latency) in [
        (Readiness::Failed, 0),
        (Readiness::Ready, 0),
        (Readiness::Ready, 3),
    ] {
        let probes = answering([1, 20, 20, 20]);
        let (mut ours, _discovery) = balance(seeded(), &probes.each_ref()).await;
        probes[0].control.answer(Answer::Err(ms(latency)));
        probes[0].control.set(readiness);
        send(&mut ours, 4000, 8).await;
        let refused = share(&probes, 1);
        assert!(refused < 0.01, "{refused} where {readiness:?} {latency}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_clients_do_not_all_turn_to_the_newcomer() {
    let probes = answering([20, 20, 20, 20]);
    let (mut ours, discovery) = balance(seeded(), &[&probes[0], &probes[1], &probes[2]]).await;
    send(&mut ours, 1000, 100).await;
    discovery.send(probes[3].insert()).unwrap();
    settle().await;
    assert!(find(&ours, 4).share < 0.2);
    send(&mut ours, 1000, 100).await;
    // By the number in flight alone it would have a quarter.
    let calls = probes[3].control.calls();
    assert!((1..200).contains(&calls), "{calls}");
}

/// The share of an endpoint that weighs three times as much as the other.
async fn heavy_share(at_a_time: usize) -> f64 {
    let probes = answering([10, 10]);
    let (mut ours, discovery) = balance(seeded(), &[]).await;
    for (probe, weight) in probes.iter().zip([3.0, 1.0]) {
        let weight = Attributes::new().weight(Weight::new(weight).unwrap());
        let insert = Change::InsertWith(probe.control.key, probe.clone(), weight);
        discovery.send(Ok(insert)).unwrap();
    }
    settle().await;
    send(&mut ours, 3000, at_a_time).await;
    share(&probes, 1)
}

#[tokio::test(start_paused = true)]
async fn weights_are_heeded() {
    let heavy = heavy_share(1).await;
    assert!((heavy - 0.75).abs() < 0.03, "{heavy}");
}

#[tokio::test(start_paused = true)]
async fn weights_are_heeded_with_many_requests_at_a_time() {
    for at_a_time in [4, 16, 64] {
        let heavy = heavy_share(at_a_time).await;
        assert!((heavy - 0.75).abs() < 0.05, "{heavy} with {at_a_time}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_own_zone_is_preferred_until_it_is_much_worse() {
    let probes = answering([10, 10]);
    let layer = BalanceLayer::builder()
        .seed(7)
        .zone("here")
        .build()
        .unwrap();
    let (mut ours, discovery) = balance(layer, &[]).await;
    for (probe, zone) in probes.iter().zip(["here", "there"]) {
        let zone = Attributes::new().zone(zone);
        let insert = Change::InsertWith(probe.control.key, probe.clone(), zone);
        discovery.send(Ok(insert)).unwrap();
    }
    settle().await;
    // So that both are known.
    probes[0].control.set(Readiness::Pending);
    send(&mut ours, 10, 1).await;
    probes[0].control.set(Readiness::Ready);
    settle().await;
    send(&mut ours, 100, 1).await;
    assert_eq!(probes[0].control.calls(), 100);
    probes[0].control.answer(Answer::Ok(ms(503)));
    send(&mut ours, 100, 1).await;
    assert!(
        probes[1].control.calls() > 80,
        "{}",
        probes[1].control.calls()
    );
}

/// Linkerd #11669: a retry hits the same bad pod.
#[tokio::test(start_paused = true)]
async fn a_retry_can_go_elsewhere() {
    #[derive(Clone)]
    struct Last(Arc<AtomicU32>);
    impl Steer<Key, (), Key> for Last {
        fn avoids(&self, (): &(), endpoint: &Key) -> bool {
            self.0.load(SeqCst) == *endpoint
        }
        fn sent(&self, (): &mut (), endpoint: &Key) {
            self.0.store(*endpoint, SeqCst);
        }
    }
    let probes = answering([1, 50, 50]);
    let (sender, found) = discovery();
    for probe in &probes {
        sender.send(probe.insert()).unwrap();
    }
    let last = Last(Arc::default());
    let layer = BalanceLayer::builder().seed(7).steer(last.clone());
    let (ours, driver) = layer.build().unwrap().pair(found);
    tokio::spawn(driver);
    settle().await;
    for _ in 0..200 {
        let before = last.0.load(SeqCst);
        assert_ne!(ours.clone().oneshot(()).await.unwrap(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn what_led_to_an_ejection_can_be_seen() {
    let probes = answering([1, 1]);
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let layer = BalanceLayer::builder().observer(move |event: &Event<'_>| {
        if let Event::Ejected {
            endpoint, reason, ..
        } = event
        {
            tell.lock()
                .unwrap()
                .push((format!("{endpoint:?}"), *reason));
        }
    });
    let (mut ours, _discovery) = balance(layer.build().unwrap(), &probes.each_ref()).await;
    eject(&mut ours, &probes).await;
    let seen = find(&ours, 1);
    assert!(matches!(seen.health, Health::Ejected { .. }));
    assert_eq!(
        (seen.failures, seen.ejections, ours.stats().ejected),
        (3, 1, 1)
    );
    let reason = EjectionReason::Consecutive { failures: 3 };
    assert_eq!(*told.lock().unwrap(), [("1".to_owned(), reason)]);
}
