//! Headers as bytes, and what the proxy says about them.

use std::{
    io,
    sync::{Arc, Mutex},
};

use crate::{admin::metrics, front::Front};

/// What the proxy logs on this thread.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(super) fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || log.clone());
        tracing::subscriber::set_default(subscriber.finish())
    }

    pub(super) fn find(&self, words: &str) -> Option<String> {
        let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let line = log.lines().rfind(|line| line.contains(words));
        line.map(str::to_owned)
    }

    pub(super) fn last(&self, words: &str) -> String {
        self.find(words).expect("it is logged")
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn v1(line: &str) -> Vec<u8> {
    format!("PROXY {line}\r\n").into_bytes()
}

/// From 192.0.2.9, port 4711.
pub(super) fn v2_tcp4(more: &[u8]) -> Vec<u8> {
    let addresses = [192, 0, 2, 9, 127, 0, 0, 1, 0x12, 0x67, 0, 80];
    v2(0x21, 0x11, &[&addresses, more].concat())
}

pub(super) fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [
        b"\r\n\r\n\0\r\nQUIT\n",
        &[command, family][..],
        &length,
        block,
    ]
    .concat()
}

pub(super) async fn refused(front: &Front) -> f64 {
    metrics(front).await[r#"proxy_proxy_protocol_refused_total{listener="web"}"#]
}

/// One peer, and not the others of loopback.
pub(super) const TRUST: &str = "[trust]\nforwarded = [\"127.0.0.1\"]\n";

pub(super) const ONE_REQUEST: &[u8] =
    b"GET /this HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
