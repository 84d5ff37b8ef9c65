#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc(test(attr(deny(warnings))))]
#![forbid(unsafe_code)]

mod backoff;
mod chance;
mod connector;
pub mod error;
pub mod future;
mod layer;
mod machine;
mod retired;
mod service;
mod shared;
mod waiters;
mod watch;

pub use self::layer::{Builder, Mode, ReconnectLayer};
pub use self::machine::Stats;
pub use self::service::Reconnect;
pub use self::watch::{State, Watch};
