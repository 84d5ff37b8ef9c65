//! Bad settings of TLS, each a change of the good configuration.

use super::{Bad, CLUSTER, LISTENER};

pub(super) const BAD: &[Bad] = &[
    // Unknown keys.
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, ^crls = [] }\n",
        says: &["`crls`", "crl"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntls = { ca = \"ca.pem\", ^crls = [] }\n",
        says: &["`crls`", "crl"],
    },
    Bad {
        from: "[limits]",
        to: "[identity]\ncertificate = \"a.pem\"\nprivate_key = \"a.key\"\ntrust_bundle = \"b.pem\"\ntrust_domain = \"example.org\"\n^crls = []\n[limits]",
        says: &["`crls`", "crl"],
    },
    // Revocation lists.
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, crl = ^\"ca.crl\" }\n",
        says: &["`crl`", "write a list of files, such as [\"ca.crl\"]"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", crl = ^[\"ca.crl\"] }\n",
        says: &["crl needs client_ca"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, crl_unknown_status = ^\"accept\" }\n",
        says: &["crl_unknown_status needs crl"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, crl = [\"ca.crl\"], crl_unknown_status = ^\"ignore\" }\n",
        says: &["`ignore`", "write one of refuse, accept"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, crl = [\"ca.crl\"], crl_unknown_status = ^true }\n",
        says: &["`crl_unknown_status`", "in quotes"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntls = { ca = \"ca.pem\", server_name = \"a.test\", crl = ^1 }\n",
        says: &["`crl`", "write a list of files"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntls = { ca = \"ca.pem\", server_name = \"a.test\", crl_unknown_status = ^\"refuse\" }\n",
        says: &["needs crl"],
    },
    Bad {
        from: "[limits]",
        to: "[identity]\ncertificate = \"a.pem\"\nprivate_key = \"a.key\"\ntrust_bundle = \"b.pem\"\ntrust_domain = \"example.org\"\ncrl = ^\"ca.crl\"\n[limits]",
        says: &["write a list of files"],
    },
    Bad {
        from: "[limits]",
        to: "[identity]\ncertificate = \"a.pem\"\nprivate_key = \"a.key\"\ntrust_bundle = \"b.pem\"\ntrust_domain = \"example.org\"\ncrl_unknown_status = ^\"accept\"\n[limits]",
        says: &["needs crl"],
    },
    // Federation.
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, federated = ^{ \"partner.example\" = \"p.pem\" } }\n",
        says: &["federated needs trust_domain"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", federated = ^{ \"partner.example\" = \"p.pem\" } }\n",
        says: &["federated needs client_ca"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, trust_domain = \"example.org\", federated = { ^\"Partner.example\" = \"p.pem\" } }\n",
        says: &["Partner.example", "a-z"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, trust_domain = \"example.org\", federated = { ^\"example.org\" = \"p.pem\" } }\n",
        says: &["`example.org`", "own trust domain"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, trust_domain = \"example.org\", federated = ^[\"p.pem\"] }\n",
        says: &["`federated`", "write a table, such as"],
    },
    Bad {
        from: "[limits]",
        to: "[identity]\ncertificate = \"a.pem\"\nprivate_key = \"a.key\"\ntrust_bundle = \"b.pem\"\ntrust_domain = \"example.org\"\nfederated = { \"partner.example\" = \"p.pem\", ^\"not/one\" = \"q.pem\" }\n[limits]",
        says: &["not/one"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntls = { ca = \"ca.pem\", trust_domain = \"example.org\", identity = ^[\"spiffe://partner.example/web\"] }\n",
        says: &[
            "spiffe://partner.example/web",
            "write federated = { \"partner.example\"",
        ],
    },
    // Who needs a certificate, and who is let in.
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, client_certificate = ^\"maybe\" }\n",
        says: &["`maybe`", "write one of required, optional"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, client_certificate = ^false }\n",
        says: &["`client_certificate`", "in quotes"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_certificate = ^\"optional\" }\n",
        says: &["client_certificate needs client_ca"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, allow_anonymous = ^true }\n",
        says: &["allow_anonymous", "client_certificate = \"optional\""],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", allow_anonymous = ^true }\n",
        says: &["allow_anonymous needs client_ca"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, audit = ^true }\n",
        says: &["audit", "write allow = "],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", audit = ^true }\n",
        says: &["audit needs client_ca"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, audit = ^\"yes\" }\n",
        says: &["`audit`", "write true or false"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", forward_client_certificate = ^true }\n",
        says: &["forward_client_certificate needs client_ca"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow = ^[] }\n",
        says: &["lets nobody in", "allow_any = true"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow = ^[\"spiffe://example.org/*/web\"] }\n",
        says: &["spiffe://example.org/*/web"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow = ^[\"spiffe://*\"] }\n",
        says: &["spiffe://*"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow = ^[\"dns:*.example.org\"] }\n",
        says: &["dns:*.example.org"],
    },
    // What the layer refuses.
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, max_handshakes = ^2000000 }\n",
        says: &["`max_handshakes`", "1 to 1000000"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, max_waiting = ^2000000 }\n",
        says: &["`max_waiting`", "1 to 1000000"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, max_waiting = ^0 }\n",
        says: &["above zero"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, handshake_timeout = ^\"2h\" }\n",
        says: &["`handshake_timeout`", "1 ms to 1 h"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, patience = ^\"2h\" }\n",
        says: &["`patience`", "10 ms to 1 h"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, patience = ^\"1ms\" }\n",
        says: &["at least \"10ms\""],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, clock_skew = ^\"11m\" }\n",
        says: &["`clock_skew`", "0 to 10 min"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, clock_skew = ^5 }\n",
        says: &["`clock_skew`", "write a duration"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, allow_tls12 = ^\"yes\" }\n",
        says: &["`allow_tls12`", "write true or false"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, end_connections = ^1 }\n",
        says: &["`end_connections`", "write true or false"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntls = { ca = \"ca.pem\", server_name = \"a.test\", clock_skew = ^\"11m\" }\n",
        says: &["`clock_skew`", "0 to 10 min"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntls = { ca = \"ca.pem\", server_name = \"a.test\", allow_tls12 = ^1 }\n",
        says: &["`allow_tls12`", "write true or false"],
    },
];
