//! What the proxy tells of itself: metrics (OpenMetrics) and logs.

mod encode;
mod histogram;
mod limit;
mod listener;
mod log;

pub(crate) use self::encode::ListenerScrape;
pub use self::{
    encode::Scrape,
    limit::Limit,
    listener::{Connected, Ending, ListenerMetrics, Tunnelled},
    log::init as init_log,
};
