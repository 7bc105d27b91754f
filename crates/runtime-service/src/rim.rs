//! The edge of a connection.
//!
//! Two things that hyper does not do for its user happen here. What is no HTTP at all it answers by itself, with a bare
//! status; here that answer becomes a problem document. And it waits forever for a caller who does not read; here that
//! ends.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::fault::Fault;
use crate::problem::{MEDIA_TYPE, Problem};

/// A connection with its edge.
#[derive(Debug)]
pub(crate) struct Rim<I> {
    io: I,
    /// What is written in place of a bare status.
    refusal: Bytes,
    write_within: Duration,
    /// Runs while the other side takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<I> Rim<I> {
    pub(crate) fn new(io: I, write_within: Duration) -> Self {
        Self { io, refusal: Bytes::new(), write_within, stalled: None }
    }
}

impl<I: AsyncWrite + Unpin> Rim<I> {
    /// Passes the outcome of a write on, and ends a wait that is too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let within = self.write_within;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(within)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other side does not read")))
    }

    fn poll_refusal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.refusal.has_remaining() {
            let written = Pin::new(&mut self.io).poll_write(cx, &self.refusal);
            let written = ready!(self.watch(cx, written))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.refusal.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Rim<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Rim<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let rim = self.get_mut();
        if let Some(refusal) = in_place_of(buf) {
            rim.refusal = refusal;
            return Poll::Ready(Ok(buf.len()));
        }
        ready!(rim.poll_refusal(cx))?;
        let written = Pin::new(&mut rim.io).poll_write(cx, buf);
        rim.watch(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = bufs {
            return self.poll_write(cx, only);
        }
        let rim = self.get_mut();
        ready!(rim.poll_refusal(cx))?;
        let written = Pin::new(&mut rim.io).poll_write_vectored(cx, bufs);
        rim.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let rim = self.get_mut();
        ready!(rim.poll_refusal(cx))?;
        let flushed = Pin::new(&mut rim.io).poll_flush(cx);
        rim.watch(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let rim = self.get_mut();
        ready!(rim.poll_refusal(cx))?;
        let shut = Pin::new(&mut rim.io).poll_shutdown(cx);
        rim.watch(cx, shut)
    }
}

/// The answer to write if `written` is one that hyper made by itself.
///
/// It is one if it is a whole head of a 4xx without a body: the service's own refusals have one. And it is no piece of
/// an answer that was cut anywhere: what the service writes is JSON or events, which hold no line that ends in CR LF.
fn in_place_of(written: &[u8]) -> Option<Bytes> {
    let head = std::str::from_utf8(written.strip_suffix(b"\r\n\r\n")?).ok()?;
    let (line, fields) = head.split_once("\r\n")?;
    let (version, status) = line.split_once(' ')?;
    let bare = version.starts_with("HTTP/1.")
        && fields.split("\r\n").any(|field| field.eq_ignore_ascii_case("content-length: 0"));
    if !bare {
        return None;
    }
    let fault = match status.get(..3)? {
        "400" => Fault::NoHttp,
        "414" => Fault::PathTooLong,
        "431" => Fault::HeadersTooLarge,
        _ => return None,
    };
    let body = Problem::from(fault).to_json();
    let answer = format!(
        "{line}\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    Some(answer.into())
}

#[cfg(test)]
mod tests {
    use super::in_place_of;

    #[test]
    fn a_bare_refusal_becomes_a_problem_document() {
        let bare =
            b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

        let answer = in_place_of(bare).expect("it is one");

        let answer = std::str::from_utf8(&answer).expect("text");
        assert!(answer.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"));
        assert!(answer.contains("urn:agent-runtime:problem:headers-too-large"));
    }

    #[test]
    fn the_services_own_answers_pass_as_they_are() {
        for own in [
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 12\r\n\r\n",
            "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request content-length: 0\"}\r\n0\r\n\r\n",
            "HTTP/1.1 400 Bad Request",
            "",
        ] {
            assert!(in_place_of(own.as_bytes()).is_none(), "{own}");
        }
    }
}
