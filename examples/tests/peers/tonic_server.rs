//! The service of `grpc_server.py`, by tonic.

use std::{
    future::pending,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use hyper::body::Incoming;
use tonic::{
    Code, Request, Response, Status, Streaming,
    body::Body,
    metadata::{MetadataMap, MetadataValue},
    server::Grpc,
};
use tower::service_fn;

use crate::{bytes_codec::BytesCodec, support::upstream::Upstream};

type Reply = Result<Response<Bytes>, Status>;
type Replies = Result<Response<BoxStream<'static, Result<Bytes, Status>>>, Status>;

/// The labels of calls that were cancelled or timed out.
type Ended = Arc<Mutex<Vec<Bytes>>>;

pub(crate) async fn start() -> Upstream {
    let ended = Ended::default();
    Upstream::start(move |request| route(request, ended.clone())).await
}

async fn route(request: http::Request<Incoming>, ended: Ended) -> http::Response<Body> {
    let mut grpc = Grpc::new(BytesCodec).max_decoding_message_size(usize::MAX);
    let method = request.uri().path().strip_prefix("/peers.Test/");
    match method.unwrap_or_default().to_owned().as_str() {
        "Echo" => grpc.unary(service_fn(echo), request).await,
        "Expand" => grpc.server_streaming(service_fn(expand), request).await,
        "Collect" => grpc.client_streaming(service_fn(collect), request).await,
        "Chat" => grpc.streaming(service_fn(chat), request).await,
        "Left" => grpc.unary(service_fn(left), request).await,
        "Hang" => {
            let hang = service_fn(move |request| hang(request, ended.clone()));
            grpc.server_streaming(hang, request).await
        }
        "Wait" => {
            let wait = service_fn(move |request| wait(request, ended.clone()));
            grpc.unary(wait, request).await
        }
        "Fail" => {
            let fail = service_fn(async |request| -> Reply { Err(failure(request)) });
            grpc.unary(fail, request).await
        }
        "FailLate" => grpc.server_streaming(service_fn(fail_late), request).await,
        "Ended" => {
            let tell = service_fn(move |_: Request<Bytes>| {
                let labels = lock(&ended).join(&b","[..]);
                async { Reply::Ok(Response::new(labels.into())) }
            });
            grpc.unary(tell, request).await
        }
        _ => Status::unimplemented("no such method").into_http(),
    }
}

async fn echo(request: Request<Bytes>) -> Reply {
    let asked = request.metadata().get("x-ask").cloned();
    let mut response = Response::new(request.into_inner());
    if let Some(asked) = asked {
        // In place of trailers, which tonic does not offer for one reply.
        let trailing = MetadataValue::from_bytes(asked.as_bytes());
        response.metadata_mut().insert("x-initial", asked);
        response
            .metadata_mut()
            .insert_bin("x-trailing-bin", trailing);
    }
    Ok(response)
}

async fn expand(request: Request<Bytes>) -> Replies {
    let request = String::from_utf8(request.into_inner().to_vec()).unwrap();
    let (count, size) = request.split_once(' ').unwrap();
    let (count, size): (usize, usize) = (count.parse().unwrap(), size.parse().unwrap());
    let replies = (0..count).map(move |number| Ok(format!("{number} {}", "x".repeat(size)).into()));
    Ok(Response::new(stream::iter(replies).boxed()))
}

async fn collect(request: Request<Streaming<Bytes>>) -> Reply {
    let sum =
        |(count, total), message: Bytes| async move { Ok((count + 1, total + message.len())) };
    let (count, total) = request.into_inner().try_fold((0, 0), sum).await?;
    Ok(Response::new(format!("{count} {total}").into()))
}

async fn chat(request: Request<Streaming<Bytes>>) -> Replies {
    Ok(Response::new(request.into_inner().boxed()))
}

async fn left(request: Request<Bytes>) -> Reply {
    let left = request.metadata().get("grpc-timeout").unwrap();
    let left = milliseconds(left.to_str().unwrap());
    Ok(Response::new(left.to_string().into()))
}

fn milliseconds(timeout: &str) -> u128 {
    let (number, unit) = timeout.split_at(timeout.len() - 1);
    let number: u64 = number.parse().unwrap();
    let duration = match unit {
        "n" => Duration::from_nanos(number),
        "u" => Duration::from_micros(number),
        "m" => Duration::from_millis(number),
        "S" => Duration::from_secs(number),
        "M" => Duration::from_secs(number * 60),
        other => panic!("unit {other}"),
    };
    duration.as_millis()
}

async fn hang(request: Request<Bytes>, ended: Ended) -> Replies {
    let note = NoteEnd(request.into_inner(), ended);
    let begun = stream::iter([Ok(Bytes::from_static(b"begun"))]);
    let never = stream::once(async move {
        let _note = note;
        pending().await
    });
    Ok(Response::new(begun.chain(never).boxed()))
}

async fn wait(request: Request<Bytes>, ended: Ended) -> Reply {
    let _note = NoteEnd(request.into_inner(), ended);
    pending().await
}

async fn fail_late(request: Request<Bytes>) -> Replies {
    let replies = [Ok("one".into()), Ok("two".into()), Err(failure(request))];
    Ok(Response::new(stream::iter(replies).boxed()))
}

fn failure(request: Request<Bytes>) -> Status {
    let request = String::from_utf8(request.into_inner().to_vec()).unwrap();
    let (name, message) = request.split_once(' ').unwrap();
    let code = match name {
        "RESOURCE_EXHAUSTED" => Code::ResourceExhausted,
        "DATA_LOSS" => Code::DataLoss,
        "ABORTED" => Code::Aborted,
        other => panic!("code {other}"),
    };
    let mut trailing = MetadataMap::new();
    trailing.insert("x-reason", "quota".parse().unwrap());
    trailing.insert_bin("x-detail-bin", MetadataValue::from_bytes(b"\x00\xff"));
    Status::with_metadata(code, message, trailing)
}

/// A call, whose end is noted when this is dropped.
struct NoteEnd(Bytes, Ended);

impl Drop for NoteEnd {
    fn drop(&mut self) {
        lock(&self.1).push(self.0.clone());
    }
}

fn lock(ended: &Ended) -> std::sync::MutexGuard<'_, Vec<Bytes>> {
    ended.lock().unwrap_or_else(PoisonError::into_inner)
}
