//! What an endpoint has refused to process is sent again, a `POST` as well.

use http::{Request, Version};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    frames::{Frames, HEADERS, RST_STREAM, SETTINGS},
    front::{Front, bounded, get},
    raw::RawUpstream,
    support::{body::full, client::read, eventually},
};

#[tokio::test]
async fn a_stream_that_is_refused_is_sent_again_without_any_retries_configured() {
    let upstream = refusing(2);
    let front = Front::start("http2", upstream.address, "");
    let mut client = front.client(Version::HTTP_11).await;
    let request = Request::post("/").body(full("body")).unwrap();
    let response = bounded(client.send(request)).await.unwrap();
    assert_eq!(response.status(), 200);
    read(response).await;
    let retries = front.proxy.status()[0].retries;
    assert_eq!((retries.resent, retries.retries), (2, 0));
}

/// Through the whole proxy: what was excluded is sent again, and that is nobody's failure.
#[tokio::test]
async fn an_endpoint_that_goes_away_has_not_failed() {
    let upstream = RawUpstream::start(|stream, number| async move {
        let Some(mut frames) = Frames::accept(stream, 100).await else {
            return;
        };
        let Some(stream) = frames.requests(1).await else {
            return;
        };
        match number {
            0 => frames.goaway(0).await,
            _ => frames.headers(stream, &[(":status", "200")], true).await,
        }
        frames.requests(1).await;
    });
    let front = Front::start("http2", upstream.address, "");
    let mut client = front.client(Version::HTTP_11).await;
    let request = Request::post("/").body(full("once")).unwrap();
    let response = bounded(client.send(request)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(upstream.connections(), 2);
    assert_eq!(front.endpoint().failures, 0);
}

/// Nothing that looks after a connection outlives it.
#[tokio::test]
async fn connections_that_come_and_go_leave_nothing_behind() {
    let upstream = RawUpstream::start(|stream, _| async move {
        let Some(mut frames) = Frames::accept(stream, 100).await else {
            return;
        };
        let Some(stream) = frames.requests(1).await else {
            return;
        };
        frames.headers(stream, &[(":status", "200")], true).await;
        frames.goaway(stream).await;
    });
    let front = Front::start("http2", upstream.address, "");
    let mut client = front.client(Version::HTTP_11).await;
    let alive = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let mut first = 0;
    for number in 0..60 {
        let response = bounded(client.send(get("/"))).await.unwrap();
        assert_eq!(response.status(), 200);
        read(response).await;
        if number == 10 {
            first = alive();
        }
    }
    assert!(upstream.connections() >= 50, "{}", upstream.connections());
    eventually("they end", || alive() <= first + 3).await;
}

#[tokio::test]
async fn an_endpoint_that_refuses_everything_is_asked_three_times() {
    let upstream = refusing(usize::MAX);
    let front = Front::start("http2", upstream.address, "");
    let mut client = front.client(Version::HTTP_11).await;
    for round in 1..=2 {
        let request = Request::post("/").body(full("body")).unwrap();
        let response = bounded(client.send(request)).await.unwrap();
        assert_eq!(response.status(), 502);
        read(response).await;
        assert_eq!(front.proxy.status()[0].retries.resent, 2 * round);
    }
}

/// An HTTP/2 endpoint that refuses the first streams of each connection.
fn refusing(refused: usize) -> RawUpstream {
    RawUpstream::start(move |mut stream, _| async move {
        // The client's preface.
        stream.read_exact(&mut [0; 24]).await.unwrap();
        write(&mut stream, SETTINGS, 0, 0, &[]).await;
        let mut seen = 0;
        while let Some((kind, flags, number)) = next(&mut stream).await {
            match kind {
                SETTINGS if flags & ACK == 0 => write(&mut stream, SETTINGS, ACK, 0, &[]).await,
                HEADERS if seen < refused => {
                    seen += 1;
                    write(&mut stream, RST_STREAM, 0, number, &REFUSED_STREAM).await;
                }
                HEADERS => write(&mut stream, HEADERS, END_OF_BOTH, number, &STATUS_200).await,
                _ => {}
            }
        }
    })
}

/// A frame's kind, flags and stream.
async fn next(stream: &mut TcpStream) -> Option<(u8, u8, u32)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let [a, b, c, kind, flags, number @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    stream.read_exact(&mut payload).await.ok()?;
    Some((kind, flags, u32::from_be_bytes(number)))
}

async fn write(stream: &mut TcpStream, kind: u8, flags: u8, number: u32, payload: &[u8]) {
    let length = u8::try_from(payload.len()).unwrap();
    let mut frame = vec![0, 0, length, kind, flags];
    frame.extend_from_slice(&number.to_be_bytes());
    frame.extend_from_slice(payload);
    // The proxy may have gone.
    let _ = stream.write_all(&frame).await;
}

const ACK: u8 = 1;
/// END_STREAM and END_HEADERS.
const END_OF_BOTH: u8 = 1 | 4;
const REFUSED_STREAM: [u8; 4] = 7_u32.to_be_bytes();
/// `:status: 200`, from HPACK's static table.
const STATUS_200: [u8; 1] = [0x88];
