//! What the source calls the value of a register: an expression that was loaded, a variable that a call's result was put into.
//!
//! Only values that come unchanged from a load or a call have names here: of what was computed the compiler keeps no more than the
//! line, and may have computed something else than what stands there.

use std::fmt;

use super::source_text;
use super::teller::Teller;
use super::trace::{At, Path, Way, Where};
use crate::isa::{AluOp, Insn, JumpOp, Operand, Register, Size, Width};
use crate::verifier::path::Event;

/// A value's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Is it C, so that it stands between backticks?
    pub is_code: bool,
    /// The variable that it was put into, if the line that made it says so.
    pub variable: Option<String>,
}

impl Name {
    /// Something that C can be written with.
    #[must_use]
    pub fn code(text: &str) -> Name {
        Name { text: text.to_owned(), is_code: true, variable: None }
    }

    fn words(text: String) -> Name {
        Name { text, is_code: false, variable: None }
    }

    /// What to write in a line of C that is to come.
    #[must_use]
    pub fn into_code(self) -> Option<String> {
        self.variable.or_else(|| self.is_code.then_some(self.text))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_code { write!(f, "`{}`", self.text) } else { f.write_str(&self.text) }
    }
}

/// What holds behind a conditional jump.
#[must_use]
pub fn comparison(left: &Name, op: JumpOp, taken: bool, right: &Name) -> String {
    if op == JumpOp::Set {
        let is = if taken { "!=" } else { "==" };
        return format!("`({} & {}) {is} 0`", left.text, right.text);
    }
    let (sign, words) = holding(op, taken);
    if left.is_code && right.is_code {
        return format!("`{} {sign} {}`", left.text, right.text);
    }
    let right = if right.is_code && right.text.parse::<i64>().is_ok() { right.text.clone() } else { right.to_string() };
    format!("{left} {words} {right}")
}

/// The relation that holds, as C writes it and in words. Registers do not say whether they are signed; C's variables do.
fn holding(op: JumpOp, taken: bool) -> (&'static str, &'static str) {
    match (op, taken) {
        (JumpOp::Equal, true) | (JumpOp::NotEqual, false) => ("==", "is"),
        (JumpOp::Equal, false) | (JumpOp::NotEqual, true) => ("!=", "is not"),
        (JumpOp::Greater | JumpOp::SignedGreater, true) | (JumpOp::LessEqual | JumpOp::SignedLessEqual, false) => {
            (">", "is above")
        }
        (JumpOp::Less | JumpOp::SignedLess, true) | (JumpOp::GreaterEqual | JumpOp::SignedGreaterEqual, false) => {
            ("<", "is below")
        }
        (JumpOp::GreaterEqual | JumpOp::SignedGreaterEqual, true) | (JumpOp::Less | JumpOp::SignedLess, false) => {
            (">=", "is at least")
        }
        (JumpOp::LessEqual | JumpOp::SignedLessEqual, true) | (JumpOp::Greater | JumpOp::SignedGreater, false) => {
            ("<=", "is at most")
        }
        (JumpOp::Set, _) => ("&", "has bits of"),
    }
}

impl Teller<'_> {
    /// What the source calls the value in a register before a step.
    #[must_use]
    pub fn named(&self, step: usize, register: Register) -> Option<Name> {
        self.named_in(step, register, false)
    }

    /// The same; `narrow` if only its low half is asked for.
    #[must_use]
    pub fn named_in(&self, step: usize, register: Register, mut narrow: bool) -> Option<Name> {
        let mut at = At { frame: self.path.innermost(step), place: Where::Register(register) };
        for before in (0..step).rev() {
            match computed(&self.path, before, at)? {
                Kept::Half => narrow = true,
                Kept::Whole => {}
            }
            match self.path.back_over(before, at) {
                Way::On(next) => at = next,
                Way::End(_) => return self.given(before, narrow),
            }
        }
        None
    }

    /// The name of what a load or a call gives.
    fn given(&self, step: usize, narrow: bool) -> Option<Name> {
        let line = self.program.line_at(self.path.steps.get(step)?.insn);
        let column = line.map_or(0, |line| line.column);
        let text = line.map_or("", |line| &line.text);
        match self.path.insn(step)? {
            Insn::Load { size: Size::B8, .. } if narrow => None,
            Insn::Load { .. } => {
                let known = self.path.steps[step].events.iter().find_map(|event| match event {
                    Event::Loaded { from, .. } | Event::Read { from, .. } => Some(from.as_str()),
                    _ => None,
                });
                let written = source_text::expression_at(text, column);
                let is_that = |expression: &&str| match known.and_then(last_member) {
                    Some(member) => source_text::last_name(expression) == member,
                    None => true,
                };
                let code = |expression: &str| Name {
                    variable: source_text::variable_of(text, expression).map(str::to_owned),
                    ..Name::code(expression)
                };
                let words =
                    || known.filter(|known| last_member(known).is_some()).map(|known| Name::words(known.to_owned()));
                written.filter(is_that).map(code).or_else(words)
            }
            Insn::Call(_) => {
                let call = self.path.called(step)?;
                Some(match source_text::assigned_before(text, column) {
                    Some(variable) => Name::code(variable),
                    None => Name::words(format!("the result of `{call}()`")),
                })
            }
            _ => None,
        }
    }
}

/// How much of a value a step kept.
enum Kept {
    Whole,
    Half,
}

/// Whether a step kept a value as it was; `None` if it computed it.
fn computed(path: &Path<'_>, step: usize, at: At) -> Option<Kept> {
    let Where::Register(register) = at.place else { return Some(Kept::Whole) };
    if at.frame != path.innermost(step) {
        return Some(Kept::Whole);
    }
    match path.insn(step)? {
        Insn::Alu { op: AluOp::Mov, dst, src: Operand::Register(_), width: Width::W32 } if dst == register => {
            Some(Kept::Half)
        }
        Insn::Alu { op: AluOp::Mov, .. } => Some(Kept::Whole),
        Insn::Alu { dst, .. }
        | Insn::ByteSwap { dst, .. }
        | Insn::AddressSpaceCast { dst, .. }
        | Insn::MoveSignExtended { dst, .. }
            if dst == register =>
        {
            None
        }
        Insn::Atomic { src, .. } if register == src || register == Register::R0 => None,
        _ => Some(Kept::Whole),
    }
}

/// The member or variable at the end of a place in words: `pc` of ``field `a.pc` of map `slots` ``.
fn last_member(place: &str) -> Option<&str> {
    let (before, rest) = place.split_once('`')?;
    if before == "map " {
        return None;
    }
    let (path, _) = rest.split_once('`')?;
    Some(source_text::last_name(path)).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_is_told_without_a_not() {
        let code = Name::code;
        let words = Name::words("the result of `f()`".to_owned());
        assert_eq!(comparison(&code("a->b"), JumpOp::Greater, false, &code("7")), "`a->b <= 7`");
        assert_eq!(comparison(&code("a"), JumpOp::SignedLess, true, &code("0")), "`a < 0`");
        assert_eq!(comparison(&code("a"), JumpOp::Set, false, &code("4")), "`(a & 4) == 0`");
        assert_eq!(comparison(&words, JumpOp::Equal, false, &code("0")), "the result of `f()` is not 0");
        assert_eq!(comparison(&words, JumpOp::Less, false, &code("limit")), "the result of `f()` is at least `limit`");
    }

    #[test]
    fn the_last_member_of_a_place() {
        assert_eq!(last_member("field `a.pc` of map `slots`"), Some("pc"));
        assert_eq!(last_member("`counts[3]`"), Some("counts"));
        assert_eq!(last_member("map `slots`"), None);
        assert_eq!(last_member("memory"), None);
    }
}
