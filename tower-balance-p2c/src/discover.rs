//! Discovery as tower has it, for this crate's balancer.
//!
#![doc = include_str!("../COMING-FROM-TOWER.md")]

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::Stream;
use pin_project_lite::pin_project;
use tower::discover::{self, Discover};

use crate::Change;

pin_project! {
    /// What a [`tower::discover::Discover`] finds, as the stream that
    /// [`BalanceLayer`](crate::BalanceLayer) and [`Balance::new`](crate::Balance::new) take.
    ///
    /// Its errors go through. At its end it is dropped, and not polled again. It need not be
    /// [`Unpin`].
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// # use tower::{discover::ServiceList, service_fn};
    /// use tower_balance_p2c::{Balance, discover::FromTower};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let endpoint = service_fn(|_: ()| async { Ok::<_, Infallible>(()) });
    /// # let discover = ServiceList::new(vec![endpoint]);
    /// let (balance, driver) = Balance::new(FromTower::new(discover));
    /// tokio::spawn(driver);
    /// # tower::ServiceExt::oneshot(balance, ()).await.unwrap();
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Between two polls nothing is lost, if `D` loses nothing.
    #[must_use = "streams do nothing unless polled"]
    pub struct FromTower<D> {
        #[pin]
        discover: Option<D>,
    }
}

impl<D> FromTower<D> {
    /// A stream of what `discover` finds.
    pub fn new(discover: D) -> Self {
        Self {
            discover: Some(discover),
        }
    }
}

impl<D: Discover> Stream for FromTower<D> {
    type Item = Result<Change<D::Key, D::Service>, D::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        let Some(discover) = this.discover.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let found = ready!(discover.poll_discover(cx));
        if found.is_none() {
            this.discover.set(None);
        }
        Poll::Ready(found.map(|change| change.map(Change::from)))
    }
}

/// Without attributes.
impl<K, V> From<discover::Change<K, V>> for Change<K, V> {
    fn from(change: discover::Change<K, V>) -> Self {
        match change {
            discover::Change::Insert(key, service) => Self::Insert(key, service),
            discover::Change::Remove(key) => Self::Remove(key),
        }
    }
}

impl<D> fmt::Debug for FromTower<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromTower")
            .field("ended", &self.discover.is_none())
            .finish_non_exhaustive()
    }
}
