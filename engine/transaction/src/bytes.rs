//! Reading the fields of record bodies: little-endian, checked, in order.

use kokkiri_primitives::{Lsn, Oid, RelFileLocator, RelFileNumber, Result, TransactionId};
use kokkiri_wal::xlog::malformed;

/// A record's bytes, read from front to back. Running out of them is an error that names the record.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    kind: &'static str,
    lsn: Lsn,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8], kind: &'static str, lsn: Lsn) -> Self {
        Self { rest: bytes, kind, lsn }
    }

    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8]> {
        match self.rest.split_at_checked(length) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(malformed(self.kind, self.lsn)),
        }
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.bytes(N)?;
        Ok(bytes.try_into().expect("as long as asked for"))
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub fn xid(&mut self) -> Result<TransactionId> {
        Ok(TransactionId(self.u32()?))
    }

    pub fn locator(&mut self) -> Result<RelFileLocator> {
        Ok(RelFileLocator {
            tablespace: Oid(self.u32()?),
            database: Oid(self.u32()?),
            number: RelFileNumber(self.u32()?),
        })
    }

    /// A count, which is stored signed; checked against what can follow, `size` bytes each.
    pub fn count(&mut self, size: usize) -> Result<usize> {
        let count = self.u32()? as usize;
        match count.checked_mul(size) {
            Some(length) if length <= self.rest.len() => Ok(count),
            _ => Err(malformed(self.kind, self.lsn)),
        }
    }

    pub fn xids(&mut self, count: usize) -> Result<Vec<TransactionId>> {
        (0..count).map(|_| self.xid()).collect()
    }
}

/// Appends a locator as records hold it.
pub(crate) fn put_locator(out: &mut Vec<u8>, locator: RelFileLocator) {
    out.extend_from_slice(&locator.tablespace.0.to_le_bytes());
    out.extend_from_slice(&locator.database.0.to_le_bytes());
    out.extend_from_slice(&locator.number.0.to_le_bytes());
}
