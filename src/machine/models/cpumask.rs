//! Sets of CPUs (`kernel/bpf/cpumask.c`, Linux 6.12): counted objects of the kernel with a bit for each CPU.
//!
//! Operations on one bit are atomic, those on whole sets are not. A set's memory is freed after a grace period.

use crate::machine::event::AccessKind;
use crate::machine::fault::Trap;
use crate::machine::story::RegionId;

use super::{Answer, Call, Model, Modelled, kfunc};

pub(super) static MODELS: &[Model] = &[
    kfunc("bpf_cpumask_create", 0, create).may_fail(),
    kfunc("bpf_cpumask_acquire", 1, acquire),
    kfunc("bpf_cpumask_release", 1, release),
    kfunc("bpf_cpumask_set_cpu", 2, |call| single(call, Some(true)).map(|_| Answer::Nothing)),
    kfunc("bpf_cpumask_clear_cpu", 2, |call| single(call, Some(false)).map(|_| Answer::Nothing)),
    kfunc("bpf_cpumask_test_cpu", 2, |call| single(call, None).map(truth)),
    kfunc("bpf_cpumask_test_and_set_cpu", 2, |call| single(call, Some(true)).map(truth)),
    kfunc("bpf_cpumask_test_and_clear_cpu", 2, |call| single(call, Some(false)).map(truth)),
    kfunc("bpf_cpumask_setall", 1, |call| fill(call, u64::MAX)),
    kfunc("bpf_cpumask_clear", 1, |call| fill(call, 0)),
    kfunc("bpf_cpumask_copy", 2, copy),
    kfunc("bpf_cpumask_and", 3, and),
    kfunc("bpf_cpumask_or", 3, |call| combine(call, |a, b| a | b)),
    kfunc("bpf_cpumask_xor", 3, |call| combine(call, |a, b| a ^ b)),
    kfunc("bpf_cpumask_first", 1, |call| lowest(call, |set| set)),
    kfunc("bpf_cpumask_first_zero", 1, |call| lowest(call, |set| !set)),
    kfunc("bpf_cpumask_first_and", 2, lowest_common),
    kfunc("bpf_cpumask_any_distribute", 1, |call| lowest(call, |set| set)),
    kfunc("bpf_cpumask_any_and_distribute", 2, lowest_common),
    kfunc("bpf_cpumask_weight", 1, weight),
    kfunc("bpf_cpumask_empty", 1, |call| each(call, |set, _| set == 0)),
    kfunc("bpf_cpumask_full", 1, |call| each(call, |set, all| set == all)),
    kfunc("bpf_cpumask_equal", 2, |call| both(call, |a, b| a == b)),
    kfunc("bpf_cpumask_subset", 2, |call| both(call, |a, b| a & !b == 0)),
    kfunc("bpf_cpumask_intersects", 2, intersects),
];

const NAME: &str = "bpf_cpumask";
/// Bytes at the end of the struct that count its users, which the ledger does here.
const COUNT: u32 = 8;

fn truth(value: bool) -> Answer {
    Answer::Value(value.into())
}

/// Words of a set that have a CPU's bit.
fn words(call: &Call<'_>) -> usize {
    call.machine.cpu_count().div_ceil(64) as usize
}

/// For each word which bits are CPUs.
fn possible(call: &Call<'_>) -> Vec<u64> {
    let cpus = call.machine.cpu_count();
    let bits = |word: usize| cpus.saturating_sub(word as u32 * 64).min(64);
    (0..words(call)).map(|word| u64::MAX >> (64 - bits(word))).collect()
}

/// A set's words, as they are in memory.
fn raw(call: &mut Call<'_>, address: u64) -> Result<Vec<u64>, Box<Trap>> {
    let bytes = call.read(address, words(call) as u64 * 8)?;
    Ok(bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect())
}

/// A set without the bits that are no CPUs.
fn set(call: &mut Call<'_>, address: u64) -> Result<Vec<u64>, Box<Trap>> {
    let words = raw(call, address)?;
    Ok(words.into_iter().zip(possible(call)).map(|(word, cpus)| word & cpus).collect())
}

/// That an address is one of a set that programs may change: their own kind, not a `struct cpumask` of the kernel's.
fn changeable(call: &Call<'_>, address: u64) -> Result<RegionId, Box<Trap>> {
    call.is_struct(call.region(address)?, NAME)
}

fn store(call: &mut Call<'_>, address: u64, words: &[u64]) -> Result<(), Box<Trap>> {
    changeable(call, address)?;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    call.write_kernel(address, &bytes)
}

fn create(call: &mut Call<'_>) -> Modelled {
    if call.machine.branch != 0 {
        return Ok(Answer::Value(0));
    }
    let region = call.new_struct(NAME, words(call) as u32 * 8 + COUNT)?;
    let size = call.machine.memory.len(region);
    call.machine.memory.poke(region, 0, &vec![0; (size - COUNT) as usize]);
    Ok(Answer::Value(call.machine.memory.base(region)))
}

fn acquire(call: &mut Call<'_>) -> Modelled {
    let region = changeable(call, call.args[0])?;
    call.touch(call.args[0], 1, AccessKind::Read)?;
    call.acquire(region);
    Ok(Answer::Value(call.args[0]))
}

fn release(call: &mut Call<'_>) -> Modelled {
    let region = changeable(call, call.args[0])?;
    call.machine.release(region, call.holder(), call.at)?;
    Ok(Answer::Nothing)
}

/// Reads a CPU's bit and perhaps sets or clears it; a CPU that does not exist is in no set.
fn single(call: &mut Call<'_>, new: Option<bool>) -> Result<bool, Box<Trap>> {
    let (cpu, mask) = (call.arg32(0), call.args[1]);
    if new.is_some() {
        changeable(call, mask)?;
    }
    if cpu >= call.machine.cpu_count() {
        return Ok(false);
    }
    let address = mask.wrapping_add(u64::from(cpu / 64) * 8);
    // Testing is no plain read either: it does not race with setting.
    let spot = call.touch_kernel(address, 8, AccessKind::Atomic)?;
    let word = call.machine.memory.number::<8>(spot);
    let bit = 1u64 << (cpu % 64);
    if let Some(new) = new {
        call.machine.memory.set_number::<8>(spot, if new { word | bit } else { word & !bit });
    }
    Ok(word & bit != 0)
}

/// Sets whole words, bits that are no CPUs included.
fn fill(call: &mut Call<'_>, word: u64) -> Modelled {
    let words = vec![word; words(call)];
    store(call, call.args[0], &words)?;
    Ok(Answer::Nothing)
}

fn copy(call: &mut Call<'_>) -> Modelled {
    let words = raw(call, call.args[1])?;
    store(call, call.args[0], &words)?;
    Ok(Answer::Nothing)
}

fn and(call: &mut Call<'_>) -> Modelled {
    let (first, second) = (set(call, call.args[1])?, set(call, call.args[2])?);
    let common: Vec<u64> = first.into_iter().zip(second).map(|(a, b)| a & b).collect();
    store(call, call.args[0], &common)?;
    Ok(truth(common.iter().any(|&word| word != 0)))
}

fn combine(call: &mut Call<'_>, with: fn(u64, u64) -> u64) -> Modelled {
    let (first, second) = (raw(call, call.args[1])?, raw(call, call.args[2])?);
    let words: Vec<u64> = first.into_iter().zip(second).map(|(a, b)| with(a, b)).collect();
    store(call, call.args[0], &words)?;
    Ok(Answer::Nothing)
}

/// The lowest CPU of a set; the number of CPUs if there is none.
fn lowest_of(call: &Call<'_>, words: impl Iterator<Item = u64>) -> Answer {
    let found = words.zip(possible(call)).map(|(word, cpus)| word & cpus).enumerate().find(|&(_, word)| word != 0);
    let cpu = found.map(|(index, word)| index as u32 * 64 + word.trailing_zeros());
    Answer::Value(cpu.unwrap_or(call.machine.cpu_count()).into())
}

/// Which CPU `any` chooses depends on what was chosen before, all over the kernel; here it is the lowest.
fn lowest(call: &mut Call<'_>, of: fn(u64) -> u64) -> Modelled {
    let words = raw(call, call.args[0])?;
    Ok(lowest_of(call, words.into_iter().map(of)))
}

fn lowest_common(call: &mut Call<'_>) -> Modelled {
    let (first, second) = (raw(call, call.args[0])?, raw(call, call.args[1])?);
    Ok(lowest_of(call, first.into_iter().zip(second).map(|(a, b)| a & b)))
}

fn weight(call: &mut Call<'_>) -> Modelled {
    let words = set(call, call.args[0])?;
    Ok(Answer::Value(words.iter().map(|word| u64::from(word.count_ones())).sum()))
}

/// Does something hold for each word of a set and the word of all CPUs?
fn each(call: &mut Call<'_>, holds: fn(u64, u64) -> bool) -> Modelled {
    let words = set(call, call.args[0])?;
    Ok(truth(words.into_iter().zip(possible(call)).all(|(word, all)| holds(word, all))))
}

/// Does something hold for each two words of two sets?
fn both(call: &mut Call<'_>, holds: fn(u64, u64) -> bool) -> Modelled {
    let (first, second) = (set(call, call.args[0])?, set(call, call.args[1])?);
    Ok(truth(first.into_iter().zip(second).all(|(a, b)| holds(a, b))))
}

fn intersects(call: &mut Call<'_>) -> Modelled {
    let (first, second) = (set(call, call.args[0])?, set(call, call.args[1])?);
    Ok(truth(first.into_iter().zip(second).any(|(a, b)| a & b != 0)))
}
