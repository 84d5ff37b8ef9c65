//! A part of a big fleet for each client.

mod ranking;
mod score;

use std::{
    fmt,
    hash::Hash,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::Stream;
use pin_project_lite::pin_project;
use tokio::task::coop;

use self::{
    ranking::{Ranking, Step},
    score::score,
};
use crate::{Attributes, Change};

pin_project! {
    /// A discovery stream that lets only `size` of the endpoints of another one through.
    ///
    /// With 1,000 clients of 10,000 endpoints, every client would hold 10,000 connections and
    /// every endpoint 1,000. With subsets of 20 a client holds 20, and an endpoint about 2.
    ///
    /// Every client scores every endpoint by a hash of both, and takes those of the highest
    /// scores. So endpoints are loaded evenly without any talk between clients: an endpoint is
    /// chosen by `clients × size ÷ endpoints` of them, give or take the square root of that. An
    /// endpoint that comes or goes changes at most one other in the subset, and one that leaves
    /// the subset is a [`Change::Remove`], although discovery still names it.
    ///
    /// Make services of what comes out, not of what goes in, for only then do as many exist as
    /// the subset has endpoints:
    ///
    /// ```
    /// use std::{
    ///     convert::Infallible,
    ///     hash::{BuildHasher as _, RandomState},
    /// };
    ///
    /// use futures::{TryStreamExt as _, stream};
    /// use tower_balance_p2c::{Balance, Change, Subset};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let connect = |address: String| {
    /// #     tower::service_fn(move |_: ()| std::future::ready(Ok::<_, Infallible>(address.clone())))
    /// # };
    /// let addresses = (0..10_000).map(|host| format!("host-{host}:8080"));
    /// let changes = addresses.map(|address| Change::Insert(address.clone(), address));
    /// let discovery = stream::iter(changes.map(Ok::<_, Infallible>));
    ///
    /// let client = RandomState::new().hash_one("any");
    /// let subset = Subset::new(discovery, 20, client);
    /// let services = subset.map_ok(move |change| change.map(connect));
    /// let (balance, driver) = Balance::new(services);
    /// tokio::spawn(driver);
    /// # tower::ServiceExt::oneshot(balance.clone(), ()).await.unwrap();
    /// assert_eq!(balance.stats().endpoints.len(), 20);
    /// # }
    /// ```
    ///
    /// Weights and zones are handed on, and have no part in the choice.
    ///
    /// # How many
    ///
    /// 20 is a good `size` (gRPC's default): losing one costs a twentieth, and power of two choices
    /// has enough to choose from. Zero lets everything through, as any fleet of at most `size`
    /// endpoints goes through whole. The fewer clients an endpoint has on average, the less even
    /// their number: with an average of 100 nearly all endpoints have from 70 to 130, with 2 one
    /// endpoint in seven has none, and a few have eight.
    ///
    /// # Which client
    ///
    /// `client` is what makes the subsets of two clients differ: **equal ones choose the same
    /// endpoints, and leave the others idle.** It is one of
    ///
    /// - a random number, drawn when the process starts, as above: a restart moves to another subset;
    /// - a number of the instance's own, such as its ordinal in a StatefulSet, or a hash of its
    ///   name: a restart keeps the subset. Numbers in a row are as good as random ones, but the
    ///   ordinals of two StatefulSets are the same numbers: add a random constant of its own to each.
    ///   `DefaultHasher` may hash otherwise in the next release of Rust.
    ///
    /// Who may choose keys and knows a client's number can make it choose them.
    ///
    /// # What comes out
    ///
    /// - A key that is inserted again goes through if it is in the subset. If it is not, the new
    ///   value and attributes are kept for when it is; hence `V: Clone`.
    /// - What discovery has ready at once is one step, and only the difference that it makes goes
    ///   through: a first list of 10,000 comes out as `size` insertions, and a key that is removed
    ///   and inserted again as one insertion. A list that comes one by one makes about
    ///   `size × ln(endpoints ÷ size)` more of them, and as many removals. A discovery that
    ///   always has more is given 256 polls of at most 1024 changes for a step.
    /// - At no time are more than `size` endpoints in. One that takes another's place comes after
    ///   the other's removal, ready or not: with a `size` of 1 requests wait meanwhile.
    /// - Errors go through, after the changes before them. So does the end, at which discovery is
    ///   dropped; it is not polled again.
    ///
    /// # Which hash
    ///
    /// `client`, and then each word that a key feeds its hasher, is xored into a state of 64 bits
    /// that takes a step of SplitMix64. This depends on no process, platform or release of Rust.
    /// What a key's [`Hash`] feeds may: the standard library promises nothing for its own types. Then
    /// a client that was built anew may choose another subset, which is no worse than the old one.
    ///
    /// # Cost
    ///
    /// A change takes O(log n). Every endpoint is kept, with its value and its key twice: memory
    /// for 10,000 addresses, but not for 10,000 connections.
    ///
    /// # Cancel safety
    ///
    /// Between two polls nothing is lost, and dropping it drops discovery.
    ///
    /// # Source
    ///
    /// Rendezvous hashing: D. Thaler and C. Ravishankar, *Using Name-Based Mappings to Increase
    /// Hit Rates*, IEEE/ACM Transactions on Networking 6(1), 1998. Its use for subsets: gRPC's
    /// [A68](https://github.com/grpc/proposal/blob/master/A68-random-subsetting.md), which uses
    /// another hash. SplitMix64: G. Steele, D. Lea and C. Flood, *Fast Splittable Pseudorandom
    /// Number Generators*, OOPSLA 2014.
    #[must_use = "streams do nothing unless polled"]
    pub struct Subset<D, K, V, E> {
        #[pin]
        discovery: Option<D>,
        client: u64,
        ranking: Ranking<K, Named<V>>,
        // Of discovery, to be told after the changes before it.
        error: Option<E>,
        telling: bool,
        // Polls in a row that took changes and told none.
        silent: u32,
    }
}

/// What discovery has said of an endpoint.
#[derive(Clone)]
struct Named<V> {
    value: V,
    attributes: Option<Attributes>,
}

impl<D, K, V, E> Subset<D, K, V, E> {
    /// Lets `size` endpoints of `discovery` through, or all of them if `size` is zero.
    pub fn new(discovery: D, size: usize, client: u64) -> Self {
        Self {
            discovery: Some(discovery),
            client,
            ranking: Ranking::new(size),
            error: None,
            telling: false,
            silent: 0,
        }
    }
}

impl<D, K, V, E> Stream for Subset<D, K, V, E>
where
    D: Stream<Item = Result<Change<K, V>, E>>,
    K: Hash + Eq + Clone,
    V: Clone,
{
    type Item = Result<Change<K, V>, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ranking.size() == 0 {
            return self.poll_all(cx);
        }
        loop {
            if !self.telling {
                ready!(self.as_mut().poll_news(cx));
            }
            let this = self.as_mut().project();
            *this.silent = 0;
            let change = this.ranking.next_step().map(to_change);
            let item = change.map(Ok).or_else(|| this.error.take().map(Err));
            *this.telling = item.is_some();
            if item.is_some() || this.discovery.is_none() {
                return Poll::Ready(item);
            }
        }
    }
}

impl<D, K, V, E> Subset<D, K, V, E>
where
    D: Stream<Item = Result<Change<K, V>, E>>,
    K: Hash + Eq + Clone,
    V: Clone,
{
    fn poll_all(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<D::Item>> {
        let mut discovery = self.project().discovery;
        let Some(stream) = discovery.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let item = ready!(stream.poll_next(cx));
        if item.is_none() {
            discovery.set(None);
        }
        Poll::Ready(item)
    }

    /// Takes what discovery has. Ready when that was all for now, and there may be something to
    /// tell.
    fn poll_news(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        for _ in 0..MOST_IN_A_POLL {
            let Some(stream) = this.discovery.as_mut().as_pin_mut() else {
                return Poll::Ready(());
            };
            match stream.poll_next(cx) {
                Poll::Ready(Some(Ok(change))) => apply(change, *this.client, this.ranking),
                Poll::Ready(Some(Err(error))) => {
                    *this.error = Some(error);
                    return Poll::Ready(());
                }
                Poll::Ready(None) => {
                    this.discovery.set(None);
                    return Poll::Ready(());
                }
                Poll::Pending if !this.ranking.may_have_steps() => return Poll::Pending,
                // A channel of tokio is pending too when its task has had its turn.
                Poll::Pending if !coop::has_budget_remaining() => break,
                Poll::Pending => return Poll::Ready(()),
            }
        }
        *this.silent += 1;
        if *this.silent >= MOST_SILENT_POLLS {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

fn apply<K: Hash + Eq + Clone, V>(
    change: Change<K, V>,
    client: u64,
    ranking: &mut Ranking<K, Named<V>>,
) {
    let (key, value, attributes) = match change {
        Change::Insert(key, value) => (key, value, None),
        Change::InsertWith(key, value, attributes) => (key, value, Some(attributes)),
        Change::Remove(key) => return ranking.remove(&key),
    };
    let score = score(client, &key);
    ranking.insert(key, score, Named { value, attributes });
}

fn to_change<K, V>(step: Step<K, Named<V>>) -> Change<K, V> {
    match step {
        Step::Insert(key, Named { value, attributes }) => match attributes {
            None => Change::Insert(key, value),
            Some(attributes) => Change::InsertWith(key, value, attributes),
        },
        Step::Remove(key) => Change::Remove(key),
    }
}

impl<D, K, V, E> fmt::Debug for Subset<D, K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subset")
            .field("size", &self.ranking.size())
            .field("client", &self.client)
            .field("endpoints", &self.ranking.len())
            .field("discovery_ended", &self.discovery.is_none())
            .finish_non_exhaustive()
    }
}

/// At less than a microsecond each, so that a runtime's thread is not kept.
const MOST_IN_A_POLL: usize = 1024;
const MOST_SILENT_POLLS: u32 = 256;
