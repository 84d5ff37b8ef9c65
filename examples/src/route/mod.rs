//! Which cluster a request goes to, and by which rules: the `[[route]]` tables of one listener.
//!
//! The parts are pure: [`Rules`] choose, a [`PathPrefix`] rewrites, a [`Redirect`] says where else
//! to ask, and [`FieldChanges`] set and remove fields. [`Routes`] is the thin service over them.

mod fields;
mod future;
mod host;
mod path;
mod redirect;
mod rules;
mod service;

use std::{error::Error, fmt};

pub use self::{
    fields::{Changeable, FieldChanges},
    future::RoutesFuture,
    host::{HostPattern, RequestHost},
    path::{PathPrefix, has_dot_segments},
    redirect::{Redirect, Target},
    rules::{Choice, Match, Rules},
    service::Routes,
};
use crate::http::refusal::Refusal;

/// Why a request goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unroutable {
    /// No route takes it, and there is no cluster for the rest.
    NoRoute,
    /// No route is for its authority.
    Misdirected,
    /// An endpoint might read its path as that of another route.
    DotSegments,
    /// Rewriting its path would begin the path, or what follows the prefix, with `//`.
    EmptySegment,
}

impl Unroutable {
    /// What the client is told.
    pub fn refusal(self) -> Refusal {
        match self {
            Self::NoRoute => Refusal::NoRoute,
            Self::Misdirected => Refusal::Misdirected,
            Self::DotSegments => Refusal::Malformed("the path has dot segments"),
            Self::EmptySegment => {
                Refusal::Malformed("the path has an empty segment where it would be rewritten")
            }
        }
    }
}

impl fmt::Display for Unroutable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRoute => "no route takes this request",
            Self::Misdirected => "no route is for this authority",
            Self::DotSegments => "the path has dot segments",
            Self::EmptySegment => "the path has an empty segment where it would be rewritten",
        })
    }
}

impl Error for Unroutable {}
