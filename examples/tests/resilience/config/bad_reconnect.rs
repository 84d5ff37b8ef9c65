//! What `[cluster.reconnect]` cannot be.

use super::{Bad, CLUSTER};

pub(super) const BAD: &[Bad] = &[
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nreconnect = { ^max_dial = 4 }\n",
        says: &["`max_dial`", "max_dials", "first_dial_jitter", "eager"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nreconnect = { max_dials = ^0 }\n",
        says: &["above zero"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nreconnect = { max_dials = ^\"four\" }\n",
        says: &["`max_dials`", "write a number above zero"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nreconnect = { max_dials = ^5000 }\n",
        says: &["`max_dials`", "5000", "1 to 1024"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nreconnect = { first_dial_jitter = ^1 }\n",
        says: &["`first_dial_jitter`", "\"10s\""],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nreconnect = { first_dial_jitter = ^\"25h\" }\n",
        says: &["first_dial_jitter", "24 h"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nreconnect = { eager = ^\"yes\" }\n",
        says: &["`eager`", "true", "false"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nreconnect = { stable_after = ^\"25h\" }\n",
        says: &["stable_after", "24 h"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nreconnect = { ^mode = \"fail_fast\" }\n",
        says: &["`mode`", "connect_timeout"],
    },
];
