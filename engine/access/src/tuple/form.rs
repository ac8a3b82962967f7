//! Forming tuples: values to exactly PostgreSQL's bytes (`heap_form_tuple`, `heap_fill_tuple`).

use std::borrow::Cow;

use kokkiri_primitives::{CommandId, Error, ItemPointer, Result, SqlState, TransactionId, bail};
use kokkiri_types::{Align, Attribute, AttributeStorage, PhysicalType, TupleDesc, ValueRef};

use super::header::{ATTRIBUTES_MAX, HEADER_SIZE, Infomask, TupleHeader, infomask2, max_align};
use super::varlena;

/// A value on its way into a tuple.
#[derive(Clone, Debug)]
pub enum FormValue<'a> {
    /// A value as it travels.
    Value(ValueRef<'a>),
    /// The stored bytes of a variable-length value, header included: compressed, a toast pointer, or taken
    /// over from another tuple.
    Stored(Cow<'a, [u8]>),
}

impl FormValue<'_> {
    pub const NULL: FormValue<'static> = FormValue::Value(ValueRef::Null);

    pub fn is_null(&self) -> bool {
        matches!(self, FormValue::Value(ValueRef::Null))
    }
}

/// A formed tuple that is not on a page yet: header, null bitmap and data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeapTuple {
    pub bytes: Vec<u8>,
}

impl HeapTuple {
    pub fn header(&self) -> Result<TupleHeader> {
        TupleHeader::read(&self.bytes)
    }

    /// True if some value stands in a TOAST relation.
    pub fn has_external(&self) -> bool {
        self.header().is_ok_and(|header| header.infomask.any(Infomask::HAS_EXTERNAL))
    }
}

/// Forms a tuple of one value per attribute. Transaction fields are zero.
pub fn form(desc: &TupleDesc, values: &[FormValue<'_>]) -> Result<HeapTuple> {
    assert_eq!(desc.len(), values.len(), "a row has a value for each attribute of its descriptor");
    if desc.len() > ATTRIBUTES_MAX {
        bail!(TOO_MANY_COLUMNS, "number of columns ({}) exceeds limit ({ATTRIBUTES_MAX})", desc.len());
    }
    let has_null = values.iter().any(FormValue::is_null);
    let bitmap_size = if has_null { desc.len().div_ceil(8) } else { 0 };
    let hoff = max_align(HEADER_SIZE + bitmap_size);
    let mut bytes = Vec::with_capacity(hoff + 16 * values.len());
    bytes.resize(hoff, 0);
    let mut infomask = if has_null { Infomask::HAS_NULL } else { 0 };
    for (index, (attribute, value)) in desc.iter().zip(values).enumerate() {
        if value.is_null() {
            continue;
        }
        if has_null {
            bytes[HEADER_SIZE + index / 8] |= 1 << (index % 8);
        }
        infomask |= append(&mut bytes, hoff, attribute, value)?;
    }
    let header = TupleHeader {
        xmin: TransactionId::INVALID,
        xmax: TransactionId::INVALID,
        cid: CommandId(0),
        ctid: ItemPointer::default(),
        infomask2: desc.len() as u16 & infomask2::NATTS_MASK,
        infomask: Infomask(infomask),
        hoff: hoff as u8,
    };
    header.write(&mut bytes);
    Ok(HeapTuple { bytes })
}

/// Size of the data area that [`form`] would make: `heap_compute_data_size`.
pub fn data_size(desc: &TupleDesc, values: &[FormValue<'_>]) -> usize {
    let mut offset = 0;
    for (attribute, value) in desc.iter().zip(values) {
        offset = match value {
            FormValue::Value(ValueRef::Null) => offset,
            FormValue::Value(ValueRef::Bytes(payload)) if attribute.physical == PhysicalType::Varlena => {
                if packs_short(attribute, payload.len()) {
                    offset + varlena::SHORT_HEADER_SIZE + payload.len()
                } else {
                    attribute.align.up(offset) + varlena::LONG_HEADER_SIZE + payload.len()
                }
            }
            FormValue::Value(ValueRef::Bytes(bytes)) if attribute.physical == PhysicalType::CString => {
                attribute.align.up(offset) + bytes.len() + 1
            }
            FormValue::Value(_) => attribute.align.up(offset) + attribute.length as usize,
            FormValue::Stored(stored) => stored_alignment(attribute, stored).up(offset) + stored.len(),
        };
    }
    offset
}

fn packs_short(attribute: &Attribute, payload_length: usize) -> bool {
    attribute.storage != AttributeStorage::Plain && varlena::fits_short(payload_length)
}

/// Values with a one-byte header are not aligned.
fn stored_alignment(attribute: &Attribute, stored: &[u8]) -> Align {
    if stored.first().is_some_and(|first| first & 1 == 1) { Align::Char } else { attribute.align }
}

/// Appends one value that is not null, aligned relative to `start`, and returns the infomask bits that its
/// presence sets.
pub fn append(
    bytes: &mut Vec<u8>,
    start: usize,
    attribute: &Attribute,
    value: &FormValue<'_>,
) -> Result<u16> {
    let align = |bytes: &mut Vec<u8>, align: Align| {
        let offset = align.up(bytes.len() - start);
        bytes.resize(start + offset, 0);
    };
    let value = match value {
        FormValue::Stored(stored) => {
            align(bytes, stored_alignment(attribute, stored));
            bytes.extend_from_slice(stored);
            let external = if stored.first() == Some(&1) { Infomask::HAS_EXTERNAL } else { 0 };
            return Ok(Infomask::HAS_VARWIDTH | external);
        }
        FormValue::Value(value) => *value,
    };
    if attribute.physical == PhysicalType::Varlena {
        let payload = value.bytes();
        if packs_short(attribute, payload.len()) {
            bytes.push(varlena::short_header(payload.len()));
        } else {
            if payload.len() > varlena::PAYLOAD_MAX {
                return Err(Error::new(
                    SqlState::PROGRAM_LIMIT_EXCEEDED,
                    format!("invalid memory alloc request size {}", payload.len()),
                ));
            }
            align(bytes, attribute.align);
            bytes.extend_from_slice(&varlena::long_header(payload.len()));
        }
        bytes.extend_from_slice(payload);
        return Ok(Infomask::HAS_VARWIDTH);
    }
    align(bytes, attribute.align);
    append_fixed(bytes, attribute, value);
    Ok(if attribute.physical == PhysicalType::CString { Infomask::HAS_VARWIDTH } else { 0 })
}

fn append_fixed(bytes: &mut Vec<u8>, attribute: &Attribute, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => unreachable!("nulls are not stored"),
        ValueRef::Bool(value) => bytes.push(u8::from(value)),
        ValueRef::Char(value) => bytes.push(value),
        ValueRef::Int16(value) => bytes.extend_from_slice(&value.to_le_bytes()),
        ValueRef::Int32(value) => bytes.extend_from_slice(&value.to_le_bytes()),
        ValueRef::Int64(value) => bytes.extend_from_slice(&value.to_le_bytes()),
        ValueRef::Float32(value) => bytes.extend_from_slice(&value.to_le_bytes()),
        ValueRef::Float64(value) => bytes.extend_from_slice(&value.to_le_bytes()),
        ValueRef::Fixed16(value) => bytes.extend_from_slice(&value[..attribute.length as usize]),
        ValueRef::Tid(value) => bytes.extend_from_slice(&value.to_bytes()),
        ValueRef::Bytes(value) => {
            let end =
                bytes.len() + if attribute.length < 0 { value.len() + 1 } else { attribute.length as usize };
            bytes.extend_from_slice(value);
            // A name without padding, or a string without its zero. Nothing longer than its type gets here.
            assert!(
                bytes.len() <= end,
                "a value of {} bytes in a column of {}",
                value.len(),
                attribute.length
            );
            bytes.resize(end, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kokkiri_primitives::Oid;

    fn desc(types: &[u32]) -> TupleDesc {
        let attributes: Vec<_> = types
            .iter()
            .enumerate()
            .map(|(i, oid)| Attribute::builtin("c", i as i16 + 1, Oid(*oid)))
            .collect();
        TupleDesc::new(attributes)
    }

    #[test]
    fn alignment_and_short_headers() {
        // int2, text, int4: the text needs no alignment, the int4 after it does.
        let desc = desc(&[21, 25, 23]);
        let values = [
            FormValue::Value(ValueRef::Int16(1)),
            FormValue::Value(ValueRef::Bytes(b"abc")),
            FormValue::Value(ValueRef::Int32(-1)),
        ];
        let tuple = form(&desc, &values).unwrap();
        let header = tuple.header().unwrap();
        assert_eq!((header.hoff, header.infomask.0, header.infomask2), (24, 0x0002, 3));
        assert_eq!(tuple.bytes[24..], [1, 0, 9, b'a', b'b', b'c', 0, 0, 255, 255, 255, 255]);
        assert_eq!(data_size(&desc, &values), 12);
    }

    #[test]
    fn the_null_bitmap_marks_what_is_there() {
        let desc = desc(&[23, 23, 20]);
        let values =
            [FormValue::NULL, FormValue::Value(ValueRef::Int32(7)), FormValue::Value(ValueRef::Int64(9))];
        let tuple = form(&desc, &values).unwrap();
        assert_eq!(tuple.bytes[22..24], [24, 0b110]);
        assert_eq!(tuple.bytes[24..], [7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
        assert!(tuple.header().unwrap().infomask.any(Infomask::HAS_NULL));
        assert_eq!(data_size(&desc, &values), 16);
    }

    /// A row as a PostgreSQL 18 stored it: `(1, 'abc', 7, 1.5, true, null)` and
    /// `(null, repeat('xy', 100), -1, 0, false, 'q')` of types int2, text, int4, numeric, bool, text.
    #[test]
    fn rows_are_stored_as_by_postgresql() {
        let desc = desc(&[21, 25, 23, 1700, 16, 25]);
        let first = [
            FormValue::Value(ValueRef::Int16(1)),
            FormValue::Value(ValueRef::Bytes(b"abc")),
            FormValue::Value(ValueRef::Int32(7)),
            FormValue::Value(ValueRef::Bytes(&[0x80, 0x80, 0x01, 0x00, 0x88, 0x13])),
            FormValue::Value(ValueRef::Bool(true)),
            FormValue::NULL,
        ];
        let tuple = form(&desc, &first).unwrap().bytes;
        let expected = [
            &[0x06, 0x00, 0x03, 0x00, 0x18, 0x1f][..],
            &[0x01, 0x00, 0x09, 0x61, 0x62, 0x63, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00],
            &[0x0f, 0x80, 0x80, 0x01, 0x00, 0x88, 0x13, 0x01],
        ];
        assert_eq!(tuple[18..], expected.concat());
        let text = b"xy".repeat(100);
        let second = [
            FormValue::NULL,
            FormValue::Value(ValueRef::Bytes(&text)),
            FormValue::Value(ValueRef::Int32(-1)),
            FormValue::Value(ValueRef::Bytes(&[0x00, 0x80])),
            FormValue::Value(ValueRef::Bool(false)),
            FormValue::Value(ValueRef::Bytes(b"q")),
        ];
        let tuple = form(&desc, &second).unwrap().bytes;
        let expected = [
            &[0x06, 0x00, 0x03, 0x00, 0x18, 0x3e, 0x30, 0x03, 0x00, 0x00][..],
            &text,
            &[0xff, 0xff, 0xff, 0xff, 0x07, 0x00, 0x80, 0x00, 0x05, 0x71],
        ];
        assert_eq!(tuple[18..], expected.concat());
    }

    #[test]
    fn long_text_gets_a_full_header() {
        let desc = desc(&[21, 25]);
        let text = vec![b'x'; 200];
        let values = [FormValue::Value(ValueRef::Int16(1)), FormValue::Value(ValueRef::Bytes(&text))];
        let tuple = form(&desc, &values).unwrap();
        assert_eq!(tuple.bytes[24..33], [1, 0, 0, 0, 0x30, 3, 0, 0, b'x']);
        assert_eq!(tuple.bytes.len(), 24 + data_size(&desc, &values));
    }
}
