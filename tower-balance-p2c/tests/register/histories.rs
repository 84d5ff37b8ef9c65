//! Whatever happens, in whatever order.

use proptest::prelude::*;

use crate::{
    health::{Register, State, Ticket},
    patient::{SECOND, around, claim, defaults, fail, set, succeed},
};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order, clocks that step back included: the number of those
    /// that are ejected is right and bounded, and no endpoint is left out for ever.
    #[test]
    fn no_history_loses_an_endpoint(
        members in 1..6_usize,
        steps in prop::collection::vec((0..6_usize, 0..7_u8, 0..200_u64), 1..400),
    ) {
        let register = Register::new(defaults());
        let endpoints = set(&register, members);
        let mut stale = endpoints[0].ticket(true);
        let mut probes = Vec::new();
        for (which, act, tenths) in steps {
            let endpoint = &endpoints[which % members];
            let now = tenths * SECOND / 10;
            match act {
                0 | 1 => fail(&register, endpoint, around(now)),
                2 => succeed(&register, endpoint, now),
                3 => probes.extend(claim(&register, now).filter(|claimed| claimed.1)),
                4 => if let Some((endpoint, _)) = probes.pop() {
                    stale = endpoint.ticket(true);
                    register.unproven(&endpoint, stale, tenths % 2 == 0, around(now));
                },
                5 => if let Some((endpoint, _)) = probes.pop() {
                    register.succeeded(&endpoint, endpoint.ticket(true), now);
                },
                _ => {
                    // From some time ago, to whomever.
                    register.failed(endpoint, Ticket { probe: None, ..stale }, around(now));
                }
            }
            let out = |state| matches!(state, State::Ejected | State::Probing);
            let ejected = endpoints.iter().filter(|endpoint| out(endpoint.state())).count();
            prop_assert_eq!(register.ejected(), ejected);
            prop_assert!(ejected <= members / 2);
        }
        // All that are out come back when their requests go well.
        for (endpoint, _) in probes {
            register.unproven(&endpoint, endpoint.ticket(true), false, around(0));
        }
        let mut now = 1000 * SECOND;
        while register.ejected() > 0 {
            now += SECOND;
            prop_assert!(now < 2000 * SECOND, "some endpoint is never probed");
            if let Some((endpoint, true)) = claim(&register, now) {
                register.succeeded(&endpoint, endpoint.ticket(true), now);
            }
        }
        for endpoint in &endpoints {
            for _ in 0..31 {
                succeed(&register, endpoint, now);
            }
            prop_assert_eq!(endpoint.state(), State::Admitted);
        }
    }
}
