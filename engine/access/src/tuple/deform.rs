//! Deforming tuples: stored bytes to column vectors, only the columns wanted (`heap_deform_tuple`).
//!
//! Attributes before the first variable-length one stand at fixed offsets as long as no null is among
//! them; a page of such tuples is taken apart column by column. Others are found by walking the tuple
//! once, up to the last attribute wanted. Values in a TOAST relation are not fetched here, because the
//! caller may hold a page lock: they are noted as [`Deferred`].

use kokkiri_primitives::{Error, ItemPointer, Result};
use kokkiri_types::{Attribute, Column, PhysicalType, TupleDesc, ValueRef};

use super::header::{HEADER_SIZE, Infomask, TupleHeader};
use super::varlena::{self, ToastPointer, Varlena};
use crate::toast::compression;

/// A value that is to be fetched from a TOAST relation, and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deferred {
    /// Position in the list of output columns.
    pub column: usize,
    pub row: usize,
    pub pointer: ToastPointer,
    /// The value as it was compressed is wanted, and not its payload.
    pub compressed: bool,
}

/// What a tuple has besides the values of its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TupleField {
    Xmin,
    Xmax,
    /// `cmin` and `cmax` both: the tuple has one field for them.
    Command,
    /// The bytes that an attribute of variable length (0-based) has in the tuple, header included: plain,
    /// compressed, or a toast pointer.
    Stored(usize),
    /// The same of a compressed value, which comes inline if it is out of line. Null for any other.
    Compressed(usize),
}

impl TupleField {
    pub fn physical(self) -> PhysicalType {
        match self {
            TupleField::Xmin | TupleField::Xmax | TupleField::Command => PhysicalType::Int32,
            TupleField::Stored(_) | TupleField::Compressed(_) => PhysicalType::Varlena,
        }
    }
}

/// Takes tuples of one descriptor apart.
#[derive(Clone, Debug)]
pub struct Deformer {
    desc: TupleDesc,
    /// Attribute (0-based) and output column, in rising order of attributes.
    wanted: Vec<(usize, usize)>,
    /// How many of `wanted` stand at fixed offsets.
    fixed: usize,
    /// What else is wanted of a tuple, each with its output column.
    fields: Vec<(TupleField, usize)>,
}

impl Deformer {
    /// `wanted[i]` is the 0-based attribute that goes to output column `i`.
    pub fn new(desc: TupleDesc, wanted: &[usize]) -> Self {
        Self::of(desc, wanted.iter().enumerate().map(|(column, attribute)| (*attribute, column)).collect())
    }

    /// The attributes wanted (0-based), each with the output column that it goes to.
    pub fn of(desc: TupleDesc, mut wanted: Vec<(usize, usize)>) -> Self {
        wanted.sort_unstable();
        let fixed_limit = desc.fixed_offsets().len();
        let fixed = wanted.iter().take_while(|(attribute, _)| *attribute < fixed_limit).count();
        Self { desc, wanted, fixed, fields: Vec::new() }
    }

    /// Fields of the tuple are wanted, too, each in an output column of its own.
    pub fn with_fields(mut self, fields: &[(TupleField, usize)]) -> Self {
        self.fields = fields.to_vec();
        self
    }

    /// All attributes, each to the column of its position.
    pub fn all(desc: TupleDesc) -> Self {
        let wanted: Vec<_> = (0..desc.len()).collect();
        Self::new(desc, &wanted)
    }

    pub fn desc(&self) -> &TupleDesc {
        &self.desc
    }

    /// Physical types of the output columns.
    pub fn physical_types(&self) -> Vec<PhysicalType> {
        let mut types = vec![PhysicalType::Bool; self.wanted.len()];
        for (attribute, column) in &self.wanted {
            types[*column] = self.desc[*attribute].physical;
        }
        types
    }

    /// Appends `tuples` to the output columns, the first as row `first_row`.
    pub fn append(
        &self,
        tuples: &[&[u8]],
        first_row: usize,
        columns: &mut [Column],
        deferred: &mut Vec<Deferred>,
    ) -> Result<()> {
        for (field, column) in &self.fields {
            for (index, tuple) in tuples.iter().enumerate() {
                let row = first_row + index;
                self.append_field(*field, tuple, row, *column, &mut columns[*column], deferred)?;
            }
        }
        let mut fixed = self.fixed;
        if let Some((last, _)) = self.wanted[..fixed].last() {
            for tuple in tuples {
                if !has_all_up_to(*last, tuple)? {
                    fixed = 0;
                    break;
                }
            }
        }
        let (fixed, walked) = self.wanted.split_at(fixed);
        for (attribute, column) in fixed {
            self.append_fixed(tuples, *attribute, *column, first_row, &mut columns[*column], deferred)?;
        }
        if !walked.is_empty() {
            for (index, tuple) in tuples.iter().enumerate() {
                self.append_walking(tuple, walked, first_row + index, columns, deferred)?;
            }
        }
        Ok(())
    }

    fn append_field(
        &self,
        field: TupleField,
        tuple: &[u8],
        row: usize,
        slot: usize,
        column: &mut Column,
        deferred: &mut Vec<Deferred>,
    ) -> Result<()> {
        let header = TupleHeader::read(tuple)?;
        match field {
            TupleField::Xmin => column.push_element(header.xmin.0 as i32),
            TupleField::Xmax => column.push_element(header.xmax.0 as i32),
            TupleField::Command => column.push_element(header.cid.0 as i32),
            TupleField::Stored(attribute) => match Walk::new(&self.desc, tuple)?.attribute(attribute)? {
                Place::Stored(stored) => column.push_bytes(stored),
                Place::Null => column.push_null(),
                Place::Missing => match &self.desc[attribute].missing {
                    Some(value) => column.push_bytes(&varlena::with_long_header(value.as_ref().bytes())),
                    None => column.push_null(),
                },
            },
            TupleField::Compressed(attribute) => {
                let Place::Stored(stored) = Walk::new(&self.desc, tuple)?.attribute(attribute)? else {
                    column.push_null();
                    return Ok(());
                };
                match Varlena::decode(stored)?.0 {
                    Varlena::Compressed { .. } => column.push_bytes(stored),
                    Varlena::External(pointer) if pointer.method.is_some() => {
                        column.push_bytes(&[]);
                        deferred.push(Deferred { column: slot, row, pointer, compressed: true });
                    }
                    Varlena::Plain(_) | Varlena::External(_) => column.push_null(),
                }
            }
        }
        Ok(())
    }

    /// One attribute at a fixed offset, of all tuples.
    fn append_fixed(
        &self,
        tuples: &[&[u8]],
        attribute: usize,
        slot: usize,
        first_row: usize,
        column: &mut Column,
        deferred: &mut Vec<Deferred>,
    ) -> Result<()> {
        let offset = self.desc.fixed_offsets()[attribute] as usize;
        let attribute = &self.desc[attribute];
        macro_rules! each {
            ($size:literal, $convert:expr) => {{
                for tuple in tuples {
                    let start = usize::from(tuple[HEADER_SIZE - 1]) + offset;
                    let stored =
                        tuple.get(start..).and_then(<[u8]>::first_chunk::<$size>).ok_or_else(cut_off)?;
                    column.push_element($convert(*stored));
                }
            }};
        }
        match attribute.physical {
            PhysicalType::Bool => each!(1, |b: [u8; 1]| b[0] != 0),
            PhysicalType::Char => each!(1, |b: [u8; 1]| b[0]),
            PhysicalType::Int16 => each!(2, i16::from_le_bytes),
            PhysicalType::Int32 => each!(4, i32::from_le_bytes),
            PhysicalType::Int64 => each!(8, i64::from_le_bytes),
            PhysicalType::Float32 => each!(4, f32::from_le_bytes),
            PhysicalType::Float64 => each!(8, f64::from_le_bytes),
            PhysicalType::Tid => each!(6, ItemPointer::from_bytes),
            PhysicalType::Fixed16
            | PhysicalType::Name
            | PhysicalType::CString
            | PhysicalType::FixedBytes
            | PhysicalType::Varlena => {
                for (index, tuple) in tuples.iter().enumerate() {
                    let start = usize::from(tuple[HEADER_SIZE - 1]) + offset;
                    let (stored, _) = locate(attribute, tuple.get(start..).ok_or_else(cut_off)?, 0)?;
                    push_stored(attribute, stored, slot, first_row + index, column, deferred)?;
                }
            }
        }
        Ok(())
    }

    fn append_walking(
        &self,
        tuple: &[u8],
        wanted: &[(usize, usize)],
        row: usize,
        columns: &mut [Column],
        deferred: &mut Vec<Deferred>,
    ) -> Result<()> {
        let mut walk = Walk::new(&self.desc, tuple)?;
        for (attribute, slot) in wanted {
            let column = &mut columns[*slot];
            match walk.attribute(*attribute)? {
                Place::Stored(stored) => {
                    push_stored(&self.desc[*attribute], stored, *slot, row, column, deferred)?;
                }
                Place::Null => column.push_null(),
                Place::Missing => match &self.desc[*attribute].missing {
                    Some(value) => column.push(value.as_ref()),
                    None => column.push_null(),
                },
            }
        }
        Ok(())
    }
}

/// True if the tuple has the attribute and all before it, none of them null: then they are at their fixed
/// offsets, and within the tuple as far as its header tells.
fn has_all_up_to(last: usize, tuple: &[u8]) -> Result<bool> {
    let header = TupleHeader::read(tuple)?;
    if header.attribute_count() <= last {
        return Ok(false);
    }
    if !header.infomask.any(Infomask::HAS_NULL) {
        return Ok(true);
    }
    let bitmap = tuple.get(HEADER_SIZE..=HEADER_SIZE + last / 8).ok_or_else(cut_off)?;
    let (partial, whole) = bitmap.split_last().ok_or_else(cut_off)?;
    let needed = u8::MAX >> (7 - last % 8);
    Ok(whole.iter().all(|byte| *byte == u8::MAX) && partial & needed == needed)
}

/// Where one attribute of a tuple is.
enum Place<'a> {
    Stored(&'a [u8]),
    Null,
    /// The tuple is older than the attribute.
    Missing,
}

/// A walk over the attributes of one tuple, in rising order.
struct Walk<'a> {
    desc: &'a TupleDesc,
    data: &'a [u8],
    bitmap: Option<&'a [u8]>,
    attribute_count: usize,
    /// The attribute that starts at `offset` or after it.
    next: usize,
    offset: usize,
    /// The attribute found last, so that it can be asked for twice.
    current: Option<&'a [u8]>,
}

impl<'a> Walk<'a> {
    fn new(desc: &'a TupleDesc, tuple: &'a [u8]) -> Result<Self> {
        let header = TupleHeader::read(tuple)?;
        let hoff = usize::from(header.hoff);
        let attribute_count = header.attribute_count();
        let bitmap = if header.infomask.any(Infomask::HAS_NULL) {
            let end = HEADER_SIZE + attribute_count.div_ceil(8);
            Some(tuple.get(HEADER_SIZE..end).filter(|_| end <= hoff).ok_or_else(cut_off)?)
        } else {
            None
        };
        Ok(Self { desc, data: &tuple[hoff..], bitmap, attribute_count, next: 0, offset: 0, current: None })
    }

    fn is_null(&self, attribute: usize) -> bool {
        self.bitmap.is_some_and(|bitmap| bitmap[attribute / 8] & 1 << (attribute % 8) == 0)
    }

    /// Never asked for an attribute before the last one.
    fn attribute(&mut self, attribute: usize) -> Result<Place<'a>> {
        if attribute >= self.attribute_count {
            return Ok(Place::Missing);
        }
        if self.is_null(attribute) {
            return Ok(Place::Null);
        }
        if attribute + 1 == self.next
            && let Some(stored) = self.current
        {
            return Ok(Place::Stored(stored));
        }
        if self.bitmap.is_none() && self.next < attribute {
            // Jump over what needs no walking.
            let fixed = self.desc.fixed_offsets();
            let target = attribute.min(fixed.len().saturating_sub(1));
            if target > self.next {
                self.next = target;
                self.offset = fixed[target] as usize;
            }
        }
        loop {
            let index = self.next;
            self.next += 1;
            if self.is_null(index) {
                continue;
            }
            let (stored, end) = locate(&self.desc[index], self.data, self.offset)?;
            self.offset = end;
            if index == attribute {
                self.current = Some(stored);
                return Ok(Place::Stored(stored));
            }
        }
    }
}

/// Finds the stored bytes of a value at or after `offset` in a tuple's data, and where it ends.
#[inline]
pub fn locate<'a>(attribute: &Attribute, data: &'a [u8], offset: usize) -> Result<(&'a [u8], usize)> {
    let (start, end) = match attribute.length {
        -1 => {
            // A byte that is not padding is an unaligned header.
            let first = *data.get(offset).ok_or_else(cut_off)?;
            let start = if first != 0 { offset } else { attribute.align.up(offset) };
            let size = data.get(start..).and_then(varlena::stored_size).ok_or_else(cut_off)?;
            (start, start + size)
        }
        -2 => {
            let start = attribute.align.up(offset);
            let string = data.get(start..).ok_or_else(cut_off)?;
            let length = string.iter().position(|byte| *byte == 0).ok_or_else(cut_off)?;
            (start, start + length + 1)
        }
        length => {
            let start = attribute.align.up(offset);
            (start, start + length as usize)
        }
    };
    Ok((data.get(start..end).ok_or_else(cut_off)?, end))
}

fn push_stored(
    attribute: &Attribute,
    stored: &[u8],
    slot: usize,
    row: usize,
    column: &mut Column,
    deferred: &mut Vec<Deferred>,
) -> Result<()> {
    if attribute.physical != PhysicalType::Varlena {
        column.push(fixed_value(attribute, stored)?);
        return Ok(());
    }
    match Varlena::decode(stored)?.0 {
        Varlena::Plain(payload) => column.push_bytes(payload),
        Varlena::Compressed { method, raw_size, data } => {
            column.push_bytes(&compression::decompress(method, data, raw_size)?);
        }
        Varlena::External(pointer) => {
            column.push_bytes(&[]);
            deferred.push(Deferred { column: slot, row, pointer, compressed: false });
        }
    }
    Ok(())
}

/// A stored value of any physical type but varlena, as it travels.
#[inline]
pub fn fixed_value<'a>(attribute: &Attribute, stored: &'a [u8]) -> Result<ValueRef<'a>> {
    fn chunk<const N: usize>(stored: &[u8]) -> Result<[u8; N]> {
        stored.first_chunk().copied().ok_or_else(cut_off)
    }
    Ok(match attribute.physical {
        PhysicalType::Bool => ValueRef::Bool(chunk::<1>(stored)?[0] != 0),
        PhysicalType::Char => ValueRef::Char(chunk::<1>(stored)?[0]),
        PhysicalType::Int16 => ValueRef::Int16(i16::from_le_bytes(chunk(stored)?)),
        PhysicalType::Int32 => ValueRef::Int32(i32::from_le_bytes(chunk(stored)?)),
        PhysicalType::Int64 => ValueRef::Int64(i64::from_le_bytes(chunk(stored)?)),
        PhysicalType::Float32 => ValueRef::Float32(f32::from_le_bytes(chunk(stored)?)),
        PhysicalType::Float64 => ValueRef::Float64(f64::from_le_bytes(chunk(stored)?)),
        PhysicalType::Tid => ValueRef::Tid(ItemPointer::from_bytes(chunk(stored)?)),
        PhysicalType::Fixed16 => {
            let mut bytes = [0; 16];
            let length = stored.len().min(16);
            bytes[..length].copy_from_slice(&stored[..length]);
            ValueRef::Fixed16(bytes)
        }
        PhysicalType::Name | PhysicalType::CString => {
            let length = stored.iter().position(|byte| *byte == 0).unwrap_or(stored.len());
            ValueRef::Bytes(&stored[..length])
        }
        PhysicalType::FixedBytes => ValueRef::Bytes(stored),
        PhysicalType::Varlena => {
            return Err(Error::internal("a variable-length value has a header of its own"));
        }
    })
}

/// The stored bytes of each attribute of a tuple; `None` for a null. Attributes the tuple is too old to
/// have are missing at the end.
pub fn stored_attributes<'a>(desc: &TupleDesc, tuple: &'a [u8]) -> Result<Vec<Option<&'a [u8]>>> {
    let header = TupleHeader::read(tuple)?;
    let count = header.attribute_count().min(desc.len());
    let data = &tuple[usize::from(header.hoff)..];
    let walk = Walk::new(desc, tuple)?;
    let mut offset = 0;
    let mut stored = Vec::with_capacity(count);
    for (index, attribute) in desc.iter().enumerate().take(count) {
        if walk.is_null(index) {
            stored.push(None);
            continue;
        }
        let (bytes, end) = locate(attribute, data, offset)?;
        offset = end;
        stored.push(Some(bytes));
    }
    Ok(stored)
}

#[cold]
fn cut_off() -> Error {
    Error::data_corrupted("heap tuple is shorter than its values")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuple::form::{FormValue, form};
    use kokkiri_primitives::Oid;

    fn desc(types: &[u32]) -> TupleDesc {
        let attributes: Vec<_> = types
            .iter()
            .enumerate()
            .map(|(i, oid)| Attribute::builtin("c", i as i16 + 1, Oid(*oid)))
            .collect();
        TupleDesc::new(attributes)
    }

    fn check(types: &[u32], rows: &[&[ValueRef<'_>]], wanted: &[usize]) {
        let desc = desc(types);
        let tuples: Vec<_> = rows
            .iter()
            .map(|row| {
                form(&desc, &row.iter().map(|v| FormValue::Value(*v)).collect::<Vec<_>>()).unwrap().bytes
            })
            .collect();
        let deformer = Deformer::new(desc, wanted);
        let mut columns: Vec<_> = deformer.physical_types().into_iter().map(Column::new).collect();
        let mut deferred = Vec::new();
        let slices: Vec<_> = tuples.iter().map(Vec::as_slice).collect();
        deformer.append(&slices, 0, &mut columns, &mut deferred).unwrap();
        for (row, values) in rows.iter().enumerate() {
            for (column, attribute) in wanted.iter().enumerate() {
                assert_eq!(columns[column].get(row), values[*attribute], "row {row} attribute {attribute}");
            }
        }
    }

    #[test]
    fn what_was_formed_comes_back() {
        let long = vec![b'y'; 300];
        let types = [23, 21, 25, 16, 20, 19, 1043, 1186];
        let row = |text: &'static [u8]| {
            [
                ValueRef::Int32(5),
                ValueRef::Int16(-2),
                ValueRef::Bytes(text),
                ValueRef::Bool(true),
                ValueRef::Int64(1 << 40),
                ValueRef::Bytes(b"a_name"),
                ValueRef::Bytes(b""),
                ValueRef::Fixed16([3; 16]),
            ]
        };
        let mut with_null = row(b"hello");
        with_null[0] = ValueRef::Null;
        with_null[4] = ValueRef::Null;
        let mut with_long = row(b"");
        with_long[2] = ValueRef::Bytes(&long);
        check(&types, &[&row(b"abc"), &row(b"")], &[0, 1, 2, 3, 4, 5, 6, 7]);
        check(&types, &[&row(b"abc"), &with_null, &with_long], &[7, 2, 0]);
        check(&types, &[&row(b"abc"), &with_long], &[4, 4, 1]);
        let mut with_late_null = row(b"abc");
        with_late_null[2] = ValueRef::Null;
        check(&types, &[&with_late_null, &row(b"x")], &[0, 1]);
        check(&types, &[&row(b"x"), &with_late_null], &[1, 2, 3]);
    }

    #[test]
    fn stored_fields_are_the_bytes_of_the_tuple() {
        use crate::tuple::varlena::CompressionMethod;
        let packed = compression::compress(CompressionMethod::Lz4, &[b'z'; 500]).unwrap();
        let pointer = ToastPointer {
            raw_size: 9_004,
            external_size: 300,
            method: Some(CompressionMethod::Lz4),
            value_id: Oid(16_400),
            toast_relation: Oid(16_390),
        };
        let values = [
            FormValue::Value(ValueRef::Bytes(b"abc")),
            FormValue::Stored(packed.as_slice().into()),
            FormValue::Stored(pointer.to_bytes().to_vec().into()),
            FormValue::NULL,
        ];
        let desc = desc(&[25, 25, 25, 25]);
        let tuple = form(&desc, &values).unwrap().bytes;
        let columns = 0..4;
        let fields: Vec<_> = columns
            .clone()
            .map(|at| (TupleField::Stored(at), at))
            .chain(columns.map(|at| (TupleField::Compressed(at), 4 + at)))
            .collect();
        let deformer = Deformer::of(desc, Vec::new()).with_fields(&fields);
        let mut columns: Vec<_> = fields.iter().map(|(field, _)| Column::new(field.physical())).collect();
        let mut deferred = Vec::new();
        deformer.append(&[&tuple], 0, &mut columns, &mut deferred).unwrap();
        let got: Vec<_> = columns.iter().map(|column| column.get(0)).collect();
        let short = [0x09, b'a', b'b', b'c'];
        assert_eq!(got[..2], [ValueRef::Bytes(&short), ValueRef::Bytes(&packed)]);
        assert_eq!(got[2..4], [ValueRef::Bytes(&pointer.to_bytes()), ValueRef::Null]);
        assert_eq!(got[4..6], [ValueRef::Null, ValueRef::Bytes(&packed)]);
        assert_eq!(got[7], ValueRef::Null);
        assert_eq!(deferred, [Deferred { column: 6, row: 0, pointer, compressed: true }]);
    }

    #[test]
    fn old_tuples_have_missing_values() {
        let short = form(&desc(&[23]), &[FormValue::Value(ValueRef::Int32(1))]).unwrap().bytes;
        let mut added = Attribute::builtin("b", 2, Oid(25));
        added.missing = Some("later".into());
        let desc = TupleDesc::new(vec![Attribute::builtin("a", 1, Oid(23)), added]);
        let deformer = Deformer::all(desc);
        let mut columns: Vec<_> = deformer.physical_types().into_iter().map(Column::new).collect();
        deformer.append(&[&short], 0, &mut columns, &mut Vec::new()).unwrap();
        assert_eq!(columns[1].get(0), ValueRef::Bytes(b"later"));
    }

    #[test]
    fn a_cut_off_tuple_is_an_error() {
        let desc = desc(&[23, 25]);
        let values = [FormValue::Value(ValueRef::Int32(1)), FormValue::Value(ValueRef::Bytes(b"abcdef"))];
        let bytes = form(&desc, &values).unwrap().bytes;
        let deformer = Deformer::all(desc);
        for length in 0..bytes.len() {
            let mut columns: Vec<_> = deformer.physical_types().into_iter().map(Column::new).collect();
            assert!(
                deformer.append(&[&bytes[..length]], 0, &mut columns, &mut Vec::new()).is_err(),
                "{length}"
            );
        }
    }
}
