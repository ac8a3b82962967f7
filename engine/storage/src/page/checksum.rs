//! PostgreSQL's block checksum: 32 FNV-1a-like lanes over 32-bit words, mixed and folded to 16 bits.
//!
//! Each lane sees every 32nd word, so the lanes run side by side in vector registers. A lane's step is
//! `h = (h ^ word) * prime ^ ((h ^ word) >> 17)`; the shift carries high bits back down, which plain FNV
//! loses. Two rounds of zeros spread the last words. The block number is mixed in, so that a page written
//! to the wrong place is noticed. The result is never zero: zero on disk says "no checksum".

use kokkiri_primitives::{BLOCK_SIZE, BlockNumber};

const LANES: usize = 32;
const PRIME: u32 = 16_777_619;
/// The word whose lower half is the checksum field, which counts as zero.
const CHECKSUM_WORD: usize = 2;

/// Where the lanes start, so that equal words in different lanes don't cancel out.
const START: [u32; LANES] = [
    0x5B1F_36E9,
    0xB852_5960,
    0x02AB_50AA,
    0x1DE6_6D2A,
    0x79FF_467A,
    0x9BB9_F8A3,
    0x217E_7CD2,
    0x83E1_3D2C,
    0xF8D4_474F,
    0xE39E_B970,
    0x42C6_AE16,
    0x9932_16FA,
    0x7B09_3B5D,
    0x98DA_FF3C,
    0xF718_902A,
    0x0B1C_9CDB,
    0xE58F_764B,
    0x1876_36BC,
    0x5D7B_3BB1,
    0xE73D_E7DE,
    0x92BE_C979,
    0xCCA6_C0B2,
    0x304A_0979,
    0x85AA_43D4,
    0x7831_25BB,
    0x6CA8_EAA2,
    0xE407_EAC6,
    0x4B5C_FC3E,
    0x9FBF_8C76,
    0x15CA_20BE,
    0xF2CA_9FD3,
    0x959B_D756,
];

#[inline]
fn step(lane: u32, word: u32) -> u32 {
    let mixed = lane ^ word;
    mixed.wrapping_mul(PRIME) ^ (mixed >> 17)
}

pub(super) fn page_checksum(page: &[u8; BLOCK_SIZE], block: BlockNumber) -> u16 {
    let mut lanes = START;
    for (row, bytes) in page.chunks_exact(LANES * 4).enumerate() {
        let mut words = [0_u32; LANES];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        if row == 0 {
            words[CHECKSUM_WORD] &= 0xFFFF_0000;
        }
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = step(*lane, word);
        }
    }
    for _ in 0..2 {
        for lane in &mut lanes {
            *lane = step(*lane, 0);
        }
    }
    let folded = lanes.iter().fold(0, |folded, lane| folded ^ lane) ^ block.0;
    (folded % 65535 + 1) as u16
}
