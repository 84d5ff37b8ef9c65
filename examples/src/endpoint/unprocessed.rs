use std::{error::Error, fmt};

use crate::BoxError;

/// A request that its endpoint has certainly not processed: it is sent again whatever its method.
#[derive(Debug)]
pub struct Unprocessed {
    cause: BoxError,
}

impl Unprocessed {
    /// Says so of a request that came back with `cause`.
    pub fn new(cause: impl Into<BoxError>) -> Self {
        Self {
            cause: cause.into(),
        }
    }

    /// Whether `error` is this, or is caused by it.
    pub(crate) fn is_in(error: &(dyn Error + 'static)) -> bool {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if error.is::<Self>() {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

impl fmt::Display for Unprocessed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the endpoint has not processed the request: {}",
            self.cause
        )
    }
}

impl Error for Unprocessed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.cause.as_ref())
    }
}
