//! Arrays, in PostgreSQL's on-disk form.
//!
//! ```text
//! (length word)  ndim i32  dataoffset i32  elemtype u32  dims i32*  lower bounds i32*  [null bitmap]  elements
//! ```
//!
//! Payloads lack the length word, but alignment counts from it: element offsets are those of the whole
//! varlena, [`HEADER`] more than in the payload. `dataoffset` is zero when nothing is null. A bit of the
//! bitmap is set for an element that is *not* null. int2vector and oidvector are arrays of one
//! dimension with lower bound 0.

use std::cmp::Ordering;

use kokkiri_primitives::{Error, ItemPointer, Oid, Result, bail, error};

use crate::builtin::{TypeInfo, oid, type_info};
use crate::compare::{Comparator, comparator};
use crate::value::{PhysicalType, Value, ValueRef};

mod text;

pub use text::{parse, parse_vector, parse_with, read_binary, write, write_binary, write_vector, write_with};

/// The length word that payloads lack.
const HEADER: usize = 4;
/// Most dimensions.
pub const MAX_DIMENSIONS: usize = 6;
/// Most elements: what PostgreSQL's `MaxArraySize` is.
pub const MAX_ELEMENTS: usize = 0x3FFF_FFFF / 8;

/// Element type of a built-in array type.
pub fn element_type_if_array(type_oid: Oid) -> Option<Oid> {
    type_info(type_oid).filter(|info| info.is_array).map(|info| info.element)
}

/// An array read in place.
#[derive(Clone, Copy, Debug)]
pub struct ArrayRef<'a> {
    payload: &'a [u8],
    dimensions: usize,
    data: usize,
    pub element: Oid,
}

fn corrupted() -> Error {
    Error::data_corrupted("array value is corrupted")
}

fn word(payload: &[u8], at: usize) -> Option<i32> {
    payload.get(at..at + 4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

impl<'a> ArrayRef<'a> {
    /// # Errors
    /// XX001 for bytes that are no array.
    pub fn new(payload: &'a [u8]) -> Result<Self> {
        let dimensions = word(payload, 0).and_then(|n| usize::try_from(n).ok()).ok_or_else(corrupted)?;
        let offset = word(payload, 4).and_then(|n| usize::try_from(n).ok()).ok_or_else(corrupted)?;
        let element = word(payload, 8).ok_or_else(corrupted)?;
        let data = if offset == 0 { 12 + 8 * dimensions } else { offset.wrapping_sub(HEADER) };
        if dimensions > MAX_DIMENSIONS || data > payload.len() || data < 12 + 8 * dimensions {
            return Err(corrupted());
        }
        let array = Self { payload, dimensions, data, element: Oid(element as u32) };
        let bitmap = if offset == 0 { 0 } else { array.len().div_ceil(8) };
        if data < 12 + 8 * dimensions + bitmap || array.dims().any(|size| size < 0) {
            return Err(corrupted());
        }
        Ok(array)
    }

    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Sizes of the dimensions.
    pub fn dims(&self) -> impl ExactSizeIterator<Item = i32> + Clone + 'a {
        let payload = self.payload;
        (0..self.dimensions).map(move |n| word(payload, 12 + 4 * n).unwrap_or(0))
    }

    /// Lower bounds of the dimensions.
    pub fn lower_bounds(&self) -> impl ExactSizeIterator<Item = i32> + Clone + 'a {
        let (payload, dimensions) = (self.payload, self.dimensions);
        (0..dimensions).map(move |n| word(payload, 12 + 4 * (dimensions + n)).unwrap_or(0))
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        if self.dimensions == 0 {
            return 0;
        }
        self.dims().fold(1usize, |product, size| product.saturating_mul(size.max(0) as usize))
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn has_nulls(&self) -> bool {
        word(self.payload, 4) != Some(0)
    }

    fn is_null(&self, index: usize) -> bool {
        if !self.has_nulls() {
            return false;
        }
        let byte = self.payload.get(12 + 8 * self.dimensions + index / 8).copied().unwrap_or(0);
        byte >> (index % 8) & 1 == 0
    }

    /// The elements in storage order, by the layout of their type.
    pub fn elements(&self, info: &TypeInfo) -> Elements<'a> {
        Elements { array: *self, layout: Layout::of(info), index: 0, at: self.data + HEADER }
    }

    /// The elements of an array over a built-in type.
    ///
    /// # Errors
    /// 0A000 for other types.
    pub fn builtin_elements(&self) -> Result<Elements<'a>> {
        Ok(self.elements(element_info(self.element)?))
    }
}

/// The entry of a built-in element type.
///
/// # Errors
/// 0A000 if it is not built in.
pub fn element_info(element: Oid) -> Result<&'static TypeInfo> {
    type_info(element).ok_or_else(|| Error::not_supported(format_args!("array over type with oid {element}")))
}

/// How elements lie one after the other.
#[derive(Clone, Copy, Debug)]
struct Layout {
    length: i16,
    align: crate::attribute::Align,
    physical: PhysicalType,
}

impl Layout {
    fn of(info: &TypeInfo) -> Self {
        Self { length: info.length, align: info.align, physical: info.physical() }
    }
}

/// Iterator over the elements of an array.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    array: ArrayRef<'a>,
    layout: Layout,
    index: usize,
    /// Offset in the varlena.
    at: usize,
}

impl<'a> Iterator for Elements<'a> {
    type Item = ValueRef<'a>;

    fn next(&mut self) -> Option<ValueRef<'a>> {
        if self.index >= self.array.len() {
            return None;
        }
        let index = self.index;
        self.index += 1;
        if self.array.is_null(index) {
            return Some(ValueRef::Null);
        }
        let payload = self.array.payload;
        // A varlena with a one-byte header is not aligned; its first byte is never a padding zero.
        if self.layout.length != -1
            || payload.get(self.at - HEADER).is_none_or(|&byte| byte == 0 || byte & 1 == 0)
        {
            self.at = self.layout.align.up(self.at);
        }
        let bytes = payload.get(self.at - HEADER..)?;
        let (value, used) = load(self.layout, bytes)?;
        self.at += used;
        Some(value)
    }
}

/// Reads one stored value; how many bytes it took.
fn load(layout: Layout, bytes: &[u8]) -> Option<(ValueRef<'_>, usize)> {
    fn take<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
        bytes.get(..N)?.try_into().ok()
    }
    let value = match layout.physical {
        PhysicalType::Bool => ValueRef::Bool(*bytes.first()? != 0),
        PhysicalType::Char => ValueRef::Char(*bytes.first()?),
        PhysicalType::Int16 => ValueRef::Int16(i16::from_le_bytes(take(bytes)?)),
        PhysicalType::Int32 => ValueRef::Int32(i32::from_le_bytes(take(bytes)?)),
        PhysicalType::Int64 => ValueRef::Int64(i64::from_le_bytes(take(bytes)?)),
        PhysicalType::Float32 => ValueRef::Float32(f32::from_le_bytes(take(bytes)?)),
        PhysicalType::Float64 => ValueRef::Float64(f64::from_le_bytes(take(bytes)?)),
        PhysicalType::Tid => ValueRef::Tid(tid_from_disk(take(bytes)?)),
        PhysicalType::Fixed16 => {
            let length = usize::try_from(layout.length).ok()?;
            let mut fixed = [0; 16];
            fixed[..length].copy_from_slice(bytes.get(..length)?);
            ValueRef::Fixed16(fixed)
        }
        PhysicalType::FixedBytes => ValueRef::Bytes(bytes.get(..usize::try_from(layout.length).ok()?)?),
        PhysicalType::Name => {
            let padded = bytes.get(..64)?;
            let end = padded.iter().position(|&byte| byte == 0).unwrap_or(64);
            ValueRef::Bytes(&padded[..end])
        }
        PhysicalType::CString => {
            let end = bytes.iter().position(|&byte| byte == 0)?;
            return Some((ValueRef::Bytes(&bytes[..end]), end + 1));
        }
        PhysicalType::Varlena => {
            let (start, length) = match *bytes.first()? {
                short if short & 1 != 0 => (1, usize::from(short >> 1)),
                _ => (4, (u32::from_le_bytes(take(bytes)?) >> 2) as usize),
            };
            return Some((ValueRef::Bytes(bytes.get(start..length)?), length));
        }
    };
    Some((value, usize::try_from(layout.length).ok()?))
}

/// A tid's six bytes as they are stored: three 16-bit words.
fn tid_from_disk(bytes: [u8; 6]) -> ItemPointer {
    ItemPointer::from_bytes(bytes)
}

/// Appends one value as it is stored inside an array.
fn store(info: &TypeInfo, value: ValueRef<'_>, out: &mut Vec<u8>) {
    match value {
        ValueRef::Null => {}
        ValueRef::Bool(value) => out.push(u8::from(value)),
        ValueRef::Char(value) => out.push(value),
        ValueRef::Int16(value) => out.extend(value.to_le_bytes()),
        ValueRef::Int32(value) => out.extend(value.to_le_bytes()),
        ValueRef::Int64(value) => out.extend(value.to_le_bytes()),
        ValueRef::Float32(value) => out.extend(value.to_le_bytes()),
        ValueRef::Float64(value) => out.extend(value.to_le_bytes()),
        ValueRef::Fixed16(value) => out.extend(&value[..(info.length.clamp(0, 16)) as usize]),
        ValueRef::Tid(value) => out.extend(value.to_bytes()),
        ValueRef::Bytes(bytes) => match info.length {
            -1 => {
                out.extend(((bytes.len() as u32 + 4) << 2).to_le_bytes());
                out.extend_from_slice(bytes);
            }
            -2 => {
                out.extend_from_slice(bytes);
                out.push(0);
            }
            length => {
                let start = out.len();
                out.extend_from_slice(bytes);
                out.resize(start + length as usize, 0);
            }
        },
    }
}

/// Builds the payload of an array.
///
/// # Errors
/// 54000 for too many elements.
pub fn build<'v>(
    info: &TypeInfo,
    dims: &[i32],
    lower_bounds: &[i32],
    elements: impl ExactSizeIterator<Item = ValueRef<'v>> + Clone,
) -> Result<Vec<u8>> {
    let count = elements.len();
    if count > MAX_ELEMENTS {
        bail!(PROGRAM_LIMIT_EXCEEDED, "array size exceeds the maximum allowed ({MAX_ELEMENTS})");
    }
    let dimensions = if count == 0 { 0 } else { dims.len() };
    // The subscript behind the last one must be a number, too.
    let overflowing = |(size, lower): &(&i32, &i32)| lower.checked_add(**size).is_none();
    if let Some((_, lower)) = dims[..dimensions].iter().zip(lower_bounds).find(overflowing) {
        bail!(PROGRAM_LIMIT_EXCEEDED, "array lower bound is too large: {lower}");
    }
    let nulls = elements.clone().any(ValueRef::is_null);
    let bare = 16 + 8 * dimensions;
    let data = if nulls { (bare + count.div_ceil(8) + 7) & !7 } else { bare };
    let mut out = Vec::with_capacity(data + 8 * count);
    out.extend((dimensions as i32).to_le_bytes());
    out.extend(if nulls { data as i32 } else { 0 }.to_le_bytes());
    out.extend(info.oid.0.to_le_bytes());
    for number in dims[..dimensions].iter().chain(&lower_bounds[..dimensions]) {
        out.extend(number.to_le_bytes());
    }
    out.resize(data - HEADER, 0);
    for (index, value) in elements.enumerate() {
        if value.is_null() {
            continue;
        }
        if nulls {
            out[bare - HEADER + index / 8] |= 1 << (index % 8);
        }
        let aligned = info.align.up(out.len() + HEADER) - HEADER;
        out.resize(aligned, 0);
        store(info, value, &mut out);
    }
    Ok(out)
}

/// An array of one dimension with lower bound 1.
///
/// # Errors
/// As [`build`].
pub fn build_vector(info: &TypeInfo, values: &[Value]) -> Result<Vec<u8>> {
    build(info, &[values.len() as i32], &[1], values.iter().map(Value::as_ref))
}

/// The payload of an int2vector or oidvector.
pub fn build_fixed_vector(element: Oid, values: &[Value]) -> Vec<u8> {
    let info = type_info(element).expect("int2 and oid are built in");
    let mut out = Vec::with_capacity(20 + 4 * values.len());
    for word in [1, 0, element.0 as i32, values.len() as i32, 0] {
        out.extend(word.to_le_bytes());
    }
    values.iter().for_each(|value| store(info, value.as_ref(), &mut out));
    out
}

/// `array_cmp`: element by element, then by size and shape. A null is above all other elements.
pub fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (Ok(a), Ok(b)) = (ArrayRef::new(a), ArrayRef::new(b)) else { return a.cmp(b) };
    let order: Option<Comparator> = comparator(a.element, Oid(0)).ok();
    if let (Some(order), Ok(left), Ok(right)) = (order, a.builtin_elements(), b.builtin_elements()) {
        for (left, right) in left.zip(right) {
            let ordering = match (left.is_null(), right.is_null()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => order(left, right),
            };
            if ordering.is_ne() {
                return ordering;
            }
        }
    }
    a.len()
        .cmp(&b.len())
        .then(a.dimensions.cmp(&b.dimensions))
        .then_with(|| a.dims().cmp(b.dims()))
        .then_with(|| a.lower_bounds().cmp(b.lower_bounds()))
}

/// `btoidvectorcmp`: length first, then the oids.
pub fn compare_oidvectors(a: &[u8], b: &[u8]) -> Ordering {
    let oids = |bytes: &[u8]| {
        bytes
            .get(20..)
            .unwrap_or_default()
            .chunks_exact(4)
            .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect::<Vec<_>>()
    };
    a.len().cmp(&b.len()).then_with(|| oids(a).cmp(&oids(b)))
}

/// Hash of the elements.
pub fn hash(payload: &[u8]) -> u64 {
    match ArrayRef::new(payload).and_then(|array| Ok((array.element, array.builtin_elements()?))) {
        Ok((element, elements)) => elements
            .fold(0, |hash, value| crate::hash::combine(hash, crate::hash::hash_value(element, value))),
        Err(_) => crate::hash::hash_bytes(payload),
    }
}

/// The elements of an int2vector, oidvector or any array of a built-in type, owned.
///
/// # Errors
/// XX001 for bytes that are no array.
pub fn values(payload: &[u8]) -> Result<Vec<Value>> {
    Ok(ArrayRef::new(payload)?.builtin_elements()?.map(ValueRef::to_value).collect())
}

/// The 0-based place of an element by its subscripts; `None` if they are out of bounds.
pub fn offset_of(array: &ArrayRef<'_>, subscripts: &[i32]) -> Option<usize> {
    if subscripts.len() != array.dimensions() || subscripts.is_empty() {
        return None;
    }
    let shape = array.dims().zip(array.lower_bounds());
    subscripts.iter().zip(shape).try_fold(0usize, |offset, (&subscript, (size, lower))| {
        let place = i64::from(subscript) - i64::from(lower);
        (0..i64::from(size)).contains(&place).then(|| offset * size as usize + place as usize)
    })
}

/// 2202E-style error for arrays that differ in shape.
pub fn malformed(text: &str, detail: impl Into<String>) -> Error {
    error!(INVALID_TEXT_REPRESENTATION, "malformed array literal: \"{text}\"").detail(detail)
}

/// True for the two vector types, whose text form has blanks between the numbers.
pub fn is_fixed_vector(type_oid: Oid) -> bool {
    matches!(type_oid, oid::INT2VECTOR | oid::OIDVECTOR)
}
