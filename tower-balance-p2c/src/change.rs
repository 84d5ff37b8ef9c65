use crate::Attributes;

/// One item of a discovery stream.
///
/// A stream of `Result<Change<K, S>, E>` is what [`BalanceLayer`](crate::BalanceLayer) and
/// [`Balance::new`](crate::Balance::new) take.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Change<K, V> {
    /// The endpoint `K` exists and is reached by the service `V`.
    ///
    /// For a key that is in the set already the new service takes the place of the old one, and
    /// the endpoint keeps its history: latency, success, counters and requests in flight; its weight
    /// and zone are what this says. It does
    /// so at once, even if the new service is not ready: the endpoint gets no request until it is.
    Insert(K, V),
    /// The same, with a weight and a zone of its own.
    InsertWith(K, V, Attributes),
    /// The endpoint `K` is gone. It gets no request once the change was applied; requests that it
    /// is answering go on. A key that is not in the set is ignored.
    Remove(K),
}

impl<K, V> Change<K, V> {
    /// The same change with another service, or a service in place of what makes one. A
    /// [`Remove`](Self::Remove) has none.
    pub fn map<W>(self, make: impl FnOnce(V) -> W) -> Change<K, W> {
        match self {
            Self::Insert(key, value) => Change::Insert(key, make(value)),
            Self::InsertWith(key, value, attributes) => {
                Change::InsertWith(key, make(value), attributes)
            }
            Self::Remove(key) => Change::Remove(key),
        }
    }
}
