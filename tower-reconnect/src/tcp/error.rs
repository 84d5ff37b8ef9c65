//! What can go wrong with TCP.

use std::{error::Error, fmt, io, net::SocketAddr, sync::Arc};

/// No address could be connected to. It names each, with what became of it.
///
/// The [`source`](Error::source) is what became of the first address.
#[derive(Debug)]
pub struct ConnectError {
    failures: Vec<(SocketAddr, io::Error)>,
}

impl ConnectError {
    pub(super) fn new(mut failures: Vec<(SocketAddr, io::Error)>, order: &[SocketAddr]) -> Self {
        failures.sort_by_key(|(address, _)| order.iter().position(|other| other == address));
        Self { failures }
    }

    /// Each address with its error, in the order in which they were tried. It is empty when there
    /// was no address.
    pub fn failures(&self) -> &[(SocketAddr, io::Error)] {
        &self.failures
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(((address, error), others)) = self.failures.split_first() else {
            return f.write_str("no address to connect to: give at least one");
        };
        write!(f, "cannot connect to {address}: {error}")?;
        for (address, error) in others {
            write!(f, "; to {address}: {error}")?;
        }
        Ok(())
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let (_, error) = self.failures.first()?;
        Some(error)
    }
}

/// A name has no address, or that could not be found out.
#[derive(Debug)]
pub struct ResolveError {
    name: Arc<str>,
    source: io::Error,
}

impl ResolveError {
    pub(super) fn new(name: Arc<str>, source: io::Error) -> Self {
        Self { name, source }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot resolve `{}`: {}", self.name, self.source)
    }
}

impl Error for ResolveError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}
