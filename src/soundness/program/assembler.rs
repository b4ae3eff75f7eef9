//! Instructions with labels, as lowering appends them; jumps get their offsets at the end.

use crate::isa::{Insn, RawInsn};

use super::model::ProgramKind;
use super::universe::MapName;

/// What an instruction refers to that only the object knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// A wide load of a map.
    Map(MapName),
    /// A call of a kernel function, by name.
    Kfunc(String),
    /// A wide load of the address of another function of the program: its index in [`Code::functions`].
    Function(usize),
    /// The immediate is the id of a structure in the object's types.
    TypeId(super::universe::Structure),
}

/// A place that a jump can go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label(usize);

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// First slot; a jump's offset counts slots.
    pub raw: RawInsn,
    /// A wide load's second slot.
    pub high: Option<RawInsn>,
    /// What it refers to.
    pub reference: Option<Reference>,
    /// Where it jumps.
    pub(super) target: Option<Label>,
    /// The statement that it belongs to: an index into [`Function::statements`].
    pub statement: usize,
}

impl Line {
    /// Slots that it takes.
    #[must_use]
    pub fn slots(&self) -> usize {
        1 + usize::from(self.high.is_some())
    }
}

/// A function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Function {
    /// Instructions.
    pub lines: Vec<Line>,
    /// One line of text for each statement that became instructions.
    pub statements: Vec<String>,
    /// How many arguments it takes.
    pub arguments: usize,
    labels: Vec<Option<usize>>,
}

/// A lowered program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// What it is loaded as.
    pub kind: ProgramKind,
    /// The entry function, and after it the callbacks.
    pub functions: Vec<Function>,
}

impl Function {
    /// A function with that many arguments.
    pub(super) fn new(arguments: usize) -> Self {
        Function { arguments, statements: vec!["entry".to_owned()], ..Function::default() }
    }

    /// A new label, not yet placed.
    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Places a label before the next instruction.
    pub(super) fn place(&mut self, label: Label) {
        if let Some(place) = self.labels.get_mut(label.0) {
            *place = Some(self.lines.len());
        }
    }

    /// Begins a statement; what follows belongs to it.
    pub(super) fn statement(&mut self, text: String) {
        self.statements.push(text);
    }

    /// Appends an instruction.
    pub(super) fn push(&mut self, insn: Insn) {
        self.push_with(insn, None, None);
    }

    /// Appends an instruction that refers to something.
    pub(super) fn push_reference(&mut self, insn: Insn, reference: Reference) {
        self.push_with(insn, Some(reference), None);
    }

    /// Appends a jump.
    pub(super) fn push_jump(&mut self, insn: Insn, target: Label) {
        self.push_with(insn, None, Some(target));
    }

    fn push_with(&mut self, insn: Insn, reference: Option<Reference>, target: Option<Label>) {
        let (raw, high) = insn.encode();
        let statement = self.statements.len().saturating_sub(1);
        self.lines.push(Line { raw, high, reference, target, statement });
    }

    /// Where a line stood may move by a mutation: the line is taken out and labels behind it follow.
    pub(super) fn remove(&mut self, index: usize) {
        if index < self.lines.len() {
            self.lines.remove(index);
            self.labels.iter_mut().flatten().filter(|place| **place > index).for_each(|place| *place -= 1);
        }
    }

    /// A copy of the line is put behind it.
    pub(super) fn repeat(&mut self, index: usize) {
        if let Some(line) = self.lines.get(index).cloned() {
            self.lines.insert(index + 1, line);
            self.labels.iter_mut().flatten().filter(|place| **place > index).for_each(|place| *place += 1);
        }
    }

    /// Puts the distances into the jumps.
    pub(super) fn resolve(&mut self) {
        let mut starts = Vec::with_capacity(self.lines.len() + 1);
        let mut slot = 0i64;
        for line in &self.lines {
            starts.push(slot);
            slot += line.slots() as i64;
        }
        starts.push(slot);
        for (index, line) in self.lines.iter_mut().enumerate() {
            let Some(target) = line.target else { continue };
            let place = self.labels.get(target.0).copied().flatten();
            let to = place.and_then(|place| starts.get(place)).copied().unwrap_or(slot);
            line.raw.offset = i16::try_from(to - starts.get(index).copied().unwrap_or(0) - 1).unwrap_or(i16::MAX);
        }
    }

    /// All slots, as they are before the object's references are put in.
    pub fn slots(&self) -> impl Iterator<Item = RawInsn> {
        self.lines.iter().flat_map(|line| std::iter::once(line.raw).chain(line.high))
    }
}
