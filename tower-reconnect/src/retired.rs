//! Which losses are no failures.

use std::{error::Error, fmt, sync::Arc};

/// Tells a connection that did its work and was retired from one that failed.
#[derive(Clone, Default)]
pub(crate) struct Retired(Option<Arc<Rule>>);

type Rule = dyn Fn(&(dyn Error + 'static)) -> bool + Send + Sync;

impl Retired {
    pub(crate) fn when(
        rule: impl Fn(&(dyn Error + 'static)) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(rule)))
    }

    pub(crate) fn is(&self, cause: &(dyn Error + 'static)) -> bool {
        self.0.as_ref().is_some_and(|rule| rule(cause))
    }
}

impl fmt::Debug for Retired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Rule" } else { "Never" })
    }
}
