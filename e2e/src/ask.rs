//! One GET as a kubelet sends it, on a connection that is kept or made for it.
//!
//! Blocking, and a thread for each who asks: the times that `probes` measures must not contain those of a runtime,
//! whose timers are as coarse as the answers are quick.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

/// A status document is some kilobytes.
const MOST_BYTES: usize = 1 << 20;

/// Who asks one agent.
#[derive(Debug)]
pub struct Asker {
    address: SocketAddr,
    patience: Duration,
    kept: Option<TcpStream>,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP's number.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

impl Asker {
    /// Asks at `address` and gives up after `patience` of silence.
    pub fn new(address: SocketAddr, patience: Duration) -> Self {
        Self { address, patience, kept: None }
    }

    /// Asks on the connection that was kept. A server may close one between two requests: then a new one is made, once.
    pub fn ask(&mut self, path: &str) -> io::Result<Answer> {
        if let Some(kept) = self.kept.take()
            && let Ok(answer) = self.exchange(kept, path, true)
        {
            return Ok(answer);
        }
        let fresh = self.connect()?;
        self.exchange(fresh, path, true)
    }

    /// Asks on a connection of its own, as a kubelet does each time.
    pub fn ask_anew(&mut self, path: &str) -> io::Result<Answer> {
        let fresh = self.connect()?;
        self.exchange(fresh, path, false)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, self.patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.set_write_timeout(Some(self.patience))?;
        Ok(stream)
    }

    fn exchange(&mut self, mut stream: TcpStream, path: &str, keep: bool) -> io::Result<Answer> {
        let connection = if keep { "keep-alive" } else { "close" };
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: {connection}\r\n\r\n", self.address);
        stream.write_all(request.as_bytes())?;
        let mut bytes = Vec::new();
        let answer = loop {
            if let Some(answer) = parse(&bytes)? {
                break answer;
            }
            let mut part = [0; 8192];
            let length = stream.read(&mut part)?;
            if length == 0 || bytes.len() > MOST_BYTES {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes.extend_from_slice(part.get(..length).unwrap_or_default());
        };
        self.kept = keep.then_some(stream);
        Ok(answer)
    }
}

/// The answer, once all of it is there.
fn parse(bytes: &[u8]) -> io::Result<Option<Answer>> {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Ok(None);
    };
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|number| number.parse().ok());
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|(_, value)| value.trim().parse::<usize>().ok());
    let (Some(status), Some(length)) = (status, length) else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("this is no answer: {head}")));
    };
    Ok((body.len() >= length).then(|| Answer { status, body: body.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &str, want: Option<Option<(u16, &str)>>) {
        let found = parse(bytes.as_bytes()).ok();
        let want = want.map(|one| one.map(|(status, body)| Answer { status, body: body.to_owned() }));
        assert_eq!(found, want, "{bytes}");
    }

    #[test]
    fn an_answer_is_one_when_all_of_it_is_there() {
        check("", Some(None));
        check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n", Some(None));
        check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", Some(None));
        check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Some(Some((200, "ok"))));
        check("HTTP/1.1 503 No\r\nContent-Length:0\r\n\r\n", Some(Some((503, ""))));
        check("HTTP/1.1 200 OK\r\n\r\n", None);
        check("SSH-2.0\r\n\r\n", None);
    }
}
