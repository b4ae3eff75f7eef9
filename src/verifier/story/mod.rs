//! The story of a rejection: where the thing was acquired that a rule is about, which way the path went, where it was
//! moved, lost or made void, and what would satisfy the rule.
//!
//! [`tell`] reads the recorded path ([`super::path`]). What a rule's story is about, and what helps, is data: a row
//! for each rule in [`table`]. [`trace`] follows a value back to where it came from; [`words`] names things.

use serde::Serialize;

pub mod rows;
pub mod table;
pub mod trace;
pub mod words;

use self::table::{Row, Section, Subject};
use self::trace::{At, Path, Traced, Where, slot, stack_place};
use super::path::{Event, Step};
use super::rule::{FieldValue, Rule};
use super::verdict::{Verdict, Verification};
use crate::isa::{Insn, Register, decode};
use crate::object::{LineInfo, Program};

/// Other branches than null checks that a story names.
const BRANCHES: usize = 3;

/// What a part of a story is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A reference is acquired.
    Acquired,
    /// A value comes from here.
    Origin,
    /// A pointer is loaded from memory.
    Loaded,
    /// A call forgets what registers held.
    Forgotten,
    /// A section is entered: a lock is taken, RCU or preemption.
    Entered,
    /// A section is left.
    Left,
    /// The path goes one of two ways.
    Branch,
    /// A pointer is compared with NULL.
    Checked,
    /// An object is given to a map's field, a list or a tree.
    Moved,
    /// The last pointer to something is overwritten.
    Lost,
    /// A reference is given back.
    Released,
    /// Pointers are void from here on.
    Invalidated,
    /// Pointers are untrusted from here on.
    Distrusted,
    /// The program is refused.
    Rejected,
}

/// A part of a story: something that happened at one instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is about.
    pub what: What,
    /// The slot.
    pub insn: usize,
    /// Its source line, if known.
    pub source: Option<LineInfo>,
    /// What happened, in words.
    pub text: String,
}

/// The story of a rejection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Story {
    /// What happened, in the order of the path; the rejection is last.
    pub parts: Vec<Part>,
    /// Branches on the path that are not among the parts.
    pub other_branches: usize,
    /// What would satisfy the rule.
    pub help: Option<String>,
}

/// Something that happened at a step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The step's number on the path.
    pub step: usize,
    /// What it is about.
    pub what: What,
    /// In words.
    pub text: String,
}

/// Tells the story of a verification whose path was recorded; without a path it has only the place and the help.
#[must_use]
pub fn tell(program: &Program, verification: &Verification) -> Story {
    let Verdict::Reject(rejection) = &verification.verdict else {
        return Story { parts: path_only(program, verification), ..Story::default() };
    };
    let rule = &rejection.rule;
    let row = table::of(rule.id());
    let insns = decoded(program);
    let steps = verification.path.as_ref().map(|path| {
        path.last().map(|last| path.to(last)).unwrap_or_default().into_iter().map(|at| &path.steps[at]).collect()
    });
    let sleepable = program.section.sleepable;
    let teller = Teller { program, path: Path { steps: steps.unwrap_or_default(), insns: &insns, sleepable }, rule };
    teller.story(row, verification.place.as_ref().map_or(0, |place| place.insn))
}

fn decoded(program: &Program) -> Vec<Result<Insn, crate::isa::DecodeError>> {
    let next = |insn: usize| program.insns.get(insn + 1).copied();
    program.insns.iter().enumerate().map(|(insn, &raw)| decode(raw, next(insn))).collect()
}

/// For what is not supported: just the branches that led there.
fn path_only(program: &Program, verification: &Verification) -> Vec<Part> {
    let place = verification.place.as_ref().map(|place| place.insn);
    let source = place.and_then(|insn| program.line_at(insn).cloned());
    let part = |insn| Part { what: What::Rejected, insn, source, text: "this is not modelled".to_owned() };
    place.map(part).into_iter().collect()
}

struct Teller<'a> {
    program: &'a Program,
    path: Path<'a>,
    rule: &'a Rule,
}

/// What the placeholders of a row stand for, beside the rule's fields.
#[derive(Debug, Default)]
struct Known {
    /// What the value is that the rule is about.
    value: Option<String>,
    /// What is held.
    held: Option<String>,
    /// How to be rid of it.
    release: Option<String>,
    /// The helper or kfunc that is called where the program is refused.
    call: Option<String>,
    /// What would make the value fit.
    advice: Option<String>,
}

impl Teller<'_> {
    fn story(&self, row: Option<&Row>, insn: usize) -> Story {
        let last = self.path.steps.len().saturating_sub(1);
        let subject = row.map_or(Subject::Path, |row| row.subject);
        let mut known = Known { call: self.path.called(last).map(str::to_owned), ..Known::default() };
        let mut items = self.items(subject, last, &mut known);
        let other_branches = self.add_branches(subject, &mut items, last);
        items.sort_by_key(|item| item.step);
        items.dedup();
        let mut parts: Vec<Part> = items.into_iter().map(|item| self.part(item)).collect();
        let label = row.map_or_else(|| "refused here".to_owned(), |row| self.filled(row.label, &known));
        let source = self.program.line_at(insn).cloned();
        parts.push(Part { what: What::Rejected, insn, source, text: label });
        let help = row.filter(|row| !row.help.is_empty()).map(|row| self.filled(row.help, &known));
        Story { parts, other_branches, help }
    }

    fn part(&self, item: Item) -> Part {
        let insn = self.path.steps.get(item.step).map_or(0, |step| step.insn);
        Part { what: item.what, insn, source: self.program.line_at(insn).cloned(), text: item.text }
    }

    /// A text with its placeholders filled.
    fn filled(&self, text: &str, known: &Known) -> String {
        if let Some(otherwise) = text.strip_prefix("{advice|").and_then(|rest| rest.strip_suffix('}')) {
            return known.advice.clone().unwrap_or_else(|| self.filled(otherwise, known));
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

    /// The argument of a call that is a pointer to an object; the first, if none is.
    fn object_argument(&self, last: usize) -> Register {
        let frame = self.path.innermost(last);
        let text = |register| self.path.text(last, At { frame, place: Where::Register(register) });
        let is_object =
            |register: &Register| text(*register).contains("ptr_") && !text(*register).starts_with("map_ptr");
        let objects: Vec<Register> = Register::caller_saved().filter(is_object).collect();
        let foreign = objects.iter().find(|&&register| words::reference_in(text(register)).is_none());
        foreign.or(objects.first()).copied().unwrap_or(Register::R1)
    }

    /// Where a reference was acquired, and what became of the pointers to it.
    fn held_items(&self, last: usize, known: &mut Known) -> Vec<Item> {
        let Some(step) = self.path.steps.get(last) else { return Vec::new() };
        let named = match self.rule.field("id") {
            Some(FieldValue::Number(id)) => u32::try_from(id).ok(),
            _ => None,
        };
        let reference = step.before.references.iter().find(|reference| named.is_none_or(|id| reference.entry.id == id));
        let Some(reference) = reference else { return Vec::new() };
        let id = reference.entry.id;
        known.held = Some(match (&*reference.what, self.acquirer(id)) {
            ("a reference", Some(by)) => format!("the reference from `{}()`", words::as_written(by)),
            (what, _) => what.to_owned(),
        });
        let mut items = self.reference_items(id, 0);
        if let Some(by) = self.acquirer(id) {
            known.release = Some(words::ways_back(by, &reference.what));
        }
        // Only the last loss stands: a pointer that was lost before had copies.
        // Where the function ends anyway, the result overwrites it.
        let end = self.program.line_at(step.insn);
        items.retain(|item| {
            let at = self.path.steps.get(item.step).and_then(|step| self.program.line_at(step.insn));
            item.what != What::Lost || at.is_none() || at != end
        });
        let losses = items.iter().filter(|item| item.what == What::Lost).count();
        let mut seen = 0;
        items.retain(|item| {
            seen += usize::from(item.what == What::Lost);
            item.what != What::Lost || seen == losses
        });
        items
    }

    fn acquirer(&self, id: u32) -> Option<&str> {
        self.path.steps.iter().flat_map(|step| &step.events).find_map(|event| match event {
            Event::Acquired { id: acquired, by, .. } if *acquired == id => Some(by.as_str()),
            _ => None,
        })
    }

    /// What happened to a reference from a step on.
    fn reference_items(&self, id: u32, from: usize) -> Vec<Item> {
        let mut items = Vec::new();
        for (step, found) in self.path.steps.iter().enumerate().skip(from) {
            for event in &found.events {
                let told = match event {
                    Event::Acquired { id: of, what, by } if *of == id => {
                        (What::Acquired, words::acquired(what, &format!("`{}()`", words::as_written(by))))
                    }
                    Event::Released { id: of } if *of == id => {
                        let call = self.path.called(step).map_or_else(String::new, |name| format!(", by `{name}()`"));
                        (What::Released, format!("given back here{call}"))
                    }
                    Event::Moved { id: of, into } if *of == id => (What::Moved, format!("moved into {into} here")),
                    Event::Lost { id: of, from } if *of == id => (What::Lost, self.loss(step, from)),
                    Event::Branch { null_check: Some(check), .. } if check.reference == id => {
                        (What::Checked, self.check_text(found, check.is_null))
                    }
                    _ => continue,
                };
                items.push(Item { step, what: told.0, text: told.1 });
            }
        }
        items
    }

    fn loss(&self, step: usize, from: &str) -> String {
        match self.path.insn(step) {
            Some(Insn::Exit) => format!("the function that held the last pointer to it (in {from}) returns"),
            Some(Insn::Call(_)) => format!("the last pointer to it was in {from}, which this call does not keep"),
            _ => format!("the last pointer to it, in {from}, is overwritten here"),
        }
    }

    /// Where a value came from, and what became of what it points to.
    fn value_items(&self, register: Register, last: usize, known: &mut Known) -> Vec<Item> {
        let frame = self.path.innermost(last);
        let at = At { frame, place: Where::Register(register) };
        let text = self.path.text(last, at);
        known.value = Some(words::of_value(text));
        // Of an iterator or a dynptr the address says nothing: what is in the slot has the story.
        if let Some((frame, offset)) = stack_place(text, frame).filter(|&(_, offset)| offset < 0) {
            return self.stack_items(frame, offset, last, known);
        }
        let traced = self.path.follow(at, last);
        self.traced_items(traced, last, known)
    }

    /// The same of what memory is accessed through: on the stack, of what is there.
    fn accessed_items(&self, base: Register, offset: i16, last: usize, known: &mut Known) -> Vec<Item> {
        let frame = self.path.innermost(last);
        let text = self.path.text(last, At { frame, place: Where::Register(base) });
        match stack_place(text, frame) {
            Some((frame, start)) => self.stack_items(frame, start + i32::from(offset), last, known),
            None => self.value_items(base, last, known),
        }
    }

    /// Where what is on the stack came from. A dynptr is in two slots, and is known by the lower one.
    fn stack_items(&self, frame: usize, offset: i32, last: usize, known: &mut Known) -> Vec<Item> {
        let here = At { frame, place: slot(offset) };
        let below = At { frame, place: slot(offset.saturating_sub(8)) };
        let is_second = self.path.text(last, here).is_empty() && self.path.text(last, below).starts_with("dynptr_");
        let at = if is_second { below } else { here };
        let inside = self.path.text(last, at);
        known.value = Some(if inside.is_empty() { "unused stack".to_owned() } else { slot_words(inside) });
        let traced = self.path.follow(at, last);
        self.traced_items(traced, last, known)
    }

    /// What following a value came to, with what happened to the reference that it carried.
    fn traced_items(&self, traced: Traced, last: usize, known: &mut Known) -> Vec<Item> {
        let from = traced.items.last().map_or(0, |item| item.step);
        let mut items = traced.items;
        known.advice = known.value.as_deref().and_then(|value| self.advice(value, last)).map(str::to_owned);
        if let Some(item) = items.iter().find(|item| item.what == What::Invalidated) {
            known.value = Some("a pointer that is void".to_owned());
            known.advice = Some(self.after_void(item));
        } else if let Some(item) = items.iter().find(|item| item.what == What::Distrusted) {
            let call = self.path.called(item.step).unwrap_or("bpf_rcu_read_unlock");
            known.advice = Some(format!("use the pointer before `{call}()`, and load it again in the next section"));
        }
        if let Some(id) = traced.reference {
            known.held = self.what_is(id);
            known.release = self.acquirer(id).map(|by| words::ways_back(by, known.held.as_deref().unwrap_or_default()));
            let told: Vec<(usize, bool)> = items
                .iter()
                .map(|item| (item.step, item.what == What::Invalidated || item.what == What::Moved))
                .collect();
            let more = self.reference_items(id, from).into_iter().filter(|item| {
                let already = told.iter().any(|&(step, fate)| {
                    step == item.step && (fate || item.what == What::Acquired || item.what == What::Checked)
                });
                !already && item.what != What::Lost
            });
            items.extend(more);
        } else {
            items.extend(self.null_checks(&traced.ids, last, from));
        }
        items
    }

    fn advice(&self, value: &str, last: usize) -> Option<&'static str> {
        let accessed =
            matches!(self.path.insn(last), Some(Insn::Load { .. } | Insn::Store { .. } | Insn::Atomic { .. }));
        words::advice(value, self.path.called(last), self.program.section.sleepable, accessed)
    }

    /// What helps with a pointer that an instruction made void.
    fn after_void(&self, item: &Item) -> String {
        let events = self.path.steps.get(item.step).map_or(&[][..], |step| &step.events);
        let call = self.path.called(item.step).unwrap_or("the call");
        if events.iter().any(|event| matches!(event, Event::Released { .. })) {
            return format!("do not use the pointer after `{call}()`: set it to NULL, or leave the function");
        }
        if events.iter().any(|event| matches!(event, Event::Moved { .. })) {
            return format!(
                "do not use the pointer after `{call}()`: enter an RCU section before it, or load the pointer from where it is now"
            );
        }
        if events.contains(&Event::Unlocked) {
            return format!(
                "use the pointer before `{call}()`: copy what you need of the object while the lock is held"
            );
        }
        format!("get the pointer again after `{call}()`")
    }

    fn what_is(&self, id: u32) -> Option<String> {
        self.path.steps.iter().flat_map(|step| &step.events).find_map(|event| match event {
            Event::Acquired { id: acquired, what, .. } if *acquired == id => Some(what.to_string()),
            _ => None,
        })
    }

    /// The last comparison with NULL of a value that had one of those identities.
    fn null_checks(&self, ids: &[u32], last: usize, from: usize) -> Vec<Item> {
        let steps = self.path.steps.iter().enumerate().take(last).skip(from);
        let mut checks = steps.filter_map(|(step, found)| {
            found.events.iter().find_map(|event| match event {
                Event::Branch { null_check: Some(check), .. } if ids.contains(&check.id) => {
                    Some(Item { step, what: What::Checked, text: self.check_text(found, check.is_null) })
                }
                _ => None,
            })
        });
        checks.next_back().into_iter().collect()
    }

    fn section_items(&self, section: Section, last: usize) -> Vec<Item> {
        let Some(step) = self.path.steps.get(last) else { return Vec::new() };
        let inside = match section {
            Section::Lock => step.before.lock.is_some(),
            Section::Rcu => step.before.rcu,
            Section::Preempt => step.before.preempt > 0,
        };
        let (enter, leave) = match section {
            Section::Lock => (Event::Locked, Event::Unlocked),
            Section::Rcu => (Event::RcuEntered, Event::RcuLeft),
            Section::Preempt => (Event::PreemptDisabled, Event::PreemptEnabled),
        };
        let wanted = if inside { &enter } else { &leave };
        let found = self.path.steps.iter().rposition(|step| step.events.contains(wanted));
        let (what, verb) = if inside { (What::Entered, section.entered()) } else { (What::Left, section.left()) };
        found.map(|step| Item { step, what, text: verb.to_owned() }).into_iter().collect()
    }

    /// Adds the branches that matter; gives the number of those that do not.
    fn add_branches(&self, subject: Subject, items: &mut Vec<Item>, last: usize) -> usize {
        let start = items.iter().map(|item| item.step).min().unwrap_or(0);
        let told: Vec<usize> = items.iter().map(|item| item.step).collect();
        let mut left_out = 0;
        let mut named = 0;
        let mut lines = Vec::new();
        for (step, found) in self.path.steps.iter().enumerate().take(last).rev() {
            let Some(text) = self.branch_text(step, found) else { continue };
            if told.contains(&step) {
                continue;
            }
            let line = self.program.line_at(found.insn).map(|line| (&line.file, line.line));
            let again = line.is_some() && lines.contains(&line);
            if step < start || named >= BRANCHES || again || !subject.needs_branches() {
                left_out += 1;
                continue;
            }
            named += 1;
            lines.push(line);
            items.push(Item { step, what: What::Branch, text });
        }
        left_out
    }

    /// A branch in words, if it could have gone otherwise.
    fn branch_text(&self, at: usize, step: &Step) -> Option<String> {
        step.events.iter().find_map(|event| match event {
            Event::Branch { both: true, null_check: Some(check), .. } => Some(self.check_text(step, check.is_null)),
            Event::Branch { both: true, condition, taken, .. } => Some(match self.path.insn(at) {
                Some(Insn::JumpIf { .. }) => {
                    let holds = if *taken { "holds" } else { "does not hold" };
                    match self.goes_on(at) {
                        Some(line) => format!("`{condition}` {holds}: the path goes on at line {line}"),
                        None => format!("`{condition}` {holds} on this path"),
                    }
                }
                Some(Insn::Call(_)) if !*taken && condition.contains("iterator") => {
                    "the iterator has no more elements on this path".to_owned()
                }
                Some(Insn::Call(_)) if !*taken => "the callback is not called again on this path".to_owned(),
                Some(Insn::Call(_)) if condition.contains("callback") => {
                    "the callback is called on this path".to_owned()
                }
                _ if *taken => format!("on this path {condition}"),
                _ => format!("this is not so on this path: {condition}"),
            }),
            _ => None,
        })
    }

    /// The line on which the path goes on behind a step's line, in the same file.
    fn goes_on(&self, at: usize) -> Option<u32> {
        let line = |step: usize| self.path.steps.get(step).and_then(|step| self.program.line_at(step.insn));
        let here = line(at)?;
        let next = (at + 1..self.path.steps.len()).filter_map(line).find(|next| next.line != here.line)?;
        (next.file == here.file).then_some(next.line)
    }

    fn check_text(&self, step: &Step, is_null: bool) -> String {
        let line = self.program.line_at(step.insn);
        let name = line.and_then(|line| words::checked_in(&line.text));
        let is = if is_null { "is NULL" } else { "is not NULL" };
        match name {
            Some(name) => format!("`{name}` {is} on this path"),
            None => format!("the pointer {is} on this path"),
        }
    }
}

/// What a slot holds, in words.
fn slot_words(text: &str) -> String {
    if let Some(rest) = text.strip_prefix("iter_") {
        return format!("an iterator ({})", rest.split('(').next().unwrap_or(rest));
    }
    if text.starts_with("dynptr_") {
        return "a dynptr".to_owned();
    }
    "stack that holds other things".to_owned()
}
