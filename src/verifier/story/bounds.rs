//! An index or a size: where the number came from, and what was asked of it on the way.

use super::naming::Name;
use super::teller::{Known, Teller};
use super::trace::{At, Where};
use super::{Item, What, words};
use crate::isa::{AluOp, Insn, Operand, Register};

impl Teller<'_> {
    /// Where the number in a register came from, or the one by which the pointer in it was moved last.
    pub(super) fn bounds_items(&self, register: Register, last: usize, known: &mut Known) -> Vec<Item> {
        let frame = self.path.innermost(last);
        let at = At { frame, place: Where::Register(register) };
        let text = self.path.text(last, at);
        known.value = Some(words::of_value(text));
        known.reach = words::reach(text);
        known.name = self.named(last, register).and_then(Name::into_code);
        let Some((step, index)) = self.moved_by(at, last) else { return self.origin(at, last) };
        let at = At { frame: self.path.innermost(step), place: Where::Register(index) };
        let mut items = self.origin(at, step);
        let number = words::of_value(self.path.text(step, at));
        items.push(Item { step, what: What::Origin, text: format!("the pointer is moved by {number}") });
        let line = |step: usize| self.path.steps.get(step).and_then(|step| self.program.line_at(step.insn));
        // At the line of the access nothing is new in that.
        items.retain(|item| item.step != step || line(step).map(|line| line.line) != line(last).map(|line| line.line));
        items
    }

    fn origin(&self, at: At, from: usize) -> Vec<Item> {
        self.path.follow(at, from).items
    }

    /// The last step that moved a pointer by a number that was not known when the program was compiled, and the number's register.
    fn moved_by(&self, mut at: At, last: usize) -> Option<(usize, Register)> {
        for step in (0..last).rev() {
            if at.frame == self.path.innermost(step)
                && let Some(Insn::Alu { op: AluOp::Add | AluOp::Sub, dst, src: Operand::Register(src), .. }) =
                    self.path.insn(step)
                && at.place == Where::Register(dst)
            {
                let is_number = |register| {
                    let text = self.path.text(step, At { place: Where::Register(register), ..at });
                    text.contains("scalar")
                };
                return [src, dst].into_iter().find(|&register| is_number(register)).map(|register| (step, register));
            }
            at = self.path.before(step, at)?;
        }
        None
    }
}
