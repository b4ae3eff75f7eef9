//! Which way the path went: conditions in the words of the source where they are known.

use super::naming::{Name, comparison};
use super::source_text;
use super::table::Subject;
use super::teller::Teller;
use super::trace::{At, Where};
use super::{Item, What, words};
use crate::isa::{Insn, JumpOp, Operand, Register, Width};
use crate::verifier::path::{Event, NullCheck};

/// Other branches than null checks that a story names.
const BRANCHES: usize = 3;

/// A conditional jump, as it went.
#[derive(Clone, Copy)]
struct Decided {
    width: Width,
    op: JumpOp,
    dst: Register,
    src: Operand,
    taken: bool,
}

impl Teller<'_> {
    /// Adds the branches that matter; gives the number of those that do not.
    pub(super) fn add_branches(&self, subject: Subject, items: &mut Vec<Item>, last: usize) -> usize {
        let start = items.iter().map(|item| item.step).min().unwrap_or(0);
        let told: Vec<usize> = items.iter().map(|item| item.step).collect();
        let mut left_out = 0;
        let mut named = 0;
        let mut lines = Vec::new();
        for (step, found) in self.path.steps.iter().enumerate().take(last).rev() {
            let Some(text) = self.branch_text(step) else { continue };
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
    fn branch_text(&self, step: usize) -> Option<String> {
        self.path.steps[step].events.iter().find_map(|event| match event {
            Event::Branch { both: true, null_check: Some(check), .. } => Some(self.check_text(step, check)),
            Event::Branch { both: true, condition, taken, .. } => Some(match self.path.insn(step) {
                Some(Insn::JumpIf { width, op, dst, src, .. }) => {
                    self.jump_text(step, Decided { width, op, dst, src, taken: *taken })
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

    /// A conditional jump: what holds on this path, in the source's words if they are known, and always in registers; where it goes on.
    fn jump_text(&self, step: usize, jump: Decided) -> String {
        let letter = if jump.width == Width::W32 { "w" } else { "r" };
        let register = |register: Register| format!("{letter}{}", register.index());
        let (left, right) = (
            register(jump.dst),
            match jump.src {
                Operand::Register(src) => register(src),
                Operand::Immediate(value) => value.to_string(),
            },
        );
        let in_registers = comparison(&Name::code(&left), jump.op, jump.taken, &Name::code(&right));
        let next = self.goes_on(step).map_or_else(String::new, |line| format!(": it goes on at line {line}"));
        if let Some(said) = self.of_packet(step, jump).or_else(|| self.in_source(step, jump)) {
            return format!("{said} on this path ({in_registers}){next}");
        }
        let line = self.program.line_at(self.path.steps[step].insn);
        match line.and_then(|line| source_text::condition_in(&line.text)).filter(|_| !next.is_empty()) {
            Some(condition) => format!("`{condition}` is decided here ({in_registers}){next}"),
            None => format!("{in_registers} on this path{next}"),
        }
    }

    /// What holds behind a jump, of values that the source has names for.
    fn in_source(&self, step: usize, jump: Decided) -> Option<String> {
        let named = |register| self.named_in(step, register, jump.width == Width::W32);
        let left = named(jump.dst)?;
        let right = match jump.src {
            Operand::Register(src) => named(src)?,
            // C has no such constant where the comparison is one of unsigned numbers.
            Operand::Immediate(value) if value < 0 && is_unsigned(jump.op) => return None,
            Operand::Immediate(value) => Name::code(&value.to_string()),
        };
        Some(comparison(&left, jump.op, jump.taken, &right))
    }

    /// A comparison with the packet's end.
    fn of_packet(&self, step: usize, jump: Decided) -> Option<String> {
        let Operand::Register(src) = jump.src else { return None };
        let frame = self.path.innermost(step);
        let text = |step, register| self.path.text(step, At { frame, place: Where::Register(register) });
        let is_packet = |register| text(step, register).starts_with("pkt(");
        let is_end = |register| text(step, register).starts_with("pkt_end");
        let pointer = match (jump.dst, src) {
            (dst, src) if is_packet(dst) && is_end(src) => dst,
            (dst, src) if is_end(dst) && is_packet(src) => src,
            _ => return None,
        };
        let known = |step| words::number_in(text(step, pointer), "r=").unwrap_or(0);
        let (before, after) = (known(step), known(step + 1));
        let moved = words::identity_in(text(step, pointer)).is_some_and(|id| id != 0);
        Some(match after {
            _ if after <= before => "nothing more of the packet is known to be there".to_owned(),
            _ if moved => "the packet reaches as far as this".to_owned(),
            bytes => format!("the packet has at least {bytes} bytes"),
        })
    }

    /// The line on which the path goes on behind a step's line, in the same file.
    fn goes_on(&self, at: usize) -> Option<u32> {
        let line = |step: usize| self.path.steps.get(step).and_then(|step| self.program.line_at(step.insn));
        let (here, insn) = (line(at)?, self.path.steps.get(at)?.insn);
        // Instructions of lines before this one may have been put behind it; only a jump back leads there.
        let is_next = |step: &usize| {
            let back = self.path.steps[*step].insn < insn;
            line(*step).is_some_and(|next| next.line > here.line || back && next.line != here.line)
        };
        let next = (at + 1..self.path.steps.len()).find(is_next).and_then(line)?;
        (next.file == here.file).then_some(next.line)
    }

    /// A comparison with NULL.
    pub(super) fn check_text(&self, step: usize, check: &NullCheck) -> String {
        let line = self.program.line_at(self.path.steps[step].insn);
        let in_line = line.and_then(|line| source_text::checked_in(&line.text)).map(|name| format!("`{name}`"));
        let name = in_line.or_else(|| self.named(step, check.register).map(|name| name.to_string()));
        let is = if check.is_null { "is NULL" } else { "is not NULL" };
        format!("{} {is} on this path", name.as_deref().unwrap_or("the pointer"))
    }
}

fn is_unsigned(op: JumpOp) -> bool {
    matches!(op, JumpOp::Greater | JumpOp::GreaterEqual | JumpOp::Less | JumpOp::LessEqual)
}
