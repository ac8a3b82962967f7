//! Handing the listening sockets and the data directory's claim from the postmaster to the server process.
//!
//! The server process's standard input is one end of a Unix socket pair. The postmaster sends the
//! claim and the listening sockets over it as file descriptors, one per message with its kind. After that
//! the pair carries one line from the server process, [`READY`], and says by its end of file that the
//! other process is gone: a server process whose postmaster has vanished exits at once.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use crate::lock_file::DirectoryClaim;

/// Sent by the server process once it accepts connections.
pub const READY: u8 = b'R';

const KIND_CLAIM: u8 = b'C';
const KIND_TCP: u8 = b'T';
const KIND_UNIX: u8 = b'U';
const KIND_END: u8 = b'E';

/// Listening sockets.
#[derive(Default)]
pub struct Listeners {
    pub tcp: Vec<std::net::TcpListener>,
    pub unix: Vec<std::os::unix::net::UnixListener>,
}

/// Sends duplicates of the claim and of the listening sockets.
pub fn send(channel: &UnixStream, claim: &DirectoryClaim, listeners: &Listeners) -> std::io::Result<()> {
    send_one(channel, KIND_CLAIM, claim.as_fd())?;
    for listener in &listeners.tcp {
        send_one(channel, KIND_TCP, listener.as_fd())?;
    }
    for listener in &listeners.unix {
        send_one(channel, KIND_UNIX, listener.as_fd())?;
    }
    (&*channel).write_all(&[KIND_END])
}

fn send_one(channel: &UnixStream, kind: u8, socket: BorrowedFd<'_>) -> std::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let sockets = [socket];
    assert!(
        control.push(SendAncillaryMessage::ScmRights(&sockets)),
        "the buffer is sized for one descriptor"
    );
    rustix::net::sendmsg(channel, &[IoSlice::new(&[kind])], &mut control, SendFlags::empty())?;
    Ok(())
}

/// Receives the claim, to be kept as long as the process lives, and the listening sockets.
pub fn receive(channel: &UnixStream) -> std::io::Result<(DirectoryClaim, Listeners)> {
    let mut claim = None;
    let mut listeners = Listeners::default();
    loop {
        let mut kind = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::net::recvmsg(
            channel,
            &mut [IoSliceMut::new(&mut kind)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        if received.bytes == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let socket = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        match (kind[0], socket) {
            (KIND_CLAIM, Some(directory)) => claim = Some(DirectoryClaim::from(directory)),
            (KIND_TCP, Some(socket)) => listeners.tcp.push(socket.into()),
            (KIND_UNIX, Some(socket)) => listeners.unix.push(socket.into()),
            (KIND_END, None) => {
                let claim = claim.ok_or(std::io::ErrorKind::InvalidData)?;
                return Ok((claim, listeners));
            }
            _ => return Err(std::io::ErrorKind::InvalidData.into()),
        }
    }
}

/// The server process's end: its standard input.
pub fn from_stdin() -> std::io::Result<UnixStream> {
    let stdin: OwnedFd = std::io::stdin().as_fd().try_clone_to_owned()?;
    Ok(UnixStream::from(stdin))
}

/// Blocks until the other process has closed its end.
pub fn wait_for_end(mut channel: UnixStream) {
    let mut byte = [0];
    while matches!(channel.read(&mut byte), Ok(1)) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn sockets_arrive_with_their_kind() {
        let claim = DirectoryClaim::take(&std::env::temp_dir()).expect("nobody else claims it");
        let (here, there) = UnixStream::pair().expect("a socket pair");
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = tcp.local_addr().expect("bound");
        send(&here, &claim, &Listeners { tcp: vec![tcp], unix: Vec::new() }).expect("sent");
        let (_claim, received) = receive(&there).expect("received");
        assert_eq!(received.tcp[0].local_addr().expect("bound"), address);
        assert!(received.unix.is_empty());
        drop(here);
        assert!(receive(&there).is_err(), "the other end is gone");
    }
}
