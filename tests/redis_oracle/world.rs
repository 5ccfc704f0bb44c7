//! Servers to ask: `kvsim serve`, and a real one if it is installed. And connections to them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::reply;

/// A server that is killed with this.
pub(crate) struct Server {
    child: Child,
    place: Place,
    /// What the real one keeps beside its socket.
    _directory: Option<tempfile::TempDir>,
}

enum Place {
    Port(u16),
    #[cfg(unix)]
    Socket(std::path::PathBuf),
}

impl Server {
    pub(crate) fn kvsim() -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvsim"));
        let mut child = command
            .args(["serve", "--fast", "--ephemeral", "--redis", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let port = loop {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "it ended before it served");
            if let Some((_, port)) = line.trim_end().rsplit_once("redis://127.0.0.1:") {
                break port.parse().unwrap();
            }
        };
        // Whoever prints into a pipe that nobody reads would be ended by it.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Server { child, place: Place::Port(port), _directory: None }
    }

    /// `None`: there is no redis-server.
    #[cfg(unix)]
    #[expect(clippy::disallowed_methods, reason = "other processes have no other way to tell")]
    pub(crate) fn redis() -> Option<Server> {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("redis.sock");
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut server = Server { child, place: Place::Socket(socket), _directory: Some(directory) };
        let begun = std::time::Instant::now();
        while server.try_connect().is_none() {
            assert!(server.child.try_wait().unwrap().is_none(), "redis-server does not start");
            assert!(begun.elapsed() < PATIENCE, "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(server)
    }

    #[cfg(not(unix))]
    pub(crate) fn redis() -> Option<Server> {
        None
    }

    pub(crate) fn connect(&self) -> Connection {
        self.try_connect().unwrap()
    }

    fn try_connect(&self) -> Option<Connection> {
        let stream: Box<dyn Stream> = match &self.place {
            Place::Port(port) => {
                let stream = TcpStream::connect(("127.0.0.1", *port)).ok()?;
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_nodelay(true).unwrap();
                Box::new(stream)
            }
            #[cfg(unix)]
            Place::Socket(path) => {
                let stream = std::os::unix::net::UnixStream::connect(path).ok()?;
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Box::new(stream)
            }
        };
        Some(Connection { stream, received: Vec::new() })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

trait Stream: Read + Write {
    fn end(&self);
}

impl Stream for TcpStream {
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

#[cfg(unix)]
impl Stream for std::os::unix::net::UnixStream {
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
}

impl Connection {
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
        self.stream.flush().unwrap();
    }

    /// The next reply, byte for byte. `None`: the other side has closed.
    pub(crate) fn reply(&mut self) -> Option<Vec<u8>> {
        let mut chunk = [0; 64 << 10];
        loop {
            if let Some(length) = reply::length(&self.received) {
                let rest = self.received.split_off(length);
                return Some(std::mem::replace(&mut self.received, rest));
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(length) => self.received.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no reply: {error}"),
            }
        }
    }

    /// Asks one thing.
    pub(crate) fn ask(&mut self, words: &[&str]) -> String {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        self.send(&request(&words));
        String::from_utf8(self.reply().expect("a reply")).unwrap()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.stream.end();
    }
}

/// Words as clients send them.
pub(crate) fn request(words: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// A server that has not answered by then will not.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
