//! Character encodings: the server's is UTF-8, others are converted to and from.
//!
//! Realises: encnames.c and the conversion procedures, of which LATIN1's is built. SQL_ASCII means bytes
//! that nobody converts.

use std::borrow::Cow;

use kokkiri_primitives::{Error, Result, error};

use crate::text::check_encoding;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    #[default]
    Utf8,
    Latin1,
    SqlAscii,
}

/// Encodings that PostgreSQL knows and that are not converted here, by letters and digits alone.
const OTHERS: &[&str] = &[
    "abc",
    "alt",
    "big5",
    "euccn",
    "eucjis2004",
    "eucjp",
    "euckr",
    "euctw",
    "gb18030",
    "gbk",
    "iso885910",
    "iso885913",
    "iso885914",
    "iso885915",
    "iso885916",
    "iso88592",
    "iso88593",
    "iso88594",
    "iso88595",
    "iso88596",
    "iso88597",
    "iso88598",
    "iso88599",
    "johab",
    "koi8",
    "koi8r",
    "koi8u",
    "latin10",
    "latin2",
    "latin3",
    "latin4",
    "latin5",
    "latin6",
    "latin7",
    "latin8",
    "latin9",
    "mskanji",
    "muleinternal",
    "shiftjis",
    "shiftjis2004",
    "sjis",
    "tcvn",
    "tcvn5712",
    "uhc",
    "vscii",
    "win",
    "win1250",
    "win1251",
    "win1252",
    "win1253",
    "win1254",
    "win1255",
    "win1256",
    "win1257",
    "win1258",
    "win866",
    "win874",
    "win932",
    "win936",
    "win949",
    "win950",
    "windows1250",
    "windows1251",
    "windows1252",
    "windows1253",
    "windows1254",
    "windows1255",
    "windows1256",
    "windows1257",
    "windows1258",
    "windows866",
    "windows874",
    "windows932",
    "windows936",
    "windows949",
    "windows950",
];

impl Encoding {
    /// The encoding that a name means, whatever its case and punctuation: `pg_char_to_encoding`. `None`
    /// for a name that means none.
    ///
    /// # Errors
    /// 0A000 for encodings that are not built.
    pub fn by_name(name: &str) -> Result<Option<Self>> {
        let folded: String =
            name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        match folded.as_str() {
            "utf8" | "unicode" => Ok(Some(Encoding::Utf8)),
            "latin1" | "iso88591" => Ok(Some(Encoding::Latin1)),
            "sqlascii" => Ok(Some(Encoding::SqlAscii)),
            other if OTHERS.contains(&other) => Err(Error::not_supported(format!("encoding {name}"))),
            _ => Ok(None),
        }
    }

    /// Bytes of this encoding as UTF-8. Whether they are valid is not judged here.
    pub fn decode(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Encoding::Latin1 if !bytes.is_ascii() => {
                let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
                Cow::Owned(text.into_bytes())
            }
            Encoding::Utf8 | Encoding::Latin1 | Encoding::SqlAscii => Cow::Borrowed(bytes),
        }
    }

    /// UTF-8 as bytes of this encoding.
    ///
    /// # Errors
    /// 22P05 for a character that the encoding has not.
    pub fn encode(self, text: &[u8]) -> Result<Cow<'_, [u8]>> {
        if self != Encoding::Latin1 || text.is_ascii() {
            return Ok(Cow::Borrowed(text));
        }
        let encode = |character: char| {
            u8::try_from(u32::from(character)).map_err(|_| {
                let mut buffer = [0; 4];
                let bytes = character.encode_utf8(&mut buffer).bytes();
                let shown: Vec<String> = bytes.map(|byte| format!("0x{byte:02x}")).collect();
                error!(
                    UNTRANSLATABLE_CHARACTER,
                    "character with byte sequence {} in encoding \"UTF8\" has no equivalent in encoding \"LATIN1\"",
                    shown.join(" ")
                )
            })
        };
        check_encoding(text)?.chars().map(encode).collect::<Result<Vec<u8>>>().map(Cow::Owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_several_spellings() {
        assert_eq!(Encoding::by_name("utf-8").ok().flatten(), Some(Encoding::Utf8));
        assert_eq!(Encoding::by_name("ISO_8859_1").ok().flatten(), Some(Encoding::Latin1));
        assert!(Encoding::by_name("KOI8").is_err());
        assert_eq!(Encoding::by_name("nonsense").ok(), Some(None));
    }

    #[test]
    fn latin1_goes_there_and_back() {
        let latin = Encoding::Latin1.encode("é".as_bytes()).expect("in LATIN1").into_owned();
        assert_eq!(latin, [0xE9]);
        assert_eq!(&*Encoding::Latin1.decode(&latin), "é".as_bytes());
        assert!(Encoding::Latin1.encode("€".as_bytes()).is_err());
    }
}
