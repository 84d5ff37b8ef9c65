use std::{error::Error, fmt};

use crate::BoxError;

/// The endpoint has certainly not processed a request: it may be sent again, whatever its method.
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

    /// Whether `error`, or what caused it, says that.
    pub fn caused(error: &(dyn Error + 'static)) -> bool {
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

#[cfg(test)]
mod tests {
    use ::http::{Request, Response};
    use tower_retry_budget::{Policy, Verdict, http::StatusPolicy};

    use super::*;
    use crate::cluster::layers::HttpPolicy;

    #[derive(Debug)]
    struct Wrapped(Unprocessed);

    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("wrapped")
        }
    }

    impl Error for Wrapped {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn it_is_found_wherever_it_is_in_the_chain_of_causes() {
        let rules = HttpPolicy::new(StatusPolicy::new());
        let classify =
            |error: BoxError| Policy::<Request<()>, Response<()>, _>::classify(&rules, Err(&error));
        let once = || Unprocessed::new("refused");
        let wrapped = Wrapped(once());
        assert_eq!(classify(once().into()), Verdict::Unprocessed);
        assert_eq!(classify(wrapped.into()), Verdict::Unprocessed);
        let other = Verdict::Retry { after: None };
        assert_eq!(classify(std::io::Error::other("reset").into()), other);
    }
}
