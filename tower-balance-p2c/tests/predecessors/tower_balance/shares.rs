//! Which endpoints get how many of the requests.

use std::time::Duration;

use tower::{
    discover,
    load::{CompleteOnResponse, Constant, PeakEwma, PendingRequests},
};
use tower_balance_p2c::{Attributes, Change, Weight};

use crate::{
    answering, find, ms, seeded, send, share,
    support::{Answer, Probe, balance, settle},
    theirs::{self, still},
};

/// tower #696.
#[tokio::test(start_paused = true)]
async fn an_endpoint_of_a_great_weight_gets_its_share() {
    let probes = answering([10, 10, 10]);
    let (mut ours, discovery) = balance(seeded(), &[]).await;
    for (probe, weight) in probes.iter().zip([98.0, 1.0, 1.0]) {
        let weight = Attributes::new().weight(Weight::new(weight).unwrap());
        let insert = Change::InsertWith(probe.control.key, probe.clone(), weight);
        discovery.send(Ok(insert)).unwrap();
    }
    settle().await;
    send(&mut ours, 3000, 1).await;
    let heavy = share(&probes, 1);
    assert!((heavy - 0.98).abs() < 0.01, "{heavy}");

    // To say it by the load is all that there is.
    let probes = answering([10, 10, 10]);
    let with_load = |probe: &Probe| Constant::new(probe.clone(), probe.control.key > 1);
    let (mut theirs, _discovery) = theirs::balance(&probes, with_load);
    send(&mut theirs, 3000, 1).await;
    let heavy = share(&probes, 1);
    let capped = (heavy - 2.0 / 3.0).abs() < 0.05;
    still(capped, "two choices of three are the most there is");
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_is_not_flooded() {
    let probes = answering([10, 10, 10]);
    let (mut ours, discovery) = balance(seeded(), &[&probes[0], &probes[1]]).await;
    send(&mut ours, 900, 9).await;
    discovery.send(probes[2].insert()).unwrap();
    settle().await;
    let first = |probes: &[Probe]| probes[2].control.calls();
    send(&mut ours, 900, 9).await;
    assert!((1..120).contains(&first(&probes)), "{}", first(&probes));
    send(&mut ours, 9000, 9).await;
    let before = first(&probes);
    send(&mut ours, 1200, 9).await;
    let at_last = first(&probes) - before;
    assert!((360..440).contains(&at_last), "{at_last}");

    let probes = answering([10, 10, 10]);
    let with_load =
        |probe: &Probe| PendingRequests::new(probe.clone(), CompleteOnResponse::default());
    let (mut theirs, discovery) = theirs::balance(&probes[..2], with_load);
    send(&mut theirs, 900, 9).await;
    let insert = discover::Change::Insert(3, with_load(&probes[2]));
    discovery.send(Ok(insert)).unwrap();
    send(&mut theirs, 900, 9).await;
    still(first(&probes) > 220, "no slow start");
}

#[tokio::test(start_paused = true)]
async fn inserting_a_key_again_keeps_what_is_known_of_it() {
    let probes = answering([911, 10]);
    let (mut ours, discovery) = balance(seeded(), &probes.each_ref()).await;
    send(&mut ours, 100, 2).await;
    let before = probes[0].control.calls();
    discovery.send(probes[0].insert()).unwrap();
    settle().await;
    assert_eq!(find(&ours, 1).latency, Some(ms(911)));
    send(&mut ours, 100, 1).await;
    assert_eq!(probes[0].control.calls(), before);

    let probes = answering([911, 10]);
    let with_load =
        |probe: &Probe| PeakEwma::new(probe.clone(), ms(1), 10e9, CompleteOnResponse::default());
    let (mut theirs, discovery) = theirs::balance(&probes, with_load);
    send(&mut theirs, 100, 2).await;
    let before = probes[0].control.calls();
    let insert = discover::Change::Insert(1, with_load(&probes[0]));
    discovery.send(Ok(insert)).unwrap();
    send(&mut theirs, 1, 1).await;
    let is_new = probes[0].control.calls() > before;
    still(is_new, "an endpoint that is inserted again has no history");
}

/// As with `tower::reconnect`, which is ready while it is down.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_ready_and_refuses_costs_a_few_requests_and_not_half_of_them() {
    let dead = || {
        let probes = answering([1, 1]);
        probes[0].control.answer(Answer::Err(Duration::ZERO));
        probes
    };
    let probes = dead();
    let (mut ours, _discovery) = balance(seeded(), &probes.each_ref()).await;
    let failed = send(&mut ours, 1000, 1).await;
    assert!(failed <= 5, "{failed}");

    let probes = dead();
    let with_load =
        |probe: &Probe| PendingRequests::new(probe.clone(), CompleteOnResponse::default());
    let (mut theirs, _discovery) = theirs::balance(&probes, with_load);
    let failed = send(&mut theirs, 1000, 1).await;
    still((400..600).contains(&failed), "half of the requests fail");
}
