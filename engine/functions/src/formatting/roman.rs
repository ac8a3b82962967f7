//! Roman numerals.

const PARTS: &[(i32, &str)] = &[
    (1000, "M"),
    (900, "CM"),
    (500, "D"),
    (400, "CD"),
    (100, "C"),
    (90, "XC"),
    (50, "L"),
    (40, "XL"),
    (10, "X"),
    (9, "IX"),
    (5, "V"),
    (4, "IV"),
    (1, "I"),
];

/// The numeral of a number from 1 to 3999.
pub fn write(mut number: i32) -> String {
    let mut text = String::new();
    for &(value, part) in PARTS {
        while number >= value {
            text.push_str(part);
            number -= value;
        }
    }
    text
}

/// The number of the numeral that a text begins with, and its length; `None` if it begins with none.
pub fn read(text: &str) -> Option<(i32, usize)> {
    let upper: String = text.chars().take(15).collect::<String>().to_ascii_uppercase();
    (1..=15.min(upper.len()))
        .rev()
        .filter(|length| upper.is_char_boundary(*length))
        .find_map(|length| (1..4000).find(|number| write(*number) == upper[..length]).map(|n| (n, length)))
}
