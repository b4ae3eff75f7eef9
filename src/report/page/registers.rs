//! What is in a task's registers and on its stacks, in words, and what of it has changed.

use super::lives::Lives;
use super::model::KeyKind;
use crate::machine::{Machine, RegionId, Running, STACK_SIZE};
use crate::report::place::Words;

/// Bytes of a stack slot.
const SLOT: usize = 8;

/// Eight bytes of a stack, and which of them were written.
type Slot = ([u8; SLOT], u8);

#[derive(Clone, Debug)]
struct Frame {
    registers: [Option<u64>; 11],
    slots: Vec<Slot>,
}

impl Default for Frame {
    fn default() -> Self {
        Frame { registers: [None; 11], slots: vec![Slot::default(); STACK_SIZE as usize / SLOT] }
    }
}

/// A register or a stack slot that has changed: its frame, its name, and what is in it.
pub type Changed = (KeyKind, u32, String, Option<String>);

/// A task's frames as they were last.
#[derive(Clone, Debug, Default)]
pub struct TaskState {
    frames: Vec<Frame>,
}

impl TaskState {
    /// Takes the state as it is now and returns what has changed.
    pub fn update(&mut self, machine: &Machine, task: u32, lives: &Lives) -> Vec<Changed> {
        let running = machine.running(task);
        let depth = running.map_or(0, |running| running.depth() + 1);
        let mut changed = Vec::new();
        while self.frames.len() > depth {
            let number = self.frames.len() - 1;
            self.compare(number, &Frame::default(), |_, _| String::new(), &mut changed);
            self.frames.pop();
        }
        let Some(running) = running else { return changed };
        let words = Words::new(machine);
        for number in 0..depth {
            if self.frames.len() <= number {
                self.frames.push(Frame::default());
            }
            let frame = Frame { registers: registers(running, number), slots: slots(machine, running.stack(number)) };
            self.compare(number, &frame, |value, size| words_of(machine, lives, &words, value, size), &mut changed);
            self.frames[number] = frame;
        }
        changed
    }

    fn compare(&self, number: usize, now: &Frame, words: impl Fn(u64, u32) -> String, changed: &mut Vec<Changed>) {
        let Some(old) = self.frames.get(number) else { return };
        for (register, (old, now)) in old.registers.iter().zip(&now.registers).enumerate() {
            if old != now {
                let value = now.map(|value| words(value, SLOT as u32));
                changed.push((KeyKind::Register, number as u32, format!("r{register}"), value));
            }
        }
        for (index, (old, now)) in old.slots.iter().zip(&now.slots).enumerate() {
            if old == now {
                continue;
            }
            let value = match now.1 {
                0 => None,
                u8::MAX => Some(words(u64::from_le_bytes(now.0), SLOT as u32)),
                written => Some(bytes(now.0, written)),
            };
            let name = format!("fp{}", (index * SLOT) as i64 - i64::from(STACK_SIZE));
            changed.push((KeyKind::Stack, number as u32, name, value));
        }
    }

    /// Everything that could be a pointer.
    pub fn pointers(&self) -> impl Iterator<Item = u64> {
        self.frames.iter().flat_map(|frame| {
            let spilled = frame.slots.iter().filter(|slot| slot.1 == u8::MAX).map(|slot| u64::from_le_bytes(slot.0));
            frame.registers.iter().take(10).flatten().copied().chain(spilled)
        })
    }
}

fn registers(running: Running<'_>, frame: usize) -> [Option<u64>; 11] {
    std::array::from_fn(|number| {
        if frame == running.depth() { running.register(number) } else { running.saved_register(frame, number) }
    })
}

fn slots(machine: &Machine, stack: Option<RegionId>) -> Vec<Slot> {
    let none = || vec![Slot::default(); STACK_SIZE as usize / SLOT];
    let Some(region) = stack else { return none() };
    let memory = machine.memory();
    let (chunks, _) = memory.peek(region).as_chunks::<SLOT>();
    let slot = |(index, bytes): (usize, &[u8; SLOT])| {
        let is_written = |byte: usize| memory.is_written(region, (index * SLOT + byte) as u32);
        let written = (0..SLOT).filter(|&byte| is_written(byte)).fold(0, |bits, byte| bits | 1 << byte);
        // Bytes that were not written are of no meaning, and are not compared.
        let kept = std::array::from_fn(|byte| if written & (1 << byte) == 0 { 0 } else { bytes[byte] });
        (kept, written)
    };
    chunks.iter().enumerate().map(slot).collect()
}

/// Bytes from the lowest address on, `??` for those that were not written.
fn bytes(bytes: [u8; SLOT], written: u8) -> String {
    let shown = bytes
        .iter()
        .enumerate()
        .map(|(index, byte)| if written & (1 << index) == 0 { "??".to_owned() } else { format!("{byte:02x}") });
    shown.collect::<Vec<_>>().join(" ")
}

/// A value of so many bytes in words: what it points to, or the number.
#[must_use]
pub fn words_of(machine: &Machine, lives: &Lives, words: &Words<'_>, value: u64, size: u32) -> String {
    if size == 8
        && let Some(spot) = machine.memory().at(value)
    {
        let name = lives.name(words, spot.region);
        let behind = if spot.offset == 0 { String::new() } else { format!(" + {}", spot.offset) };
        return format!("{name}{behind} ({value:#x})");
    }
    let signed = match size {
        1 => i64::from(value as i8),
        2 => i64::from(value as i16),
        4 => i64::from(value as i32),
        _ => value as i64,
    };
    match signed {
        0..=0xffff => format!("{signed}"),
        -0x1_0000..0 => format!("{signed} ({value:#x})"),
        _ => format!("{value:#x}"),
    }
}
