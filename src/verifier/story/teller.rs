//! Tells the story of a rejection: of what the rule is about, then the branches, then the words that the rule's row has.

use super::table::{self, Row, Subject};
use super::trace::Path;
use super::{Item, Part, Story, What, words};
use crate::isa::{Insn, Register};
use crate::object::Program;
use crate::verifier::RuleEntry;
use crate::verifier::rule::{FieldValue, Rule};

/// What is told of: a path, and the rule that is broken at its end.
pub struct Teller<'a> {
    /// The program.
    pub program: &'a Program,
    /// The path.
    pub path: Path<'a>,
    /// The rule.
    pub rule: &'a Rule,
}

/// What the placeholders of a row stand for, beside the rule's fields.
#[derive(Debug, Default)]
pub struct Known {
    /// What the value is that the rule is about.
    pub value: Option<String>,
    /// What is held.
    pub held: Option<String>,
    /// How to be rid of it.
    pub release: Option<String>,
    /// The helper or kfunc that is called where the program is refused.
    pub call: Option<String>,
    /// What would make the value fit.
    pub advice: Option<String>,
    /// What the source calls the pointer that the rule is about.
    pub name: Option<String>,
    /// How far an access reaches, after a colon.
    pub reach: Option<String>,
}

impl Teller<'_> {
    /// The story of a rejection, at an instruction if there is one, by the rule's row.
    pub fn story(&self, row: Option<&Row>, insn: Option<usize>) -> Story {
        let last = self.path.steps.len().saturating_sub(1);
        let subject = row.map_or(Subject::Path, |row| row.subject);
        let mut known = Known { call: self.path.called(last).map(str::to_owned), ..Known::default() };
        let mut items = self.items(subject, last, &mut known);
        let other_branches = self.add_branches(subject, &mut items, last);
        items.sort_by_key(|item| item.step);
        items.dedup();
        let mut parts: Vec<Part> = items.into_iter().map(|item| self.part(item)).collect();
        let label = row.map_or_else(|| self.title(), |row| self.filled(row.label, &known));
        parts.extend(insn.map(|insn| Part {
            what: What::Rejected,
            insn,
            source: self.program.line_at(insn).cloned(),
            text: label,
        }));
        let help = row.filter(|row| !row.help.is_empty()).map(|row| self.filled(row.help, &known));
        Story { parts, other_branches, help }
    }

    /// What stands at the line where there is no row: the rule in a few plain words.
    fn title(&self) -> String {
        match RuleEntry::find(self.rule.id()).and_then(RuleEntry::title) {
            Some(title) => format!("refused here: {}", lower_first(title)),
            None => "refused here".to_owned(),
        }
    }

    fn part(&self, item: Item) -> Part {
        let insn = self.path.steps.get(item.step).map_or(0, |step| step.insn);
        Part { what: item.what, insn, source: self.program.line_at(insn).cloned(), text: item.text }
    }

    /// A text with its placeholders filled.
    fn filled(&self, text: &str, known: &Known) -> String {
        if let Some(otherwise) = text.strip_prefix("{advice|").and_then(|rest| rest.strip_suffix('}')) {
            let advice = known.advice.as_deref().unwrap_or(otherwise);
            return self.filled(advice, known);
        }
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, name, after)) = rest
            .split_once('{')
            .and_then(|(before, rest)| rest.split_once('}').map(|(name, after)| (before, name, after)))
        {
            filled.push_str(before);
            filled.push_str(&self.placeholder(name, known));
            rest = after;
        }
        filled + rest
    }

    fn placeholder(&self, name: &str, known: &Known) -> String {
        let found = match name {
            // As C writes an empty initialiser.
            "" => Some("{}".to_owned()),
            "value" => known.value.clone(),
            "held" => known.held.clone(),
            "release" => known.release.clone(),
            "call" => known.call.clone(),
            "p" => known.name.clone(),
            "reach" => known.reach.clone(),
            _ => self.rule.field(name).map(|field| match field {
                FieldValue::Text(text) => words::as_written(&text).to_owned(),
                other => other.to_string(),
            }),
        };
        found.unwrap_or_else(|| table::unknown(name).to_owned())
    }

    fn items(&self, subject: Subject, last: usize, known: &mut Known) -> Vec<Item> {
        match subject {
            Subject::Path => Vec::new(),
            Subject::Result => self.value_items(Register::R0, last, known),
            Subject::Bounds(field) => match self.rule.field(field) {
                Some(FieldValue::Register(register)) => self.bounds_items(register, last, known),
                _ => Vec::new(),
            },
            Subject::Held => self.held_items(last, known),
            Subject::Section(section) => self.section_items(section, last),
            Subject::Register(field) => match self.rule.field(field) {
                Some(FieldValue::Register(register)) => self.value_items(register, last, known),
                _ => Vec::new(),
            },
            Subject::Argument(field, base) => match self.rule.field(field) {
                Some(FieldValue::Number(number)) => {
                    let register = u8::try_from(number + base).ok().and_then(Register::new);
                    register.map_or_else(Vec::new, |register| self.value_items(register, last, known))
                }
                _ => Vec::new(),
            },
            Subject::Nth(number) => {
                Register::new(number).map_or_else(Vec::new, |register| self.value_items(register, last, known))
            }
            Subject::Slot(field) => match self.rule.field(field) {
                Some(FieldValue::Number(offset)) => {
                    let frame = self.path.innermost(last);
                    i32::try_from(offset)
                        .map_or_else(|_| Vec::new(), |offset| self.stack_items(frame, offset, last, known))
                }
                _ => Vec::new(),
            },
            Subject::Object => self.value_items(self.object_argument(last), last, known),
            Subject::Base => match self.path.insn(last) {
                Some(Insn::Load { src, offset, .. }) => self.accessed_items(src, offset, last, known),
                Some(Insn::Store { dst, offset, .. } | Insn::Atomic { dst, offset, .. }) => {
                    self.accessed_items(dst, offset, last, known)
                }
                Some(Insn::Call(_)) => self.value_items(Register::R1, last, known),
                _ => Vec::new(),
            },
        }
    }
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
