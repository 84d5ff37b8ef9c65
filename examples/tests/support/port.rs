use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

/// A port of loopback where nobody listens and that nobody else is given.
///
/// A server of this process may listen there, end, and listen again.
pub struct ReservedPort {
    pub address: SocketAddr,
    _bound: Socket,
}

impl ReservedPort {
    pub fn new() -> Self {
        let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        bound.set_reuse_address(true).unwrap();
        bound
            .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .unwrap();
        let address = bound.local_addr().unwrap().as_socket().unwrap();
        Self {
            address,
            _bound: bound,
        }
    }
}
