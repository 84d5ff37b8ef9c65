use super::*;

fn activity(now: Instant) -> Arc<Activity> {
    let metrics = Arc::new(ListenerMetrics::new("web", true));
    Arc::new(Activity::new(&Limits::default(), metrics, now))
}

const SLOW_HEAD: Verdict = Verdict::Cut(Limit::HeaderTimeout);
const STALLED: Verdict = Verdict::Cut(Limit::BodyIdle);

fn after(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_cut_at_the_header_timeout() {
    let start = Instant::now();
    let activity = activity(start);
    assert_eq!(
        activity.judge(after(start, 9), false),
        Verdict::KeepUntil(after(start, 10))
    );
    assert_eq!(activity.judge(after(start, 10), false), SLOW_HEAD);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_outlives_the_header_timeout_and_ends_at_the_idle_timeout() {
    let start = Instant::now();
    let activity = activity(start);
    drop(activity.request(Version::HTTP_11));
    assert_eq!(
        activity.judge(after(start, 59), false),
        Verdict::KeepUntil(after(start, 60))
    );
    assert_eq!(
        activity.judge(after(start, 60), false),
        Verdict::End(Limit::IdleTimeout)
    );
}

#[tokio::test(start_paused = true)]
async fn a_head_that_stops_half_way_is_cut_even_on_a_used_connection() {
    let start = Instant::now();
    let activity = activity(start);
    drop(activity.request(Version::HTTP_11));
    tokio::time::advance(Duration::from_secs(20)).await;
    activity.bytes_came();
    assert_eq!(
        activity.earlier_check(after(start, 60)),
        Some(after(start, 30))
    );
    assert_eq!(activity.judge(after(start, 30), false), SLOW_HEAD);
}

#[tokio::test(start_paused = true)]
async fn a_request_in_flight_keeps_its_connection_until_the_age_limit() {
    let start = Instant::now();
    let activity = activity(start);
    let _in_use = activity.request(Version::HTTP_2);
    assert_eq!(
        activity.judge(after(start, 600), false),
        Verdict::KeepUntil(after(start, 660))
    );
    assert_eq!(
        activity.judge(after(start, 3600), false),
        Verdict::End(Limit::ConnectionAge)
    );
}

#[tokio::test(start_paused = true)]
async fn pings_of_an_idle_http2_connection_are_no_slow_head() {
    let start = Instant::now();
    let activity = activity(start);
    drop(activity.request(Version::HTTP_2));
    activity.bytes_came();
    assert_eq!(
        activity.judge(after(start, 30), false),
        Verdict::KeepUntil(after(start, 60))
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_bytes_is_cut_though_a_request_is_in_flight() {
    let start = Instant::now();
    let activity = activity(start);
    let _in_use = activity.request(Version::HTTP_11);
    activity.wrote(&Poll::<()>::Pending);
    tokio::time::advance(Duration::from_secs(59)).await;
    activity.wrote(&Poll::<()>::Pending);
    assert_eq!(
        activity.earlier_check(after(start, 600)),
        Some(after(start, 60))
    );
    assert_eq!(activity.judge(after(start, 60), false), STALLED);
    activity.wrote(&Poll::Ready(()));
    assert_ne!(activity.judge(after(start, 60), false), STALLED);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_asked_to_end_is_cut_when_it_stays_silent() {
    let start = Instant::now();
    let activity = activity(start);
    drop(activity.request(Version::HTTP_2));
    assert_eq!(activity.judge(after(start, 60), true), Verdict::Gone);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_still_being_read_is_no_slow_head() {
    let start = Instant::now();
    let activity = activity(start);
    let in_use = activity.request(Version::HTTP_11);
    let body = in_use.body();
    drop(in_use);
    activity.bytes_came();
    assert_ne!(activity.judge(after(start, 30), false), SLOW_HEAD);
    drop(body);
    activity.bytes_came();
    assert_eq!(activity.judge(after(start, 30), false), SLOW_HEAD);
}
