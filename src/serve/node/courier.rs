//! One kept connection to another node's endpoint, over which batches are posted one after the other.
//!
//! # Why not the client that asks other things
//! A batch goes out in one write and its answer comes in one read, mostly. `ureq` writes the head apart from the body, which
//! wakes the peer twice, and sets its times anew and looks whether the connection is still there, ten system calls in all.
//!
//! # Caveats
//! Of an answer only 204 is understood. After any other the connection is let go, and the next batch has a new one.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::super::http::CLUSTER;

/// Who brings batches to one peer.
#[derive(Debug)]
pub(super) struct Courier {
    address: String,
    /// The number of the cluster, in hexadecimal.
    cluster: String,
    /// For the connection, for each write and for each read.
    patience: Duration,
    connection: Option<TcpStream>,
    /// The request that is under way; kept for its room.
    request: Vec<u8>,
}

impl Courier {
    /// To the endpoint at `address`, of a node of the cluster with this number. There is no connection yet.
    pub(super) fn new(address: &str, cluster: u64, patience: Duration) -> Courier {
        let (address, cluster) = (address.to_owned(), format!("{cluster:016x}"));
        Courier { address, cluster, patience, connection: None, request: Vec::new() }
    }

    /// Brings a batch, and waits until the peer says so. An error leaves it open whether the peer has it.
    pub(super) fn post(&mut self, batch: &[u8]) -> io::Result<()> {
        let Courier { address, cluster, .. } = self;
        let length = batch.len();
        self.request.clear();
        write!(
            self.request,
            "POST {FRAMES_PATH} HTTP/1.1\r\nHost: {address}\r\n{CLUSTER}: {cluster}\r\nContent-Length: {length}\r\n\r\n"
        )?;
        self.request.extend_from_slice(batch);
        if let Some(kept) = self.connection.take() {
            match self.exchange(kept) {
                // Closed by the peer since the last batch, which shows only now. Frames that come twice do no harm.
                Err(error) if CLOSED.contains(&error.kind()) => {}
                ended => return ended,
            }
        }
        let connection = self.connect()?;
        self.exchange(connection)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let address = self.address.to_socket_addrs()?.next().ok_or(ErrorKind::AddrNotAvailable)?;
        let connection = TcpStream::connect_timeout(&address, self.patience)?;
        connection.set_nodelay(true)?;
        connection.set_write_timeout(Some(self.patience))?;
        connection.set_read_timeout(Some(self.patience))?;
        Ok(connection)
    }

    /// Sends the request, and hears the answer. The connection is kept where it is known to be free again.
    fn exchange(&mut self, mut connection: TcpStream) -> io::Result<()> {
        connection.write_all(&self.request)?;
        let mut answer = Vec::new();
        let mut part = [0; LONGEST_ANSWER];
        while !answer.ends_with(b"\r\n\r\n") {
            let count = connection.read(&mut part)?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            answer.extend_from_slice(part.get(..count).unwrap_or_default());
            let is_taken = answer.starts_with(TAKEN) || TAKEN.starts_with(&answer);
            if !is_taken || answer.len() > LONGEST_ANSWER {
                return Ok(());
            }
        }
        self.connection = Some(connection);
        Ok(())
    }
}

/// Where frames are posted.
const FRAMES_PATH: &str = "/peer/frames";
/// How the answer to a batch that was taken begins. It has no body.
const TAKEN: &[u8] = b"HTTP/1.1 204 ";
/// The most bytes of an answer that are waited for.
const LONGEST_ANSWER: usize = 512;
/// What a connection says that the other side has closed.
const CLOSED: [ErrorKind; 4] =
    [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::ConnectionAborted, ErrorKind::BrokenPipe];

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const NUMBER: u64 = 0xc1;
    const PATIENCE: Duration = Duration::from_secs(60);
    const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\ndate: now\r\n\r\n";

    fn listener() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        (listener, address)
    }

    /// The next request on a connection, whose body has so many bytes: head and body.
    fn request(connection: &mut TcpStream, body: usize) -> (String, Vec<u8>) {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            connection.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let mut bytes = vec![0; body];
        connection.read_exact(&mut bytes).unwrap();
        (String::from_utf8(head).unwrap(), bytes)
    }

    #[test]
    fn batches_go_whole_over_one_connection() {
        let (listener, address) = listener();
        let peer = thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let requests = [3, 100_000].map(|body| {
                let request = request(&mut connection, body);
                // In parts, as it may come.
                ANSWER.chunks(7).for_each(|part| connection.write_all(part).unwrap());
                request
            });
            requests.map(|(head, body)| (head, body.len()))
        });
        let mut courier = Courier::new(&address, NUMBER, PATIENCE);
        courier.post(b"one").unwrap();
        courier.post(&[7; 100_000]).unwrap();
        let [(first, _), (second, _)] = peer.join().unwrap();
        let head = |length| {
            format!(
                "POST /peer/frames HTTP/1.1\r\nHost: {address}\r\nkvsim-cluster: 00000000000000c1\r\nContent-Length: {length}\r\n\r\n"
            )
        };
        assert_eq!((first, second), (head(3), head(100_000)));
    }

    #[test]
    fn a_connection_that_was_closed_or_answered_otherwise_is_replaced() {
        let (listener, address) = listener();
        let peer = thread::spawn(move || {
            let refusal: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\nno";
            // The first is answered and closed, the second refused.
            [ANSWER, refusal, ANSWER].map(|answer| {
                let (mut connection, _) = listener.accept().unwrap();
                let (_, body) = request(&mut connection, 1);
                connection.write_all(answer).unwrap();
                body
            })
        });
        let mut courier = Courier::new(&address, NUMBER, PATIENCE);
        for batch in [b"1", b"2", b"3"] {
            courier.post(batch).unwrap();
        }
        assert_eq!(peer.join().unwrap(), [b"1", b"2", b"3"]);
        assert!(courier.post(b"4").is_err(), "nobody listens any more");
    }

    #[test]
    fn a_peer_that_does_not_answer_is_given_up() {
        let (listener, address) = listener();
        let mut courier = Courier::new(&address, NUMBER, Duration::from_millis(50));
        let error = courier.post(b"1").unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
        drop(listener);
    }
}
