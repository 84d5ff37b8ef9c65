//! The rules themselves, against a naive reading of what they say, and under arbitrary bytes.

use examples::route::{
    Choice, HostPattern, Match, PathPrefix, Rules, Target, Unroutable, has_dot_segments,
};
use http::{Method, Uri, uri::PathAndQuery};
use proptest::{collection::vec, prelude::*, sample::select};

/// A route as its table says it.
#[derive(Clone, Debug)]
struct Said {
    host: Option<&'static str>,
    path_prefix: Option<&'static str>,
    methods: Option<Vec<&'static str>>,
}

#[derive(Clone, Debug)]
struct Asked {
    authority: String,
    path: String,
    method: &'static str,
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rules_choose_as_a_naive_reader_does(
        said in vec(any_route(), 0..5),
        asked in any_request(),
        has_default: bool,
    ) {
        let matches = said.iter().map(Said::to_match).collect();
        let rules = Rules::new(matches, has_default);
        let method = asked.method.parse().unwrap();
        let chosen = rules.choose(asked.authority.as_bytes(), &asked.path, &method);
        prop_assert_eq!(chosen, naive(&said, &asked, has_default));
    }

    #[test]
    fn a_route_that_covers_another_takes_what_that_takes(
        one in any_route(),
        other in any_route(),
        asked in any_request(),
    ) {
        let takes = |said: &Said| naive(std::slice::from_ref(said), &asked, false) == Ok(Choice::Route(0));
        if one.to_match().covers(&other.to_match()) && takes(&other) {
            prop_assert!(takes(&one));
        }
    }

    #[test]
    fn a_route_covers_itself_and_what_asks_more(said in any_route(), method in any_method()) {
        let narrower = Said { methods: said.methods.clone().or(Some(vec![method])), ..said.clone() };
        prop_assert!(said.to_match().covers(&said.to_match()));
        prop_assert!(said.to_match().covers(&narrower.to_match()));
        prop_assert_eq!(narrower.to_match().covers(&said.to_match()), said.methods.is_some());
    }

    #[test]
    fn no_bytes_of_a_stranger_make_them_panic(
        said in vec(any_route(), 0..5),
        authority: Vec<u8>,
        path: String,
        method in any_method(),
        has_default: bool,
    ) {
        let matches = said.iter().map(Said::to_match).collect();
        let method = method.parse().unwrap();
        let chosen = Rules::new(matches, has_default).choose(&authority, &path, &method);
        prop_assert!(!has_default || !matches!(chosen, Err(Unroutable::NoRoute | Unroutable::Misdirected)));
    }

    #[test]
    fn no_text_of_a_file_makes_them_panic(text in r"[-a-z0-9:/.*%?#{}@\[\]\\ äß]{0,24}") {
        let _ = text.parse::<HostPattern>();
        let _ = text.parse::<PathPrefix>();
        let _ = text.parse::<Target>();
    }

    #[test]
    fn dots_are_found_however_they_are_written(
        before in "(/[a-z]{0,3}){0,2}",
        separator in select(&["/", "%2f", "%2F", "\\", "%5c", "%5C"][..]),
        dots in select(&[".", "..", "%2e", "%2E", "%2e.", ".%2E", "%2E%2e"][..]),
        after in select(&["", "/", "/x", "%2fx", "%5C", "\\x", ";p=1", ";/x"][..]),
    ) {
        let path = format!("{before}{separator}{dots}{after}");
        prop_assert!(has_dot_segments(&path), "{}", path);
    }

    #[test]
    fn a_path_without_dots_has_no_dot_segments(path in r"(/|\\|%2f|[g-z;]|%41|%2|%){0,12}") {
        prop_assert!(!has_dot_segments(&path));
    }

    #[test]
    fn rewriting_changes_the_prefix_alone(
        matched in any_prefix(),
        rewrite in any_prefix(),
        rest in "(/[a-z]{0,2}){0,3}",
        query in r"(\?[a-z/?=&.%20]{0,8})?",
    ) {
        let plain = |prefix: &str| prefix.strip_suffix('/').unwrap_or(prefix).to_owned();
        let target = match format!("{}{rest}", plain(matched)) {
            path if path.is_empty() => format!("/{query}"),
            path => format!("{path}{query}"),
        };
        let rest = target.strip_suffix(&query).unwrap().strip_prefix(&plain(matched)).unwrap();
        let target: PathAndQuery = target.parse().unwrap();
        let prefix = |text: &str| text.parse::<PathPrefix>().unwrap();
        let rewritten = prefix(rewrite).replace(&prefix(matched), &target);
        if rest.starts_with("//") {
            prop_assert_eq!(rewritten, Err(Unroutable::EmptySegment));
            return Ok(());
        }
        let path = format!("{}{rest}", plain(rewrite));
        let path = if path.is_empty() { "/".to_owned() } else { path };
        prop_assert!(!path.starts_with("//"));
        let rewritten = rewritten.unwrap();
        prop_assert_eq!(rewritten.as_str(), format!("{path}{query}"));
    }

    #[test]
    fn a_redirect_never_leaves_its_host(
        to in select(&[
            "https://a.test{path}", "https://a.test{rest}", "http://a.test:81{rest}",
            "https://a.test/x{path}?from={host}{rest}", "https://a.test/{rest}#{path}", "https://a.test",
        ][..]),
        matched in any_prefix(),
        authority in r"([a-z.@:/]|\PC){0,9}",
        more in r"([-a-z/@:.?\\%&{}|^]|[à-ÿ]){0,12}",
    ) {
        let target = format!("{}{more}", matched.strip_suffix('/').unwrap_or(matched));
        let target = if target.starts_with('/') { target } else { format!("/{target}") };
        let Ok(uri) = target.parse::<Uri>() else { return Ok(()) };
        let to: Target = to.parse().unwrap();
        let location = to.location(authority.as_bytes(), &uri, &matched.parse().unwrap()).unwrap();
        let location = location.to_str().unwrap();
        let (_, after_scheme) = location.split_once("://").unwrap();
        let end = after_scheme.find(['/', '?', '#', '\\']).unwrap_or(after_scheme.len());
        prop_assert!(["a.test", "a.test:81"].contains(&&after_scheme[..end]), "{}", location);
        prop_assert!(location.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'));
    }
}

#[test]
fn a_route_covers_exactly_those_whose_requests_it_takes() {
    let route = |host, path_prefix, methods: Option<&[&'static str]>| Said {
        host,
        path_prefix,
        methods: methods.map(<[_]>::to_vec),
    };
    let hosts = [None].into_iter().chain(HOSTS.iter().copied().map(Some));
    let prefixes = [None].into_iter().chain(PREFIXES.iter().copied().map(Some));
    let methods = [
        None,
        Some(&["GET"][..]),
        Some(&["HEAD", "GET"]),
        Some(&["PUT"]),
    ];
    let by_host: Vec<_> = hosts.map(|host| route(host, None, None)).collect();
    let by_prefix: Vec<_> = prefixes.map(|prefix| route(None, prefix, None)).collect();
    let by_method: Vec<_> = methods.map(|methods| route(None, None, methods)).into();
    let authorities = [
        "test",
        "x.test",
        "a.test",
        "b.a.test",
        "c.a.test",
        "c.b.a.test",
    ];
    let paths = [
        "*", "/", "/v1", "/v1/x", "/v1/x/y", "/v1/y", "/v10", "/x", "/y",
    ];
    let mut requests = Vec::new();
    for (authority, path) in authorities
        .iter()
        .flat_map(|host| paths.map(|path| (host, path)))
    {
        requests.extend(["GET", "HEAD", "PUT", "OPTIONS"].map(|method| Asked {
            authority: (*authority).to_owned(),
            path: path.to_owned(),
            method,
        }));
    }
    for routes in [by_host, by_prefix, by_method] {
        for (one, other) in routes
            .iter()
            .flat_map(|one| routes.iter().map(move |other| (one, other)))
        {
            let takes = |said: &Said, asked: &Asked| {
                naive(std::slice::from_ref(said), asked, false) == Ok(Choice::Route(0))
            };
            let takes_all = requests
                .iter()
                .all(|asked| takes(one, asked) || !takes(other, asked));
            let covers = one.to_match().covers(&other.to_match());
            assert_eq!(covers, takes_all, "{one:?} {other:?}");
        }
    }
}

/// What the documentation says, word by word.
fn naive(said: &[Said], asked: &Asked, has_default: bool) -> Result<Choice, Unroutable> {
    let host = asked.authority.split(':').next().unwrap();
    let host = host.strip_suffix('.').unwrap_or(host).to_lowercase();
    let segments: Vec<_> = asked.path.split('/').collect();
    if said.iter().any(|route| route.path_prefix.is_some())
        && segments.iter().any(|segment| [".", ".."].contains(segment))
    {
        return Err(Unroutable::DotSegments);
    }
    let takes_host = |route: &Said| match route.host {
        None => true,
        Some(pattern) => match pattern.strip_prefix('*') {
            Some(parent) => {
                let below = host.strip_suffix(parent);
                below.is_some_and(|labels| labels.split('.').all(|label| !label.is_empty()))
            }
            None => host == pattern,
        },
    };
    let takes_path = |route: &Said| match route.path_prefix {
        None => true,
        Some("/") => asked.path.starts_with('/'),
        Some(prefix) => {
            let wanted: Vec<_> = prefix.split('/').collect();
            segments.starts_with(&wanted)
        }
    };
    let takes_method = |route: &Said| {
        let methods = route.methods.as_ref();
        methods.is_none_or(|methods| methods.contains(&asked.method))
    };
    for (index, route) in said.iter().enumerate() {
        if takes_host(route) && takes_path(route) && takes_method(route) {
            return Ok(Choice::Route(index));
        }
    }
    match (has_default, said.iter().any(takes_host)) {
        (true, _) => Ok(Choice::Default),
        (false, true) => Err(Unroutable::NoRoute),
        (false, false) => Err(Unroutable::Misdirected),
    }
}

impl Said {
    fn to_match(&self) -> Match {
        let methods = self.methods.as_ref();
        Match {
            host: self.host.map(|host| host.parse().unwrap()),
            path_prefix: self.path_prefix.map(|prefix| prefix.parse().unwrap()),
            methods: methods.map(|methods| {
                let methods = methods.iter().map(|method| method.parse::<Method>());
                methods.collect::<Result<_, _>>().unwrap()
            }),
        }
    }
}

fn any_route() -> impl Strategy<Value = Said> {
    let host = select(HOSTS);
    let methods = vec(any_method(), 1..3);
    let parts = (
        prop::option::of(host),
        prop::option::of(any_prefix()),
        prop::option::of(methods),
    );
    parts.prop_map(|(host, path_prefix, methods)| Said {
        host,
        path_prefix,
        methods,
    })
}

fn any_request() -> impl Strategy<Value = Asked> {
    let authority = r"(([ab]|B|bb|)\.){0,3}([aA]\.)?(test|TEST|xtest)\.?(:80)?";
    let path = r"(/(v1|v10|x|V1|\.|\.\.|)){1,3}|/?|\*";
    (authority, path, any_method()).prop_map(|(authority, path, method)| Asked {
        authority,
        path,
        method,
    })
}

fn any_prefix() -> impl Strategy<Value = &'static str> {
    select(PREFIXES)
}

fn any_method() -> impl Strategy<Value = &'static str> {
    select(&["GET", "HEAD", "POST", "OPTIONS"][..])
}

const HOSTS: &[&str] = &["a.test", "b.a.test", "*.a.test", "*.b.a.test", "*.test"];

const PREFIXES: &[&str] = &["/", "/v1", "/v1/x", "/x", "/v10"];
