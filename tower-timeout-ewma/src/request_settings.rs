//! What a [`Builder`] can be told of requests.

use std::{hash::Hash, time::Duration};

use crate::{builder::Builder, key::PerKey, rules::Rules, sent::FromSent};

impl<C, K, L, M, U> Builder<C, Rules<K, L, M>, U> {
    /// An estimator for each key: any `Fn(&Req) -> K`. Default: one for all requests.
    ///
    /// Use it where one layer guards what has different latencies, for example routes, methods or
    /// tenants. At most [`max_keys`](Builder::max_keys) are known at a time; the one that was not
    /// used for longest is forgotten. A key that is new begins with the limit that all keys together
    /// have taught, until it has [`min_samples`](Self::min_samples) of its own.
    ///
    /// By default the estimators then are smoothed ones, with 4.0
    /// [deviations](Builder::deviations): one that learns a [quantile](Builder::quantile), if it is asked
    /// for, takes some 25 KB, and 5 KB for each core, for each key and for all together.
    ///
    /// It costs a hash of the key, a lock of one of up to 16 shards of the keys at each call, and a
    /// second estimator to teach at each end. If the closure allocates, so does each request.
    ///
    /// ```
    /// use tower_timeout_ewma::AdaptiveTimeoutLayer;
    ///
    /// struct Query {
    ///     table: &'static str,
    /// }
    ///
    /// let layer = AdaptiveTimeoutLayer::builder()
    ///     .key(|query: &Query| query.table)
    ///     .max_keys(16)
    ///     .build()?;
    /// assert!(layer.stats_of(&"users").is_none());
    /// # Ok::<_, tower_timeout_ewma::error::InvalidSetting>(())
    /// ```
    pub fn key<Req, K2, F>(self, key: F) -> Builder<C, Rules<PerKey<F, K2>, L, M>, U>
    where
        F: Fn(&Req) -> K2,
        K2: Clone + Eq + Hash,
    {
        self.rules_with(|rules| Rules {
            key: PerKey::new(key, MAX_KEYS),
            limit: rules.limit,
            start: rules.start,
            from_readiness: rules.from_readiness,
            readiness: rules.readiness,
        })
    }

    /// A limit of its own for some requests: any `Fn(&Req) -> RequestLimit`. Default: none has one.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use tower_timeout_ewma::{AdaptiveTimeoutLayer, RequestLimit};
    ///
    /// # #[allow(dead_code)]
    /// enum Job {
    ///     Lookup,
    ///     Export,
    /// }
    ///
    /// let layer = AdaptiveTimeoutLayer::builder()
    ///     .limit_by(|job: &Job| match job {
    ///         Job::Lookup => RequestLimit::Learnt,
    ///         Job::Export => RequestLimit::Fixed(Duration::from_secs(60)),
    ///     })
    ///     .build()?;
    /// # let _ = layer;
    /// # Ok::<_, tower_timeout_ewma::error::InvalidSetting>(())
    /// ```
    pub fn limit_by<L2>(self, limit: L2) -> Builder<C, Rules<K, L2, M>, U> {
        self.rules_with(|rules| Rules {
            key: rules.key,
            limit,
            start: rules.start,
            from_readiness: rules.from_readiness,
            readiness: rules.readiness,
        })
    }

    /// Limits run from when a layer below says that the request was sent, so that what waits in a
    /// queue or for a connection is not taken for slow. Default: from the call.
    ///
    /// `carry` puts a [`Sent`](crate::Sent) into the request, for the layer below to
    /// [`mark`](crate::Sent::mark): any `Fn(&mut Req, Sent)`, or with the feature `http`
    /// `http::InExtensions`.
    ///
    /// A request that is never marked has no limit, and nothing is learnt from it: what waits before
    /// it is sent needs a bound of its own. It costs an allocation for each request.
    ///
    /// ```
    /// use tower_timeout_ewma::{AdaptiveTimeoutLayer, Sent};
    ///
    /// struct Query {
    ///     text: String,
    ///     sent: Option<Sent>,
    /// }
    ///
    /// let layer = AdaptiveTimeoutLayer::builder()
    ///     .from_sent(|query: &mut Query, sent: Sent| query.sent = Some(sent))
    ///     .build()?;
    /// # let _ = layer;
    /// # let _ = |query: Query| query.text;
    /// # Ok::<_, tower_timeout_ewma::error::InvalidSetting>(())
    /// ```
    pub fn from_sent<F>(self, carry: F) -> Builder<C, Rules<K, L, FromSent<F>>, U> {
        self.rules_with(|rules| Rules {
            key: rules.key,
            limit: rules.limit,
            start: FromSent(carry),
            from_readiness: rules.from_readiness,
            readiness: rules.readiness,
        })
    }

    /// How long a caller waits for the service to be ready. Default: for ever.
    ///
    /// The service then says that it is ready, and the response future fails with
    /// [`Elapsed`](crate::error::Elapsed) of the scope readiness, unless the inner service has become
    /// ready in the meantime: an error of `poll_ready` would be the end of the service. Nothing is
    /// learnt from these waits. A caller that gives up a wait should drop the service that it waited
    /// with: the next wait with the same one is taken for the same.
    pub fn readiness(mut self, limit: Duration) -> Self {
        self.rules.readiness = Some(limit);
        self
    }

    /// Limits run from the moment at which the caller has to wait for readiness. Default: from the
    /// call.
    ///
    /// The wait alone is then limited too, with [keys](Self::key) by the limit of a new one, and what
    /// is learnt is the time from then on to the response.
    pub fn from_readiness(mut self) -> Self {
        self.rules.from_readiness = true;
        self
    }

    /// What the limit [covers](crate::scope). Default [`ToResponse`](crate::scope::ToResponse).
    pub fn scope<U2>(self, scope: U2) -> Builder<C, Rules<K, L, M>, U2> {
        Builder {
            settings: self.settings,
            rule: self.rule,
            classify: self.classify,
            rules: self.rules,
            scope,
        }
    }

    fn rules_with<R2>(self, change: impl FnOnce(Rules<K, L, M>) -> R2) -> Builder<C, R2, U> {
        Builder {
            settings: self.settings,
            rule: self.rule,
            classify: self.classify,
            rules: change(self.rules),
            scope: self.scope,
        }
    }
}

impl<C, F, K, L, M, U> Builder<C, Rules<PerKey<F, K>, L, M>, U> {
    /// How many keys are known at a time. Default 1,024; at least 1. Each takes an estimator, less
    /// than 1 KB if it is smoothed, and the key twice.
    ///
    /// Up to 127 are forgotten in the order of their last use. More are kept in up to 16 parts; when all
    /// together are full, a new key takes the place of the one of its part that was not used for longest.
    pub fn max_keys(mut self, max_keys: usize) -> Self {
        self.rules.key.max_keys = max_keys;
        self
    }
}

const MAX_KEYS: usize = 1024;
