//! The numbers of an input that can be turned one by one: readings, globals, a packet's length and headers, arguments.
//!
//! [`Maker::knobs`] lists them, [`Maker::turned`] changes one. What turning each does to a run's comparisons tells where to turn
//! it to (`operands`).

use super::inputs::{BUFFER_FIELDS, Maker, READINGS, Start, Taken};
use crate::scenario::{Input, Setting};

/// Bytes of a packet's headers that are numbers of their own.
const HEADERS: usize = 64;
/// Bytes of a packet that nobody gave.
const PACKET: usize = 64;
/// Bytes of `struct __sk_buff` up to the last field that an input may set.
const CONTEXT: usize = 68;
/// Most bytes of a packet.
const MAX_PACKET: usize = u16::MAX as usize;
/// Bytes of a context of a program's own that are numbers of their own.
const MAX_CONTEXT: usize = 64;

/// One number of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knob {
    /// The reading with that index.
    Reading(usize),
    /// The global with that index among those of the maker.
    Global(usize),
    /// How long the packet is.
    Length,
    /// Bytes of the packet: from where, how many, and is the highest the first?
    Packet { at: usize, size: usize, big: bool },
    /// Bytes of the context.
    Context { at: usize, size: usize },
    /// An argument.
    Argument(usize),
}

impl Maker {
    /// The same input, with all that can be turned in it.
    pub fn completed(&self, start: &Start) -> Start {
        let mut start = start.clone();
        if self.reads {
            start.readings.resize(start.readings.len().max(READINGS), 0);
        }
        match (&mut start.input, self.taken) {
            (input @ Input::Nothing, Taken::Buffer | Taken::Packet) => {
                *input = Input::Bytes { context: Vec::new(), packet: Some(vec![0; PACKET]) };
            }
            (input @ Input::Nothing, Taken::Context) => {
                *input = Input::Bytes { context: vec![0; MAX_CONTEXT], packet: None };
            }
            _ => {}
        }
        start
    }

    /// What can be turned in a completed input.
    pub fn knobs(&self, start: &Start) -> Vec<Knob> {
        let mut knobs: Vec<Knob> = (0..start.readings.len()).map(Knob::Reading).collect();
        knobs.extend((0..self.globals.len()).map(Knob::Global));
        match &start.input {
            Input::Nothing => {}
            Input::Arguments(arguments) => knobs.extend((0..arguments.len()).map(Knob::Argument)),
            Input::Bytes { packet: Some(packet), .. } => {
                knobs.push(Knob::Length);
                if self.taken == Taken::Buffer {
                    knobs.extend(BUFFER_FIELDS.map(|at| Knob::Context { at, size: 4 }));
                }
                let header = packet.len().min(HEADERS);
                for (size, big) in [(2, true), (1, true), (2, false), (4, true)] {
                    let places = (0..header / size).map(|index| index * size);
                    knobs.extend(places.map(|at| Knob::Packet { at, size, big }));
                }
            }
            Input::Bytes { context, packet: None } => {
                let bytes = context.len().min(MAX_CONTEXT);
                for size in [8, 4] {
                    knobs.extend((0..bytes / size).map(|index| Knob::Context { at: index * size, size }));
                }
            }
        }
        knobs
    }

    /// The input with one number changed by so much; `None` if there is no such input.
    pub fn turned(&self, start: &Start, knob: Knob, by: i64) -> Option<Start> {
        let mut next = start.clone();
        match knob {
            Knob::Reading(index) => {
                let reading = next.readings.get_mut(index)?;
                *reading = reading.wrapping_add_signed(by);
            }
            Knob::Global(index) => {
                let global = self.globals.get(index)?;
                let before = match next.globals.get(&global.name) {
                    Some(Setting::Number(number)) => *number,
                    _ => global.initial,
                };
                next.globals.insert(global.name.clone(), global.setting(before.wrapping_add(by) as u64));
            }
            Knob::Argument(index) => {
                let Input::Arguments(arguments) = &mut next.input else { return None };
                let argument = arguments.get_mut(index)?;
                *argument = argument.wrapping_add_signed(by);
            }
            Knob::Length => {
                let packet = packet(&mut next)?;
                let length = i64::try_from(packet.len()).ok()?.checked_add(by)?;
                packet.resize(usize::try_from(length).ok().filter(|length| *length <= MAX_PACKET)?, 0);
            }
            Knob::Packet { at, size, big } => add(packet(&mut next)?.get_mut(at..at + size)?, big, by),
            Knob::Context { at, size } => {
                let Input::Bytes { context, packet } = &mut next.input else { return None };
                if packet.is_some() {
                    context.resize(context.len().max(CONTEXT), 0);
                }
                add(context.get_mut(at..at + size)?, false, by);
            }
        }
        Some(next)
    }
}

fn packet(start: &mut Start) -> Option<&mut Vec<u8>> {
    match &mut start.input {
        Input::Bytes { packet, .. } => packet.as_mut(),
        _ => None,
    }
}

/// Adds to a number of at most eight bytes, of which the first is the lowest or the highest.
fn add(bytes: &mut [u8], big: bool, by: i64) {
    let mut carried = by;
    let mut step = |byte: &mut u8| {
        let sum = i64::from(*byte) + (carried & 0xff);
        *byte = sum as u8;
        carried = (carried >> 8) + (sum >> 8);
    };
    if big { bytes.iter_mut().rev().for_each(&mut step) } else { bytes.iter_mut().for_each(&mut step) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_either_order_are_added_to() {
        let sum = |bytes: &[u8], big, by| {
            let mut bytes = bytes.to_vec();
            add(&mut bytes, big, by);
            bytes
        };
        assert_eq!(sum(&[0xff, 0x00], false, 1), [0x00, 0x01]);
        assert_eq!(sum(&[0x00, 0xff], true, 1), [0x01, 0x00]);
        assert_eq!(sum(&[0, 0, 0, 0], false, -2), [0xfe, 0xff, 0xff, 0xff]);
        assert_eq!(sum(&[0x12, 0x34], true, -0x1235), [0xff, 0xff]);
        assert_eq!(sum(&[1, 0, 0, 0, 0, 0, 0, 0], false, i64::MAX), [0, 0, 0, 0, 0, 0, 0, 0x80]);
    }
}
