//! Random inputs for a program: its context or packet, and what arrays and globals hold before it runs.
//!
//! Numbers are mostly those that programs compare with: 0, small ones, -1, the id of the process. Input `n` of a seed is the same whatever
//! was made before it.

use crate::explore::random::Random;
use crate::kernel::ProgramType;
use crate::machine::Machine;
use crate::object::Program;
use crate::scenario::{Input, Position, Run, Scenario, Task};

/// Elements of an array that get other contents.
const FILLED_ELEMENTS: u32 = 64;
/// Bytes of a `syscall` program's context.
const SYSCALL_CONTEXT: usize = 1024;
/// How often a program runs in a row, where it does: what it has left in maps it finds there.
const TIMES: u32 = 3;
/// Arguments of a raw tracepoint.
const RAW_ARGUMENTS: usize = 12;

/// CPUs of the run of that number, of runs on up to so many: runs of even number are by themselves.
#[must_use]
pub fn cpus_of(number: u64, cpus: u32) -> u32 {
    if number.is_multiple_of(2) { 1 } else { cpus }
}

/// An input.
#[derive(Clone, Debug)]
pub struct Inputs {
    random: Random,
    fills: bool,
    times: u32,
}

impl Inputs {
    /// Input `number` of a seed. Number 0 leaves arrays and globals as they are; with 2 and 3 of each four, programs run several times in
    /// a row.
    #[must_use]
    pub fn new(seed: u64, number: u64) -> Inputs {
        let times = if number % 4 < 2 { 1 } else { TIMES };
        Inputs { random: Random::new(seed, number), fills: number > 0, times }
    }

    /// A program by itself on CPU 0, or one copy of it on each of so many CPUs, with the same input each time.
    #[must_use]
    pub fn scenario(&mut self, program: &Program, cpus: u32) -> Scenario {
        let on = (0..cpus).map(|cpu| {
            let input = self.input(program);
            let run = Run { program: program.name.clone(), input, repeat: self.times, position: Position::default() };
            Task { cpu, run: vec![run] }
        });
        Scenario { on: on.collect(), cpus, ..Scenario::about("") }
    }

    /// Gives arrays and globals other contents.
    pub fn fill(&mut self, machine: &mut Machine) {
        if !self.fills {
            return;
        }
        let pid = machine.options().pid;
        // In one run nearly all numbers are the process's id, in another few: programs ask for it before they do anything.
        let pids = self.random.below(4);
        machine.fill_arrays(FILLED_ELEMENTS, |bytes| {
            for word in bytes.chunks_mut(4) {
                let number = if self.random.below(4) < pids { pid } else { self.number() as u32 };
                if self.random.below(4) > 0 {
                    word.copy_from_slice(&number.to_le_bytes()[..word.len()]);
                }
            }
        });
    }

    /// A number, small more often than not.
    fn number(&mut self) -> u64 {
        let word = self.random.word();
        match self.random.below(8) {
            0 => 0,
            1 => 1,
            2 | 3 => word % 8,
            4 => word % 256,
            5 => u64::MAX,
            6 => 1 << (word % 64),
            _ => word,
        }
    }

    fn input(&mut self, program: &Program) -> Input {
        use ProgramType as P;
        match ProgramType::from_number(program.section.program_type) {
            Some(P::Syscall) => {
                let context = (0..SYSCALL_CONTEXT / 8).flat_map(|_| self.number().to_le_bytes()).collect();
                Input::Bytes { context, packet: None }
            }
            Some(P::RawTracepoint) => Input::Arguments((0..RAW_ARGUMENTS).map(|_| self.number()).collect()),
            Some(
                P::SocketFilter
                | P::SchedCls
                | P::SchedAct
                | P::CgroupSkb
                | P::LwtIn
                | P::LwtOut
                | P::LwtXmit
                | P::LwtSeg6local
                | P::Xdp
                | P::FlowDissector,
            ) => Input::Bytes { context: Vec::new(), packet: Some(self.packet()) },
            _ => Input::Nothing,
        }
    }

    /// An Ethernet frame, more often than not with headers that make sense.
    fn packet(&mut self) -> Vec<u8> {
        let mut packet: Vec<u8> = (0..15 + self.random.below(200)).map(|_| self.random.word() as u8).collect();
        let mut header = |at: usize, bytes: &[u8]| {
            if let Some(place) = packet.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        };
        let protocol = [6, 17, 1, 58, 4, 41][self.random.below(6)];
        match self.random.below(4) {
            0 => {}
            1 | 2 => {
                header(12, &[0x08, 0x00]);
                let words = if self.random.below(4) == 0 { 5 + self.random.below(11) as u8 } else { 5 };
                header(14, &[0x40 | words]);
                header(14 + 9, &[protocol]);
            }
            _ => {
                header(12, &[0x86, 0xdd]);
                header(14, &[0x60]);
                header(14 + 6, &[protocol]);
            }
        }
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_depends_on_seed_and_number_alone() {
        let packets = |seed, number| Inputs::new(seed, number).packet();
        assert_eq!(packets(1, 2), packets(1, 2));
        assert_ne!(packets(1, 2), packets(1, 3));
        assert_ne!(packets(1, 2), packets(2, 2));
    }

    #[test]
    fn frames_have_a_link_layer_header_and_fit_a_page() {
        for number in 0..200 {
            let packet = Inputs::new(0, number).packet();
            assert!((15..=crate::scenario::MAX_PACKET).contains(&packet.len()));
        }
    }
}
