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
}

macro_rules! vector_field {
    ($($vector:ident),+) => {$(
        impl Field for $vector {
            fn from_value(value: ValueRef<'_>) -> Option<Self> {
                match value {
                    ValueRef::Bytes(payload) => array::decode(payload).map(Self),
                    _ => None,
                }
            }
            fn into_value(self) -> Value {
                Value::Bytes(array::encode_vector(self.0).into())
            }
        }
    )+};
}

vector_field!(Int2Vector, OidVector);

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
            ValueRef::Bytes(payload) => array::decode(payload).map(Self),
            _ => None,
        }
    }

    fn into_value(self) -> Value {
        Value::Bytes(array::encode(self.0).into())
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

/// Reads an `anyarray` value's elements.
///
/// # Errors
/// XX001 if it is no array.
pub fn any_array_elements(array: &AnyArray) -> Result<Vec<Value>> {
    kokkiri_types::array::values(array.0.as_ref().bytes())
}

/// One-dimensional arrays without nulls as catalogs have them.
pub(crate) mod array {
    use kokkiri_primitives::Oid;
    use kokkiri_types::{Value, array, builtin};

    use super::Field;

    /// An element of a catalog's array.
    pub trait Element: Field {
        const TYPE: Oid;
    }

    macro_rules! element {
        ($($type:ty = $oid:literal;)+) => {
            $(impl Element for $type { const TYPE: Oid = Oid($oid); })+
        };
    }

    element! {
        i16 = 21;
        f32 = 700;
        Oid = 26;
        u8 = 18;
        String = 25;
        crate::privilege::AclItem = 1033;
    }

    fn element_values<T: Element>(elements: Vec<T>) -> Vec<Value> {
        elements.into_iter().map(Field::into_value).collect()
    }

    /// The payload of an array.
    pub fn encode<T: Element>(elements: Vec<T>) -> Vec<u8> {
        let info = builtin::type_info(T::TYPE).expect("elements of catalog arrays are of built-in types");
        array::build_vector(info, &element_values(elements)).expect("a catalog row's array is short")
    }

    /// The payload of an int2vector or oidvector.
    pub fn encode_vector<T: Element>(elements: Vec<T>) -> Vec<u8> {
        array::build_fixed_vector(T::TYPE, &element_values(elements))
    }

    /// The elements; `None` if the payload is no array of them.
    pub fn decode<T: Element>(payload: &[u8]) -> Option<Vec<T>> {
        array::values(payload).ok()?.iter().map(|value| T::from_value(value.as_ref())).collect()
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
