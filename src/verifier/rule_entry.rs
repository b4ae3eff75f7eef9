//! A rule without a program that breaks it: its row in the table, and which messages of a kernel are its own.

use super::rule::{Errno, Rule};

/// A row of the table of rules ([`Rule::TABLE`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleEntry {
    /// Its name: lower case, words joined by hyphens; stable.
    pub id: &'static str,
    /// The part of the table that it stands in, in words.
    pub family: &'static str,
    /// The error number that loading fails with, where the rule does not pass on that of a check inside it.
    pub errno: Errno,
    /// The text that the kernel's log ends with, as a format string: fields in braces, braces doubled.
    pub text: &'static str,
    /// Its page, `docs/rules/ID.md`: why it exists, a program that breaks it, the same program mended.
    pub page: &'static str,
}

impl RuleEntry {
    /// The rule of that name.
    #[must_use]
    pub fn find(id: &str) -> Option<&'static RuleEntry> {
        Rule::TABLE.iter().find(|entry| entry.id == id)
    }

    /// The rule that a line of a kernel's log comes from: of those whose text fits, the one of which most is text and
    /// least is fields.
    #[must_use]
    pub fn of_message(line: &str) -> Option<&'static RuleEntry> {
        let fitting = Rule::TABLE.iter().filter(|entry| entry.fits(line));
        fitting.max_by_key(|entry| entry.pieces().iter().map(String::len).sum::<usize>())
    }

    /// The rule in a few plain words: its page's title.
    #[must_use]
    pub fn title(&self) -> Option<&'static str> {
        self.page.lines().next()?.strip_prefix("# ")
    }

    /// Its text with the names of its fields in angle brackets: `<register> !read_ok`.
    #[must_use]
    pub fn message(&self) -> String {
        let (pieces, fields) = self.parts();
        let fields = fields.iter().map(|field| format!("<{}>", field.replace('_', " "))).chain([String::new()]);
        pieces.iter().zip(fields).map(|(piece, field)| format!("{piece}{field}")).collect()
    }

    /// The text around its fields, in order: one piece more than there are fields.
    #[must_use]
    pub fn pieces(&self) -> Vec<String> {
        self.parts().0
    }

    /// The text around its fields, and the fields' names.
    fn parts(&self) -> (Vec<String>, Vec<String>) {
        let (mut pieces, mut fields) = (Vec::new(), Vec::new());
        let mut piece = String::new();
        let mut letters = self.text.chars().peekable();
        while let Some(letter) = letters.next() {
            if matches!(letter, '{' | '}') && letters.next_if_eq(&letter).is_none() {
                let field: String = letters.by_ref().take_while(|inside| *inside != '}').collect();
                fields.push(field.split(':').next().unwrap_or_default().to_owned());
                pieces.push(std::mem::take(&mut piece));
            } else {
                piece.push(letter);
            }
        }
        pieces.push(piece);
        (pieces, fields)
    }

    /// May a line of a kernel's log be this rule's text, with some fields? A rule whose text is all field has no lines
    /// of its own.
    #[must_use]
    pub fn fits(&self, line: &str) -> bool {
        let pieces = self.pieces();
        let told = pieces.iter().any(|piece| piece.chars().any(char::is_alphanumeric));
        told && surrounds(&pieces, line)
    }
}

/// Is the line these pieces in order, from its start to its end, with anything between them?
fn surrounds(pieces: &[String], line: &str) -> bool {
    let [first, middle @ .., last] = pieces else {
        return pieces.first().is_some_and(|only| only == line);
    };
    let Some(mut rest) = line.strip_prefix(first.as_str()) else { return false };
    for piece in middle {
        let Some(at) = rest.find(piece.as_str()) else { return false };
        rest = rest.get(at + piece.len()..).unwrap_or_default();
    }
    rest.ends_with(last.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(line: &str) -> Option<&'static str> {
        RuleEntry::of_message(line).map(|entry| entry.id)
    }

    #[test]
    fn a_kernels_line_names_its_rule() {
        assert_eq!(id_of("Unreleased reference id=2 alloc_insn=3"), Some("unreleased-reference"));
        assert_eq!(id_of("R3 !read_ok"), Some("read-uninitialised"));
        assert_eq!(id_of("bpf_spin_unlock is missing"), Some("missing-unlock"));
        assert_eq!(id_of("tracing progs cannot use bpf_{list_head,rb_root} yet"), Some("tracing-with-graph"));
        assert_eq!(id_of("R1 is of another opinion"), None);
        assert_eq!(id_of(""), None);
    }

    #[test]
    fn of_two_rules_that_fit_the_more_literal_one_is_named() {
        assert_eq!(id_of("R2 pointer arithmetic on map_ptr prohibited"), Some("pointer-arithmetic-prohibited"));
        assert_eq!(
            id_of("R0 pointer arithmetic on map_value_or_null prohibited, null-check it first"),
            Some("nullable-pointer-arithmetic")
        );
    }

    #[test]
    fn pieces_stand_around_the_fields() {
        let text = "{register:#} in {{a,b}} at {offset} of {other_place}";
        let entry = RuleEntry { id: "", family: "", errno: Errno::Invalid, text, page: "" };
        assert_eq!(entry.pieces(), ["", " in {a,b} at ", " of ", ""]);
        assert_eq!(entry.message(), "<register> in {a,b} at <offset> of <other place>");
    }
}
