//! What the proxy tells of itself: metrics (OpenMetrics) and logs.

mod encode;
mod histogram;
mod limit;
mod listener;
mod log;
mod upstream;

pub(crate) use self::encode::ListenerScrape;
pub use self::{
    encode::Scrape,
    limit::Limit,
    listener::{Connected, Ending, ListenerMetrics, RouteCount, Tunnelled},
    log::{
        BadFilter, LogFilter, NotOurLog, filter as log_filter, init as init_log,
        set_filter as set_log_filter,
    },
    upstream::{DialResult, UpstreamMetrics},
};
