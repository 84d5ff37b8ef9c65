//! In which order addresses are tried.

use std::{collections::VecDeque, net::SocketAddr};

/// RFC 8305, section 4: `first` addresses of the family that comes first, then one of the other
/// family and one of the first in turn, as long as there are both. Within a family the order stays.
pub(crate) fn interleave(addresses: &[SocketAddr], first: usize) -> VecDeque<SocketAddr> {
    let Some(head) = addresses.first() else {
        return VecDeque::new();
    };
    let is_first = |address: &SocketAddr| address.is_ipv6() == head.is_ipv6();
    let (preferred, others): (Vec<_>, Vec<_>) = addresses.iter().copied().partition(is_first);
    let mut preferred = preferred.into_iter();
    let mut others = others.into_iter();
    let mut order: VecDeque<_> = preferred.by_ref().take(first).collect();
    loop {
        let pair = [others.next(), preferred.next()];
        if pair == [None, None] {
            return order;
        }
        order.extend(pair.into_iter().flatten());
    }
}
