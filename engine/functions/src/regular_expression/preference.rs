//! Whether an expression as a whole is greedy.
//!
//! PostgreSQL's rule: what a quantifier says counts for its atom; a branch is as its first atom that is one
//! or the other; several branches are greedy. Atoms without a quantifier, and those that must occur a fixed
//! number of times, are what is inside of them.

/// True if the expression takes the shortest match. It has been found to be valid.
pub fn is_shortest(pattern: &str, expanded: bool) -> bool {
    let mut reader = Reader { rest: pattern, expanded };
    reader.alternatives() == Some(Preference::Shortest)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preference {
    Longest,
    Shortest,
}

struct Reader<'p> {
    rest: &'p str,
    expanded: bool,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn take(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Up to the end or the parenthesis that closes the group.
    fn alternatives(&mut self) -> Option<Preference> {
        let mut first = self.branch();
        while self.take("|") {
            self.branch();
            first = Some(Preference::Longest);
        }
        first
    }

    fn branch(&mut self) -> Option<Preference> {
        let mut preference = None;
        while !self.rest.is_empty() && !self.rest.starts_with(['|', ')']) {
            let inside = self.atom();
            let quantified = self.quantifier(inside);
            preference = preference.or(quantified);
        }
        preference
    }

    fn atom(&mut self) -> Option<Preference> {
        match self.next()? {
            '\\' => {
                self.next();
                None
            }
            '[' => {
                self.bracket();
                None
            }
            '(' => {
                let around = ["?=", "?!", "?<=", "?<!"].iter().any(|mark| self.take(mark));
                self.take("?:");
                let inside = self.alternatives();
                self.take(")");
                inside.filter(|_| !around)
            }
            '#' if self.expanded => {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.rest = &self.rest[end..];
                None
            }
            _ => None,
        }
    }

    fn bracket(&mut self) {
        self.take("^");
        self.take("]");
        while let Some(c) = self.next() {
            match c {
                ']' => return,
                '\\' => {
                    self.next();
                }
                '[' => {
                    for (open, close) in [(":", ":]"), (".", ".]"), ("=", "=]")] {
                        if self.take(open) {
                            let end = self.rest.find(close).map_or(self.rest.len(), |end| end + close.len());
                            self.rest = &self.rest[end..];
                            break;
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// The preference of an atom with the quantifier that follows, if there is one.
    fn quantifier(&mut self, inside: Option<Preference>) -> Option<Preference> {
        let fixed = match self.rest.chars().next() {
            Some('*' | '+' | '?') => {
                self.next();
                false
            }
            Some('{') if self.rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                let end = self.rest.find('}').map_or(self.rest.len(), |end| end + 1);
                let fixed = !self.rest[..end].contains(',');
                self.rest = &self.rest[end..];
                fixed
            }
            _ => return inside,
        };
        match (self.take("?"), fixed) {
            (_, true) => inside,
            (true, false) => Some(Preference::Shortest),
            (false, false) => Some(Preference::Longest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_shortest;

    #[test]
    fn the_first_quantifier_of_a_branch_decides() {
        for (pattern, shortest) in [
            ("a", false),
            ("a*?", true),
            ("a*?b*", true),
            ("a*b*?", false),
            ("(a*?)b*", true),
            ("(?:a*?b*){1,1}", false),
            ("(?:a*?b*){1}", true),
            ("a{2}b+?", true),
            ("a{2,3}?", true),
            ("a*?|b", false),
            ("(a|b)c*?", false),
            ("[]*+]x??", true),
            ("\\*?b+?", false),
            ("[[:alpha:]*]+?", true),
        ] {
            assert_eq!(is_shortest(pattern, false), shortest, "{pattern}");
        }
        assert!(is_shortest("# a*\na*?", true));
    }
}
