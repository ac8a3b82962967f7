//! Encodings: PostgreSQL's numbers, names and widths.
//!
//! Realises: encnames.c.

/// Names of the encodings by number, with the longest character's bytes.
const ENCODINGS: [(&str, i32); 42] = [
    ("SQL_ASCII", 1),
    ("EUC_JP", 3),
    ("EUC_CN", 3),
    ("EUC_KR", 3),
    ("EUC_TW", 4),
    ("EUC_JIS_2004", 3),
    ("UTF8", 4),
    ("MULE_INTERNAL", 4),
    ("LATIN1", 1),
    ("LATIN2", 1),
    ("LATIN3", 1),
    ("LATIN4", 1),
    ("LATIN5", 1),
    ("LATIN6", 1),
    ("LATIN7", 1),
    ("LATIN8", 1),
    ("LATIN9", 1),
    ("LATIN10", 1),
    ("WIN1256", 1),
    ("WIN1258", 1),
    ("WIN866", 1),
    ("WIN874", 1),
    ("KOI8R", 1),
    ("WIN1251", 1),
    ("WIN1252", 1),
    ("ISO_8859_5", 1),
    ("ISO_8859_6", 1),
    ("ISO_8859_7", 1),
    ("ISO_8859_8", 1),
    ("WIN1250", 1),
    ("WIN1253", 1),
    ("WIN1254", 1),
    ("WIN1255", 1),
    ("WIN1257", 1),
    ("KOI8U", 1),
    ("SJIS", 2),
    ("BIG5", 2),
    ("GBK", 2),
    ("UHC", 2),
    ("GB18030", 4),
    ("JOHAB", 3),
    ("SHIFT_JIS_2004", 2),
];

/// The last of the encodings that a database may have; the others are clients' only.
const SERVER_LAST: i32 = 34;

fn entry(number: i32) -> Option<&'static (&'static str, i32)> {
    ENCODINGS.get(usize::try_from(number).ok()?)
}

/// The encoding's name; empty for a number that is none.
pub fn name(number: i32) -> &'static str {
    entry(number).map_or("", |(name, _)| name)
}

/// Bytes of the longest character.
pub fn longest_character(number: i32) -> Option<i32> {
    entry(number).map(|(_, length)| *length)
}

/// True for an encoding that a database may have: `PG_VALID_BE_ENCODING`.
pub fn is_for_server(number: i32) -> bool {
    (0..=SERVER_LAST).contains(&number)
}

/// The encoding of that name. Case and everything but letters and digits are ignored.
pub fn number(name: &str) -> Option<i32> {
    let clean = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
    };
    let wanted = match clean(name).as_str() {
        "UNICODE" => "UTF8".to_owned(),
        "WIN" => "WIN1251".to_owned(),
        "ALT" => "WIN866".to_owned(),
        "KOI8" => "KOI8R".to_owned(),
        "TCVN" | "TCVN5712" | "ABC" | "VSCII" => "WIN1258".to_owned(),
        "MSKANJI" | "SHIFTJIS" | "WIN932" | "WINDOWS932" => "SJIS".to_owned(),
        "WIN936" | "WINDOWS936" => "GBK".to_owned(),
        "WIN949" | "WINDOWS949" => "UHC".to_owned(),
        "WIN950" | "WINDOWS950" => "BIG5".to_owned(),
        other => match (other.strip_prefix("WINDOWS"), other.strip_prefix("ISO8859")) {
            (Some(page), _) => format!("WIN{page}"),
            (_, Some("1")) => "LATIN1".to_owned(),
            (_, Some("2")) => "LATIN2".to_owned(),
            (_, Some("3")) => "LATIN3".to_owned(),
            (_, Some("4")) => "LATIN4".to_owned(),
            (_, Some("9")) => "LATIN5".to_owned(),
            (_, Some("10")) => "LATIN6".to_owned(),
            (_, Some("13")) => "LATIN7".to_owned(),
            (_, Some("14")) => "LATIN8".to_owned(),
            (_, Some("15")) => "LATIN9".to_owned(),
            (_, Some("16")) => "LATIN10".to_owned(),
            _ => other.to_owned(),
        },
    };
    ENCODINGS.iter().position(|(name, _)| clean(name) == wanted).map(|number| number as i32)
}
