//! tonic as client, of grpcio and of tonic: the kinds of calls, deadlines, and leaving.

use std::{future::Future, net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use http::uri::PathAndQuery;
use tokio::{sync::mpsc, time::Instant};
use tonic::{Code, Request, Status, Streaming, client::Grpc, transport::Channel};

use crate::{
    bytes_codec::BytesCodec,
    front::{Front, bounded},
    grpcio, tonic_server,
};

/// Makes two tests of each scenario: one for each server.
macro_rules! with_each_server {
    ($($scenario:ident),+ $(,)?) => {$(
        mod $scenario {
            #[tokio::test]
            async fn of_grpcio() {
                let (_server, address) = super::grpcio::server(None).await;
                super::through_the_proxy(address, super::$scenario).await;
            }

            #[tokio::test]
            async fn of_tonic() {
                let server = super::tonic_server::start().await;
                super::through_the_proxy(server.address, super::$scenario).await;
            }
        }
    )+};
}

with_each_server!(
    unary,
    server_streaming,
    client_streaming,
    bidirectional,
    deadline_is_passed_on,
    deadline_that_passes,
    leaving_in_the_middle,
    failure,
);

async fn unary(client: Client) {
    let message = Bytes::from(vec![7; 4 << 20]);
    let mut request = Request::new(message.clone());
    request
        .metadata_mut()
        .insert("x-ask", "carried".parse().unwrap());
    let reply = client.unary("Echo", request).await.unwrap();
    assert_eq!(reply.metadata().get("x-initial").unwrap(), "carried");
    assert!(reply.into_inner() == message);
}

async fn server_streaming(client: Client) {
    let replies = client.server_streaming("Expand", "1000 100").await.unwrap();
    let replies: Vec<_> = replies.try_collect().await.unwrap();
    assert_eq!(replies.len(), 1000);
    for (number, reply) in replies.iter().enumerate() {
        assert_eq!(reply, &format!("{number} {}", "x".repeat(100)));
    }
}

async fn client_streaming(client: Client) {
    for count in [1000, 0] {
        let messages = stream::iter((0..count).map(|_| Bytes::from(vec![b'x'; 100])));
        let reply = client.client_streaming("Collect", messages).await.unwrap();
        assert_eq!(reply, format!("{count} {}", count * 100));
    }
}

async fn bidirectional(client: Client) {
    let (outbox, mut messages) = mpsc::channel(1);
    let messages = stream::poll_fn(move |cx| messages.poll_recv(cx));
    outbox.send(Bytes::from("message 0")).await.unwrap();
    let mut replies = client.streaming("Chat", messages).await.unwrap();
    // Each message is made only after the reply to the one before has come.
    for number in 1..=100 {
        let reply = replies.message().await.unwrap().unwrap();
        assert_eq!(reply, format!("message {}", number - 1));
        outbox
            .send(format!("message {number}").into())
            .await
            .unwrap();
    }
    drop(outbox);
    let rest: Vec<_> = replies.try_collect().await.unwrap();
    assert_eq!(rest, ["message 100"]);
}

async fn deadline_is_passed_on(client: Client) {
    let mut request = Request::new(Bytes::new());
    request.set_timeout(Duration::from_secs(20));
    let left = client.unary("Left", request).await.unwrap().into_inner();
    let left: u32 = String::from_utf8(left.to_vec()).unwrap().parse().unwrap();
    assert!((15_000..=20_000).contains(&left), "{left}");
}

async fn deadline_that_passes(client: Client) {
    let mut request = Request::new(Bytes::from("wait"));
    request.set_timeout(Duration::from_millis(300));
    let error = client.unary("Wait", request).await.unwrap_err();
    // tonic's own clock runs as well, and calls what it cuts off cancelled.
    let codes = [Code::DeadlineExceeded, Code::Cancelled];
    assert!(codes.contains(&error.code()), "{error:?}");
    client.has_ended("wait").await;
}

async fn leaving_in_the_middle(client: Client) {
    let mut stream = client.server_streaming("Hang", "left").await.unwrap();
    assert_eq!(stream.message().await.unwrap().unwrap(), "begun");
    drop(stream);
    client.has_ended("left").await;
}

async fn failure(client: Client) {
    let request = "ABORTED too much: 100 % of é";
    let early = client.unary("Fail", Request::new(request.into())).await;
    let mut replies = client.server_streaming("FailLate", request).await.unwrap();
    assert_eq!(replies.message().await.unwrap().unwrap(), "one");
    assert_eq!(replies.message().await.unwrap().unwrap(), "two");
    for error in [early.unwrap_err(), replies.message().await.unwrap_err()] {
        assert_eq!(error.code(), Code::Aborted, "{error:?}");
        assert_eq!(error.message(), "too much: 100 % of é");
        assert_eq!(error.metadata().get("x-reason").unwrap(), "quota");
        let detail = error.metadata().get_bin("x-detail-bin").unwrap();
        assert_eq!(detail.to_bytes().unwrap(), &b"\x00\xff"[..]);
    }
}

async fn through_the_proxy<F: Future<Output = ()>>(
    server: SocketAddr,
    scenario: impl FnOnce(Client) -> F,
) {
    let front = Front::start("http2", server, "");
    let channel = Channel::from_shared(format!("http://{}", front.web())).unwrap();
    bounded(scenario(Client(channel.connect().await.unwrap()))).await;
}

struct Client(Channel);

impl Client {
    async fn unary(
        &self,
        method: &str,
        request: Request<Bytes>,
    ) -> Result<tonic::Response<Bytes>, Status> {
        let mut grpc = self.ready().await;
        grpc.unary(request, path(method), BytesCodec).await
    }

    async fn server_streaming(
        &self,
        method: &str,
        request: &str,
    ) -> Result<Streaming<Bytes>, Status> {
        let request = Request::new(Bytes::from(request.to_owned()));
        let mut grpc = self.ready().await;
        let response = grpc.server_streaming(request, path(method), BytesCodec);
        Ok(response.await?.into_inner())
    }

    async fn client_streaming(
        &self,
        method: &str,
        messages: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Bytes, Status> {
        let request = Request::new(messages.boxed());
        let mut grpc = self.ready().await;
        let response = grpc.client_streaming(request, path(method), BytesCodec);
        Ok(response.await?.into_inner())
    }

    async fn streaming(
        &self,
        method: &str,
        messages: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Streaming<Bytes>, Status> {
        let request = Request::new(messages.boxed());
        let mut grpc = self.ready().await;
        let response = grpc.streaming(request, path(method), BytesCodec);
        Ok(response.await?.into_inner())
    }

    /// Asserts that the server notices within a second that a call of it has been given up.
    async fn has_ended(&self, label: &str) {
        let end = Instant::now() + Duration::from_secs(1);
        loop {
            let ended = self.unary("Ended", Request::new(Bytes::new())).await;
            let ended = ended.unwrap().into_inner();
            if ended
                .split(|byte| *byte == b',')
                .any(|one| one == label.as_bytes())
            {
                return;
            }
            assert!(
                Instant::now() < end,
                "the server does not know after a second"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn ready(&self) -> Grpc<Channel> {
        let mut grpc = Grpc::new(self.0.clone()).max_decoding_message_size(usize::MAX);
        grpc.ready().await.unwrap();
        grpc
    }
}

fn path(method: &str) -> PathAndQuery {
    format!("/peers.Test/{method}").parse().unwrap()
}
