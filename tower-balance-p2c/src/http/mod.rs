//! Classification, completion and steering for [`http::Request`] and [`http::Response`].

mod body;
mod classify;
mod pushback;
mod trail;

pub use self::{
    body::{AtEndOfBody, AtEndOfBodyBlaming, AtFirstFrame, Blame, BlameAll, TrackedBody},
    classify::HttpClassify,
    trail::{ByTrail, ServedBy, Trail},
};
