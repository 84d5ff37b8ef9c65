//! Names that cannot hold a bad value.

use proptest::prelude::*;
use tower_mtls::{DnsName, Identity, SpiffeId, TrustDomain, error::InvalidIdentity};

#[test]
fn a_spiffe_id_keeps_its_parts() {
    let id: SpiffeId = "spiffe://prod.example_1-a.org/ns/Shop/sa/web.v2_x-y"
        .parse()
        .unwrap();
    assert_eq!(id.trust_domain().as_str(), "prod.example_1-a.org");
    assert_eq!(id.path(), "/ns/Shop/sa/web.v2_x-y");
    assert_eq!(
        id.to_string(),
        "spiffe://prod.example_1-a.org/ns/Shop/sa/web.v2_x-y"
    );
    assert_eq!(format!("{id:?}"), format!("SpiffeId({id})"));
    assert_eq!(SpiffeId::try_from(id.as_str()), Ok(id));
}

#[test]
fn a_bad_spiffe_id_is_refused_with_its_rule() {
    let bad = [
        "",
        "example.org/web",
        "http://example.org/web",
        "SPIFFE://example.org/web",
        "spiffe:/example.org/web",
        "spiffe:///web",
        "spiffe://",
        "spiffe://example.org",
        "spiffe://example.org/",
        "spiffe://Example.org/web",
        "spiffe://example.org:8443/web",
        "spiffe://user@example.org/web",
        "spiffe://example.org/web/",
        "spiffe://example.org//web",
        "spiffe://example.org/./web",
        "spiffe://example.org/web/..",
        "spiffe://example.org/we%62",
        "spiffe://example.org/web?x=y",
        "spiffe://example.org/web#x",
        "spiffe://example.org/wéb",
        "spiffe://exämple.org/web",
        "spiffe://example.org/we b",
        "spiffe://example.org/web\n",
        " spiffe://example.org/web",
        "spiffe://[::1]/web",
    ];
    for text in bad {
        let error = text.parse::<SpiffeId>().expect_err(text);
        assert!(!error.rule().is_empty());
        assert_eq!(error.input(), text);
        assert!(text.parse::<Identity>().is_err(), "{text}");
    }
}

#[test]
fn lengths_are_bounded() {
    let longest = format!("spiffe://example.org/{}", "a".repeat(2048 - 21));
    assert_eq!(longest.len(), 2048);
    assert!(longest.parse::<SpiffeId>().is_ok());
    assert!(format!("{longest}a").parse::<SpiffeId>().is_err());

    assert!("a".repeat(255).parse::<TrustDomain>().is_ok());
    assert!("a".repeat(256).parse::<TrustDomain>().is_err());

    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    assert_eq!(longest.len(), 253);
    assert!(longest.parse::<DnsName>().is_ok());
    assert!(format!("{longest}a").parse::<DnsName>().is_err());
    assert!(format!("{label}a.org").parse::<DnsName>().is_err());
}

#[test]
fn a_dns_name_is_made_lower_case() {
    let name: DnsName = "API.Example.ORG".parse().unwrap();
    assert_eq!(name.as_str(), "api.example.org");
    assert_eq!(name, "api.example.org".parse().unwrap());
    assert!("localhost".parse::<DnsName>().is_ok());
    assert!("_grpc.1st.example.org".parse::<DnsName>().is_ok());
}

#[test]
fn a_bad_dns_name_is_refused() {
    let bad = [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "*.example.org",
        "-a.org",
        "a-.org",
        "a b",
        "a/b",
        "ä.org",
        "127.0.0.1",
        "10.1",
        "::1",
        "[::1]",
        "a:443",
        "a\0",
    ];
    for text in bad {
        assert!(text.parse::<DnsName>().is_err(), "{text:?}");
    }
}

#[test]
fn an_identity_needs_its_prefix() {
    assert!(matches!("dns:a.org".parse(), Ok(Identity::Dns(_))));
    assert!(matches!(
        "spiffe://a.org/b".parse(),
        Ok(Identity::Spiffe(_))
    ));
    for text in [
        "a.org",
        "DNS:a.org",
        "dns:",
        "uri:spiffe://a.org/b",
        "ip:10.0.0.1",
    ] {
        assert!(text.parse::<Identity>().is_err(), "{text:?}");
    }
}

#[test]
fn a_refused_text_is_cut_and_escaped() {
    let error = "\x1b[31m"
        .repeat(1000)
        .parse::<Identity>()
        .expect_err("bad");
    assert_eq!(error.input().chars().count(), 120);
    assert!(!error.to_string().contains('\x1b'));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parsing_never_panics_and_is_exact(text in any::<String>()) {
        check(&text)?;
        check(&format!("spiffe://{text}"))?;
        check(&format!("spiffe://example.org/{text}"))?;
        check(&format!("dns:{text}"))?;
        let _: Result<TrustDomain, InvalidIdentity> = text.parse();
    }

    #[test]
    fn what_follows_the_rules_is_accepted(
        domain in "[a-z0-9._-]{1,40}",
        path in prop::collection::vec("[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,20}", 1..6),
    ) {
        let text = format!("spiffe://{domain}/{}", path.join("/"));
        let id: SpiffeId = text.parse().unwrap();
        prop_assert_eq!(id.trust_domain().as_str(), domain);
        prop_assert_eq!(id.path(), format!("/{}", path.join("/")));
    }
}

fn check(text: &str) -> Result<(), TestCaseError> {
    if let Ok(identity) = text.parse::<Identity>() {
        let shown = identity.to_string();
        prop_assert!(shown.eq_ignore_ascii_case(text));
        prop_assert_eq!(shown.parse::<Identity>(), Ok(identity));
    }
    Ok(())
}
