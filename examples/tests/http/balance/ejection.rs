//! An endpoint that fails, is left alone, and comes back.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use http::Response;
use tokio::time::{Instant, sleep};

use super::{Field, addresses, answering, paths, unavailable};
use crate::support::{admin, body::empty};

#[tokio::test]
async fn an_ejected_endpoint_is_shown_and_comes_back_step_by_step() {
    let well = Arc::new(AtomicBool::new(false));
    let shared = well.clone();
    let (sick, seen) = answering(move || match shared.load(Relaxed) {
        true => Response::new(empty()),
        false => unavailable(),
    })
    .await;
    let (other, _) = answering(|| Response::new(empty())).await;
    // Random choices, for a failing endpoint is otherwise left alone by what it costs.
    let more = "balance = { choices = 1, eject = { base = \"1s\", window = \"1s\" } }";
    let mut field = Field::start(&addresses(&[sick.address, other.address]), more).await;
    let mut states = vec![field.status().endpoints[0].state.as_str()];
    let end = Instant::now() + Duration::from_secs(30);
    while states.last() != Some(&"ready") || states.len() == 1 {
        assert!(Instant::now() < end, "{states:?}");
        field.get("/").await;
        let status = field.status();
        let endpoint = &status.endpoints[0];
        if states.last() != Some(&endpoint.state.as_str()) {
            states.push(endpoint.state.as_str());
        }
        if endpoint.state.as_str() == "ejected" {
            assert!(endpoint.ejected_ms.unwrap() <= 1000.0);
            assert_eq!((status.ejected, endpoint.ejections), (1, 1));
            assert!(endpoint.ready, "it has a connection");
            if !well.swap(true, Relaxed) {
                shown(&field, sick.address).await;
                seen.lock().unwrap().clear();
            }
            assert!(paths(&seen).is_empty(), "it is left alone");
        }
        if endpoint.state.as_str() == "probation" {
            assert!((1..=16).contains(&endpoint.at_a_time.unwrap()));
        }
        sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(states, ["ready", "ejected", "probation", "ready"]);
    assert_eq!(field.status().probes, 1);
}

/// In both places, while the endpoint is ejected.
async fn shown(field: &Field, endpoint: SocketAddr) {
    let (_, json) = admin::get(field.proxy.admin(), "/clusters").await;
    let clusters: serde_json::Value = serde_json::from_str(&json).unwrap();
    let cluster = &clusters[0];
    assert_eq!(cluster["ejected"], 1);
    assert_eq!(cluster["panicking"], false);
    assert_eq!(cluster["driver_running"], true);
    assert_eq!(cluster["known"], 2);
    assert_eq!(cluster["ejections"]["consecutive"], 1);
    assert!(cluster["picks"].as_u64() >= Some(3), "{cluster}");
    assert!(cluster["typical_latency_ms"].as_f64() > Some(0.0));
    let (sick, well) = (&cluster["endpoints"][0], &cluster["endpoints"][1]);
    assert_eq!(
        (&sick["state"], &well["state"]),
        (&"ejected".into(), &"ready".into())
    );
    assert!(sick["ejected_ms"].as_f64() > Some(0.0), "{sick}");
    assert!(well["latency_per_place_ms"].as_f64() > Some(0.0), "{well}");
    assert_eq!(well["silence_ms"], 0.0);

    let of = format!("cluster=\"backend\",endpoint=\"{endpoint}\"");
    for (series, value) in [
        (format!("endpoint_state{{{of},state=\"ejected\"}}"), 1.0),
        (format!("endpoint_state{{{of},state=\"ready\"}}"), 0.0),
        (format!("endpoint_ejections_total{{{of}}}"), 1.0),
        (format!("endpoint_weight{{{of}}}"), 1.0),
        ("endpoints_ejected{cluster=\"backend\"}".to_owned(), 1.0),
        ("endpoints_known{cluster=\"backend\"}".to_owned(), 2.0),
        ("cluster_panicking{cluster=\"backend\"}".to_owned(), 0.0),
        (
            "cluster_driver_running{cluster=\"backend\"}".to_owned(),
            1.0,
        ),
        ("endpoint_probes_total{cluster=\"backend\"}".to_owned(), 0.0),
        (
            "ejections_total{cluster=\"backend\",reason=\"consecutive\"}".to_owned(),
            1.0,
        ),
        (
            "ejections_total{cluster=\"backend\",reason=\"probe\"}".to_owned(),
            0.0,
        ),
    ] {
        let found = admin::metric(field.proxy.admin(), &format!("proxy_{series}")).await;
        assert_eq!(found, Some(value), "{series}");
    }
    let remaining = format!("proxy_endpoint_ejected_seconds{{{of}}}");
    let remaining = admin::metric(field.proxy.admin(), &remaining).await;
    assert!((0.0..=1.0).contains(&remaining.unwrap()), "{remaining:?}");
}
