//! The format of a WAL record, byte for byte PostgreSQL 18's.
//!
//! Realises: `xlogrecord.h`.
//!
//! ```text
//!  0        4       8              16     17     18     20      24
//!  +--------+-------+--------------+------+------+------+-------+---------------+-------+------+------+
//!  | length |  xid  |  previous    | info | rmgr | zero | crc   | block headers | main  | block| main |
//!  |  u32   |  u32  |  lsn u64     |  u8  |  u8  | u16  | u32   |               | header| data | data |
//!  +--------+-------+--------------+------+------+------+-------+---------------+-------+------+------+
//!
//!  block header: id u8, fork | flags u8, data length u16,
//!                [image: length u16, hole offset u16, bits u8, [hole length u16]],
//!                [tablespace u32, database u32, file number u32], block u32
//!  main header:  255, length u8   or   254, length u32
//!  before it:    253, replication origin u16;   252, top-level xid u32
//! ```
//!
//! Nothing behind the header is aligned. A record starts at a multiple of eight; the length doesn't count
//! the padding behind it. The CRC-32C covers everything behind the header first, then the header up to
//! the CRC itself.

mod builder;
mod decode;
mod image;

use kokkiri_primitives::ids::{Lsn, TransactionId};

pub use builder::{RecordBuilder, RegisterFlags};
pub use decode::{DecodedBlock, DecodedRecord};

pub(crate) use builder::{Assembled, ImagePolicy};
pub use image::ImageCompression;

/// Size of the fixed header: `SizeOfXLogRecord`.
pub const RECORD_HEADER_SIZE: usize = 24;
/// Longest record, bytes: `XLogRecordMaxSize`.
pub const RECORD_SIZE_MAX: usize = 1020 * 1024 * 1024;
/// Highest id of a block reference: `XLR_MAX_BLOCK_ID`.
pub const BLOCK_ID_MAX: u8 = 32;

/// Bits of `info` that belong to the resource manager: `XLR_RMGR_INFO_MASK`.
pub const RMGR_INFO_MASK: u8 = 0xF0;
/// The record changes relation files in ways its block references don't show: `XLR_SPECIAL_REL_UPDATE`.
pub const SPECIAL_REL_UPDATE: u8 = 0x01;
/// Images are there to be compared with what redo makes: `XLR_CHECK_CONSISTENCY`.
pub const CHECK_CONSISTENCY: u8 = 0x02;

const FORK_MASK: u8 = 0x0F;
const BLOCK_HAS_IMAGE: u8 = 0x10;
const BLOCK_HAS_DATA: u8 = 0x20;
const BLOCK_WILL_INIT: u8 = 0x40;
const BLOCK_SAME_RELATION: u8 = 0x80;

const IMAGE_HAS_HOLE: u8 = 0x01;
const IMAGE_APPLY: u8 = 0x02;
const IMAGE_PGLZ: u8 = 0x04;
const IMAGE_LZ4: u8 = 0x08;
const IMAGE_ZSTD: u8 = 0x10;
const IMAGE_COMPRESSED: u8 = IMAGE_PGLZ | IMAGE_LZ4 | IMAGE_ZSTD;

const ID_DATA_SHORT: u8 = 255;
const ID_DATA_LONG: u8 = 254;
const ID_ORIGIN: u8 = 253;
const ID_TOPLEVEL_XID: u8 = 252;

/// Rounds up to the alignment of records.
pub(crate) const fn max_align(length: u64) -> u64 {
    (length + 7) & !7
}

/// The fixed header, decoded but not yet believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    pub total_length: u32,
    pub xid: TransactionId,
    pub prev: Lsn,
    pub info: u8,
    /// Raw, because the header is decoded before it is validated.
    pub rmgr: u8,
    pub crc: u32,
}

impl RecordHeader {
    pub fn decode(bytes: &[u8; RECORD_HEADER_SIZE]) -> Self {
        let [
            l0,
            l1,
            l2,
            l3,
            x0,
            x1,
            x2,
            x3,
            p0,
            p1,
            p2,
            p3,
            p4,
            p5,
            p6,
            p7,
            info,
            rmgr,
            _,
            _,
            c0,
            c1,
            c2,
            c3,
        ] = *bytes;
        Self {
            total_length: u32::from_le_bytes([l0, l1, l2, l3]),
            xid: TransactionId(u32::from_le_bytes([x0, x1, x2, x3])),
            prev: Lsn(u64::from_le_bytes([p0, p1, p2, p3, p4, p5, p6, p7])),
            info,
            rmgr,
            crc: u32::from_le_bytes([c0, c1, c2, c3]),
        }
    }

    pub fn encode(&self) -> [u8; RECORD_HEADER_SIZE] {
        let mut bytes = [0; RECORD_HEADER_SIZE];
        bytes[0..4].copy_from_slice(&self.total_length.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.xid.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.prev.0.to_le_bytes());
        bytes[16] = self.info;
        bytes[17] = self.rmgr;
        bytes[20..24].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }
}

/// CRC-32C of a whole record as its header stores it: what follows the header first, then the header
/// without the CRC. `bytes` is at least a header long.
pub fn record_crc(bytes: &[u8]) -> u32 {
    let (header, body) = bytes.split_at(RECORD_HEADER_SIZE);
    crc32c::crc32c_append(crc32c::crc32c(body), &header[..20])
}

#[cfg(test)]
mod tests {
    use kokkiri_primitives::ids::{BlockNumber, Fork, Oid, RelFileLocator, RelFileNumber};

    use crate::rmgr::RmgrId;

    use super::*;

    /// The insertion of the first row of pg_auth_members, as PostgreSQL 18.4 logged it at 0/11A5280.
    const CAPTURED: &str = "4a0000000901000028521a0100000000800a0000ecfd9e6d006019008006000000000000\
                            ed04000000000000ff03070000081800442800002e0d00002d0d00000a00000000010101\
                            0000";

    fn captured() -> Vec<u8> {
        let digit = |byte: u8| (byte as char).to_digit(16).expect("hexadecimal") as u8;
        CAPTURED.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    #[test]
    fn a_record_of_postgresql_is_read_and_written_alike() {
        let bytes = captured();
        let lsn = Lsn(0x011A_5280);
        let header = RecordHeader::decode(bytes.first_chunk().expect("there is a header"));
        assert_eq!(record_crc(&bytes), header.crc);
        assert_eq!(header.encode(), bytes[..RECORD_HEADER_SIZE]);
        let record = DecodedRecord::decode(bytes.clone(), lsn, lsn + 80).expect("PostgreSQL wrote it");
        assert_eq!((record.rmgr, record.operation(), record.xid), (RmgrId::Heap, 0x80, TransactionId(265)));
        let locator = RelFileLocator { tablespace: Oid(1664), database: Oid(0), number: RelFileNumber(1261) };
        let block = record.block(0).expect("it changes a page");
        assert_eq!((block.locator, block.fork, block.block), (locator, Fork::Main, BlockNumber(0)));
        assert!(block.will_init && !block.has_image());
        assert_eq!(record.main_data(), [1, 0, 0]);

        let page = [0; kokkiri_primitives::ids::BLOCK_SIZE];
        let mut builder = RecordBuilder::new(RmgrId::Heap, 0x80);
        builder
            .xid(Some(TransactionId(265)))
            .register_block(0, (locator, Fork::Main, BlockNumber(0)), &page, RegisterFlags::WILL_INIT)
            .buffer_data(0, record.block_data(0).expect("the tuple"))
            .data(record.main_data());
        let policy = ImagePolicy { redo: lsn, full_page_writes: true, compression: ImageCompression::Off };
        let assembled = builder.assemble(&policy);
        assert_eq!(builder.seal(header.prev, &assembled), bytes);
    }
}
