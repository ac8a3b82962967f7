//! Comparisons byte by byte, whatever the collation: the operator classes text_pattern_ops and
//! bpchar_pattern_ops, whose indexes LIKE can use.

use std::cmp::Ordering;

use kokkiri_function_macros::builtin;
use kokkiri_types::text::without_padding;

use crate::registry::{Builtin, list};

macro_rules! patterns {
    ($($name:ident $oid:literal $trim:ident $test:ident;)*) => {
        pub(super) const LIST: &[&[Builtin]] =
            list![$($name,)* bttext_pattern_cmp, btbpchar_pattern_cmp];

        $(
            #[builtin(oid = $oid)]
            fn $name(a: &[u8], b: &[u8]) -> bool {
                $trim(a).cmp($trim(b)).$test()
            }
        )*
    };
}

fn whole(bytes: &[u8]) -> &[u8] {
    bytes
}

patterns! {
    text_pattern_lt 2160 whole is_lt;
    text_pattern_le 2161 whole is_le;
    text_pattern_ge 2163 whole is_ge;
    text_pattern_gt 2164 whole is_gt;
    bpchar_pattern_lt 2174 without_padding is_lt;
    bpchar_pattern_le 2175 without_padding is_le;
    bpchar_pattern_ge 2177 without_padding is_ge;
    bpchar_pattern_gt 2178 without_padding is_gt;
}

fn sign(order: Ordering) -> i32 {
    order as i32
}

#[builtin(oid = 2166)]
fn bttext_pattern_cmp(a: &[u8], b: &[u8]) -> i32 {
    sign(a.cmp(b))
}

#[builtin(oid = 2180)]
fn btbpchar_pattern_cmp(a: &[u8], b: &[u8]) -> i32 {
    sign(without_padding(a).cmp(without_padding(b)))
}
