//! HTTP/2 connections to one endpoint: one, and more while its streams have run out.

mod driver;
mod keeping;
mod streams;

use std::{
    fmt,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Poll,
};

use arc_swap::ArcSwap;
use http::{Request, Response, uri::Scheme};
use hyper::client::conn::http2;
use tokio::time::{Instant, timeout};
use tower_reconnect::error::InvalidSetting;

use self::{
    driver::Driver,
    keeping::{retire, sweep},
    streams::{Room, Streams},
};
pub(super) use self::{driver::handshake, streams::Stream};
use super::{
    age::retirement,
    body::EndpointBody,
    connection::RequestBody,
    dials::{Dials, Gate, Held, MayEnd},
    ended::{Ended, Unsent},
    handshake::Dialer,
    met::note_met,
    queue::NoFreeConnection,
    timeout::note_sent,
    unprocessed::Unprocessed,
    upkeep::{OneTask, Upkeep},
};
use crate::{
    BoxError,
    config::ReconnectConfig,
    http::forward::{for_anyone, for_http2},
};

/// The HTTP/2 connections to one endpoint, behind one cheap handle.
///
/// A request takes a stream of the connection that has the fewest. Where each has as many as its
/// peer allows, it waits, and another connection is made meanwhile. One that was told to go away
/// takes no more requests; its streams go on. When none is left this is over, and says so by an
/// error in `poll_ready`.
pub struct Http2<B> {
    shared: Arc<Shared<B>>,
}

/// What dialling gives.
pub(super) type Http2Parts<B> = (http2::SendRequest<B>, Driver);

struct Shared<B> {
    /// Of further connections; the first has come from the layer that shares this.
    dials: Dials<Http2Parts<B>>,
    scheme: Scheme,
    settings: ReconnectConfig,
    /// Those that take requests. Read without a lock.
    members: ArcSwap<Vec<Arc<Member<B>>>>,
    room: Arc<Room>,
    growing: OneTask,
    /// Whether one has answered: then their end is no failure.
    worked: AtomicBool,
    sweeping: OnceLock<Upkeep>,
}

/// One connection. It is closed when its last stream has ended and the set has let it go.
///
/// Nobody else keeps the sender. A request that is handed over at the moment when its connection
/// ends may be stuck between the two: it comes back when the last sender is gone.
struct Member<B> {
    sender: http2::SendRequest<B>,
    streams: Arc<Streams>,
    retiring: OnceLock<Upkeep>,
}

type Taken<B> = (http2::SendRequest<B>, Stream);

enum Pick<B> {
    Stream(http2::SendRequest<B>, Stream),
    Full,
    Over,
}

impl<B: RequestBody> Http2<B> {
    pub(super) fn new(
        dialer: Dialer,
        first: Http2Parts<B>,
        scheme: Scheme,
    ) -> Result<Self, InvalidSetting> {
        let (address, settings) = (dialer.address, dialer.settings);
        let gate = Gate::new(dialer.log.clone());
        let shared = Arc::new(Shared {
            dials: Dials::new(address, &settings.for_further(), gate, move || {
                dialer.http2()
            })?,
            scheme,
            settings,
            members: ArcSwap::default(),
            room: Arc::new(Room::new(settings.max_pending)),
            growing: OneTask::default(),
            worked: AtomicBool::new(false),
            sweeping: OnceLock::new(),
        });
        shared.join(first, None);
        let sweeping = sweep(Arc::downgrade(&shared), settings.idle);
        let _ = shared.sweeping.set(Upkeep::spawn(sweeping));
        Ok(Self { shared })
    }

    pub(super) fn poll_ready(&self) -> Poll<Result<(), BoxError>> {
        let members = self.shared.members.load();
        Poll::Ready(match members.iter().any(|member| member.is_open()) {
            true => Ok(()),
            false => Err(self.shared.ended(NO_MORE).into()),
        })
    }

    pub(super) async fn send(
        self,
        mut request: Request<B>,
    ) -> Result<Response<EndpointBody<B>>, BoxError> {
        let Some((mut sender, stream)) = self.shared.stream().await? else {
            return Err(Unsent::new(request, self.shared.ended(NO_MORE)).into());
        };
        for_http2(&mut request, self.shared.scheme.clone());
        note_sent(&request);
        note_met(&request, stream.peer());
        let sending = sender.try_send_request(request);
        drop(sender);
        match sending.await {
            Ok(response) => {
                self.shared.worked.store(true, Relaxed);
                Ok(response.map(|body| EndpointBody::stream(body, stream)))
            }
            Err(mut error) => Err(match error.take_message() {
                Some(request) => {
                    let ended = self.shared.ended(error.error());
                    Unsent::new(for_anyone(request), ended).into()
                }
                None => Unprocessed::recognise(error.into_error()),
            }),
        }
    }
}

impl<B: RequestBody> Shared<B> {
    fn ended(&self, cause: impl fmt::Display) -> Ended {
        Ended::new(self.worked.load(Relaxed), cause)
    }

    /// A stream, at once or as soon as there is one; none when this is over.
    async fn stream(self: &Arc<Self>) -> Result<Option<Taken<B>>, BoxError> {
        match self.pick() {
            Pick::Stream(sender, stream) => return Ok(Some((sender, stream))),
            Pick::Over => return Ok(None),
            Pick::Full => {}
        }
        let _waiting = self.room.queue.enter()?;
        let found = timeout(self.settings.connect_timeout, self.wait());
        Ok(found.await.map_err(|_| NoFreeConnection)?)
    }

    async fn wait(self: &Arc<Self>) -> Option<Taken<B>> {
        loop {
            let mut freed = std::pin::pin!(self.room.freed.notified());
            // Before the look, so that nothing is missed after it.
            freed.as_mut().enable();
            match self.pick() {
                Pick::Stream(sender, stream) => return Some((sender, stream)),
                Pick::Over => return None,
                Pick::Full => self.grow(),
            }
            freed.await;
        }
    }

    fn pick(&self) -> Pick<B> {
        let members = self.members.load();
        loop {
            let mut open = members.iter().filter(|member| member.is_open()).peekable();
            if open.peek().is_none() {
                return Pick::Over;
            }
            let least = open
                .filter(|member| member.streams.in_flight() < member.streams.limit())
                .min_by_key(|member| member.streams.in_flight());
            match least {
                None => return Pick::Full,
                Some(member) => {
                    if let Some(stream) = Stream::enter(&member.streams) {
                        return Pick::Stream(member.sender.clone(), stream);
                    }
                    // Somebody else was faster.
                }
            }
        }
    }

    /// Takes a connection in, whose end is reported by what `held` it, if anything did.
    fn join(
        self: &Arc<Self>,
        (sender, mut driver): Http2Parts<B>,
        mut held: Option<Held<Http2Parts<B>>>,
    ) {
        let member = Arc::new(Member {
            sender,
            streams: driver.count_in(&self.room),
            retiring: OnceLock::new(),
        });
        // First, as it may have to leave at once.
        self.members.rcu(|members| {
            let mut members = Vec::clone(members);
            members.push(member.clone());
            members
        });
        let (shared, ours) = (Arc::downgrade(self), Arc::downgrade(&member));
        tokio::spawn(async move {
            driver.while_open().await;
            if let Some(shared) = shared.upgrade() {
                shared.leave(&ours);
                if let Some(held) = &mut held {
                    held.report_lost(shared.ended(NO_MORE));
                }
            }
            drop((shared, ours, held));
            driver.drain().await;
        });
        let retires = retirement(Instant::now(), self.settings.max_age);
        let retiring = retire(Arc::downgrade(self), Arc::downgrade(&member), retires);
        let _ = member.retiring.set(Upkeep::spawn(retiring));
        self.room.freed.notify_waiters();
    }

    /// Lets a connection go: it takes no more requests.
    fn leave(&self, gone: &Weak<Member<B>>) {
        self.members.rcu(|members| {
            let stay = members.iter().filter(|member| !is(member, gone));
            stay.cloned().collect::<Vec<_>>()
        });
        // They may have to look for another set of connections.
        self.room.freed.notify_waiters();
    }

    /// Whether there is an open connection besides this one.
    fn can_do_without(&self, member: &Weak<Member<B>>) -> bool {
        let members = self.members.load();
        members
            .iter()
            .any(|other| other.is_open() && !is(other, member))
    }
}

impl<B> Member<B> {
    fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }
}

fn is<B>(member: &Arc<Member<B>>, other: &Weak<Member<B>>) -> bool {
    std::ptr::eq(Arc::as_ptr(member), other.as_ptr())
}

impl<B: RequestBody> MayEnd for Http2Parts<B> {
    fn has_ended(&self) -> bool {
        self.0.is_closed()
    }
}

impl<B> Clone for Http2<B> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<B> fmt::Debug for Http2<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = self.shared.members.load();
        f.debug_struct("Http2")
            .field("scheme", &self.shared.scheme)
            .field("connections", &members.len())
            .finish_non_exhaustive()
    }
}

const NO_MORE: &str = "the connection takes no more requests";
