//! Choosing a route allocates nothing.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::black_box,
};

use examples::route::{Choice, Match, Rules};
use http::Method;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's contract is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn choosing_a_route_allocates_nothing() {
    let rule = |host: &str, prefix: &str| Match {
        host: Some(host.parse().unwrap()),
        path_prefix: Some(prefix.parse().unwrap()),
        methods: Some(vec![Method::GET, Method::POST]),
    };
    let matches = [("a.test", "/v1"), ("*.b.test", "/v2"), ("[::1]", "/v3")];
    let matches = matches.map(|(host, prefix)| rule(host, prefix));
    let rules = Rules::new(matches.into(), true);
    let before = ALLOCATIONS.get();
    let chosen = [
        ("A.test.:80", "/v1/x"),
        ("x.y.b.test", "/v2"),
        ("[0::1]:8080", "/v3/%2f"),
        ("c.test", "/v1"),
        ("a.test", "/v1/%2E%2e/x"),
    ]
    .map(|(host, path)| rules.choose(black_box(host.as_bytes()), black_box(path), &Method::GET));
    assert_eq!(ALLOCATIONS.get(), before);
    assert_eq!(
        chosen.map(Result::ok),
        [
            Some(Choice::Route(0)),
            Some(Choice::Route(1)),
            Some(Choice::Route(2)),
            Some(Choice::Default),
            None
        ]
    );
}
