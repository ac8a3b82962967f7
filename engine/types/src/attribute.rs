//! Attributes and tuple descriptors: the shape of a row.
//!
//! Realises: PostgreSQL's `TupleDesc` (tupdesc.c) and the part of `pg_attribute` that a row's layout
//! needs. A descriptor is immutable and shared.

use std::ops::Deref;
use std::sync::Arc;

use kokkiri_primitives::Oid;

use crate::builtin::{self, TypeInfo};
use crate::value::{PhysicalType, Value};

/// `typalign` and `attalign`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Align {
    Char,
    Short,
    Int,
    Double,
}

impl Align {
    pub fn bytes(self) -> usize {
        match self {
            Align::Char => 1,
            Align::Short => 2,
            Align::Int => 4,
            Align::Double => 8,
        }
    }

    /// The first offset at or after `offset` that is so aligned.
    #[inline]
    pub fn up(self, offset: usize) -> usize {
        let mask = self.bytes() - 1;
        (offset + mask) & !mask
    }

    /// The catalog's letter.
    pub fn code(self) -> u8 {
        match self {
            Align::Char => b'c',
            Align::Short => b's',
            Align::Int => b'i',
            Align::Double => b'd',
        }
    }
}

impl TryFrom<u8> for Align {
    type Error = ();

    fn try_from(code: u8) -> Result<Self, ()> {
        Ok(match code {
            b'c' => Align::Char,
            b's' => Align::Short,
            b'i' => Align::Int,
            b'd' => Align::Double,
            _ => return Err(()),
        })
    }
}

/// `typstorage` and `attstorage`: what TOAST may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttributeStorage {
    Plain,
    External,
    Extended,
    Main,
}

impl AttributeStorage {
    /// The catalog's letter.
    pub fn code(self) -> u8 {
        match self {
            AttributeStorage::Plain => b'p',
            AttributeStorage::External => b'e',
            AttributeStorage::Extended => b'x',
            AttributeStorage::Main => b'm',
        }
    }
}

impl TryFrom<u8> for AttributeStorage {
    type Error = ();

    fn try_from(code: u8) -> Result<Self, ()> {
        Ok(match code {
            b'p' => AttributeStorage::Plain,
            b'e' => AttributeStorage::External,
            b'x' => AttributeStorage::Extended,
            b'm' => AttributeStorage::Main,
            _ => return Err(()),
        })
    }
}

/// One column of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    pub name: Arc<str>,
    /// 1-based; negative for system columns. PostgreSQL's `AttrNumber`.
    pub number: i16,
    pub type_oid: Oid,
    /// -1 for none.
    pub typmod: i32,
    /// 0, or the number of declared array dimensions.
    pub dimensions: i16,
    pub physical: PhysicalType,
    /// Bytes; -1 for varlena, -2 for zero-terminated.
    pub length: i16,
    pub by_value: bool,
    pub align: Align,
    pub storage: AttributeStorage,
    /// `p` (pglz), `l` (lz4) or 0 for the default.
    pub compression: u8,
    pub collation: Oid,
    pub not_null: bool,
    pub has_default: bool,
    /// 0, `a` (always) or `d` (by default).
    pub identity: u8,
    /// 0, `s` (stored) or `v` (virtual).
    pub generated: u8,
    pub dropped: bool,
    /// Value of rows older than the column: `attmissingval`.
    pub missing: Option<Value>,
}

impl Attribute {
    /// A plain column of a type that is known by its entry.
    pub fn new(name: impl Into<Arc<str>>, number: i16, info: &TypeInfo, typmod: i32) -> Self {
        Self {
            name: name.into(),
            number,
            type_oid: info.oid,
            typmod,
            dimensions: 0,
            physical: info.physical(),
            length: info.length,
            by_value: info.by_value,
            align: info.align,
            storage: info.storage,
            compression: 0,
            collation: info.collation,
            not_null: false,
            has_default: false,
            identity: 0,
            generated: 0,
            dropped: false,
            missing: None,
        }
    }

    /// A plain column of a built-in type.
    ///
    /// # Panics
    /// If there is no such type.
    pub fn builtin(name: impl Into<Arc<str>>, number: i16, type_oid: Oid) -> Self {
        let info = builtin::type_info(type_oid).expect("the oid of a built-in type");
        Self::new(name, number, info, -1)
    }
}

/// The shape of a row: attributes in order of their numbers, dropped ones included.
#[derive(Clone, Debug)]
pub struct TupleDesc(Arc<Shape>);

#[derive(Debug)]
struct Shape {
    attributes: Box<[Attribute]>,
    /// Byte offset in a tuple's data of the attributes before which only fixed-width ones stand (as long
    /// as none of those is null): a prefix of the attributes.
    fixed_offsets: Box<[u32]>,
    has_missing: bool,
}

impl TupleDesc {
    pub fn new(attributes: impl Into<Box<[Attribute]>>) -> Self {
        let attributes = attributes.into();
        let mut fixed_offsets = Vec::new();
        let mut offset = 0;
        for attribute in &attributes {
            // A varlena's own offset depends on its header's form unless it starts aligned.
            let aligned = attribute.align.up(offset);
            if attribute.length == -1 && aligned != offset {
                break;
            }
            fixed_offsets.push(aligned as u32);
            if attribute.length < 0 {
                break;
            }
            offset = aligned + attribute.length as usize;
        }
        let has_missing = attributes.iter().any(|attribute| attribute.missing.is_some());
        Self(Arc::new(Shape { attributes, fixed_offsets: fixed_offsets.into(), has_missing }))
    }

    pub fn attributes(&self) -> &[Attribute] {
        &self.0.attributes
    }

    /// See the field: the attributes whose place is known without looking at the tuple.
    pub fn fixed_offsets(&self) -> &[u32] {
        &self.0.fixed_offsets
    }

    /// True if some attribute has a value for rows older than itself.
    pub fn has_missing(&self) -> bool {
        self.0.has_missing
    }

    /// The attribute of a 1-based number, if there is one that is not dropped.
    pub fn attribute(&self, number: i16) -> Option<&Attribute> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.0.attributes.get(index).filter(|attribute| !attribute.dropped)
    }
}

impl Deref for TupleDesc {
    type Target = [Attribute];

    fn deref(&self) -> &[Attribute] {
        &self.0.attributes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_known_up_to_the_first_varlena() {
        let columns = [("a", 21), ("b", 20), ("c", 25), ("d", 23)];
        let attributes: Vec<_> = columns
            .iter()
            .enumerate()
            .map(|(index, (name, oid))| Attribute::builtin(*name, index as i16 + 1, Oid(*oid)))
            .collect();
        let desc = TupleDesc::new(attributes);
        assert_eq!(desc.fixed_offsets(), [0, 8, 16]);
        assert_eq!(desc.attribute(4).map(|a| &*a.name), Some("d"));
        assert!(desc.attribute(0).is_none() && desc.attribute(5).is_none());
    }
}
