//! Tokens of a C declaration. Used by [`super::prototype`] alone.

use super::prototype::PrototypeError;

/// One token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// An identifier or keyword.
    Word(&'a str),
    /// A number's digits.
    Number(&'a str),
    /// Punctuation.
    Mark(&'a str),
    /// A character that no declaration has.
    Other,
    /// Nothing left.
    End,
}

/// A place in a declaration's text.
#[derive(Clone)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut lexer = Self { text, at: 0 };
        lexer.skip_space();
        lexer
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// The token here.
    pub(super) fn peek(&self) -> Token<'a> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Token::End;
        };
        let take = |accept: fn(char) -> bool| rest.split(|c| !accept(c)).next().unwrap_or("");
        if first.is_ascii_alphabetic() || first == '_' {
            Token::Word(take(|c| c.is_ascii_alphanumeric() || c == '_'))
        } else if first.is_ascii_digit() {
            Token::Number(take(|c| c.is_ascii_digit()))
        } else if rest.starts_with("...") {
            Token::Mark("...")
        } else {
            ["(", ")", "[", "]", "*", ",", ";"]
                .into_iter()
                .find(|mark| rest.starts_with(mark))
                .map_or(Token::Other, Token::Mark)
        }
    }

    /// Steps over the token here.
    pub(super) fn next(&mut self) {
        self.at += match self.peek() {
            Token::Word(text) | Token::Number(text) | Token::Mark(text) => text.len(),
            Token::Other => self.rest().chars().next().map_or(0, char::len_utf8),
            Token::End => 0,
        };
        self.skip_space();
    }

    /// Steps over a mark if it is here.
    pub(super) fn accept(&mut self, mark: &str) -> bool {
        let here = self.peek() == Token::Mark(mark);
        if here {
            self.next();
        }
        here
    }

    /// Steps over a mark that must be here.
    pub(super) fn expect(&mut self, mark: &str) -> Result<(), PrototypeError> {
        if self.accept(mark) { Ok(()) } else { Err(self.error(&format!("expected `{mark}`"))) }
    }

    /// The word here, which must be one.
    pub(super) fn word(&mut self, otherwise: &str) -> Result<&'a str, PrototypeError> {
        match self.peek() {
            Token::Word(word) => {
                self.next();
                Ok(word)
            }
            _ => Err(self.error(otherwise)),
        }
    }

    /// The number here, if it is one that fits.
    pub(super) fn number(&mut self) -> Option<u64> {
        let Token::Number(digits) = self.peek() else {
            return None;
        };
        let value = digits.parse().ok()?;
        self.next();
        Some(value)
    }

    /// Steps over a type tag: a word with two underscores in front, followed by `*` or by another such word.
    pub(super) fn tag(&mut self) -> Option<&'a str> {
        let Token::Word(word) = self.peek() else {
            return None;
        };
        let tag = word.strip_prefix("__")?;
        let mut after = self.clone();
        after.next();
        let mut ahead = after.clone();
        while let Token::Word(next) = ahead.peek() {
            if !next.starts_with("__") {
                break;
            }
            ahead.next();
        }
        let follows = ahead.peek() == Token::Mark("*");
        if !follows {
            return None;
        }
        *self = after;
        Some(tag)
    }

    /// At `(`: does a declarator follow (`*`, a name, `(`), and not parameters?
    pub(super) fn opens_declarator(&self) -> bool {
        let mut after = self.clone();
        after.next();
        matches!(after.peek(), Token::Mark("*" | "("))
    }

    /// Behind a `(`: steps over everything up to and with its `)`.
    pub(super) fn skip_parenthesised(&mut self) -> Result<(), PrototypeError> {
        let mut depth = 1_usize;
        loop {
            match self.peek() {
                Token::Mark("(") => depth += 1,
                Token::Mark(")") => depth -= 1,
                Token::End => return Err(self.error("expected `)`")),
                _ => {}
            }
            self.next();
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// An error at this place.
    pub(super) fn error(&self, message: &str) -> PrototypeError {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        PrototypeError {
            message: message.to_owned(),
            column: before.chars().count() + 1,
            text: self.text.chars().take(200).collect(),
        }
    }
}
