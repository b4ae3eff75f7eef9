//! What is held: where a reference was acquired and what became of it, where a section was entered or left.

use super::table::Section;
use super::teller::{Known, Teller};
use super::{Item, What, words};
use crate::isa::Insn;
use crate::verifier::path::Event;
use crate::verifier::rule::FieldValue;

impl Teller<'_> {
    /// Where a reference was acquired, and what became of the pointers to it.
    pub(super) fn held_items(&self, last: usize, known: &mut Known) -> Vec<Item> {
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

    pub(super) fn acquirer(&self, id: u32) -> Option<&str> {
        self.path.steps.iter().flat_map(|step| &step.events).find_map(|event| match event {
            Event::Acquired { id: acquired, by, .. } if *acquired == id => Some(by.as_str()),
            _ => None,
        })
    }

    /// What happened to a reference from a step on.
    pub(super) fn reference_items(&self, id: u32, from: usize) -> Vec<Item> {
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
                        (What::Checked, self.check_text(step, check))
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

    pub(super) fn section_items(&self, section: Section, last: usize) -> Vec<Item> {
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
}
