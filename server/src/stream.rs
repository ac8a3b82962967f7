//! A client's byte stream: TCP, Unix socket, or TLS over either.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// Boxed: a TLS connection's state is large, and idle connections should be small.
    TlsTcp(Box<TlsStream<TcpStream>>),
    TlsUnix(Box<TlsStream<UnixStream>>),
}

macro_rules! each {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Tcp($stream) => $call,
            Stream::Unix($stream) => $call,
            Stream::TlsTcp($stream) => $call,
            Stream::TlsUnix($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

/// Looks whether the client of a connection is still there, while the connection itself is busy.
pub struct ClientWatch(tokio::task::JoinHandle<()>);

impl ClientWatch {
    /// Looks every `interval` and calls `gone` once the client has closed its end.
    pub fn start(
        stream: &Stream,
        interval: Duration,
        gone: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let socket = stream.socket().try_clone_to_owned()?;
        Ok(Self(tokio::spawn(async move {
            while !has_hung_up(&socket) {
                tokio::time::sleep(interval).await;
            }
            gone();
        })))
    }
}

impl Drop for ClientWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn has_hung_up(socket: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(socket, PollFlags::RDHUP)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut polled, Some(&now)), Ok(1))
}

impl Stream {
    fn socket(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
            Stream::TlsTcp(stream) => stream.get_ref().0.as_fd(),
            Stream::TlsUnix(stream) => stream.get_ref().0.as_fd(),
        }
    }

    pub fn is_tls(&self) -> bool {
        matches!(self, Stream::TlsTcp(_) | Stream::TlsUnix(_))
    }
}
