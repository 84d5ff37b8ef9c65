#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc(test(attr(deny(warnings))))]
#![forbid(unsafe_code)]

mod admission;
mod backoff;
mod bounds;
mod builder;
mod chance;
pub mod coming_from_tower;
mod connector;
mod current;
mod driver;
pub mod error;
pub mod exclusive;
pub mod future;
mod history;
mod layer;
mod lent;
mod life;
mod limits;
mod loss;
mod machine;
mod mode;
mod moment;
mod observed;
mod observer;
mod pace;
mod rule;
mod service;
mod settings;
mod shared;
mod stats;
mod sync;
mod task;
#[cfg(feature = "tcp")]
#[cfg_attr(docsrs, doc(cfg(feature = "tcp")))]
pub mod tcp;
mod view;
mod waiters;
mod watch;
mod work;

pub use self::builder::Builder;
pub use self::layer::ReconnectLayer;
pub use self::mode::Mode;
pub use self::observer::{Event, Observer};
pub use self::service::Reconnect;
pub use self::stats::Stats;
pub use self::watch::{State, Watch};
