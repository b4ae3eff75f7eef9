//! Where a run stops: breaks at lines, functions and instructions, and why it stopped.

use std::fmt;

use crate::machine::{Machine, Place};
use crate::object::Program;

use super::recording::TaskState;

/// A place at which runs stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Break {
    /// A source line; of any file if none is named.
    Line {
        /// The file's name without its folders.
        file: Option<String>,
        /// The line, from 1.
        line: u32,
    },
    /// The first instruction of a function or program.
    Function(String),
    /// An instruction of any program.
    Instruction(u32),
}

/// The last part of a path.
#[must_use]
pub fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

impl Break {
    /// Reads `12`, `file.c:12`, `@34` (an instruction) or a function's name.
    ///
    /// # Errors
    /// A sentence that says what can be given.
    pub fn parse(text: &str) -> Result<Break, String> {
        let bad = || format!("`{text}` is no line (12 or file.c:12), function or instruction (@34)");
        if let Some(insn) = text.strip_prefix('@') {
            return insn.parse().map(Break::Instruction).map_err(|_| bad());
        }
        if let Ok(line) = text.parse() {
            return Ok(Break::Line { file: None, line });
        }
        if let Some((file, line)) = text.rsplit_once(':') {
            let line = line.parse().map_err(|_| bad())?;
            return Ok(Break::Line { file: Some(file_name(file).to_owned()), line });
        }
        let is_name = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        if is_name { Ok(Break::Function(text.to_owned())) } else { Err(bad()) }
    }

    /// Is that slot of a program one at which it stops?
    #[must_use]
    pub fn is_at(&self, program: &Program, insn: u32) -> bool {
        let slot = insn as usize;
        match self {
            Break::Line { file, line } => program.line_at(slot).is_some_and(|at| {
                at.insn == slot && at.line == *line && file.as_ref().is_none_or(|file| file_name(&at.file) == file)
            }),
            Break::Function(name) => program.functions.iter().any(|function| {
                function.start == slot && (function.name == *name || (slot == 0 && program.name == *name))
            }),
            Break::Instruction(number) => insn == *number,
        }
    }

    /// Is there anything in these programs at which it could stop?
    #[must_use]
    pub fn exists(&self, programs: &[Program]) -> bool {
        programs.iter().any(|program| (0..program.insns.len()).any(|slot| self.is_at(program, slot as u32)))
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Break::Line { file: Some(file), line } => write!(f, "{file}:{line}"),
            Break::Line { file: None, line } => write!(f, "line {line}"),
            Break::Function(name) => write!(f, "{name}()"),
            Break::Instruction(number) => write!(f, "instruction {number}"),
        }
    }
}

/// The break at an instruction, if there is one.
#[must_use]
pub fn break_at<'b>(breaks: &'b [Break], machine: &Machine, place: Place) -> Option<&'b Break> {
    let program = machine.programs().get(place.program as usize)?.source();
    breaks.iter().find(|one| one.is_at(program, place.insn))
}

/// The break that a task reaches: not one of the line that it is in already.
#[must_use]
pub fn reached<'b>(
    breaks: &'b [Break],
    machine: &Machine,
    before: Option<&TaskState>,
    now: &TaskState,
) -> Option<&'b Break> {
    let found = break_at(breaks, machine, now.place)?;
    let program = machine.programs().get(now.place.program as usize)?.source();
    let line = |insn: u32| program.line_at(insn as usize).map(|line| (&*line.file, line.line));
    let same = before.is_some_and(|before| {
        before.place.program == now.place.program
            && before.frames.len() == now.frames.len()
            && before.place.insn < now.place.insn
            && line(before.place.insn) == line(now.place.insn)
    });
    (!same || !matches!(found, Break::Line { .. })).then_some(found)
}

/// Why a run stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A break was reached.
    Break(String),
    /// A watched value is another one now: which, before, now.
    Changed(String, String, String),
    /// Something went wrong.
    Finding(String),
    /// Everything is done.
    Over,
    /// A step can go in several ways: which one is the user's choice.
    Choice,
    /// Nothing to do for the actor that was chosen; why.
    Nothing(String),
    /// What was asked for is done.
    Done,
    /// So many steps were made, and there may be more.
    Budget,
    /// It was broken off.
    Interrupted,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaks_are_read_as_they_are_written() {
        let line = |file: Option<&str>, line| Break::Line { file: file.map(str::to_owned), line };
        assert_eq!(Break::parse("12"), Ok(line(None, 12)));
        assert_eq!(Break::parse("dir/a.bpf.c:7"), Ok(line(Some("a.bpf.c"), 7)));
        assert_eq!(Break::parse("@3"), Ok(Break::Instruction(3)));
        assert_eq!(Break::parse("find_slot"), Ok(Break::Function("find_slot".into())));
        for wrong in ["", "@x", "a.c:", "two words", "-1"] {
            assert!(Break::parse(wrong).is_err(), "{wrong}");
        }
    }
}
