//! What `[cluster.balance]` and its endpoints cannot be.

use super::{Bad, CLUSTER};

pub(super) const BAD: &[Bad] = &[
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = ^7\n",
        says: &["write a table"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { ^slow_strat = \"1s\" }\n",
        says: &["`slow_strat`", "slow_start", "zone", "subset", "eject"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { decay = ^\"1us\" }\n",
        says: &["decay", "1ms"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { choices = ^0 }\n",
        says: &["above zero"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { choices = ^\"two\" }\n",
        says: &["`choices`", "write a number above zero"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { slow_start = ^10 }\n",
        says: &["`slow_start`", "\"10s\""],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { slow_start = ^\"2days\" }\n",
        says: &["`slow_start`", "at most 86400s"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { zone = ^\"\" }\n",
        says: &["needs a name", "zone = \"a\""],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { zone = ^1 }\n",
        says: &["`zone`", "such as \"a\""],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { subset = ^-1 }\n",
        says: &["`subset`", "write a whole number"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { subset = ^\"all\" }\n",
        says: &["`subset`", "write a whole number"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { wait = ^\"soon\" }\n",
        says: &["`soon`", "\"250ms\""],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { eject = ^false }\n",
        says: &["`eject`", "write \"off\" or a table"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { eject = ^\"on\" }\n",
        says: &["eject = \"off\"", "table"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { eject = { ^consecutiv = 5 } }\n",
        says: &["`consecutiv`", "consecutive", "max_pushback"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { eject = { consecutive = ^0 } }\n",
        says: &["`eject.consecutive` is", "from 1 to 64"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { eject = { consecutive = ^65 } }\n",
        says: &["`eject.consecutive` is", "from 1 to 64"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { eject = { ratio = ^1.5 } }\n",
        says: &["`eject.ratio` is", "from 0 to 1"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { eject = { ratio = ^nan } }\n",
        says: &["`eject.ratio` is", "from 0 to 1"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { eject = { window = ^\"1ms\" } }\n",
        says: &["`eject.window` is", "from 10ms to 86400s"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { eject = { window = ^\"2days\" } }\n",
        says: &["`eject.window` is", "from 10ms to 86400s"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { eject = { min_requests = ^0 } }\n",
        says: &["`eject.min_requests` is", "at least 1"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { eject = { base = ^\"1us\" } }\n",
        says: &["`eject.base` is", "at least 1ms"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { eject = { base = \"2s\", max = ^\"1s\" } }\n",
        says: &["`eject.max` is", "at least `base`"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { eject = { requests_per_probe = ^0 } }\n",
        says: &["`eject.requests_per_probe` is", "at least 1"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { eject = { max_ejected = ^-0.1 } }\n",
        says: &["`eject.max_ejected` is", "from 0 to 1"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { eject = { panic = ^50 } }\n",
        says: &["`eject.panic` is", "from 0 to 1"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { eject = { ratio = ^\"80%\" } }\n",
        says: &["`ratio`", "write a number"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { eject = { consecutive = ^-1 } }\n",
        says: &["`consecutive`", "write a whole number"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { eject = { base = ^\"0s\" } }\n",
        says: &["longer than zero"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { eject = { max_pushback = ^30 } }\n",
        says: &["`max_pushback`", "\"10s\""],
    },
    Bad {
        from: "[\"127.0.0.1:9001\"]",
        to: "[{ address = \"127.0.0.1:9001\", weight = ^0 }]",
        says: &["`weight` is 0", "from 0.001 to 1000", "write 2"],
    },
    Bad {
        from: "[\"127.0.0.1:9001\"]",
        to: "[{ address = \"127.0.0.1:9001\", weight = ^-1 }]",
        says: &["`weight` is -1", "from 0.001 to 1000"],
    },
    Bad {
        from: "[\"127.0.0.1:9001\"]",
        to: "[{ address = \"127.0.0.1:9001\", weight = ^1001 }]",
        says: &["`weight` is 1001", "from 0.001 to 1000"],
    },
    Bad {
        from: "[\"127.0.0.1:9001\"]",
        to: "[{ address = \"127.0.0.1:9001\", weight = ^nan }]",
        says: &["`weight` is NaN", "from 0.001 to 1000"],
    },
    Bad {
        from: "[\"127.0.0.1:9001\"]",
        to: "[{ address = \"127.0.0.1:9001\", weight = ^\"2\" }]",
        says: &["`weight`", "write a number from 0.001 to 1000"],
    },
    Bad {
        from: "[\"127.0.0.1:9001\"]",
        to: "[{ address = \"127.0.0.1:9001\", zone = ^\"\" }]",
        says: &["needs a name"],
    },
    Bad {
        from: "[\"127.0.0.1:9001\"]",
        to: "[{ address = \"127.0.0.1:9001\", zone = ^[\"b\"] }]",
        says: &["`zone`", "such as \"a\""],
    },
    Bad {
        from: "[\"127.0.0.1:9001\"]",
        to: "[{ address = \"127.0.0.1:9001\", ^wieght = 2 }]",
        says: &["`wieght`", "address, weight, zone"],
    },
    Bad {
        from: "[\"127.0.0.1:9001\"]",
        to: "[^{ weight = 2 }]",
        says: &["`address` is missing"],
    },
    Bad {
        from: "[\"127.0.0.1:9001\"]",
        to: "[\"127.0.0.1:1\", ^{ address = \"127.0.0.1:1\", weight = 2 }]",
        says: &["127.0.0.1:1", "twice"],
    },
];
