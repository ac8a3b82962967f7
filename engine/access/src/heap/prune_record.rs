//! The PRUNE records of resource manager Heap2: line pointers changed and tuples frozen on one page.
//!
//! ```text
//!   main     reason u8, flags u8, [conflict horizon u32, if HAS_CONFLICT_HORIZON]
//!   block 0  [plan count u16, pad 2, plans (12)*    if HAS_FREEZE_PLANS]
//!            [count u16, (from u16, to u16)*        if HAS_REDIRECTIONS]
//!            [count u16, offset u16*                if HAS_DEAD_ITEMS]
//!            [count u16, offset u16*                if HAS_NOW_UNUSED_ITEMS]
//!            [offset u16*, by plan                  if HAS_FREEZE_PLANS]
//!   plan     xmax u32, infomask2 u16, infomask u16, freeze flags u8, pad 1, tuple count u16
//! ```

use kokkiri_primitives::{OffsetNumber, Result, TransactionId};

use super::record::{PayloadReader, heap2_info};

/// Flags of the main data.
pub mod flags {
    pub const IS_CATALOG: u8 = 1 << 1;
    pub const CLEANUP_LOCK: u8 = 1 << 2;
    pub const HAS_CONFLICT_HORIZON: u8 = 1 << 3;
    pub const HAS_FREEZE_PLANS: u8 = 1 << 4;
    pub const HAS_REDIRECTIONS: u8 = 1 << 5;
    pub const HAS_DEAD_ITEMS: u8 = 1 << 6;
    pub const HAS_NOW_UNUSED_ITEMS: u8 = 1 << 7;
}

/// Why a page was pruned: the kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PruneReason {
    OnAccess,
    VacuumScan,
    VacuumCleanup,
}

impl PruneReason {
    pub fn info(self) -> u8 {
        match self {
            Self::OnAccess => heap2_info::PRUNE_ON_ACCESS,
            Self::VacuumScan => heap2_info::PRUNE_VACUUM_SCAN,
            Self::VacuumCleanup => heap2_info::PRUNE_VACUUM_CLEANUP,
        }
    }
}

/// How one tuple is frozen: what its header becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FreezeTuple {
    pub xmax: u32,
    pub infomask2: u16,
    pub infomask: u16,
    pub offset: OffsetNumber,
}

/// Everything that is done to a page at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneChanges {
    /// Roots of HOT chains and the first tuple left of each.
    pub redirected: Vec<(OffsetNumber, OffsetNumber)>,
    pub dead: Vec<OffsetNumber>,
    pub unused: Vec<OffsetNumber>,
    pub frozen: Vec<FreezeTuple>,
    /// False if line pointers only go from dead to unused: no tuple moves.
    pub cleanup_lock: bool,
}

impl PruneChanges {
    pub fn prunes(&self) -> bool {
        !(self.redirected.is_empty() && self.dead.is_empty() && self.unused.is_empty())
    }

    /// Main data of the record.
    pub fn encode_main(&self, conflict_horizon: Option<TransactionId>, is_catalog: bool) -> Vec<u8> {
        let mut bits = 0;
        for (set, flag) in [
            (is_catalog, flags::IS_CATALOG),
            (self.cleanup_lock, flags::CLEANUP_LOCK),
            (conflict_horizon.is_some(), flags::HAS_CONFLICT_HORIZON),
            (!self.frozen.is_empty(), flags::HAS_FREEZE_PLANS),
            (!self.redirected.is_empty(), flags::HAS_REDIRECTIONS),
            (!self.dead.is_empty(), flags::HAS_DEAD_ITEMS),
            (!self.unused.is_empty(), flags::HAS_NOW_UNUSED_ITEMS),
        ] {
            if set {
                bits |= flag;
            }
        }
        let mut main = vec![0, bits];
        if let Some(horizon) = conflict_horizon {
            main.extend_from_slice(&horizon.0.to_le_bytes());
        }
        main
    }

    /// Data of block 0. Sorts `frozen`, so that tuples frozen alike share a plan.
    pub fn encode_data(&mut self) -> Vec<u8> {
        let mut data = Vec::new();
        self.frozen.sort_unstable();
        if !self.frozen.is_empty() {
            let plans: Vec<_> = self
                .frozen
                .chunk_by(|a, b| (a.xmax, a.infomask2, a.infomask) == (b.xmax, b.infomask2, b.infomask))
                .collect();
            data.extend_from_slice(&(plans.len() as u16).to_le_bytes());
            data.extend_from_slice(&[0; 2]);
            for plan in &plans {
                data.extend_from_slice(&plan[0].xmax.to_le_bytes());
                data.extend_from_slice(&plan[0].infomask2.to_le_bytes());
                data.extend_from_slice(&plan[0].infomask.to_le_bytes());
                data.extend_from_slice(&[0; 2]);
                data.extend_from_slice(&(plan.len() as u16).to_le_bytes());
            }
        }
        if !self.redirected.is_empty() {
            data.extend_from_slice(&(self.redirected.len() as u16).to_le_bytes());
            for (from, to) in &self.redirected {
                data.extend_from_slice(&from.0.to_le_bytes());
                data.extend_from_slice(&to.0.to_le_bytes());
            }
        }
        for offsets in [&self.dead, &self.unused] {
            if !offsets.is_empty() {
                data.extend_from_slice(&(offsets.len() as u16).to_le_bytes());
                data.extend(offsets.iter().flat_map(|offset| offset.0.to_le_bytes()));
            }
        }
        data.extend(self.frozen.iter().flat_map(|frozen| frozen.offset.0.to_le_bytes()));
        data
    }

    /// The conflict horizon and flags of the main data.
    pub fn decode_main(main: &[u8]) -> Result<(u8, Option<TransactionId>)> {
        let mut reader = PayloadReader::new(main);
        reader.u8()?;
        let bits = reader.u8()?;
        let horizon = if bits & flags::HAS_CONFLICT_HORIZON != 0 { Some(reader.xid()?) } else { None };
        Ok((bits, horizon))
    }

    pub fn decode_data(bits: u8, data: &[u8]) -> Result<Self> {
        let mut reader = PayloadReader::new(data);
        let mut changes = Self { cleanup_lock: bits & flags::CLEANUP_LOCK != 0, ..Self::default() };
        let mut plans = Vec::new();
        if bits & flags::HAS_FREEZE_PLANS != 0 {
            let count = reader.u16()?;
            reader.take(2)?;
            for _ in 0..count {
                let (xmax, infomask2, infomask) = (reader.u32()?, reader.u16()?, reader.u16()?);
                reader.take(2)?;
                plans.push((xmax, infomask2, infomask, reader.u16()?));
            }
        }
        if bits & flags::HAS_REDIRECTIONS != 0 {
            let count = reader.u16()?;
            for _ in 0..count {
                changes.redirected.push((reader.offset()?, reader.offset()?));
            }
        }
        if bits & flags::HAS_DEAD_ITEMS != 0 {
            let count = reader.u16()?;
            changes.dead = reader.offsets(usize::from(count))?;
        }
        if bits & flags::HAS_NOW_UNUSED_ITEMS != 0 {
            let count = reader.u16()?;
            changes.unused = reader.offsets(usize::from(count))?;
        }
        for (xmax, infomask2, infomask, count) in plans {
            for _ in 0..count {
                changes.frozen.push(FreezeTuple { xmax, infomask2, infomask, offset: reader.offset()? });
            }
        }
        Ok(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_round_trip_and_share_plans() {
        let offset = OffsetNumber;
        let frozen = |number| FreezeTuple { xmax: 0, infomask2: 3, infomask: 0x0B00, offset: offset(number) };
        let mut changes = PruneChanges {
            redirected: vec![(offset(1), offset(7))],
            dead: vec![offset(2), offset(3)],
            unused: vec![offset(4)],
            frozen: vec![frozen(9), frozen(7), FreezeTuple { infomask: 0x0A00, ..frozen(8) }],
            cleanup_lock: true,
        };
        let main = changes.encode_main(Some(TransactionId(800)), false);
        assert_eq!(main, [0, 0xFC, 0x20, 3, 0, 0]);
        let data = changes.encode_data();
        assert_eq!(data.len(), 4 + 2 * 12 + 6 + 6 + 4 + 6);
        let (bits, horizon) = PruneChanges::decode_main(&main).unwrap();
        assert_eq!(horizon, Some(TransactionId(800)));
        assert_eq!(PruneChanges::decode_data(bits, &data).unwrap(), changes);
        for length in 0..data.len() {
            assert!(PruneChanges::decode_data(bits, &data[..length]).is_err());
        }
    }
}
