//! What the errors of a connection mean.

use std::{error::Error, fmt, sync::Arc};

/// Tells some errors from others. By default it is true for none.
#[derive(Clone, Default)]
pub(crate) struct Rule(Option<Arc<Test>>);

type Test = dyn Fn(&(dyn Error + 'static)) -> bool + Send + Sync;

impl Rule {
    pub(crate) fn new(
        test: impl Fn(&(dyn Error + 'static)) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(test)))
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn is_true_for(&self, error: &(dyn Error + 'static)) -> bool {
        self.0.as_ref().is_some_and(|test| test(error))
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Rule" } else { "Never" })
    }
}
