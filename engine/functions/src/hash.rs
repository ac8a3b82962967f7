//! PostgreSQL's hash functions, by which its hash indexes and hash partitions find their place.
//!
//! Realises: hashfn.c and hashfunc.c. The values must be PostgreSQL's, bit for bit: they are stored. The
//! executor's own hash tables use a faster hash ([`kokkiri_types::hash`]).

mod bytes;

use kokkiri_function_macros::builtin;
use kokkiri_primitives::{ItemPointer, Oid, Result, error};
use kokkiri_types::array::{ArrayRef, element_info};
use kokkiri_types::builtin::oid;
use kokkiri_types::datetime::{Interval, timetz_from_fixed};
use kokkiri_types::io::type_name;
use kokkiri_types::numeric::{Kind, NumericRef};
use kokkiri_types::text::without_padding;
use kokkiri_types::{Value, ValueRef};

use crate::context::CallContext;
use crate::registry::{Builtin, list};
use bytes::{hash_bytes, hash_word};

pub(crate) const FILES: &[&[&[Builtin]]] = &[HASHES];

/// The 64-bit hash of a value with a seed. Its lower half, without a seed, is the 32-bit hash.
fn hash(type_oid: Oid, value: ValueRef<'_>, seed: u64) -> Result<u64> {
    Ok(match type_oid {
        oid::BOOL => hash_word(u32::from(value.bool()), seed),
        oid::CHAR => hash_word(value.char() as i8 as u32, seed),
        oid::INT2 => hash_word(value.int16() as u32, seed),
        oid::INT4 | oid::DATE => hash_word(value.int32() as u32, seed),
        oid::INT8 | oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::XID8 | oid::PG_LSN => {
            hash_int8(value.int64(), seed)
        }
        oid::FLOAT4 => hash_float(f64::from(value.float32()), seed),
        oid::FLOAT8 => hash_float(value.float64(), seed),
        oid::NUMERIC => hash_numeric(value.bytes(), seed),
        oid::TEXT | oid::VARCHAR | oid::NAME | oid::BYTEA => hash_bytes(value.bytes(), seed),
        oid::BPCHAR => hash_bytes(without_padding(value.bytes()), seed),
        oid::UUID => hash_bytes(&value.fixed16(), seed),
        oid::INTERVAL => {
            let span = Interval::from_fixed(value.fixed16()).cmp_value();
            hash_int8(span as i64, seed)
        }
        oid::TIMETZ => {
            let (time, zone) = timetz_from_fixed(&value.fixed16());
            let (time, zone) = (hash_int8(time, seed), hash_word(zone as u32, seed));
            time ^ zone
        }
        oid::TID => hash_tid(value.tid(), seed),
        oid::OIDVECTOR => {
            let mut bytes = Vec::new();
            for element in ArrayRef::new(value.bytes())?.builtin_elements()? {
                bytes.extend_from_slice(&element.oid().0.to_le_bytes());
            }
            hash_bytes(&bytes, seed)
        }
        oid::OID | oid::XID | oid::CID => hash_word(value.oid().0, seed),
        oid::ANYARRAY => hash_array(value.bytes(), seed)?,
        other => {
            return Err(error!(
                UNDEFINED_FUNCTION,
                "could not identify a hash function for type {}",
                type_name(other)
            ));
        }
    })
}

/// Values that fit in four bytes hash as those do.
fn hash_int8(value: i64, seed: u64) -> u64 {
    let (low, high) = (value as u32, (value >> 32) as u32);
    hash_word(low ^ if value >= 0 { high } else { !high }, seed)
}

/// Both zeros are equal, and all that is not a number.
fn hash_float(value: f64, seed: u64) -> u64 {
    if value == 0.0 {
        return seed;
    }
    let value = if value.is_nan() { f64::NAN } else { value };
    hash_bytes(&value.to_bits().to_le_bytes(), seed)
}

/// Digits without the zeros at both ends, which don't change the value.
fn hash_numeric(payload: &[u8], seed: u64) -> u64 {
    let number = NumericRef::new(payload);
    if number.kind != Kind::Finite {
        return seed;
    }
    let digits: Vec<u16> = number.digits().collect();
    let leading = digits.iter().take_while(|digit| **digit == 0).count();
    if leading == digits.len() {
        return seed.wrapping_sub(1);
    }
    let trailing = digits.iter().rev().take_while(|digit| **digit == 0).count();
    let bytes: Vec<u8> =
        digits[leading..digits.len() - trailing].iter().flat_map(|digit| digit.to_le_bytes()).collect();
    let weight = i64::from(number.weight) - leading as i64;
    let hash = hash_bytes(&bytes, seed);
    hash ^ weight as u64
}

fn hash_tid(tid: ItemPointer, seed: u64) -> u64 {
    let block = tid.block.0;
    let mut bytes = Vec::with_capacity(6);
    bytes.extend_from_slice(&((block >> 16) as u16).to_le_bytes());
    bytes.extend_from_slice(&(block as u16).to_le_bytes());
    bytes.extend_from_slice(&tid.offset.0.to_le_bytes());
    hash_bytes(&bytes, seed)
}

/// Elements one after the other, their shape left out.
fn hash_array(payload: &[u8], seed: u64) -> Result<u64> {
    let array = ArrayRef::new(payload)?;
    element_info(array.element)?;
    let mut result: u64 = 1;
    for element in array.builtin_elements()? {
        let next = match element.is_null() {
            true => 0,
            false => hash(array.element, element, seed)?,
        };
        result = (result << 5).wrapping_sub(result).wrapping_add(next);
    }
    Ok(result)
}

macro_rules! hashes {
    ($($name:ident $oid:literal, $extended:ident $extended_oid:literal: $type_oid:expr;)*) => {
        const HASHES: &[&[Builtin]] = list![$($name, $extended),*];

        $(
            #[builtin(oid = $oid, raw, strict)]
            fn $name(_: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Value> {
                Ok(Value::Int32(hash($type_oid, arguments[0], 0)? as i32))
            }

            #[builtin(oid = $extended_oid, raw, strict)]
            fn $extended(_: &mut CallContext<'_>, arguments: &[ValueRef<'_>]) -> Result<Value> {
                Ok(Value::Int64(hash($type_oid, arguments[0], arguments[1].int64() as u64)? as i64))
            }
        )*
    };
}

hashes! {
    hashint2 449, hashint2extended 441: oid::INT2;
    hashint4 450, hashint4extended 425: oid::INT4;
    hashint8 949, hashint8extended 442: oid::INT8;
    hashfloat4 451, hashfloat4extended 443: oid::FLOAT4;
    hashfloat8 452, hashfloat8extended 444: oid::FLOAT8;
    hashoid 453, hashoidextended 445: oid::OID;
    hashchar 454, hashcharextended 446: oid::CHAR;
    hashname 455, hashnameextended 447: oid::NAME;
    hashtext 400, hashtextextended 448: oid::TEXT;
    hashvarlena 456, hashvarlenaextended 772: oid::BYTEA;
    hashoidvector 457, hashoidvectorextended 776: oid::OIDVECTOR;
    hash_array_value 626, hash_array_extended 782: oid::ANYARRAY;
    hashbpchar 1080, hashbpcharextended 972: oid::BPCHAR;
    hash_numeric_value 432, hash_numeric_extended 780: oid::NUMERIC;
    time_hash 1688, time_hash_extended 3409: oid::TIME;
    timetz_hash 1696, timetz_hash_extended 3410: oid::TIMETZ;
    interval_hash 1697, interval_hash_extended 3418: oid::INTERVAL;
    timestamp_hash 2039, timestamp_hash_extended 3411: oid::TIMESTAMP;
    timestamptz_hash 6425, timestamptz_hash_extended 6426: oid::TIMESTAMPTZ;
    uuid_hash 2963, uuid_hash_extended 3412: oid::UUID;
    pg_lsn_hash 3252, pg_lsn_hash_extended 3413: oid::PG_LSN;
    hashtid 2233, hashtidextended 2234: oid::TID;
    hashbytea 6413, hashbyteaextended 6414: oid::BYTEA;
    hashdate 6415, hashdateextended 6416: oid::DATE;
    hashbool 6417, hashboolextended 6418: oid::BOOL;
    hashxid 6419, hashxidextended 6420: oid::XID;
    hashxid8 6421, hashxid8extended 6422: oid::XID8;
    hashcid 6423, hashcidextended 6424: oid::CID;
}
