//! How instructions and states stand in the log (`print_verifier_state`, `kernel/bpf/log.c`, Linux 6.12).

use std::fmt::{self, Write};

use super::env::Verifier;
use super::log_value::{MapText, Names, write_value};
use super::rule::Rule;
use super::state::{ByteKind, Frame, FrameKind, Live, Place, SLOT_BYTES, StackSlot, State};
use super::value::{MapRef, TypeRef, Value};
use crate::isa::{CallName, RawInsn, disassemble};
use crate::kernel::Permission;

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
        let names = InsnNames { verifier: self, kfunc };
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
            self.log.line(&format!("\nfrom {from} to {}{}:{state}", self.insn, self.ahead_of_time()));
            *print_state = false;
        }
        if self.options.whole_states {
            self.log_whole_state();
        } else if self.log.touched() {
            self.log_insn_state();
        }
        self.log_source_line();
        let text = format!("{}: {}", self.insn, self.disassembly(self.insn));
        self.log.insn(&text);
    }

    fn ahead_of_time(&self) -> &'static str {
        if self.state.speculative { " (speculative execution)" } else { "" }
    }

    /// All frames, each with its number, on one line.
    fn log_whole_state(&mut self) {
        let mut line = format!("{}:", self.insn);
        for number in 0..=self.state.current() {
            if number == 0 {
                line.push_str(" frame0:");
            }
            line.push_str(&self.state_text(&self.state, number, true));
        }
        self.log.line(&line);
        self.log.forget_touched();
    }

    /// The source line of the current instruction, unless it was the last one printed (`verbose_linfo`).
    pub fn log_source_line(&mut self) {
        // Lines come with the program's types.
        if !self.log.enabled() || self.btf.is_none() {
            return;
        }
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

    /// After an instruction: what it changed, on its line if nothing was printed since (`print_insn_state`).
    pub fn log_insn_state(&mut self) {
        if !self.log.enabled() || self.options.whole_states {
            return;
        }
        let state = self.state_text(&self.state, self.state.current(), false);
        match self.log.continue_insn() {
            Some(padding) => self.log.line(&format!("{:padding$};{state}", "")),
            None => self.log.line(&format!("{}:{state}", self.insn)),
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
            format!("\nfrom {} to {insn}{}: safe", self.previous.map_or(-1, |insn| insn as i64), self.ahead_of_time())
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
        if !self.state.frame().in_callback() {
            self.state.note_references(callee - 1);
        }
        let from = format!("returning from callee:\n{}", self.state_text(&self.state, callee, true));
        let to = format!("to caller at {next}:\n{}", self.state_text(&self.state, callee - 1, true));
        self.log.line(&from);
        self.log.line(&to);
    }

    /// The reason why the program is refused, behind the source line where the kernel repeats it.
    pub fn log_rejection(&mut self, rule: &Rule) {
        if matches!(rule, Rule::SpillSize | Rule::FillSize | Rule::InvalidContextAccess { .. }) {
            self.log_source_line();
        }
        // Here the states were printed behind the reason.
        if !matches!(rule, Rule::InfiniteLoop { .. }) {
            self.log.line(&rule.to_string());
        }
    }

    /// Where functions start (level 2).
    pub fn log_subprograms(&mut self) {
        if !self.log.detailed() {
            return;
        }
        for (index, subprogram) in self.subprograms.iter().enumerate() {
            self.log.line(&format!("func#{index} @{}", subprogram.start));
        }
    }

    /// A frame's registers, stack and references, each behind a space (`print_verifier_state`); with `all`, also what
    /// was not touched.
    #[must_use]
    pub fn state_text(&self, state: &State, number: usize, all: bool) -> String {
        let Some(frame) = state.frames.get(number) else { return String::new() };
        let mut text = String::new();
        if number > 0 {
            text.push_str(&format!(" frame{number}:"));
        }
        // Writing to a string cannot fail.
        let _ = self.write_registers(&mut text, frame, number, all);
        let _ = self.write_stack(&mut text, frame, number, all);
        for (index, id) in state.references_of(number).enumerate() {
            text.push_str(&format!("{}{id}", if index == 0 { " refs=" } else { "," }));
        }
        match frame.kind {
            FrameKind::Callback(_) => text.push_str(" cb"),
            FrameKind::AsyncCallback(_) => text.push_str(" async_cb"),
            FrameKind::Plain | FrameKind::ExceptionCallback => {}
        }
        text
    }

    fn write_registers(&self, text: &mut String, frame: &Frame, number: usize, all: bool) -> fmt::Result {
        for (index, cell) in frame.registers.iter().enumerate() {
            if cell.value == Value::Uninitialised || !(all || self.log.touched_register(index)) {
                continue;
            }
            write!(text, " R{index}{}=", liveness_text(frame.marks.of(Place::Register(index as u8))))?;
            write_value(text, &cell.value, number, self)?;
        }
        Ok(())
    }

    fn write_stack(&self, text: &mut String, frame: &Frame, number: usize, all: bool) -> fmt::Result {
        let mut index = 0;
        while let Some(slot) = frame.stack.get(index) {
            let printed = all || self.log.touched_slot(index);
            if printed && slot.bytes.iter().any(|&kind| kind != ByteKind::Invalid) {
                // A dynptr is printed once, from its first slot, which is the one further down.
                if slot.bytes[SLOT_BYTES - 1] == ByteKind::Dynptr {
                    index += 1;
                }
                let slot = frame.stack.get(index).unwrap_or(slot);
                let live = frame.marks.of(Place::Slot(index as u8));
                self.write_slot(text, slot, index, live, number)?;
            }
            index += 1;
        }
        Ok(())
    }

    fn write_slot(&self, text: &mut String, slot: &StackSlot, index: usize, live: Live, frame: usize) -> fmt::Result {
        if slot.bytes[SLOT_BYTES - 1] == ByteKind::Iterator && slot.spilled.value.reference() == 0 {
            return Ok(());
        }
        write!(text, " fp-{}{}=", (index + 1) * SLOT_BYTES, liveness_text(live))?;
        self.write_slot_value(text, slot, frame)
    }

    fn write_slot_value(&self, text: &mut String, slot: &StackSlot, frame: usize) -> fmt::Result {
        let kinds = slot.bytes.iter().map(|&kind| kind_character(kind));
        match slot.bytes[SLOT_BYTES - 1] {
            ByteKind::Spill => text.extend(kinds.take_while(|&kind| kind != 'r')),
            ByteKind::Dynptr | ByteKind::Iterator => {}
            ByteKind::Misc | ByteKind::Zero | ByteKind::Invalid => {
                text.extend(kinds);
                return Ok(());
            }
        }
        write_value(text, &slot.spilled.value, frame, self)
    }

    /// A value as the log names it, in the frame of that number.
    #[must_use]
    pub fn value_text(&self, value: &Value, frame: usize) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write_value(&mut text, value, frame, self);
        text
    }

    /// A stack slot's contents as the log names them, in the frame of that number.
    #[must_use]
    pub fn slot_text(&self, slot: &StackSlot, frame: usize) -> String {
        let mut text = String::new();
        let _ = self.write_slot_value(&mut text, slot, frame);
        text
    }
}

/// Marks of liveness behind a register's or slot's name (`print_liveness`).
fn liveness_text(live: Live) -> String {
    let mut text = String::new();
    if !live.is_empty() {
        text.push('_');
    }
    for (flag, mark) in [(Live::READ, 'r'), (Live::WRITTEN, 'w'), (Live::DONE, 'D')] {
        if live.intersects(flag) {
            text.push(mark);
        }
    }
    text
}

/// A byte of the stack (`slot_type_char`).
fn kind_character(kind: ByteKind) -> char {
    match kind {
        ByteKind::Invalid => '?',
        ByteKind::Spill => 'r',
        ByteKind::Misc => 'm',
        ByteKind::Zero => '0',
        ByteKind::Dynptr => 'd',
        ByteKind::Iterator => 'i',
    }
}

impl Names for Verifier<'_> {
    fn every_number_counts(&self) -> bool {
        !self.may(Permission::ImpreciseNumbers)
    }

    fn type_name(&self, ty: TypeRef) -> &str {
        self.type_of(ty).name()
    }

    fn map(&self, map: MapRef) -> Option<MapText<'_>> {
        let map = self.maps.get(map.index as usize)?;
        Some(MapText { name: &map.name, key_size: map.key_size, value_size: map.value_size })
    }
}

struct InsnNames<'a, 'b> {
    verifier: &'a Verifier<'b>,
    kfunc: Option<(String, u32)>,
}

impl CallName for InsnNames<'_, '_> {
    fn helper(&self, id: i32) -> Option<&str> {
        self.verifier.profile.helper_name(id as u32)
    }

    fn kfunc(&self, _raw: RawInsn) -> Option<(&str, u32)> {
        self.kfunc.as_ref().map(|(name, id)| (name.as_str(), *id))
    }

    // An address in the kernel, which there is none of here: as for a program that must not see addresses.
    fn immediate(&self, raw: RawInsn, _high: RawInsn) -> Option<String> {
        matches!(raw.src, 1 | 2 | 3 | 5 | 6).then(|| "0x0".to_owned())
    }
}
