//! Iterators over the bits of memory (`bpf_iter_bits_*`, `kernel/bpf/helpers.c`, Linux 6.12).
//!
//! The state in the program's stack is a word with the bits, or the address of a copy of them if they are more, then
//! how many there are, then the current one.

use crate::btf::TypeId;
use crate::machine::event::Event;
use crate::machine::fault::Trap;
use crate::machine::maps::errno;
use crate::machine::memory::Contents;
use crate::machine::region::RegionKind;

use super::probe::read_for;
use super::{Answer, Call, Model, Modelled, kfunc};

pub(super) static MODELS: &[Model] = &[
    kfunc("bpf_iter_bits_new", 3, new),
    kfunc("bpf_iter_bits_next", 1, next),
    kfunc("bpf_iter_bits_destroy", 1, destroy),
];

/// Most words (`BITS_ITER_NR_WORDS_MAX`).
const MAX_WORDS: u32 = 511;
/// Where in the state the current bit is.
const CURRENT: u64 = 12;

struct Bits {
    word: u64,
    count: u32,
    current: u32,
}

impl Bits {
    fn load(call: &mut Call<'_>) -> Result<Bits, Box<Trap>> {
        call.kept(call.args[0], "iterator")?;
        let bytes = call.read_own(call.args[0], 16)?;
        let halves: Vec<u32> = bytes.as_chunks().0.iter().map(|half| u32::from_le_bytes(*half)).collect();
        let half = |index: usize| halves.get(index).copied().unwrap_or(0);
        Ok(Bits { word: u64::from(half(0)) | u64::from(half(1)) << 32, count: half(2), current: half(3) })
    }

    fn store(&self, call: &mut Call<'_>) -> Result<(), Box<Trap>> {
        let mut bytes = self.word.to_le_bytes().to_vec();
        bytes.extend(self.count.to_le_bytes());
        bytes.extend(self.current.to_le_bytes());
        call.keep(call.args[0], &bytes, CURRENT as usize..bytes.len());
        call.write_own(call.args[0], &bytes)
    }
}

fn new(call: &mut Call<'_>) -> Modelled {
    let (from, words) = (call.args[1], call.arg32(2));
    let mut bits = Bits { word: 0, count: 0, current: u32::MAX };
    let result = if from == 0 || words == 0 {
        errno::EINVAL
    } else if words > MAX_WORDS {
        errno::E2BIG
    } else {
        match read_for(call, from, words * 8)? {
            Ok(bytes) => {
                bits.count = words * 64;
                bits.word = keep(call, &bytes)?;
                0
            }
            Err(_) if words == 1 => errno::EFAULT,
            Err(error) => error,
        }
    };
    bits.store(call)?;
    Ok(Answer::Value(result as u64))
}

/// The bits of one word, or the address of a copy.
fn keep(call: &mut Call<'_>, bytes: &[u8]) -> Result<u64, Box<Trap>> {
    if let [word] = bytes.as_chunks().0 {
        return Ok(u64::from_le_bytes(*word));
    }
    let kind = RegionKind::KernelObject { name: "bpf_iter_bits".into(), type_id: TypeId::VOID };
    let region = call.machine.allocate(kind, bytes.len() as u32, Contents::Zero, call.at)?;
    call.machine.memory.poke(region, 0, bytes);
    Ok(call.machine.memory.base(region))
}

fn next(call: &mut Call<'_>) -> Modelled {
    let mut bits = Bits::load(call)?;
    if bits.count == 0 || bits.current as i32 >= bits.count as i32 {
        return Ok(Answer::Value(0));
    }
    let bytes = if bits.count == 64 {
        bits.word.to_le_bytes().to_vec()
    } else {
        call.read(bits.word, u64::from(bits.count / 8))?
    };
    let is_set = |bit: &u32| bytes.get(*bit as usize / 8).is_some_and(|byte| byte >> (bit % 8) & 1 != 0);
    let found = (bits.current.wrapping_add(1)..bits.count).find(is_set);
    bits.current = found.unwrap_or(bits.count);
    bits.store(call)?;
    Ok(Answer::Value(found.map_or(0, |_| call.args[0].wrapping_add(CURRENT))))
}

fn destroy(call: &mut Call<'_>) -> Modelled {
    let bits = Bits::load(call)?;
    call.forget_kept(call.args[0]);
    if bits.count > 64 {
        let region = call.region(bits.word)?;
        let step = call.machine.steps;
        call.machine.memory.reclaim(region, step);
        call.machine.report.events.push(Event::Freed(region));
    }
    Ok(Answer::Nothing)
}
