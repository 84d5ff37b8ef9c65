use proptest::prelude::*;

use super::*;

#[test]
fn what_is_no_header_is_the_clients() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST",
        b"PROXY\t",
        b"PROXYTCP4 ",
        b"proxy TCP4 ",
        b"\r\nGET",
        b"\x16\x03\x01",
    ] {
        assert_eq!(read(bytes), Ok(Start::Absent), "{bytes:?}");
    }
}

#[test]
fn a_line_names_the_client() {
    for (line, client) in [
        (
            "TCP4 192.0.2.1 198.51.100.1 65535 0",
            Some("192.0.2.1:65535"),
        ),
        ("TCP6 2001:db8::1 ::1 1 443", Some("[2001:db8::1]:1")),
        (
            "TCP6 ::ffff:192.0.2.1 ::1 1 443",
            Some("[::ffff:192.0.2.1]:1"),
        ),
        ("UNKNOWN", None),
        ("UNKNOWN ffff:f...f:ffff \u{fe} 65535 \r", None),
    ] {
        let header = format!("PROXY {line}\r\n");
        let start = Start::Header {
            length: header.len(),
            client: client.map(|client| client.parse().unwrap()),
        };
        assert_eq!(read(header.as_bytes()), Ok(start), "{line}");
    }
}

#[test]
fn a_line_that_breaks_the_rules_is_refused() {
    for line in [
        "TCP4 192.0.2.1 198.51.100.1 1\r\n",
        "TCP4 192.0.2.1 198.51.100.1 1 2 \r\n",
        "TCP4  192.0.2.1 198.51.100.1 1 2\r\n",
        "TCP4 192.0.2.1 198.51.100.1 1 2\n",
        "TCP4 192.0.2.1 198.51.100.1 1 65536\r\n",
        "TCP4 192.0.2.1 198.51.100.1 +1 2\r\n",
        "TCP4 192.0.2.1 198.51.100.1 01 2\r\n",
        "TCP4 192.0.2.1 198.51.100.1 1 \r\n",
        "TCP4 ::1 ::1 1 2\r\n",
        "TCP6 192.0.2.1 198.51.100.1 1 2\r\n",
        "TCP4 192.0.2.01 198.51.100.1 1 2\r\n",
        "TCP4 192.0.2.1 elsewhere 1 2\r\n",
        "TCP6 [::1] ::1 1 2\r\n",
        "TCP5 192.0.2.1 198.51.100.1 1 2\r\n",
        "tcp4 192.0.2.1 198.51.100.1 1 2\r\n",
        "UNKNOWNS\r\n",
        "\r\n",
        "\u{fe}\r\n",
    ] {
        let read = read(format!("PROXY {line}").as_bytes());
        assert!(read.is_err(), "{line}: {read:?}");
    }
    let long = |length: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(length - 16));
    assert!(matches!(
        read(long(107).as_bytes()),
        Ok(Start::Header { length: 107, .. })
    ));
    assert!(read(long(108).as_bytes()).is_err());
    assert!(read(&long(108).as_bytes()[..107]).is_err(), "it never ends");
    assert_eq!(read(&long(108).as_bytes()[..106]), Ok(Start::Incomplete));
}

#[test]
fn a_binary_header_names_a_client_of_tcp_and_nobody_else() {
    let v4 = [192, 0, 2, 1, 198, 51, 100, 1, 0xff, 0xfe, 0, 80];
    let v6 = [[0x20; 16].as_slice(), &[1; 16], &[0, 7, 0, 8]].concat();
    let client_v4 = "192.0.2.1:65534".parse().ok();
    let client_v6 = Some(SocketAddr::new(IpAddr::from([0x20; 16]), 7));
    for (command, family, block, client) in [
        (PROXY, 0x11, &v4[..], client_v4),
        (PROXY, 0x11, &[&v4[..], b"\x04\0\x01x"].concat(), client_v4),
        (PROXY, 0x21, &v6, client_v6),
        (LOCAL, 0x11, &v4, None),
        (LOCAL, 0x00, &[], None),
        (LOCAL, 0xff, &[], None),
        (PROXY, 0x00, &[], None),
        (PROXY, 0x12, &v4, None),
        (PROXY, 0x31, &[b'/'; 216], None),
    ] {
        let bytes = v2(command, family, block);
        let length = bytes.len();
        let start = Start::Header { length, client };
        assert_eq!(read(&bytes), Ok(start), "{command:x} {family:x}");
    }
    for (command, family, block) in [
        (0x10, 0x11, &v4[..]),
        (0x22, 0x11, &v4),
        (PROXY, 0x41, &v4),
        (PROXY, 0x13, &v4),
        (PROXY, 0x11, &v4[..11]),
        (PROXY, 0x21, &v6[..35]),
        (PROXY, 0x31, &[0; 215]),
        (LOCAL, 0x00, &[0; 521]),
    ] {
        let bytes = v2(command, family, block);
        assert!(read(&bytes).is_err(), "{command:x} {family:x}");
        assert!(read(&bytes[..16]).is_err(), "as soon as it can be told");
    }
    let longest = v2(LOCAL, 0, &[0; 520]);
    assert_eq!(longest.len(), LONGEST);
    assert!(matches!(read(&longest), Ok(Start::Header { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic_or_undecided(
        signature in prop_oneof![Just(&b""[..]), Just(V1), Just(V2), Just(&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0"[..])],
        rest in prop::collection::vec(any::<u8>(), 0..700),
    ) {
        let bytes = [signature, &rest].concat();
        match read(&bytes) {
            Ok(Start::Header { length, .. }) => prop_assert!(length <= bytes.len().min(LONGEST)),
            Ok(Start::Incomplete) => prop_assert!(bytes.len() < LONGEST),
            Ok(Start::Absent) | Err(_) => {}
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_written_and_not_a_byte_further(
        client in any::<(IpAddr, u16)>().prop_map(SocketAddr::from),
        binary in any::<bool>(),
        extra in prop::collection::vec(any::<u8>(), 0..400),
        after in prop::collection::vec(any::<u8>(), 0..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let header = if binary { written_v2(client, &extra) } else { written_v1(client) };
        let start = Start::Header { length: header.len(), client: Some(client) };
        prop_assert_eq!(read(&[&header[..], &after].concat()), Ok(start));
        // Whatever piece of it has come, no more than the rest is waited for.
        prop_assert_eq!(read(&header[..cut.index(header.len())]), Ok(Start::Incomplete));
    }
}

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [V2, &[command, family], &length, block].concat()
}

fn written_v1(client: SocketAddr) -> Vec<u8> {
    let (family, proxy) = match client {
        SocketAddr::V4(_) => ("TCP4", "198.51.100.1"),
        SocketAddr::V6(_) => ("TCP6", "2001:db8::ffff"),
    };
    let (ip, port) = (client.ip(), client.port());
    format!("PROXY {family} {ip} {proxy} {port} 443\r\n").into_bytes()
}

fn written_v2(client: SocketAddr, extra: &[u8]) -> Vec<u8> {
    let port = client.port().to_be_bytes();
    let (family, ips) = match client.ip() {
        IpAddr::V4(ip) => (0x11, [ip.octets(); 2].concat()),
        IpAddr::V6(ip) => (0x21, [ip.octets(); 2].concat()),
    };
    v2(PROXY, family, &[&ips, &port[..], &[1, 187], extra].concat())
}
