//! What is known about a frame: whose page it holds, and one atomic word of state.
//!
//! ```text
//!   bits  0..24  pins
//!   bits 32..36  usage count, 0 to 5
//!   bits 40..    flags
//! ```
//!
//! Every transition is one compare-and-swap on the word, so there is no header lock. The tag has words of
//! its own: they change only while [`TAG_VALID`] is off and one backend alone holds a pin, so whoever has
//! pinned a frame with `TAG_VALID` on reads a tag that can't change.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use kokkiri_primitives::{BlockNumber, Fork, Oid, RelFileLocator, RelFileNumber};

use super::content_lock::ContentLock;

const PINS_MASK: u64 = 0xFF_FFFF;
const USAGE_SHIFT: u32 = 32;
const USAGE_ONE: u64 = 1 << USAGE_SHIFT;
const USAGE_MASK: u64 = 0xF << USAGE_SHIFT;
/// Sweeps a page survives at most: `BM_MAX_USAGE_COUNT`.
pub(super) const MAX_USAGE: u64 = 5;

/// The tag names a page, and the frame is in the mapping.
pub(super) const TAG_VALID: u64 = 1 << 40;
/// The page's bytes are there.
pub(super) const VALID: u64 = 1 << 41;
/// The bytes differ from those on disk.
pub(super) const DIRTY: u64 = 1 << 42;
/// Somebody reads or writes the bytes from or to disk.
pub(super) const IO_IN_PROGRESS: u64 = 1 << 43;
/// The last attempt to write failed.
pub(super) const IO_ERROR: u64 = 1 << 44;
/// Somebody waits to be the only one with a pin.
pub(super) const PIN_WAITER: u64 = 1 << 45;
/// The running checkpoint must write the page.
pub(super) const CHECKPOINT_NEEDED: u64 = 1 << 46;
/// Changes are in the WAL.
pub(super) const PERMANENT: u64 = 1 << 47;
/// Somebody waits for the input or output to end.
pub(super) const IO_WAITER: u64 = 1 << 48;

/// Which page: PostgreSQL's `BufferTag`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BufferTag {
    pub locator: RelFileLocator,
    pub fork: Fork,
    pub block: BlockNumber,
}

impl BufferTag {
    #[inline]
    fn words(&self) -> [u64; 3] {
        [
            u64::from(self.locator.tablespace.0) << 32 | u64::from(self.locator.database.0),
            u64::from(self.locator.number.0) << 32 | self.fork as u64,
            u64::from(self.block.0),
        ]
    }

    #[inline]
    pub(super) fn hash(&self) -> u64 {
        const K: u64 = 0x9E37_79B9_7F4A_7C15;
        let [a, b, c] = self.words();
        let mut hash = a.wrapping_mul(K).rotate_left(29) ^ b;
        hash = hash.wrapping_mul(K).rotate_left(29) ^ c;
        hash = hash.wrapping_mul(K);
        hash ^ (hash >> 32)
    }
}

/// A reading of the state word.
#[derive(Clone, Copy, Debug)]
pub(super) struct State(pub u64);

impl State {
    pub fn pins(self) -> u64 {
        self.0 & PINS_MASK
    }

    pub fn usage(self) -> u64 {
        (self.0 & USAGE_MASK) >> USAGE_SHIFT
    }

    pub fn has(self, flags: u64) -> bool {
        self.0 & flags == flags
    }
}

/// How a pin counts towards the page's stay in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    /// Raise the usage count by one, to at most five.
    Normal,
    /// Raise it only from zero: pages of a ring shouldn't look popular.
    Ring,
    /// Leave it: the pin is for writing the page out.
    None,
}

#[repr(align(64))]
pub(super) struct Descriptor {
    state: AtomicU64,
    tag: [AtomicU64; 3],
    /// Next frame in the mapping's chain, plus one; zero at its end.
    pub next: AtomicU32,
    pub content: ContentLock,
}

impl Descriptor {
    pub fn new() -> Self {
        Self {
            state: AtomicU64::new(0),
            tag: [const { AtomicU64::new(0) }; 3],
            next: AtomicU32::new(0),
            content: ContentLock::default(),
        }
    }

    #[inline]
    pub fn state(&self) -> State {
        State(self.state.load(Ordering::Acquire))
    }

    /// The tag words as they are now; reliable only under a pin.
    #[inline]
    pub fn matches(&self, tag: &BufferTag) -> bool {
        let words = tag.words();
        self.tag.iter().zip(words).all(|(held, wanted)| held.load(Ordering::Relaxed) == wanted)
    }

    /// The tag; `None` if the words make no sense, which happens only without a pin.
    pub fn tag(&self) -> Option<BufferTag> {
        let [a, b, c] = [0, 1, 2].map(|i| self.tag[i].load(Ordering::Relaxed));
        Some(BufferTag {
            locator: RelFileLocator {
                tablespace: Oid((a >> 32) as u32),
                database: Oid(a as u32),
                number: RelFileNumber((b >> 32) as u32),
            },
            fork: Fork::try_from(b as u8).ok()?,
            block: BlockNumber(c as u32),
        })
    }

    /// Applies `change` until it sticks or answers `None`. Returns the word before and after.
    #[inline]
    pub fn update(&self, mut change: impl FnMut(State) -> Option<u64>) -> Option<(State, State)> {
        let mut old = self.state.load(Ordering::Relaxed);
        loop {
            let new = change(State(old))?;
            match self.state.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Some((State(old), State(new))),
                Err(now) => old = now,
            }
        }
    }

    /// Pins the frame if it holds a page, whichever that is. Returns the state after.
    #[inline]
    pub fn pin(&self, touch: Touch) -> Option<State> {
        self.update(|state| {
            if !state.has(TAG_VALID) {
                return None;
            }
            let raise = match touch {
                Touch::Normal => state.usage() < MAX_USAGE,
                Touch::Ring => state.usage() == 0,
                Touch::None => false,
            };
            Some(state.0 + 1 + if raise { USAGE_ONE } else { 0 })
        })
        .map(|(_, new)| new)
    }

    /// Adds a pin to a frame that the caller has pinned already.
    #[inline]
    pub fn pin_again(&self) {
        let old = self.state.fetch_add(1, Ordering::Relaxed);
        debug_assert!(State(old).pins() > 0, "only a pinned frame is pinned again");
    }

    /// Gives a pin back; false, and nothing done, if somebody waits for pins to go.
    #[inline]
    pub fn unpin_unless_awaited(&self) -> bool {
        self.update(|state| {
            debug_assert!(state.pins() > 0, "pins are given back once");
            (!state.has(PIN_WAITER)).then_some(state.0 - 1)
        })
        .is_some()
    }

    pub fn unpin(&self) {
        self.state.fetch_sub(1, Ordering::AcqRel);
    }

    pub fn set_flags(&self, flags: u64) -> State {
        State(self.state.fetch_or(flags, Ordering::AcqRel))
    }

    pub fn clear_flags(&self, flags: u64) -> State {
        State(self.state.fetch_and(!flags, Ordering::AcqRel))
    }

    /// One visit of the clock hand. Takes a pin if nobody has one and the usage count is down to zero.
    pub fn sweep(&self) -> Sweep {
        let outcome = self.update(|state| {
            if state.pins() > 0 {
                None
            } else if state.usage() > 0 {
                Some(state.0 - USAGE_ONE)
            } else {
                Some(state.0 + 1)
            }
        });
        match outcome {
            None => Sweep::Pinned,
            Some((old, _)) if old.usage() > 0 => Sweep::Aged,
            Some(_) => Sweep::Taken,
        }
    }

    /// Pins the frame if nobody has and its usage count is at most `max_usage`.
    pub fn take(&self, max_usage: u64) -> bool {
        self.update(|state| (state.pins() == 0 && state.usage() <= max_usage).then_some(state.0 + 1))
            .is_some()
    }

    /// Gives a frame that the caller alone has pinned, and that has no tag, a new one.
    pub fn assign(&self, tag: &BufferTag, flags: u64) {
        for (held, word) in self.tag.iter().zip(tag.words()) {
            held.store(word, Ordering::Relaxed);
        }
        self.update(|state| {
            debug_assert!(!state.has(TAG_VALID), "a frame is emptied before it is filled");
            Some(state.0 & !USAGE_MASK | USAGE_ONE | TAG_VALID | flags)
        });
    }

    /// Takes the page out of the frame if the caller's pin is the only one and nothing would be lost, or
    /// `discard` says it may. Only the pin is left.
    pub fn empty(&self, discard: bool) -> bool {
        self.update(|state| {
            let lost = state.has(DIRTY) && !discard;
            (state.pins() == 1 && !lost && !state.has(IO_IN_PROGRESS)).then_some(1)
        })
        .is_some()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sweep {
    Pinned,
    Aged,
    Taken,
}
