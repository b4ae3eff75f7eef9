//! How instructions and states stand in the log (`print_verifier_state`, `kernel/bpf/log.c`, Linux 6.12).

use super::env::Verifier;
use super::rule::Rule;
use super::state::State;
use crate::isa::{CallName, RawInsn, disassemble};

impl Verifier<'_> {
    /// Writes a line of a message that has more than one, all but the last; it stands before the reason.
    pub fn say(&mut self, rule: &Rule) {
        self.say_text(&rule.to_string());
    }

    /// The same for plain text.
    pub fn say_text(&mut self, text: &str) {
        self.log.line(text);
        self.notes.push(text.to_owned());
    }

    /// An instruction's text.
    #[must_use]
    pub fn disassembly(&self, insn: usize) -> String {
        let raw = self.raw(insn);
        let kfunc = (raw.opcode == 0x85 && raw.src == 2).then(|| self.kfunc_label(raw.imm as u32)).flatten();
        let names = Names { verifier: self, kfunc };
        disassemble(raw, self.program.insns.get(insn + 1).copied(), &names)
    }

    /// Before an instruction: the state if it is due, the source line, the instruction.
    pub fn log_before_insn(&mut self, print_state: &mut bool) {
        if !self.log.enabled() {
            return;
        }
        if self.log.detailed() && *print_state {
            let from = self.previous.map_or(-1, |insn| insn as i64);
            let state = self.state_text(&self.state, self.state.current(), true);
            self.log.line(&format!("\nfrom {from} to {}:{state}", self.insn));
            self.log.forget_touched();
            *print_state = false;
        }
        if self.log.touched() {
            self.log_insn_state();
        }
        self.log_source_line();
        let text = format!("{}: {}", self.insn, self.disassembly(self.insn));
        self.log.line(&text);
    }

    fn log_source_line(&mut self) {
        let Some(line) = self.program.line_at(self.insn) else { return };
        let place = (line.file.clone(), line.line);
        if self.log.last_line.as_ref() == Some(&place) {
            return;
        }
        let name = line.file.rsplit('/').next().unwrap_or(&line.file);
        let text = format!("; {} @ {name}:{}", line.text.trim_start(), line.line);
        self.log.last_line = Some(place);
        self.log.line(&text);
    }

    /// After an instruction: what it changed.
    pub fn log_insn_state(&mut self) {
        if !self.log.enabled() {
            return;
        }
        let state = self.state_text(&self.state, self.state.current(), false);
        if !state.is_empty() {
            self.log.line(&format!("{}:{state}", self.insn));
        }
        self.log.forget_touched();
    }

    /// The path ended since a checkpoint covers it.
    pub fn log_safe(&mut self, print_state: bool) {
        if !self.log.enabled() {
            return;
        }
        let insn = self.insn;
        let line = if print_state {
            format!("\nfrom {} to {insn}: safe", self.previous.map_or(-1, |insn| insn as i64))
        } else {
            format!("{insn}: safe")
        };
        self.log.line(&line);
    }

    /// A function was called.
    pub fn log_call(&mut self) {
        if !self.log.enabled() {
            return;
        }
        let callee = self.state.current();
        let caller = format!("caller:\n{}", self.state_text(&self.state, callee - 1, true));
        let callee = format!("callee:\n{}", self.state_text(&self.state, callee, true));
        self.log.line(&caller);
        self.log.line(&callee);
    }

    /// A function returns.
    pub fn log_return(&mut self, next: usize) {
        if !self.log.enabled() {
            return;
        }
        let callee = self.state.current();
        let from = format!("returning from callee:\n{}", self.state_text(&self.state, callee, true));
        let to = format!("to caller at {next}:\n{}", self.state_text(&self.state, callee - 1, true));
        self.log.line(&from);
        self.log.line(&to);
    }

    /// A frame's registers and stack; with `all`, also what was not touched.
    #[must_use]
    pub fn state_text(&self, state: &State, frame: usize, all: bool) -> String {
        let Some(frame) = state.frames.get(frame) else { return String::new() };
        let mut text = String::new();
        for (index, cell) in frame.registers.iter().enumerate() {
            if cell.value == super::value::Value::Uninitialised || !(all || self.log.touched_register(index)) {
                continue;
            }
            text.push_str(&format!(" R{index}={}", cell.value.kernel_name()));
        }
        text
    }
}

struct Names<'a, 'b> {
    verifier: &'a Verifier<'b>,
    kfunc: Option<(String, u32)>,
}

impl CallName for Names<'_, '_> {
    fn helper(&self, id: i32) -> Option<&str> {
        self.verifier.profile.helper_name(id as u32)
    }

    fn kfunc(&self, _raw: RawInsn) -> Option<(&str, u32)> {
        self.kfunc.as_ref().map(|(name, id)| (name.as_str(), *id))
    }

    fn immediate(&self, _raw: RawInsn, _high: RawInsn) -> Option<String> {
        None
    }
}
