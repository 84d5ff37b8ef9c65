//! The budget as one would write it without threads, without a ring and without counting bits.

use crate::{
    checkpoints::Outcomes,
    ledger::{Refused, Terms},
};

pub(crate) struct Reference {
    terms: Terms,
    balance: i128,
    latest: u64,
    outcomes: Outcomes,
    /// All that there ever were.
    checkpoints: Vec<(u64, Outcomes)>,
}

impl Reference {
    pub(crate) fn new(terms: Terms) -> Self {
        Self {
            terms,
            balance: terms.reserve.into(),
            latest: 0,
            outcomes: Outcomes::default(),
            checkpoints: vec![(0, Outcomes::default())],
        }
    }

    pub(crate) fn deposit(&mut self) {
        self.balance += i128::from(self.terms.rates.per_success);
        self.outcomes.funded += 1;
    }

    pub(crate) fn failed(&mut self) {
        self.outcomes.failed += 1;
    }

    pub(crate) fn refund(&mut self, price: i64) {
        self.balance += i128::from(price);
    }

    pub(crate) fn withdraw(&mut self, base: i64, now: u64) -> Result<i64, Refused> {
        let (balance, cap) = self.state(now);
        let price = self.price(base);
        if balance < price {
            return Err(Refused {
                balance,
                price,
                cap,
                dearer: balance >= base,
            });
        }
        self.balance = (balance - price).into();
        Ok(price)
    }

    /// Balance and cap.
    pub(crate) fn state(&mut self, now: u64) -> (i64, i64) {
        self.advance(now);
        let cap = self.cap();
        (self.balance.min(cap.into()) as i64, cap)
    }

    /// What time has paid in from the epoch to `latest`.
    pub(crate) fn accrued(&self) -> i128 {
        i128::from(self.latest) * i128::from(self.terms.rates.per_second) / 1_000_000_000
    }

    fn advance(&mut self, now: u64) {
        let before = self.accrued();
        self.latest = self.latest.max(now);
        self.balance += self.accrued() - before;
        let (last, _) = self.checkpoints[self.checkpoints.len() - 1];
        if self.latest - last >= self.terms.window / 4 {
            self.checkpoints.push((self.latest, self.outcomes));
        }
    }

    fn cap(&self) -> i64 {
        let earned = i128::from(self.recent().funded) * i128::from(self.terms.rates.per_success);
        let most = i128::from(self.terms.rates.burst);
        earned.min(most).max(self.terms.reserve.into()) as i64
    }

    fn price(&self, base: i64) -> i64 {
        let Outcomes { funded, failed } = self.recent();
        let (funded, all) = (i128::from(funded), i128::from(funded + failed));
        if !self.terms.follow_success || all < 20 || 5 * funded >= 4 * all {
            return base;
        }
        let base = i128::from(base);
        let mut price = base;
        if funded == 0 {
            price = 16 * base;
        } else {
            while price * funded < base * all {
                price += (base * all - price * funded).max(funded) / funded;
            }
        }
        price.min(16 * base) as i64
    }

    fn recent(&self) -> Outcomes {
        let start = self.latest.saturating_sub(self.terms.window);
        let mut line = self.checkpoints.clone();
        if self.latest > line[line.len() - 1].0 {
            line.push((self.latest, self.outcomes));
        }
        let after = line.partition_point(|(at, _)| *at <= start);
        let (from, older) = line[after - 1];
        let (to, newer) = line.get(after).copied().unwrap_or((from, older));
        let left = |older: u64, newer: u64, now: u64| {
            let span = u128::from((to - from).max(1));
            let risen = u128::from(newer - older) * u128::from(start - from);
            let up = u128::from(risen % span > 0);
            now - older - (risen / span + up) as u64
        };
        Outcomes {
            funded: left(older.funded, newer.funded, self.outcomes.funded),
            failed: left(older.failed, newer.failed, self.outcomes.failed),
        }
    }
}
