//! Kinds of bad configuration, each a change of the good one.

use super::{Bad, CLUSTER, LISTENER};

pub(super) const BAD: &[Bad] = &[
    // Unknown keys, at each level.
    Bad {
        from: "threads = 1",
        to: "^thread = 1",
        says: &[
            "`thread`",
            "write one of threads, shutdown, admin, identity, listener, cluster, limits, trust",
        ],
    },
    Bad {
        from: "delay = ",
        to: "^wait = ",
        says: &["`wait`", "delay", "grace"],
    },
    Bad {
        from: "[admin]\n",
        to: "[admin]\n^port = 1\n",
        says: &["`port`", "listen"],
    },
    Bad {
        from: "requests = ",
        to: "^request = ",
        says: &["`request`", "requests"],
    },
    Bad {
        from: LISTENER,
        to: "^clusters = \"backend\"\n",
        says: &["`clusters`", "cluster"],
    },
    Bad {
        from: CLUSTER,
        to: "^endpoint = []\n",
        says: &["`endpoint`", "endpoints"],
    },
    Bad {
        from: "[\"127.0.0.1:9001\"]",
        to: "[{ ^adress = \"127.0.0.1:9001\" }]",
        says: &["`adress`", "address"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nbalance = { ^decya = \"1s\" }\n",
        says: &["`decya`", "decay"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nretry = { ^attempt = 2 }\n",
        says: &["`attempt`", "attempts"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntimeout = { ^maximum = \"1s\" }\n",
        says: &["`maximum`", "max"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nreconnect = { backoff = { ^bas = \"1s\", max = \"2s\" } }\n",
        says: &["`bas`", "base"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntls = { ^cacert = \"ca.pem\" }\n",
        says: &["`cacert`", "ca"],
    },
    // Wrong types and bad values.
    Bad {
        from: "threads = 1",
        to: "threads = ^\"one\"",
        says: &["`threads`", "\"one\"", "write a number from 1 to 1024"],
    },
    Bad {
        from: "threads = 1",
        to: "threads = ^0",
        says: &["from 1 to 1024"],
    },
    Bad {
        from: "threads = 1",
        to: "threads = ^1000000",
        says: &["from 1 to 1024"],
    },
    Bad {
        from: "requests = 1000",
        to: "header_count = ^100000000000",
        says: &["from 1 to 10000"],
    },
    Bad {
        from: "requests = 1000",
        to: "connection_age = ^\"584000000000years\"",
        says: &["365days"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nreconnect = { keepalive = ^\"500ms\" }\n",
        says: &["whole seconds", "30s"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nreconnect = { idle = ^\"1ns\" }\n",
        says: &["10ms"],
    },
    Bad {
        from: "\"1s\"",
        to: "^1",
        says: &["write", "\"250ms\""],
    },
    Bad {
        from: "\"1s\"",
        to: "^\"1 parsec\"",
        says: &["`1 parsec`", "write", "\"250ms\""],
    },
    Bad {
        from: "delay = \"1s\"",
        to: "grace = ^\"0s\"",
        says: &["longer than zero", "write"],
    },
    Bad {
        from: "\"127.0.0.1:9990\"",
        to: "^\"localhost:9990\"",
        says: &["`localhost:9990`", "IP address", "write"],
    },
    Bad {
        from: "\"127.0.0.1:8080\"",
        to: "^\"127.0.0.1\"",
        says: &["`127.0.0.1`", "port", "write"],
    },
    Bad {
        from: "\"127.0.0.1:8080\"",
        to: "^8080",
        says: &["write", "\"127.0.0.1:8080\""],
    },
    Bad {
        from: "\"127.0.0.1:9001\"",
        to: "^\"backend:http\"",
        says: &["`backend:http`", "IP address", "write"],
    },
    Bad {
        from: "\"127.0.0.1:9001\"",
        to: "^9001",
        says: &["write", "\"127.0.0.1:9001\""],
    },
    Bad {
        from: "requests = 1000",
        to: "requests = ^-1",
        says: &["above zero", "write"],
    },
    Bad {
        from: "requests = 1000",
        to: "requests = ^0",
        says: &["above zero"],
    },
    Bad {
        from: "requests = 1000",
        to: "header_bytes = ^\"64kb\"",
        says: &["`64kb`", "write", "64KiB"],
    },
    Bad {
        from: "requests = 1000",
        to: "header_bytes = ^\"1KiB\"",
        says: &["8KiB", "1MiB"],
    },
    Bad {
        from: "requests = 1000",
        to: "body_bytes = ^-5",
        says: &["negative"],
    },
    Bad {
        from: "requests = 1000",
        to: "http2_streams = ^100000",
        says: &["1 to 10000"],
    },
    Bad {
        from: "name = \"web\"",
        to: "name = ^7",
        says: &["write", "\"web\""],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = ^\"127.0.0.1:9001\"\n",
        says: &["`endpoints`", "write a list"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nretry = ^4\n",
        says: &["write", "attempts"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nretry = { attempts = ^\"four\" }\n",
        says: &["write", "4"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nretry = { budget = ^\"20%\" }\n",
        says: &["write", "0.2"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nretry = { methods = ^[\"get\"] }\n",
        says: &["capitals", "[\"GET\""],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nretry = { statuses = ^[200] }\n",
        says: &["400 to 599"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nprotocol = ^\"grpc\"\n",
        says: &["`grpc`", "http1", "http2"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nprotocol = ^2\n",
        says: &["`protocol`", "write", "in quotes"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\nprotocol = ^\"https\"\n",
        says: &["`https`", "\"http\""],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = ^\"on\"\n",
        says: &["\"on\"", "\"off\""],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = ^true\n",
        says: &["\"off\"", "table"],
    },
    // Missing and contradicting things.
    Bad {
        from: "[[listener]]\nname = \"web\"\n",
        to: "^[[listener]]\n",
        says: &["`name` is missing"],
    },
    Bad {
        from: "[[listener]]\nname = \"web\"\nlisten = \"127.0.0.1:8080\"\n",
        to: "^[[listener]]\nname = \"web\"\n",
        says: &["`listen` is missing"],
    },
    Bad {
        from: "[[cluster]]\nname = \"backend\"\nendpoints = [\"127.0.0.1:9001\"]\n",
        to: "^[[cluster]]\nname = \"backend\"\n",
        says: &["`endpoints` is missing"],
    },
    Bad {
        from: "cluster = \"backend\"",
        to: "cluster = ^\"backnd\"",
        says: &["`backnd`", "backend"],
    },
    Bad {
        from: "name = \"web\"",
        to: "name = ^\"\"",
        says: &["needs a name", "write"],
    },
    Bad {
        from: "name = \"backend\"\n",
        to: "name = \"backend\"\nendpoints = [\"127.0.0.1:1\"]\n[[cluster]]\nname = ^\"backend\"\n",
        says: &["two clusters", "`backend`"],
    },
    Bad {
        from: "name = \"web\"\n",
        to: "name = \"web\"\nlisten = \"127.0.0.1:0\"\ncluster = \"backend\"\n[[listener]]\nname = ^\"web\"\n",
        says: &["two listeners", "`web`"],
    },
    Bad {
        from: "[\"127.0.0.1:9001\"]",
        to: "^[]",
        says: &["needs an endpoint", "write"],
    },
    Bad {
        from: "[\"127.0.0.1:9001\"]",
        to: "[\"127.0.0.1:1\", ^\"127.0.0.1:1\"]",
        says: &["127.0.0.1:1", "twice"],
    },
    Bad {
        from: "requests = 1000",
        to: "upgrade_idle = ^\"0s\"",
        says: &["at least \"10ms\""],
    },
    Bad {
        from: "[\"127.0.0.1:9001\"]",
        to: "[^\"127.0.0.1:0\"]",
        says: &["port 0", "write the endpoint's port"],
    },
    Bad {
        from: "name = \"web\"\nlisten = \"127.0.0.1:8080\"",
        to: "name = ^\"web\"\nlisten = \"0.0.0.0:9990\"",
        says: &["where [admin] listens", "another port"],
    },
    Bad {
        from: "[[cluster]]",
        to: "[[listener]]\nname = ^\"two\"\nlisten = \"127.0.0.1:8080\"\ncluster = \"backend\"\n[[cluster]]",
        says: &["where listener `web` listens", "another port"],
    },
    // Not supported yet.
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ndiscovery = ^{ kind = \"dns\" }\n",
        says: &["discovery", "not supported yet"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nreconnect = { max_age = ^\"1ms\" }\n",
        says: &["at least \"10ms\""],
    },
    Bad {
        from: "[limits]",
        to: "[identity]\nspiffe = ^\"unix:/run/spire/agent.sock\"\n[limits]",
        says: &["spiffe", "not supported yet"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\nprotocol = ^\"auto\"\n",
        says: &["not supported yet", "\"http\""],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\nprotocol = ^\"tcp\"\n",
        says: &["not supported yet", "\"http\""],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nprotocol = ^\"tcp\"\n",
        says: &["not supported yet", "\"http1\""],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nprotocol = ^\"auto\"\n",
        says: &["TLS", "\"http1\""],
    },
    // Identities.
    Bad {
        from: "[limits]",
        to: "^[identity]\ncertificate = \"a.pem\"\nprivate_key = \"a.key\"\ntrust_bundle = \"b.pem\"\n[limits]",
        says: &["trust_domain", "write"],
    },
    Bad {
        from: "[limits]",
        to: "[identity]\ncertificate = \"a.pem\"\nprivate_key = \"a.key\"\ntrust_bundle = \"b.pem\"\ntrust_domain = ^\"Example.org\"\n[limits]",
        says: &["Example.org"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = ^{ certificate = \"a.pem\" }\n",
        says: &["private_key"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = ^{ private_key = \"a.key\" }\n",
        says: &["certificate"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = ^{}\n",
        says: &["certificate", "private_key"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = ^{ certificate = \"a.pem\", private_key = \"a.key\", allow = [\"dns:a.test\"] }\n",
        says: &["allow", "client_ca"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = ^{ certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\" }\n",
        says: &["nobody is allowed", "allow = "],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow_any = true, allow = ^[\"dns:a.test\"] }\n",
        says: &["allow_any", "remove one"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow = ^[\"spiffe://Example.org/a\"] }\n",
        says: &["spiffe://Example.org/a"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = { certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\", allow = ^[\"frontend\"] }\n",
        says: &["frontend", "spiffe://", "dns:"],
    },
    Bad {
        from: LISTENER,
        to: "cluster = \"backend\"\ntls = ^{ certificate = \"a.pem\", private_key = \"a.key\", trust_domain = \"example.org\" }\n",
        says: &["trust_domain", "client_ca"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntls = ^{ trust_domain = \"example.org\" }\n",
        says: &["ca = "],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntls = ^{ ca = \"ca.pem\" }\n",
        says: &["trust_domain", "server_name"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntls = ^{ ca = \"ca.pem\", trust_domain = \"example.org\", server_name = \"a.test\" }\n",
        says: &["server_name", "trust_domain", "remove one"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntls = { ca = \"ca.pem\", identity = ^[\"spiffe://example.org/a\"] }\n",
        says: &["trust_domain"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntls = { ca = \"ca.pem\", trust_domain = \"example.org\", identity = ^[] }\n",
        says: &["expects nobody", "write"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntls = { ca = \"ca.pem\", trust_domain = \"example.org\", identity = ^[\"backend\"] }\n",
        says: &["backend", "spiffe://"],
    },
    // What a layer refuses.
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nretry = { attempts = ^0 }\n",
        says: &["attempts", "1"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nretry = { budget = ^11.0 }\n",
        says: &["`budget`", "11", "0.000001 to 10"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nretry = { backoff = { base = ^\"2s\", max = \"1s\" } }\n",
        says: &["base", "2s", "max"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\ntimeout = { min = \"2s\", max = ^\"1s\" }\n",
        says: &["min", "max", "1s"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nreconnect = { backoff = { base = ^\"2s\", max = \"1s\" } }\n",
        says: &["2s", "1s"],
    },
    Bad {
        from: CLUSTER,
        to: "endpoints = [\"127.0.0.1:9001\"]\nreconnect = { connect_timeout = ^\"100h\" }\n",
        says: &["connect_timeout", "24 h"],
    },
    // Not TOML.
    Bad {
        from: "threads = 1",
        to: "threads = ^",
        says: &["not TOML"],
    },
    Bad {
        from: "threads = 1",
        to: "threads ^1",
        says: &["not TOML", "`=`"],
    },
    Bad {
        from: "\"127.0.0.1:9001\"]",
        to: "\"127.0.0.1:9001\"^",
        says: &["not TOML", "`]`"],
    },
    Bad {
        from: "threads = 1",
        to: "threads = 1\n^threads = 2",
        says: &["`threads`", "twice"],
    },
    Bad {
        from: "\"web\"",
        to: "\"web^",
        says: &["not TOML"],
    },
    // Whom to trust.
    Bad {
        from: "requests = 1000",
        to: "requests = 1000\n[trust]\n^forward = []",
        says: &["`forward`", "write one of forwarded, deadline"],
    },
    Bad {
        from: "requests = 1000",
        to: "requests = 1000\n[trust]\nforwarded = ^\"10.0.0.0/8\"",
        says: &["`forwarded`", "write a list of nets", "[\"10.0.0.0/8\""],
    },
    Bad {
        from: "requests = 1000",
        to: "requests = 1000\n[trust]\nforwarded = ^true",
        says: &["`forwarded`", "write a list of nets"],
    },
    Bad {
        from: "requests = 1000",
        to: "requests = 1000\n[trust]\nforwarded = [^8]",
        says: &["8 cannot stand here", "write a net such as \"10.0.0.0/8\""],
    },
    Bad {
        from: "requests = 1000",
        to: "requests = 1000\n[trust]\nforwarded = [\"::1\", ^\"10.0.0.1/8\"]",
        says: &[
            "`10.0.0.1/8`",
            "bits set after its prefix",
            "write \"10.0.0.0/8\", or \"10.0.0.1\"",
        ],
    },
    Bad {
        from: "requests = 1000",
        to: "requests = 1000\n[trust]\ndeadline = [^\"2001:db8::1/64\"]",
        says: &["write \"2001:db8::/64\", or \"2001:db8::1\""],
    },
    Bad {
        from: "requests = 1000",
        to: "requests = 1000\n[trust]\ndeadline = [^\"10.0.0.0/33\"]",
        says: &["`10.0.0.0/33`", "write \"10.0.0.0/8\""],
    },
    Bad {
        from: "requests = 1000",
        to: "requests = 1000\n[trust]\nforwarded = [^\"10.0.0.0/255.0.0.0\"]",
        says: &["`10.0.0.0/255.0.0.0`", "write \"10.0.0.0/8\""],
    },
    Bad {
        from: "requests = 1000",
        to: "requests = 1000\n[trust]\nforwarded = [^\"10.0.0.1:8080\"]",
        says: &["has a port", "write \"10.0.0.1\""],
    },
    Bad {
        from: "requests = 1000",
        to: "requests = 1000\n[trust]\nforwarded = [^\"[2001:db8::1]:8080\"]",
        says: &["has a port", "write \"2001:db8::1\""],
    },
    Bad {
        from: "requests = 1000",
        to: "requests = 1000\n[trust]\nforwarded = [^\"[2001:db8::1]\"]",
        says: &["`[2001:db8::1]`", "write \"10.0.0.0/8\" or \"2001:db8::1\""],
    },
    Bad {
        from: "requests = 1000",
        to: "requests = 1000\n[trust]\nforwarded = [^\"::ffff:10.0.0.0/104\"]",
        says: &["IPv4 written as IPv6", "write \"10.0.0.0/8\""],
    },
    Bad {
        from: "requests = 1000",
        to: "requests = 1000\n[trust]\nforwarded = [^\"localhost\"]",
        says: &["`localhost`", "no net and no IP address"],
    },
    Bad {
        from: "requests = 1000",
        to: "requests = 1000\n[trust]\nforwarded = [^\"fe80::1%eth0\"]",
        says: &["no net and no IP address"],
    },
];
