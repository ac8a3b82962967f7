//! Framing: where a message ends, decided before it is buffered.
//!
//! A frame is a type byte, a length that counts itself, and a body. The startup packet has no type byte.
//! [`next_frame`] looks at the input buffer: it says how many more bytes to read, hands out a whole
//! frame, or rejects a length that its type can't have in the connection's present state.

use bytes::{Buf, Bytes, BytesMut};

use crate::reader::{Malformed, Result};

/// Longest startup packet, bytes: PostgreSQL's `MAX_STARTUP_PACKET_LENGTH`.
pub const STARTUP_LENGTH_MAX: usize = 10_000;
/// Longest authentication message: `PG_MAX_AUTH_TOKEN_LENGTH`.
pub const AUTHENTICATION_LENGTH_MAX: usize = 65_535;
/// Longest message without text or values: `PQ_SMALL_MESSAGE_LIMIT`.
const SMALL_LENGTH_MAX: usize = 10_000;
/// Longest message with text or values: `PQ_LARGE_MESSAGE_LIMIT`.
const LARGE_LENGTH_MAX: usize = 0x3fff_ffff - 1;

/// What the connection is ready to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Only answers to an authentication request.
    Authentication,
    Queries,
    /// The data of COPY FROM STDIN.
    Copy,
}

/// A whole message as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub body: Bytes,
}

/// What the input buffer holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Framing<T> {
    Complete(T),
    /// At least so many more bytes must come first.
    Needs(usize),
}

/// Takes the next frame off the front of `input`.
///
/// # Errors
/// A type or length that the phase does not allow. The stream is out of step then: the connection ends.
pub fn next_frame(input: &mut BytesMut, phase: Phase) -> Result<Framing<Frame>> {
    let Some(&kind) = input.first() else { return Ok(Framing::Needs(5)) };
    let limit = length_limit(kind, phase)?;
    if input.len() < 5 {
        return Ok(Framing::Needs(5 - input.len()));
    }
    let length = u32::from_be_bytes([input[1], input[2], input[3], input[4]]) as usize;
    if length < 4 || length > limit {
        return Err(Malformed::InvalidLength);
    }
    let whole = length + 1;
    if input.len() < whole {
        return Ok(Framing::Needs(whole - input.len()));
    }
    let mut frame = input.split_to(whole);
    frame.advance(5);
    Ok(Framing::Complete(Frame { kind, body: frame.freeze() }))
}

/// Takes the startup packet (or a request in its place) off the front of `input`: its body.
///
/// # Errors
/// A length outside 8 to [`STARTUP_LENGTH_MAX`] bytes.
pub fn next_startup(input: &mut BytesMut) -> Result<Framing<Bytes>> {
    if input.len() < 4 {
        return Ok(Framing::Needs(4 - input.len()));
    }
    let length = u32::from_be_bytes([input[0], input[1], input[2], input[3]]) as usize;
    if !(8..=STARTUP_LENGTH_MAX).contains(&length) {
        return Err(Malformed::InvalidLength);
    }
    if input.len() < length {
        return Ok(Framing::Needs(length - input.len()));
    }
    let mut packet = input.split_to(length);
    packet.advance(4);
    Ok(Framing::Complete(packet.freeze()))
}

fn length_limit(kind: u8, phase: Phase) -> Result<usize> {
    match (phase, kind) {
        (Phase::Authentication, b'p') => Ok(AUTHENTICATION_LENGTH_MAX),
        (Phase::Authentication, _) => Err(Malformed::UnknownType(kind)),
        (Phase::Queries, b'Q' | b'P' | b'B' | b'F' | b'd') => Ok(LARGE_LENGTH_MAX),
        (Phase::Queries, b'E' | b'D' | b'C' | b'S' | b'H' | b'X' | b'c' | b'f') => Ok(SMALL_LENGTH_MAX),
        (Phase::Copy, b'd') => Ok(LARGE_LENGTH_MAX),
        (Phase::Copy, b'c' | b'f' | b'H' | b'S') => Ok(SMALL_LENGTH_MAX),
        (Phase::Queries | Phase::Copy, _) => Err(Malformed::UnknownType(kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_whole_or_not_at_all() {
        let mut input = BytesMut::from(&b"Q\0\0\0\x0eselect 1\0"[..]);
        for length in 0..input.len() {
            let mut part = BytesMut::from(&input[..length]);
            assert!(
                matches!(next_frame(&mut part, Phase::Queries), Ok(Framing::Needs(n)) if n > 0),
                "{length}"
            );
            assert_eq!(part.len(), length, "nothing is consumed before the frame is whole");
        }
        input.extend_from_slice(b"S\0\0\0\x04");
        let frame = Frame { kind: b'Q', body: Bytes::from_static(b"select 1\0") };
        // The length counts itself: 4 + 9 = 13; a frame that claims one more takes the next message's type.
        input[4] = 13;
        assert_eq!(next_frame(&mut input, Phase::Queries), Ok(Framing::Complete(frame)));
        let sync = Frame { kind: b'S', body: Bytes::new() };
        assert_eq!(next_frame(&mut input, Phase::Queries), Ok(Framing::Complete(sync)));
        assert_eq!(next_frame(&mut input, Phase::Queries), Ok(Framing::Needs(5)));
    }

    #[test]
    fn lengths_are_judged_by_type_and_phase() {
        let judge = |bytes: &[u8], phase| next_frame(&mut BytesMut::from(bytes), phase);
        assert_eq!(judge(b"S\0\0\0\x03", Phase::Queries), Err(Malformed::InvalidLength));
        assert_eq!(judge(b"S\0\0\x7f\xff", Phase::Queries), Err(Malformed::InvalidLength));
        assert_eq!(judge(b"Q\x7f\xff\xff\xff", Phase::Queries), Err(Malformed::InvalidLength));
        assert_eq!(judge(b"Q\0\0\0\x05", Phase::Authentication), Err(Malformed::UnknownType(b'Q')));
        assert_eq!(judge(b"p\0\x01\0\0", Phase::Authentication), Err(Malformed::InvalidLength));
        assert_eq!(judge(b"\x01", Phase::Queries), Err(Malformed::UnknownType(1)));
        let startup = |bytes: &[u8]| next_startup(&mut BytesMut::from(bytes));
        assert_eq!(startup(b"\0\0\0\x07"), Err(Malformed::InvalidLength));
        assert_eq!(startup(b"\0\0\x27\x11"), Err(Malformed::InvalidLength));
        assert_eq!(startup(b"\0\0\0\x08\x04"), Ok(Framing::Needs(3)));
    }
}
