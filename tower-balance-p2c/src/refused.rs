//! What the types forbid: none of this compiles.
//!
//! An endpoint that cannot be cloned:
//!
//! ```compile_fail,E0277
//! struct Once;
//! impl tower_service::Service<()> for Once {
//!     type Response = ();
//!     type Error = std::convert::Infallible;
//!     type Future = std::future::Ready<Result<(), Self::Error>>;
//!     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
//!         std::task::Poll::Ready(Ok(()))
//!     }
//!     fn call(&mut self, (): ()) -> Self::Future {
//!         std::future::ready(Ok(()))
//!     }
//! }
//! let discovery = futures::stream::empty::<Result<tower_balance_p2c::Change<u32, Once>, std::convert::Infallible>>();
//! let (balance, driver) = tower_balance_p2c::Balance::<u32, Once, ()>::new(discovery);
//! ```
//!
//! A weight that was not checked:
//!
//! ```compile_fail,E0423
//! let weight = tower_balance_p2c::Weight(-1.0);
//! ```
//!
//! A request in flight that nobody has sent, or that is counted twice:
//!
//! ```compile_fail,E0451
//! let request = tower_balance_p2c::InFlight { since: 0 };
//! ```
//!
//! ```compile_fail,E0599
//! fn twice(request: tower_balance_p2c::InFlight) {
//!     drop(request.clone());
//! }
//! ```
//!
//! Blame by a type of one's own:
//!
//! ```compile_fail,E0277
//! struct Own;
//! impl tower_balance_p2c::http::Blame<()> for Own {
//!     fn blames(&self, _: &()) -> bool {
//!         true
//!     }
//! }
//! ```
