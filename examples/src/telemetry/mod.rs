//! What the proxy tells of itself: metrics (OpenMetrics) and logs.

mod encode;
mod histogram;
mod listener;
mod log;

pub(crate) use self::encode::ListenerScrape;
pub use self::{
    encode::Scrape,
    listener::{Connected, Ending, ListenerMetrics, RouteCount},
    log::init as init_log,
};
