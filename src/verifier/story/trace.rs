//! Where a value came from: from the end of a path backwards, through moves, spills and calls, to where it was made.

use super::words;
use super::{Item, What};
use crate::isa::{AluOp, DecodeError, Insn, Operand, Register, Size};
use crate::verifier::path::{Came, Event, Snapshot, Step};

/// A register or stack slot of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The frame's number.
    pub frame: usize,
    /// Which.
    pub place: Where,
}

/// A register or a stack slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// A register.
    Register(Register),
    /// Eight bytes of stack, by offset from the frame pointer (negative).
    Slot(i32),
}

impl Where {
    fn name(self) -> String {
        match self {
            Where::Register(register) => register.to_string(),
            Where::Slot(offset) => format!("fp{offset}"),
        }
    }
}

/// A path with its instructions.
pub struct Path<'a> {
    /// The steps, from the start to the end.
    pub steps: Vec<&'a Step>,
    /// The program's slots.
    pub insns: &'a [Result<Insn, DecodeError>],
    /// May the program sleep? Then RCU sections are its own affair.
    pub sleepable: bool,
}

/// What following a value came to.
#[derive(Debug, Default)]
pub struct Traced {
    /// What happened to it, last first.
    pub items: Vec<Item>,
    /// The reference that it carried, if it ever did.
    pub reference: Option<u32>,
    /// The identities that it had.
    pub ids: Vec<u32>,
}

/// Where to go on.
pub enum Way {
    /// Further back.
    On(At),
    /// No further: the value was made here.
    End(Option<(What, String)>),
}

impl<'a> Path<'a> {
    /// The instruction of a step.
    #[must_use]
    pub fn insn(&self, step: usize) -> Option<Insn> {
        self.insns.get(self.steps.get(step)?.insn)?.as_ref().ok().copied()
    }

    /// The text of a value before a step; empty if it holds nothing.
    #[must_use]
    pub fn text(&self, step: usize, at: At) -> &'a str {
        self.steps.get(step).map_or("", |step| text_in(&step.before, at))
    }

    /// The helper or kfunc that a step calls, as programs write it.
    #[must_use]
    pub fn called(&self, step: usize) -> Option<&'a str> {
        self.steps.get(step)?.events.iter().find_map(|event| match event {
            Event::Called { name } => Some(words::as_written(name)),
            _ => None,
        })
    }

    /// Number of the innermost frame before a step.
    #[must_use]
    pub fn innermost(&self, step: usize) -> usize {
        self.steps.get(step).map_or(0, |step| step.before.frames.len().saturating_sub(1))
    }

    /// Follows a value back from before the step `from`.
    #[must_use]
    pub fn follow(&self, mut at: At, from: usize) -> Traced {
        let mut traced = Traced { reference: words::reference_in(self.text(from, at)), ..Traced::default() };
        for step in (0..from).rev() {
            let here = self.back_over(step, at);
            match here {
                Way::On(next) if next == at => {
                    if let Some((what, text)) = self.change(step, at) {
                        traced.items.push(Item { step, what, text });
                    }
                }
                Way::On(next) => at = next,
                Way::End(origin) => {
                    traced.items.extend(origin.map(|(what, text)| Item { step, what, text }));
                    break;
                }
            }
            let text = self.text(step, at);
            traced.reference = traced.reference.or_else(|| words::reference_in(text));
            if let Some(id) = words::identity_in(text).filter(|id| !traced.ids.contains(id)) {
                traced.ids.push(id);
            }
        }
        traced
    }

    /// Where the value was before a step, unless the step made it.
    #[must_use]
    pub fn before(&self, step: usize, at: At) -> Option<At> {
        match self.back_over(step, at) {
            Way::On(before) => Some(before),
            Way::End(_) => None,
        }
    }

    /// One step back: where the value was before the step, or that the step made it.
    #[must_use]
    pub fn back_over(&self, step: usize, at: At) -> Way {
        let (before, after) = (self.innermost(step), self.innermost(step + 1));
        let Some(came) = self.steps.get(step + 1).map(|step| step.came) else { return Way::End(None) };
        match came {
            Came::AsyncCallback | Came::Start => Way::End(None),
            Came::Callback if at.frame == after => {
                Way::End(Some((What::Origin, format!("{} calls back with it", self.call_text(step)))))
            }
            Came::Call if at.frame == after => match at.place {
                Where::Register(register) if is_argument(register) => Way::On(At { frame: before, ..at }),
                _ => Way::End(None),
            },
            Came::Call | Came::Callback => match at.place {
                Where::Register(register) if at.frame == before && is_clobbered(register) => {
                    Way::End(Some((What::Forgotten, format!("a call leaves nothing in {register}"))))
                }
                _ => Way::On(at),
            },
            Came::Return if after < before => match at.place {
                Where::Register(Register::R0) if at.frame == after && !self.returns_from_callback(step) => {
                    Way::On(At { frame: before, ..at })
                }
                _ => Way::On(at),
            },
            _ if at.frame != before => Way::On(at),
            _ => self.back_over_insn(step, at),
        }
    }

    /// Was the frame that a step returns from entered as a callback?
    fn returns_from_callback(&self, step: usize) -> bool {
        let frame = self.innermost(step);
        let entry = (0..=step).rev().find(|&at| at == 0 || self.innermost(at - 1) < frame);
        entry.is_some_and(|entry| self.steps[entry].came == Came::Callback)
    }

    fn back_over_insn(&self, step: usize, at: At) -> Way {
        let Some(insn) = self.insn(step) else { return Way::On(at) };
        match (at.place, insn) {
            (Where::Register(register), Insn::Alu { op: AluOp::Mov, dst, src, .. }) if dst == register => match src {
                Operand::Register(src) => Way::On(At { place: Where::Register(src), ..at }),
                Operand::Immediate(value) => Way::End(Some((What::Origin, format!("set to {value} here")))),
            },
            (Where::Register(register), Insn::MoveSignExtended { dst, src, .. }) if dst == register => {
                Way::On(At { place: Where::Register(src), ..at })
            }
            (Where::Register(register), Insn::Load { dst, src, offset, .. }) if dst == register => {
                let base = self.text(step, At { place: Where::Register(src), ..at });
                match stack_place(base, at.frame) {
                    Some((frame, start)) => Way::On(At { frame, place: slot(start + i32::from(offset)) }),
                    None => Way::End(Some(self.loaded(step, at))),
                }
            }
            (Where::Register(register), Insn::LoadImmediate { dst, .. }) if dst == register => Way::End(None),
            (Where::Register(Register::R0), Insn::Call(_)) => Way::End(Some(self.returned(step, at))),
            (Where::Register(register), Insn::Call(_)) if is_argument(register) => {
                Way::End(Some((What::Forgotten, format!("{} leaves nothing in {register}", self.call_text(step)))))
            }
            (Where::Slot(_), Insn::Store { size, dst, offset, src }) => {
                let base = self.text(step, At { place: Where::Register(dst), ..at });
                let stored = stack_place(base, at.frame).map(|(frame, start)| (frame, slot(start + i32::from(offset))));
                match src {
                    _ if stored != Some((at.frame, at.place)) => Way::On(at),
                    Operand::Register(src) if size == Size::B8 => Way::On(At { place: Where::Register(src), ..at }),
                    _ => Way::End(Some((What::Origin, "written here".to_owned()))),
                }
            }
            (Where::Slot(_), Insn::Call(_)) if self.text(step, at).is_empty() => {
                let made = !self.text(step + 1, at).is_empty();
                if made { Way::End(Some(self.returned(step, at))) } else { Way::On(at) }
            }
            _ => Way::On(at),
        }
    }

    fn call_text(&self, step: usize) -> String {
        self.called(step).map_or_else(|| "the call".to_owned(), |name| format!("`{name}()`"))
    }

    /// A value that was loaded from memory.
    fn loaded(&self, step: usize, at: At) -> (What, String) {
        let place = self.steps[step].events.iter().find_map(|event| match event {
            Event::Loaded { from, .. } => Some((from.as_str(), None)),
            Event::Read { from, pointer, .. } => Some((from.as_str(), pointer.as_ref())),
            _ => None,
        });
        let value = words::of_value(self.text(step + 1, at));
        let text = match place {
            Some((from, Some(pointer))) => format!("loaded from {from}: {}", words::taken_for_number(pointer)),
            Some((from, None)) if self.text(step + 1, at).contains("untrusted_") && self.outside_rcu(step) => {
                format!("loaded from {from}, outside an RCU section: {value}")
            }
            Some((from, None)) => format!("loaded from {from}: {value}"),
            None => format!("loaded here: {value}"),
        };
        (What::Loaded, text)
    }

    fn outside_rcu(&self, step: usize) -> bool {
        let before = &self.steps[step].before;
        self.sleepable && !before.rcu && before.lock.is_none()
    }

    /// A value that a helper or kfunc gave.
    fn returned(&self, step: usize, at: At) -> (What, String) {
        let call = self.call_text(step);
        let acquired = self.steps[step].events.iter().find_map(|event| match event {
            Event::Acquired { what, .. } => Some(what),
            _ => None,
        });
        match (acquired, at.place) {
            (Some(what), _) => (What::Acquired, words::acquired(what, &call)),
            (None, Where::Slot(_)) => (What::Origin, format!("made here, by {call}")),
            (None, Where::Register(_)) => {
                (What::Origin, format!("{call} gives {}", words::of_value(self.text(step + 1, at))))
            }
        }
    }

    /// What a step did to a value that it did not overwrite.
    fn change(&self, step: usize, at: At) -> Option<(What, String)> {
        if self.text(step, at) == self.text(step + 1, at) {
            return None;
        }
        let name = at.place.name();
        let names = |what: &str| what.split(", ").any(|one| one == name);
        let events = &self.steps.get(step)?.events;
        let call = self.call_text(step);
        if events.iter().any(|event| matches!(event, Event::Invalidated { what } if names(what))) {
            let percpu = self.text(step, at).contains("percpu_");
            return Some((What::Invalidated, why_invalid(events, &call, percpu)));
        }
        events.iter().find_map(|event| match event {
            Event::Distrusted { what } if names(what) => Some((
                What::Distrusted,
                format!(
                    "{call} ends the RCU section: from now on the object may be freed, and the pointer is not trusted"
                ),
            )),
            Event::Moved { into, .. } => {
                Some((What::Moved, format!("moved into {into} here: the program does not own it any more")))
            }
            _ => None,
        })
    }
}

/// Why an instruction makes pointers void.
fn why_invalid(events: &[Event], call: &str, percpu: bool) -> String {
    let why = events.iter().find_map(|event| match event {
        Event::Released { .. } => Some(format!("released here, by {call}: no pointer to it may be used any more")),
        Event::Moved { into, .. } if percpu => {
            Some(format!("moved into {into} here, and no RCU section keeps it alive: the pointer must not be used any more"))
        }
        Event::Moved { into, .. } => {
            Some(format!("moved into {into} here, which owns it now: the program's pointer must not be used any more"))
        }
        Event::Unlocked => Some(
            "the lock is given back here: from now on, pointers to what the list or tree owns must not be used any more"
                .to_owned(),
        ),
        _ => None,
    });
    why.unwrap_or_else(|| format!("{call} makes the pointer unusable here"))
}

/// The text of a place in a snapshot; empty if it holds nothing.
fn text_in(snapshot: &Snapshot, at: At) -> &str {
    let Some(frame) = snapshot.frames.get(at.frame) else { return "" };
    let found = match at.place {
        Where::Register(register) => frame.registers.iter().find(|(other, _)| *other == register).map(|(_, text)| text),
        Where::Slot(offset) => frame.slots.iter().find(|(other, _)| *other == offset).map(|(_, text)| text),
    };
    found.map_or("", |text| text)
}

/// The frame and offset that a pointer into the stack has, by its text: `fp-8`, `fp[0]-16`, `fp0`.
#[must_use]
pub fn stack_place(text: &str, frame: usize) -> Option<(usize, i32)> {
    let rest = text.strip_prefix("fp")?;
    let (frame, offset) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((number, offset)) => (number.parse().ok()?, offset),
        None => (frame, rest),
    };
    Some((frame, if offset.is_empty() { 0 } else { offset.parse().ok()? }))
}

/// The slot that a byte is in.
#[must_use]
pub fn slot(offset: i32) -> Where {
    Where::Slot(offset.div_euclid(8) * 8)
}

fn is_argument(register: Register) -> bool {
    (1..=5).contains(&register.index())
}

fn is_clobbered(register: Register) -> bool {
    register.index() <= 5
}
