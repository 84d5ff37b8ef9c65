//! A budget for the policies of `tower::retry`.
//!
#![doc = include_str!("../COMING-FROM-TOWER.md")]

use tower::retry::budget;

use crate::{budget::Budget, kind::Kind};

/// What a policy of `tower::retry` sees of a budget.
impl budget::Budget for Budget {
    /// Pays in for one success.
    fn deposit(&self) {
        Self::deposit(self);
    }

    /// Notes a failure, and takes the price of a retry of the kind [`Kind::Transient`].
    ///
    /// A policy asks where an attempt has failed, so that this is where failures are counted. One
    /// that asks for another reason makes its retries dearer, unless
    /// [`follow_success`](crate::budget::Builder::follow_success) is off.
    fn withdraw(&self) -> bool {
        self.failed(Kind::Transient);
        self.try_withdraw(Kind::Transient).is_ok()
    }
}
