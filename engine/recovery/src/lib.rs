//! Control file, checkpoint, replay.
#![forbid(unsafe_code)]
