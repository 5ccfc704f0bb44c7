//! One connection: heads and their exchanges, one after the other, until someone has had enough.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::exchange::{Ending, exchange};
use super::hostile::Hostile;
use super::refusal::Refusal;
use super::{Endpoint, Options, head};

/// Serves the client at the other end of `stream`, which has to be a node if `is_for_nodes`. Once `stopping` is true, no
/// further request is begun.
pub(super) async fn serve(
    endpoint: Endpoint,
    stream: TcpStream,
    is_for_nodes: bool,
    mut stopping: watch::Receiver<bool>,
) {
    // A refusal only means that small answers wait for others.
    _ = stream.set_nodelay(true);
    let mut wire = Wire::new(stream);
    while !*stopping.borrow() {
        let head = tokio::select! {
            biased;
            head = wire.head(&endpoint.options) => head,
            _ = stopping.wait_for(|is_stopping| *is_stopping) => return,
        };
        let ending = match head {
            Ok(Some(length)) if is_for_nodes && !head::is_of_node(wire.unread.get(..length).unwrap_or_default()) => {
                endpoint.counters.count_refused();
                return wire.refuse(&too_many(&endpoint.options), endpoint.options.answer).await;
            }
            Ok(Some(length)) => exchange(&mut wire, length, &endpoint).await,
            Ok(None) => return,
            Err(refusal) => Ending::Refused(refusal),
        };
        match ending {
            Ending::Again => {}
            Ending::Over => return wire.close().await,
            Ending::Cut => return,
            Ending::Refused(refusal) => {
                endpoint.counters.count_request(None, refusal.status());
                refusal.kind.into_iter().for_each(|kind| endpoint.counters.count_hostile(kind));
                return wire.refuse(&refusal, endpoint.options.answer).await;
            }
        }
    }
}

/// Tells a client that there are too many of them.
pub(super) async fn turn_away(stream: TcpStream, options: Options) {
    Wire::new(stream).refuse(&too_many(&options), options.answer).await;
}

fn too_many(options: &Options) -> Refusal {
    let most = options.connections;
    let text = format!(
        "KV-E203 busy: {most} connections are open, the most there may be: nothing was changed; try again when some have ended"
    );
    Refusal::unavailable(Some("KV-E203"), text)
}

/// A stream, and what came from it before anybody wanted it.
pub(super) struct Wire {
    pub(super) stream: TcpStream,
    /// At most a head and what came with its last part.
    pub(super) unread: Vec<u8>,
}

impl Wire {
    fn new(stream: TcpStream) -> Wire {
        Wire { stream, unread: Vec::new() }
    }

    /// The length of the next head, which is then what `unread` begins with. `None`: there is no other request.
    async fn head(&mut self, options: &Options) -> Result<Option<usize>, Refusal> {
        if self.unread.is_empty() && !matches!(timeout(options.idle, self.fill()).await, Ok(Ok(1..))) {
            return Ok(None);
        }
        let late = |_| Refusal::slow(Hostile::SlowHead, "head");
        timeout(options.head, self.rest_of_head()).await.map_err(late)?
    }

    async fn rest_of_head(&mut self) -> Result<Option<usize>, Refusal> {
        loop {
            // RFC 9112, section 2.2: some clients end a body with a line of its own.
            let empty_lines = self.unread.chunks_exact(2).take_while(|line| line == b"\r\n").count();
            self.unread.drain(..2 * empty_lines);
            if let Some(length) = head::length(&self.unread)? {
                return Ok(Some(length));
            }
            match self.fill().await {
                Ok(1..) => {}
                _ if self.unread.is_empty() => return Ok(None),
                _ => return Err(Refusal::truncated()),
            }
        }
    }

    /// Waits for more; 0 when there will be none.
    async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// As [`Wire::fill`].
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut chunk = [MaybeUninit::uninit(); CHUNK];
        let mut part = ReadBuf::uninit(&mut chunk);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        self.unread.extend_from_slice(part.filled());
        Poll::Ready(Ok(part.filled().len()))
    }

    /// Answers `refusal`, and closes.
    async fn refuse(mut self, refusal: &Refusal, within: Duration) {
        if let Ok(Ok(())) = timeout(within, self.stream.write_all(&refusal.bytes())).await {
            self.close().await;
        }
    }

    /// Closes so that the client can read its answer: bytes that nobody reads would make the system send a reset
    /// instead, and that can overtake the answer.
    async fn close(mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let rest = async {
            while let Ok(1..) = self.fill().await {
                self.unread.clear();
            }
        };
        _ = timeout(LINGER, rest).await;
    }
}

/// What is read at once, in bytes.
const CHUNK: usize = 16 << 10;

/// How long a client that was answered may go on sending.
const LINGER: Duration = Duration::from_secs(1);
