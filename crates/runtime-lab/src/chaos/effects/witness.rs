//! Tells executions to the process that counts them.

use std::io;
use std::path::PathBuf;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::Begun;

/// Tells executions to the process that counts them.
#[derive(Debug)]
pub(crate) struct Witness {
    socket: PathBuf,
    life: u32,
}

/// An execution that has begun. Dropped without an end, it has none.
#[derive(Debug)]
pub(crate) struct UnderWay {
    stream: BufReader<UnixStream>,
}

impl Witness {
    /// Tells of the executions of this process, the how-many-eth of the campaign.
    pub(crate) fn new(socket: PathBuf, life: u32) -> Self {
        Self { socket, life }
    }

    /// The number of this process.
    pub(crate) fn life(&self) -> u32 {
        self.life
    }

    /// Tells of a begin, and waits until it is counted.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) async fn begin(&self, begun: &Begun) -> io::Result<UnderWay> {
        let mut under_way = UnderWay { stream: BufReader::new(UnixStream::connect(&self.socket).await?) };
        let mut line = serde_json::to_vec(begun)?;
        line.push(b'\n');
        under_way.tell(&line).await?;
        Ok(under_way)
    }
}

impl UnderWay {
    /// Tells of the end, and waits until it is counted.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) async fn end(mut self) -> io::Result<()> {
        self.tell(b"end\n").await
    }

    async fn tell(&mut self, line: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(line).await?;
        let mut answer = String::new();
        self.stream.read_line(&mut answer).await?;
        if answer == "ok\n" { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}
