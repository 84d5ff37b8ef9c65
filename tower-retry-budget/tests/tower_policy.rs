//! A policy as `tower::retry::budget` shows it, unchanged, on a budget of this crate.
#![cfg(feature = "tower")]

use std::time::Duration;

use tokio::time::advance;
use tower::{Layer, ServiceExt, retry::RetryLayer, util::MapResponse};
use tower_retry_budget::{Budget, Kind, budget::Builder};

mod support;

use support::{Answer, Failure, World, spent, tokens};

/// All but the import of `TpsBudget` is word for word that of tower's documentation.
mod verbatim {
    use std::{future, sync::Arc};

    use tower::retry::{Policy, budget::Budget};
    use tower_retry_budget::Budget as TpsBudget;

    type Req = String;
    type Res = String;

    #[derive(Clone, Debug)]
    pub(super) struct RetryPolicy {
        pub(super) budget: Arc<TpsBudget>,
    }

    impl<E> Policy<Req, Res, E> for RetryPolicy {
        type Future = future::Ready<()>;

        #[allow(unused_variables, reason = "as it is there")]
        fn retry(&mut self, req: &mut Req, result: &mut Result<Res, E>) -> Option<Self::Future> {
            match result {
                Ok(_) => {
                    // Treat all `Response`s as success,
                    // so deposit budget and don't retry...
                    self.budget.deposit();
                    None
                }
                Err(_) => {
                    // Treat all errors as failures...
                    // Withdraw the budget, don't retry if we overdrew.
                    let withdrew = self.budget.withdraw();
                    if !withdrew {
                        return None;
                    }

                    // Try again!
                    Some(future::ready(()))
                }
            }
        }

        fn clone_request(&mut self, req: &Req) -> Option<Req> {
            Some(req.clone())
        }
    }
}

fn layer(budget: &Budget) -> RetryLayer<verbatim::RetryPolicy> {
    RetryLayer::new(verbatim::RetryPolicy {
        budget: budget.clone().into(),
    })
}

async fn send(
    budget: &Budget,
    answers: impl IntoIterator<Item = Answer>,
) -> Result<String, Failure> {
    let world = World::answering(answers);
    let inner = MapResponse::new(world.probe(), str::to_owned);
    let service = layer(budget).layer(inner);
    service.oneshot("get".to_owned()).await
}

#[tokio::test(start_paused = true)]
async fn it_retries_while_there_are_tokens_and_returns_the_last_error() {
    let budget = tokens(2);
    let answers = ["a", "b"].map(Answer::Err).into_iter();
    let answers = answers.chain([Answer::Ok("fine")]);
    assert_eq!(send(&budget, answers).await.as_deref(), Ok("fine"));
    let failed = send(&budget, [Answer::Err("c")]).await;
    assert_eq!(failed, Err(Failure("c")));
    let stats = budget.stats();
    assert_eq!((stats.withdrawn, stats.refused), (2, 1));
    assert_eq!((stats.deposited, stats.failed), (1, 3));
    assert_eq!(stats.kinds.transient.granted, 2);
}

#[tokio::test(start_paused = true)]
async fn successes_pay_by_the_ratio() {
    let budget = spent(0.2, 10);
    for _ in 0..5 {
        send(&budget, [Answer::Ok("fine")]).await.expect("answered");
    }
    let answers = [Answer::Err("a"), Answer::Err("b")];
    assert_eq!(send(&budget, answers).await, Err(Failure("b")));
}

#[tokio::test(start_paused = true)]
async fn time_pays_by_the_floor() {
    let budget = Budget::builder().ratio(0.0).min_per_second(2.0);
    let budget = budget.follow_success(false).build().unwrap();
    while budget.try_withdraw(Kind::Transient).is_ok() {}
    advance(Duration::from_micros(1_000_003)).await;
    let answers = ["a", "b", "c"].map(Answer::Err);
    assert_eq!(send(&budget, answers).await, Err(Failure("c")));
}

/// Of a server of which nothing comes back, each retry is soon dearer than the reserve.
#[tokio::test(start_paused = true)]
async fn where_most_fails_retries_are_dearer_for_such_a_policy_too() {
    let granted = |builder: Builder| {
        let budget = builder.reserve(100).build().expect("valid");
        let view: &dyn tower::retry::budget::Budget = &budget;
        (0..100).filter(|_| view.withdraw()).count()
    };
    assert_eq!(granted(Budget::builder().follow_success(false)), 100);
    let dearer = granted(Budget::builder());
    assert!((19..=25).contains(&dearer), "{dearer}");
}

/// By tower's trait, as the `dyn` that it also is.
#[tokio::test(start_paused = true)]
async fn the_trait_and_the_layer_share_one_balance() {
    let budget = spent(1.0, 10);
    let theirs: Box<dyn tower::retry::budget::Budget> = Box::new(budget.clone());
    theirs.deposit();
    budget.deposit();
    assert!(theirs.withdraw());
    assert!(budget.try_withdraw(Kind::Transient).is_ok());
    assert!(!theirs.withdraw());
}
