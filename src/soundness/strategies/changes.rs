//! Existing objects with something changed: instructions of their functions, or any bytes of the file.
//!
//! Instructions are changed as a slip of the pen would: left out, doubled, swapped with the next, or with another register, operation,
//! size, offset or immediate. What is written stays an object of the same length, with the same symbols.

use proptest::test_runner::{RngAlgorithm, TestRng};

use super::bytes::change_bytes;
use crate::explore::random::Random;
use crate::isa::{RawInsn, opcode as op};
use crate::object::FunctionLayout;

/// Bytes of a file that become others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Place of the first.
    pub at: usize,
    /// What they become.
    pub to: Vec<u8>,
}

/// The file with changes made; what would lie outside of it is not made.
#[must_use]
pub fn changed(original: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for change in changes {
        let end = change.at.checked_add(change.to.len());
        if let Some(place) = end.and_then(|end| bytes.get_mut(change.at..end)) {
            place.copy_from_slice(&change.to);
        }
    }
    bytes
}

/// Most bytes that are changed of a file at once.
const MOST_BYTES: u32 = 8;

/// One byte to eight of a file.
#[must_use]
pub fn byte_changes(original: &[u8], random: &mut Random) -> Vec<Change> {
    let seed: Vec<u8> = (0..2).flat_map(|_| random.word().to_le_bytes()).collect();
    let mut rng = TestRng::from_seed(RngAlgorithm::XorShift, &seed);
    let mut bytes = original.to_vec();
    change_bytes(&mut bytes, MOST_BYTES, &mut rng);
    let pairs = original.iter().zip(&bytes).enumerate();
    pairs.filter(|(_, (old, new))| old != new).map(|(at, (_, new))| Change { at, to: vec![*new] }).collect()
}

/// One instruction of each function, or two.
#[must_use]
pub fn instruction_changes(original: &[u8], functions: &[FunctionLayout], random: &mut Random) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    for function in functions {
        for _ in 0..if random.below(10) < 7 { 1 } else { 2 } {
            let Some(&slot) = function.free.get(random.below(function.free.len())) else { continue };
            let follower = function.free.contains(&(slot + 1));
            let at = function.start + slot * RawInsn::SIZE;
            let Some(change) = instruction_change(original, at, follower, random) else { continue };
            let overlaps = |other: &Change| other.at < at + change.to.len() && at < other.at + other.to.len();
            if !changes.iter().any(overlaps) {
                changes.push(change);
            }
        }
    }
    changes
}

/// What can become of an instruction.
const SLIPS: [Slip; 10] = [
    Slip::LeaveOut,
    Slip::Destination,
    Slip::Source,
    Slip::Immediate,
    Slip::Offset,
    Slip::Operation,
    Slip::Size,
    Slip::Class,
    Slip::Swap,
    Slip::Repeat,
];

#[derive(Clone, Copy)]
enum Slip {
    LeaveOut,
    Destination,
    Source,
    Immediate,
    Offset,
    Operation,
    Size,
    Class,
    Swap,
    Repeat,
}

const CONDITIONS: [u8; 11] = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0];
const ARITHMETIC: [u8; 12] = [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0xa0, 0xb0, 0xc0];
const ATOMICS: [i32; 10] = [0x00, 0x01, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe1, 0xf1];
/// Helpers have numbers up to this; an immediate may be one.
const HELPERS: usize = 220;
/// A jump by nothing.
const NOTHING: RawInsn = RawInsn { opcode: 0x05, dst: 0, src: 0, offset: 0, imm: 0 };

fn one<T: Copy + Default>(of: &[T], random: &mut Random) -> T {
    of.get(random.below(of.len())).copied().unwrap_or_default()
}

/// A slip at an instruction; `None` if it changes nothing.
fn instruction_change(original: &[u8], at: usize, follower: bool, random: &mut Random) -> Option<Change> {
    let two = RawInsn::read_all(original.get(at..)?.get(..2 * RawInsn::SIZE).or(original.get(at..at + RawInsn::SIZE))?);
    let raw = *two.first()?;
    let slip = SLIPS.get(random.below(SLIPS.len())).copied()?;
    let slots = match slip {
        Slip::Swap if follower => vec![*two.get(1)?, raw],
        Slip::Repeat if follower => vec![raw, raw],
        Slip::Swap | Slip::Repeat => return None,
        _ => vec![slipped(raw, slip, random)],
    };
    let to: Vec<u8> = slots.into_iter().flat_map(RawInsn::to_bytes).collect();
    (original.get(at..at + to.len()) != Some(&to)).then_some(Change { at, to })
}

fn slipped(raw: RawInsn, slip: Slip, random: &mut Random) -> RawInsn {
    let class = raw.opcode & op::CLASS_MASK;
    let (is_memory, is_atomic) = (matches!(class, 1..=3), class == 3 && raw.opcode & 0xe0 == 0xc0);
    let reads_register = raw.opcode & op::SOURCE_REGISTER != 0 || matches!(class, 1 | 3);
    let mut new = raw;
    match slip {
        Slip::LeaveOut => new = NOTHING,
        Slip::Destination => new.dst = random.below(11) as u8,
        Slip::Source if reads_register => new.src = random.below(11) as u8,
        Slip::Immediate => {
            let near = [raw.imm.wrapping_add(1), raw.imm.wrapping_sub(1), raw.imm.wrapping_mul(2)];
            let far = [0, -1, 1, 8, 16, i32::MAX, i32::MIN, random.below(HELPERS) as i32];
            new.imm = one(&[near.as_slice(), far.as_slice()].concat(), random);
        }
        Slip::Offset => {
            let moved = [1, -1, 8, -8, 4, -4].map(|by| raw.offset.wrapping_add(by));
            let others = [0, raw.offset.wrapping_neg(), raw.offset.wrapping_mul(2)];
            new.offset = one(&[moved.as_slice(), others.as_slice()].concat(), random);
        }
        Slip::Operation if matches!(class, 5 | 6) && CONDITIONS.contains(&(raw.opcode & op::OPERATION_MASK)) => {
            new.opcode = raw.opcode & !op::OPERATION_MASK | one(&CONDITIONS, random);
        }
        Slip::Operation if matches!(class, 4 | 7) => {
            new.opcode = raw.opcode & !op::OPERATION_MASK | one(&ARITHMETIC, random);
        }
        Slip::Operation if is_atomic => new.imm = one(&ATOMICS, random),
        // A plain load becomes one that extends the sign, a plain store an atomic operation.
        Slip::Operation if matches!(class, 1 | 3) => {
            new.opcode = raw.opcode & 0x1f | one(&[0x60, if class == 1 { 0x80 } else { 0xc0 }], random);
        }
        Slip::Size if is_memory => new.opcode = raw.opcode & !0x18 | one(&[0x00, 0x08, 0x10, 0x18], random),
        Slip::Class => {
            // The other width, or the other sort of store.
            let other = [0, 1, 3, 2, 7, 6, 5, 4][usize::from(class)];
            new.opcode = raw.opcode & !op::CLASS_MASK | other;
        }
        _ => {}
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::function_layouts;

    const OBJECT: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/objects/percpu_slot.bpf.o"));

    #[test]
    fn instructions_are_changed_where_they_may_be_and_nothing_else_is() {
        let functions = function_layouts(OBJECT).expect("it is read");
        let may = |at: usize| {
            functions.iter().any(|function| {
                let inside = at.checked_sub(function.start).map(|distance| distance / RawInsn::SIZE);
                inside.is_some_and(|slot| function.free.contains(&slot))
            })
        };
        let mut made = 0;
        for seed in 0..200 {
            let changes = instruction_changes(OBJECT, &functions, &mut Random::new(seed, 0));
            assert_eq!(changes, instruction_changes(OBJECT, &functions, &mut Random::new(seed, 0)));
            assert!(changes.len() <= 2 * functions.len());
            let bytes = changed(OBJECT, &changes);
            assert_eq!(bytes.len(), OBJECT.len());
            for at in (0..bytes.len()).filter(|&at| bytes[at] != OBJECT[at]) {
                assert!(may(at), "byte {at}");
                made += 1;
            }
        }
        assert!(made > 1000);
    }

    #[test]
    fn bytes_are_changed_anywhere_and_are_few() {
        let all: Vec<_> = (0..200).map(|seed| byte_changes(OBJECT, &mut Random::new(seed, 0))).collect();
        assert!(all.iter().all(|changes| changes.len() <= MOST_BYTES as usize));
        assert!(all.iter().flatten().any(|change| change.at < 64));
        assert!(all.iter().flatten().any(|change| change.at > OBJECT.len() / 2));
        assert!(all.iter().all(|changes| changed(OBJECT, changes).len() == OBJECT.len()));
    }

    #[test]
    fn changes_outside_of_a_file_are_not_made() {
        let change = |at| Change { at, to: vec![1, 2] };
        assert_eq!(changed(&[0; 3], &[change(2), change(usize::MAX), change(0)]), [1, 2, 0]);
    }
}
