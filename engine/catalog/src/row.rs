//! How a catalog row travels between its struct and the values of a tuple.

use std::sync::Arc;

use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::{Error, Oid, Result, TransactionId};
use kokkiri_types::{Value, ValueRef};

/// A struct that is a row of one catalog.
pub trait CatalogRow: Sized {
    /// The catalog's own oid in pg_class.
    const CATALOG: Oid;
    /// Column names, in order.
    const COLUMNS: &'static [&'static str];

    fn from_values(values: &[Value]) -> Result<Self>;
    fn into_values(self) -> Vec<Value>;
}

/// A column's Rust type.
pub trait Field: Sized {
    fn from_value(value: ValueRef<'_>) -> Option<Self>;
    fn into_value(self) -> Value;
}

/// Text of type `name`: at most 63 bytes.
pub type Name = Arc<str>;

/// `int2vector`: lower bound 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Int2Vector(pub Vec<i16>);

/// `oidvector`: lower bound 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OidVector(pub Vec<Oid>);

/// A one-dimensional array without nulls, lower bound 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Array<T>(pub Vec<T>);

/// A value of pseudo-type `anyarray`: an array's on-disk payload with whatever element type.
#[derive(Clone, Debug, PartialEq)]
pub struct AnyArray(pub Value);

macro_rules! scalar_field {
    ($($type:ty: $variant:ident => $from:expr, $into:expr;)+) => {$(
        impl Field for $type {
            fn from_value(value: ValueRef<'_>) -> Option<Self> {
                match value {
                    ValueRef::$variant(value) => Some($from(value)),
                    _ => None,
                }
            }
            fn into_value(self) -> Value {
                Value::$variant($into(self))
            }
        }
    )+};
}

scalar_field! {
    bool: Bool => |v| v, |v| v;
    u8: Char => |v| v, |v| v;
    i16: Int16 => |v| v, |v| v;
    i32: Int32 => |v| v, |v| v;
    i64: Int64 => |v| v, |v| v;
    f32: Float32 => |v| v, |v| v;
    Oid: Int32 => |v: i32| Oid(v as u32), |v: Oid| v.0 as i32;
    TransactionId: Int32 => |v: i32| TransactionId(v as u32), |v: TransactionId| v.0 as i32;
    TimestampTz: Int64 => TimestampTz, |v: TimestampTz| v.0;
    Vec<u8>: Bytes => |v: &[u8]| v.to_vec(), |v: Vec<u8>| v.into();
    String: Bytes => |v| String::from_utf8_lossy(v).into_owned(), |v: String| v.into_bytes().into();
    Arc<str>: Bytes => |v| Arc::from(&*String::from_utf8_lossy(v)), |v: Arc<str>| v.as_bytes().into();
    Int2Vector: Bytes => |v| Int2Vector(array::decode(v)), |v: Int2Vector| array::encode(&v.0, 0).into();
    OidVector: Bytes => |v| OidVector(array::decode(v)), |v: OidVector| array::encode(&v.0, 0).into();
}

impl Field for AnyArray {
    fn from_value(value: ValueRef<'_>) -> Option<Self> {
        matches!(value, ValueRef::Bytes(_)).then(|| Self(value.to_value()))
    }

    fn into_value(self) -> Value {
        self.0
    }
}

impl<T: array::Element> Field for Array<T> {
    fn from_value(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Bytes(payload) => Some(Self(array::decode(payload))),
            _ => None,
        }
    }

    fn into_value(self) -> Value {
        Value::Bytes(array::encode(&self.0, 1).into())
    }
}

impl<T: Field> Field for Option<T> {
    fn from_value(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }

    fn into_value(self) -> Value {
        self.map_or(Value::Null, Field::into_value)
    }
}

/// Reads column `index` of a row of `catalog`.
///
/// # Errors
/// XX001 if the value is not of the column's type: the tuple is not a row of that catalog.
pub fn read_field<T: Field>(catalog: &str, column: &str, value: Option<&Value>) -> Result<T> {
    value.and_then(|value| T::from_value(value.as_ref())).ok_or_else(|| {
        Error::data_corrupted(format!("unexpected value in column \"{column}\" of catalog \"{catalog}\""))
    })
}

macro_rules! catalog_rows {
    ($($(#[$doc:meta])* $name:ident = $catalog:literal { $($field:ident: $type:ty),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $(pub $field: $type),+ }

        impl $crate::row::CatalogRow for $name {
            const CATALOG: Oid = Oid($catalog);
            const COLUMNS: &'static [&'static str] = &[$(stringify!($field)),+];

            fn from_values(values: &[kokkiri_types::Value]) -> kokkiri_primitives::Result<Self> {
                let mut values = values.iter();
                Ok(Self {
                    $($field: $crate::row::read_field(stringify!($name), stringify!($field), values.next())?),+
                })
            }

            fn into_values(self) -> Vec<kokkiri_types::Value> {
                vec![$($crate::row::Field::into_value(self.$field)),+]
            }
        }
    )+

        /// Every catalog that has a struct, with its columns.
        #[cfg(test)]
        pub const ALL: &[(Oid, &[&str])] =
            &[$((<$name as $crate::row::CatalogRow>::CATALOG, <$name as $crate::row::CatalogRow>::COLUMNS)),+];
    };
}
pub(crate) use catalog_rows;

/// One-dimensional arrays of the element types that catalogs use, in PostgreSQL's on-disk form without
/// the varlena header.
pub(crate) mod array {
    use kokkiri_primitives::Oid;

    /// Bytes before the data of a one-dimensional array without nulls: dimensions, flags, element type,
    /// length, lower bound.
    const HEADER: usize = 20;

    /// An element of a catalog's array.
    pub trait Element: Sized {
        const TYPE: Oid;
        /// Reads an element at `offset` and returns it with the offset behind it.
        fn read(data: &[u8], offset: usize) -> Option<(Self, usize)>;
        fn write(&self, data: &mut Vec<u8>);
    }

    macro_rules! fixed {
        ($type:ty, $oid:literal, $size:literal, $from:expr, $to:expr) => {
            impl Element for $type {
                const TYPE: Oid = Oid($oid);
                fn read(data: &[u8], offset: usize) -> Option<(Self, usize)> {
                    let bytes: [u8; $size] = data.get(offset..offset + $size)?.try_into().ok()?;
                    Some(($from(bytes), offset + $size))
                }
                fn write(&self, data: &mut Vec<u8>) {
                    data.extend_from_slice(&$to(self));
                }
            }
        };
    }

    fixed!(i16, 21, 2, i16::from_le_bytes, |v: &i16| v.to_le_bytes());
    fixed!(f32, 700, 4, f32::from_le_bytes, |v: &f32| v.to_le_bytes());
    fixed!(Oid, 26, 4, |b| Oid(u32::from_le_bytes(b)), |v: &Oid| v.0.to_le_bytes());
    fixed!(u8, 18, 1, |b: [u8; 1]| b[0], |v: &u8| [*v]);
    fixed!(AclItemBytes, 1033, 16, AclItemBytes, |v: &AclItemBytes| v.0);

    /// The on-disk form of an aclitem.
    #[derive(Clone, Copy)]
    pub struct AclItemBytes(pub [u8; 16]);

    impl Element for String {
        const TYPE: Oid = Oid(25);

        fn read(data: &[u8], offset: usize) -> Option<(Self, usize)> {
            let (start, end) = match *data.get(offset)? {
                // A one-byte header carries its length, itself included, in the upper seven bits.
                short if short & 1 == 1 => (offset + 1, offset + usize::from(short >> 1)),
                _ => {
                    let start = offset.next_multiple_of(4);
                    let header = u32::from_le_bytes(data.get(start..start + 4)?.try_into().ok()?);
                    (start + 4, start + (header >> 2) as usize)
                }
            };
            let text = String::from_utf8_lossy(data.get(start..end)?).into_owned();
            // The next element's four-byte header is aligned; padding bytes are zero.
            let next = if data.get(end) == Some(&0) { end.next_multiple_of(4) } else { end };
            Some((text, next))
        }

        fn write(&self, data: &mut Vec<u8>) {
            data.resize(data.len().next_multiple_of(4), 0);
            data.extend_from_slice(&((self.len() as u32 + 4) << 2).to_le_bytes());
            data.extend_from_slice(self.as_bytes());
        }
    }

    pub fn encode<T: Element>(elements: &[T], lower_bound: i32) -> Vec<u8> {
        // An empty array has no dimensions, but an empty vector type has one of length zero.
        let dimensions = i32::from(!elements.is_empty() || lower_bound == 0);
        let mut payload = Vec::with_capacity(HEADER + elements.len() * 4);
        payload.extend_from_slice(&dimensions.to_le_bytes());
        payload.extend_from_slice(&0i32.to_le_bytes());
        payload.extend_from_slice(&T::TYPE.0.to_le_bytes());
        if dimensions == 1 {
            payload.extend_from_slice(&(elements.len() as i32).to_le_bytes());
            payload.extend_from_slice(&lower_bound.to_le_bytes());
        }
        for element in elements {
            element.write(&mut payload);
        }
        payload
    }

    /// The elements; those that a damaged payload cuts off are missing.
    pub fn decode<T: Element>(payload: &[u8]) -> Vec<T> {
        let word = |at: usize| Some(i32::from_le_bytes(payload.get(at..at + 4)?.try_into().ok()?));
        let count = if word(0) == Some(1) { word(12).unwrap_or(0) } else { 0 };
        let mut elements = Vec::new();
        let mut offset = HEADER;
        for _ in 0..count {
            let Some((element, next)) = T::read(payload, offset) else { break };
            elements.push(element);
            offset = next;
        }
        elements
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_postgresqls_bytes() {
        // From pageinspect: '{a=1,longer=text}'::text[] without its varlena header.
        let expected =
            b"\x01\0\0\0\0\0\0\0\x19\0\0\0\x02\0\0\0\x01\0\0\0\x1c\0\0\0a=1\0\x3c\0\0\0longer=text";
        let options = Array(vec!["a=1".to_owned(), "longer=text".to_owned()]);
        let value = options.clone().into_value();
        assert_eq!(value.as_ref().bytes(), expected);
        assert_eq!(Array::<String>::from_value(value.as_ref()), Some(options));
        let vector = OidVector(vec![Oid(23), Oid(25)]);
        assert_eq!(OidVector::from_value(vector.clone().into_value().as_ref()), Some(vector));
        assert_eq!(Int2Vector::default().into_value().as_ref().bytes().len(), 20);
    }
}
