//! Where an expression matches: POSIX's leftmost longest match, found so that it can be interrupted.
//!
//! The regex crate takes of several matches at one place the one that comes first in the order of
//! alternatives. PostgreSQL takes the longest, or the shortest if the expression as a whole is not greedy.
//! So the crate's automata are run here, byte by byte:
//!
//!  1. forward, to where the first match ends one way or another;
//!  2. backward from there, to where it begins: the leftmost place;
//!  3. forward from there once more, with all alternatives alive, to the farthest or nearest end.
//!
//! Groups are what the crate finds between these two places. Where an expression has several ways to fill
//! them PostgreSQL prefers long groups, the crate those of the first alternative.
//!
//! Long texts take time; the automata heed interrupts (finding the groups of a long match does not). They
//! can't judge word boundaries beside characters that are not ASCII: there the crate's own match stands.

use std::cell::{OnceCell, RefCell};

use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{Error, Result, error};
use regex::{Regex, RegexBuilder};
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchError, MatchKind};

use super::Flags;

/// Texts up to this length are searched by the crate itself: that takes no noticeable time.
const SHORT: usize = 4096;
/// Bytes between two looks at the interrupts.
const CHECK_INTERVAL: usize = 256;
/// Bytes that a compiled expression may take, and that an automaton keeps of its states.
const SIZE_MAX: usize = 10 << 20;
const CACHE_SIZE: usize = 1 << 20;

/// Byte range of the match or a group, if it took part.
pub type Group = Option<(usize, usize)>;

/// A lazily built automaton, with the states it has so far.
struct Automaton {
    dfa: DFA,
    cache: RefCell<Cache>,
}

struct Automata {
    /// The first match in the order of alternatives.
    first: Automaton,
    /// The same expression read backward.
    backward: Automaton,
    /// All matches from one place on.
    all: Automaton,
}

/// A compiled expression.
pub struct Expression {
    /// In the regex crate's syntax.
    text: String,
    flags: Flags,
    shortest: bool,
    regex: Regex,
    /// The expression up to the end of the text, for the groups of a match that ends there.
    to_the_end: OnceCell<Regex>,
    automata: OnceCell<Automata>,
}

/// Which end of a match is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Nearest,
    Farthest,
}

/// Why an automaton has no answer.
enum Stopped {
    Interrupted(Error),
    /// Met what it can't judge.
    Unsure,
}

impl From<MatchError> for Stopped {
    fn from(_: MatchError) -> Self {
        Stopped::Unsure
    }
}

fn builder(text: &str, flags: Flags) -> RegexBuilder {
    let mut builder = RegexBuilder::new(text);
    builder
        .case_insensitive(flags.ignore_case)
        .multi_line(flags.newline_anchors)
        .dot_matches_new_line(!flags.newline_excluded)
        .ignore_whitespace(flags.expanded)
        .size_limit(SIZE_MAX);
    builder
}

impl Expression {
    /// Compiles what is in the regex crate's syntax; `shortest` says that the whole is not greedy.
    pub fn new(text: String, flags: Flags, shortest: bool) -> std::result::Result<Self, regex::Error> {
        let regex = builder(&text, flags).build()?;
        Ok(Self { text, flags, shortest, regex, to_the_end: OnceCell::new(), automata: OnceCell::new() })
    }

    /// How many groups there are.
    pub fn groups(&self) -> usize {
        self.regex.captures_len() - 1
    }

    pub fn is_match(&self, text: &str) -> Result<bool> {
        if text.len() <= SHORT {
            return Ok(self.regex.is_match(text));
        }
        match self.automata()?.first.forward(text, 0, Anchored::No, End::Nearest) {
            Ok(end) => Ok(end.is_some()),
            Err(Stopped::Unsure) => Ok(self.regex.is_match(text)),
            Err(Stopped::Interrupted(error)) => Err(error),
        }
    }

    /// The first match from a byte offset on, which may lie behind the text; with its groups if they are
    /// asked for.
    pub fn find(&self, text: &str, from: usize, with_groups: bool) -> Result<Option<Vec<Group>>> {
        if from > text.len() {
            return Ok(None);
        }
        match self.find_span(text, from) {
            Ok(None) => Ok(None),
            Ok(Some(span)) if !with_groups || self.groups() == 0 => Ok(Some(vec![Some(span)])),
            Ok(Some(span)) => self.groups_of(text, span).map(Some),
            Err(Stopped::Unsure) => Ok(self.regex.captures_at(text, from).map(|found| spans(&found))),
            Err(Stopped::Interrupted(error)) => Err(error),
        }
    }

    fn find_span(&self, text: &str, from: usize) -> std::result::Result<Group, Stopped> {
        let automata = self.automata().map_err(Stopped::Interrupted)?;
        let start = if text.len() - from <= SHORT {
            self.regex.find_at(text, from).map(|found| found.start())
        } else {
            match automata.first.forward(text, from, Anchored::No, End::Farthest)? {
                Some(end) => automata.backward.backward(text, from, end)?,
                None => None,
            }
        };
        let Some(start) = start else { return Ok(None) };
        let wanted = if self.shortest { End::Nearest } else { End::Farthest };
        let end = automata.all.forward(text, start, Anchored::Yes, wanted)?;
        Ok(end.map(|end| (start, end)))
    }

    /// The groups of the match that was found.
    fn groups_of(&self, text: &str, (start, end): (usize, usize)) -> Result<Vec<Group>> {
        if self.to_the_end.get().is_none() {
            // A comment may end an expanded expression: it must not hide what comes behind.
            let newline = if self.flags.expanded { "\n" } else { "" };
            let text = format!("(?:{}{newline})\\z", self.text);
            let built = builder(&text, self.flags).build().map_err(too_large)?;
            self.to_the_end.set(built).ok();
        }
        check_for_interrupts()?;
        let regex = self.to_the_end.get().expect("just made");
        let found = regex.captures_at(&text[..end], start).map(|found| spans(&found));
        // What looks beyond the end of the match may see another text there.
        let found = found.filter(|groups| groups[0] == Some((start, end)));
        let mut groups =
            match found.or_else(|| self.regex.captures_at(text, start).map(|found| spans(&found))) {
                Some(groups) => groups,
                None => vec![None; self.groups() + 1],
            };
        groups[0] = Some((start, end));
        Ok(groups)
    }

    fn automata(&self) -> Result<&Automata> {
        if self.automata.get().is_none() {
            let built = Automata::new(&self.text, self.flags)?;
            self.automata.set(built).ok();
        }
        Ok(self.automata.get().expect("just made"))
    }
}

fn spans(captures: &regex::Captures<'_>) -> Vec<Group> {
    captures.iter().map(|group| group.map(|group| (group.start(), group.end()))).collect()
}

/// The error for an expression that compiles in one form and is too large in another.
fn too_large(cause: impl std::fmt::Display) -> Error {
    error!(INVALID_REGULAR_EXPRESSION, "invalid regular expression: regular expression is too complex")
        .detail(cause.to_string())
}

impl Automata {
    fn new(text: &str, flags: Flags) -> Result<Self> {
        let syntax = syntax::Config::new()
            .case_insensitive(flags.ignore_case)
            .multi_line(flags.newline_anchors)
            .dot_matches_new_line(!flags.newline_excluded)
            .ignore_whitespace(flags.expanded);
        let parsed = syntax::parse_with(text, &syntax).map_err(too_large)?;
        let machine = |reverse: bool| -> Result<NFA> {
            let config = thompson::Config::new()
                .reverse(reverse)
                .which_captures(WhichCaptures::None)
                .nfa_size_limit(Some(SIZE_MAX));
            NFA::compiler().configure(config).build_from_hir(&parsed).map_err(too_large)
        };
        let (forward, backward) = (machine(false)?, machine(true)?);
        Ok(Self {
            first: Automaton::new(forward.clone(), MatchKind::LeftmostFirst)?,
            backward: Automaton::new(backward, MatchKind::All)?,
            all: Automaton::new(forward, MatchKind::All)?,
        })
    }
}

impl Automaton {
    fn new(machine: NFA, kind: MatchKind) -> Result<Self> {
        let config = DFA::config()
            .match_kind(kind)
            .unicode_word_boundary(true)
            .cache_capacity(CACHE_SIZE)
            .skip_cache_capacity_check(true);
        let dfa = DFA::builder().configure(config).build_from_nfa(machine).map_err(too_large)?;
        let cache = RefCell::new(dfa.create_cache());
        Ok(Self { dfa, cache })
    }

    /// Where a match from `from` on (or beginning there, if anchored) ends.
    fn forward(
        &self,
        text: &str,
        from: usize,
        anchored: Anchored,
        wanted: End,
    ) -> std::result::Result<Option<usize>, Stopped> {
        let cache = &mut *self.cache.borrow_mut();
        let input = Input::new(text).range(from..).anchored(anchored);
        let mut state = self.dfa.start_state_forward(cache, &input)?;
        let mut found = None;
        for (step, &byte) in text.as_bytes()[from..].iter().enumerate() {
            if step % CHECK_INTERVAL == 0 {
                check_for_interrupts().map_err(Stopped::Interrupted)?;
            }
            state = self.dfa.next_state(cache, state, byte).map_err(|_| Stopped::Unsure)?;
            // A state tells of a match one byte late.
            if state.is_match() {
                found = Some(from + step);
                if wanted == End::Nearest {
                    return Ok(found);
                }
            } else if state.is_dead() {
                return Ok(found);
            } else if state.is_quit() {
                return Err(Stopped::Unsure);
            }
        }
        state = self.dfa.next_eoi_state(cache, state).map_err(|_| Stopped::Unsure)?;
        if state.is_match() {
            found = Some(text.len());
        }
        Ok(found)
    }

    /// The leftmost place, not before `from`, where a match begins that ends at `end`.
    fn backward(&self, text: &str, from: usize, end: usize) -> std::result::Result<Option<usize>, Stopped> {
        let cache = &mut *self.cache.borrow_mut();
        let input = Input::new(text).range(from..end).anchored(Anchored::Yes);
        let mut state = self.dfa.start_state_reverse(cache, &input)?;
        let mut found = None;
        for (step, at) in (from..end).rev().enumerate() {
            if step % CHECK_INTERVAL == 0 {
                check_for_interrupts().map_err(Stopped::Interrupted)?;
            }
            state = self.dfa.next_state(cache, state, text.as_bytes()[at]).map_err(|_| Stopped::Unsure)?;
            if state.is_match() {
                found = Some(at + 1);
            } else if state.is_dead() {
                return Ok(found);
            } else if state.is_quit() {
                return Err(Stopped::Unsure);
            }
        }
        state = match from.checked_sub(1) {
            Some(before) => self.dfa.next_state(cache, state, text.as_bytes()[before]),
            None => self.dfa.next_eoi_state(cache, state),
        }
        .map_err(|_| Stopped::Unsure)?;
        if state.is_quit() {
            return Err(Stopped::Unsure);
        }
        if state.is_match() {
            found = Some(from);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pattern: &str, text: &str) -> Option<(usize, usize)> {
        let expression = Expression::new(pattern.to_owned(), Flags::default(), false).expect("it compiles");
        expression
            .find(text, 0, false)
            .expect("nobody interrupts")
            .map(|groups| groups[0].expect("the whole"))
    }

    #[test]
    fn of_all_matches_at_the_leftmost_place_the_longest_counts() {
        for (pattern, text, span) in [
            ("a|ab|abc", "xabcd", (1, 4)),
            ("a+(ab)*", "aab", (0, 3)),
            ("b|abcd", "abcx b", (1, 2)),
            ("x*", "aaa", (0, 0)),
            ("\\bfoo|foobar", "foobar", (0, 6)),
            ("ä|äö", "zäö", (1, 5)),
        ] {
            assert_eq!(find(pattern, text), Some(span), "{pattern}");
            // The same behind so much text that the automata look for the place.
            let before = "-".repeat(2 * SHORT);
            let (start, end) = span;
            let long = format!("{before}{text}");
            let span = if start < end { (start + before.len(), end + before.len()) } else { span };
            assert_eq!(find(pattern, &long), Some(span), "{pattern}");
        }
        assert_eq!(find("b", &"a".repeat(2 * SHORT)), None);
        // Word boundaries beside other characters are left to the crate.
        let text = format!("{}é foo", "-".repeat(2 * SHORT));
        assert_eq!(find("\\bfoo", &text), Some((text.len() - 3, text.len())));
    }
}
