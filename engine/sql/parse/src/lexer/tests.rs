use super::*;

fn tokens(text: &str) -> Vec<Token> {
    let lexed = lex(text, ScanOptions::default());
    assert!(lexed.error.is_none(), "{text}: {:?}", lexed.error);
    lexed.lexemes.into_iter().map(|lexeme| lexeme.token).filter(|token| *token != Token::EOF).collect()
}

fn failure(text: &str) -> (String, usize) {
    let error = lex(text, ScanOptions::default()).error.unwrap_or_else(|| panic!("{text} lexes"));
    (error.message().to_owned(), error.fields().position.unwrap_or(usize::MAX))
}

fn string(value: &str) -> Token {
    Token::SingleQuotedString(value.to_owned())
}

fn operator(value: &str) -> Token {
    Token::CustomBinaryOperator(value.to_owned())
}

#[test]
fn operators_end_where_postgresql_ends_them() {
    assert_eq!(tokens("=-"), [Token::Eq, Token::Minus]);
    assert_eq!(tokens("@-"), [operator("@-")]);
    assert_eq!(tokens("+--x"), [Token::Plus]);
    assert_eq!(tokens("!=/*c*/"), [Token::Neq]);
    assert_eq!(tokens("->>"), [operator("->>")]);
    assert_eq!(tokens("<=-"), [Token::LtEq, Token::Minus]);
    assert_eq!(tokens("::="), [Token::DoubleColon, Token::Eq]);
}

#[test]
fn strings_in_all_their_forms() {
    assert_eq!(tokens("'a''b'"), [string("a'b")]);
    assert_eq!(tokens("'a'\n 'b'"), [string("ab")]);
    assert_eq!(tokens("'a' 'b'"), [string("a"), string("b")]);
    assert_eq!(tokens("'a' -- comment\n 'b'"), [string("ab")]);
    assert_eq!(tokens(r"E'\x41\102\u0043\n'"), [string("ABC\n")]);
    assert_eq!(tokens(r"E'\ud83d\ude00'"), [string("😀")]);
    assert_eq!(tokens("$$a'b$$"), [string("a'b")]);
    assert_eq!(tokens("$f$ $g$ $f$"), [string(" $g$ ")]);
    assert_eq!(tokens(r"U&'d\0061t\+000061'"), [string("data")]);
    assert_eq!(tokens(r"U&'d!0061' UESCAPE '!'"), [string("da")]);
    assert_eq!(tokens("B'01'"), [Token::SingleQuotedByteStringLiteral("b01".into())]);
    assert_eq!(tokens("X'1F'"), [Token::HexStringLiteral("x1F".into())]);
}

#[test]
fn identifiers_are_folded_and_cut() {
    assert_eq!(tokens("FooÄ"), [word("fooÄ".into(), None)]);
    assert_eq!(tokens("\"Foo\"\"x\""), [word("Foo\"x".into(), Some('"'))]);
    assert_eq!(tokens(r#"U&"\0041b""#), [word("Ab".into(), Some('"'))]);
    let lexed = lex(&"x".repeat(70), ScanOptions::default());
    assert_eq!(lexed.lexemes[0].token, word("x".repeat(63), None));
    assert_eq!(lexed.notices.len(), 1);
}

#[test]
fn numbers_and_their_junk() {
    let int = |text: &str| Token::Number(text.into(), true);
    let float = |text: &str| Token::Number(text.into(), false);
    assert_eq!(tokens("1_000"), [int("1000")]);
    assert_eq!(tokens("0x1F 0o17 0b101"), [int("31"), int("15"), int("5")]);
    assert_eq!(tokens("1..10"), [int("1"), operator(".."), int("10")]);
    assert_eq!(tokens("2147483648"), [float("2147483648")]);
    assert_eq!(tokens("1.5e-3 .5 4."), [float("1.5e-3"), float(".5"), float("4.")]);
    assert_eq!(failure("123abc"), ("trailing junk after numeric literal at or near \"123abc\"".into(), 0));
    assert_eq!(failure("0b12"), ("trailing junk after numeric literal at or near \"0b12\"".into(), 0));
    assert_eq!(failure("1 0x"), ("invalid hexadecimal integer at or near \"0x\"".into(), 2));
    assert_eq!(failure("1e+"), ("trailing junk after numeric literal at or near \"1e+\"".into(), 0));
    assert_eq!(failure("$1a"), ("trailing junk after parameter at or near \"$1a\"".into(), 0));
    assert_eq!(failure("1_000_"), ("trailing junk after numeric literal at or near \"1_000_\"".into(), 0));
}

#[test]
fn unterminated_things() {
    assert_eq!(failure("a 'b"), ("unterminated quoted string at or near \"'b\"".into(), 2));
    assert_eq!(failure("a \"b"), ("unterminated quoted identifier at or near \"\"b\"".into(), 2));
    assert_eq!(failure("a /* /* */"), ("unterminated /* comment at or near \"/* /* */\"".into(), 2));
    assert_eq!(failure("$x$ y"), ("unterminated dollar-quoted string at or near \"$x$ y\"".into(), 0));
    assert_eq!(failure("\"\""), ("zero-length delimited identifier at or near \"\"\"\"".into(), 0));
}
