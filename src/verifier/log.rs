//! The log, as the kernel's verifier prints it: nothing, instructions with states (level 1), or all paths (level 2).
//!
//! [`Log`] collects text only where a level asks for it. Registers and slots that an instruction touched are noted so
//! that only those are printed. How a state is printed is in [`super::log_state`].

use crate::isa::Register;

/// How much of the log is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// None.
    #[default]
    Silent,
    /// The path that was rejected, or nothing (level 1).
    Basic,
    /// All paths (level 2).
    Detailed,
}

/// The log of one verification.
#[derive(Clone, Debug, Default)]
pub struct Log {
    level: LogLevel,
    text: String,
    registers: u16,
    slots: u64,
    /// Length and end of the line of the instruction printed last, with its line break.
    insn: Option<(usize, usize)>,
    /// The source line printed last: file and line.
    pub last_line: Option<(std::sync::Arc<str>, u32)>,
}

impl Log {
    /// An empty log.
    #[must_use]
    pub fn new(level: LogLevel) -> Log {
        Log { level, ..Log::default() }
    }

    /// Is anything printed at all?
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.level > LogLevel::Silent
    }

    /// Are all paths printed?
    #[must_use]
    pub fn detailed(&self) -> bool {
        self.level == LogLevel::Detailed
    }

    /// Appends a line.
    pub fn line(&mut self, line: &str) {
        if self.enabled() {
            self.text.push_str(line);
            self.text.push('\n');
        }
    }

    /// Appends an instruction's line.
    pub fn insn(&mut self, line: &str) {
        self.line(line);
        self.insn = Some((line.len() + 1, self.text.len()));
    }

    /// Takes back the line break behind an instruction if nothing was printed since. Gives the number of spaces that
    /// bring what follows to a common column, 40 or a multiple of eight behind it (`vlog_alignment`).
    pub fn continue_insn(&mut self) -> Option<usize> {
        let (length, end) = self.insn.filter(|&(_, end)| end == self.text.len())?;
        self.text.truncate(end - 1);
        Some((length + 4).max(40).next_multiple_of(8) - length - 1)
    }

    /// Its length, to come back to.
    #[must_use]
    pub fn position(&self) -> usize {
        self.text.len()
    }

    /// At level 1 a path that ended well leaves no trace.
    pub fn reset_to(&mut self, position: usize) {
        if !self.detailed() {
            self.text.truncate(position);
        }
    }

    /// All of it.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    /// An instruction touched a register.
    pub fn touch_register(&mut self, register: Register) {
        self.registers |= 1 << register.index();
    }

    /// An instruction touched a stack slot.
    pub fn touch_slot(&mut self, slot: usize) {
        if slot < 64 {
            self.slots |= 1 << slot;
        }
    }

    /// Everything may have changed.
    pub fn touch_all(&mut self) {
        self.registers = u16::MAX;
        self.slots = u64::MAX;
    }

    /// Was anything touched since the state was printed last?
    #[must_use]
    pub fn touched(&self) -> bool {
        self.registers != 0 || self.slots != 0
    }

    /// Was that register?
    #[must_use]
    pub fn touched_register(&self, register: usize) -> bool {
        self.registers & (1 << register) != 0
    }

    /// Was that slot?
    #[must_use]
    pub fn touched_slot(&self, slot: usize) -> bool {
        slot >= 64 || self.slots & (1 << slot) != 0
    }

    /// The state was printed.
    pub fn forget_touched(&mut self) {
        self.registers = 0;
        self.slots = 0;
    }
}
