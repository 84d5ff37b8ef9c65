/// One item of a discovery stream.
///
/// A stream of `Result<Change<K, S>, E>` is what [`BalanceLayer`](crate::BalanceLayer) and
/// [`Balance::new`](crate::Balance::new) take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<K, V> {
    /// The endpoint `K` exists and is reached by the service `V`.
    ///
    /// For a key that is in the set already the new service takes the place of the old one, and
    /// the endpoint keeps its history: latency, success, counters and requests in flight.
    Insert(K, V),
    /// The endpoint `K` is gone. It gets no request once the change was applied; requests that it
    /// is answering go on. A key that is not in the set is ignored.
    Remove(K),
}
