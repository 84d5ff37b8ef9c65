//! What tower's cannot be is told by the compiler, where it picks one of two constants.

use std::{
    convert::Infallible,
    marker::{PhantomData, PhantomPinned},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use futures::stream;
use tower::{ServiceExt as _, balance::p2c, load::Constant};
use tower_balance_p2c::{Balance, BalanceLayer, Change};
use tower_service::Service;

use crate::{
    support::Probe,
    theirs::{self, still},
};

macro_rules! is {
    ($type:ty: $($bound:tt)+) => {{
        #[allow(dead_code, reason = "only its constant is used")]
        struct Is<T: ?Sized>(PhantomData<T>);
        #[allow(dead_code, reason = "its constant, where that of `Is` does not hold")]
        trait Otherwise {
            const IS: bool = false;
        }
        impl<T: ?Sized> Otherwise for Is<T> {}
        impl<T: ?Sized + $($bound)+> Is<T> {
            #[allow(dead_code, reason = "where it holds")]
            const IS: bool = true;
        }
        <Is<$type>>::IS
    }};
}

type Found<M> = theirs::Found<Constant<Probe, M>>;
type Theirs<M, Req = ()> = p2c::Balance<stream::Empty<Found<M>>, Req>;
type Pinned = p2c::Balance<NotUnpin, ()>;

/// A metric that is not `Debug`.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
struct Silent;

struct NotUnpin(PhantomPinned);

impl stream::Stream for NotUnpin {
    type Item = Found<u32>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let _ = self.0;
        Poll::Ready(None)
    }
}

fn is_shared<T: Clone + Send + Sync + 'static>(_: &T) {}

#[tokio::test(start_paused = true)]
async fn it_is_cloneable_and_needs_neither_unpin_nor_send_nor_debug() {
    let service = tower::service_fn(|_: Rc<()>| async { Ok::<_, Infallible>(()) });
    let insert = async move { Ok::<_, Infallible>(Change::Insert(1, service)) };
    let not_unpin = stream::once(insert);
    let (ours, driver) = Balance::<_, _, Rc<()>>::new(not_unpin);
    is_shared(&ours);
    is_shared(&BalanceLayer::<Rc<()>>::new());
    tokio::spawn(driver);
    ours.oneshot(Rc::new(())).await.unwrap();

    assert!(is!(Theirs<u32>: Service<()>) && is!(Theirs<u32>: Send));
    let is_shared = is!(Theirs<u32>: Clone);
    still(!is_shared, "it has to be shared by a Buffer");
    let is_send = is!(Theirs<u32, Rc<()>>: Send);
    still(!is_send, "it is not Send for requests that are not");
    let serves = is!(Theirs<Silent>: Service<()>);
    still(!serves, "a metric must be Debug");
    let serves = is!(Pinned: Service<()>);
    still(!serves, "#319, discovery must be Unpin");
}
