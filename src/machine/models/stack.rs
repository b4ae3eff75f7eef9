//! Stack traces (`kernel/bpf/stackmap.c`, Linux 6.12).
//!
//! Below a program's own functions are those of the kernel that run it, which are known for the programs that
//! `BPF_PROG_TEST_RUN` runs as raw tracepoints. In user space there is one address, where the process made its system call:
//! without frame pointers no more is found, and there is no user memory to find them in.

use crate::kernel::ProgramType;
use crate::machine::code::LoadedProgram;
use crate::machine::event::{AccessKind, places};
use crate::machine::fault::Trap;
use crate::machine::frames::Then;
use crate::machine::maps::errno;

use super::{Answer, Call, Model, Modelled, helper};

pub(super) static MODELS: &[Model] = &[helper("bpf_get_stack", 4, copy), helper("bpf_get_stackid", 3, number)];

/// Bits of the flags that are a number of frames to leave out (`BPF_F_SKIP_FIELD_MASK`).
const SKIP: u64 = 0xff;
/// `BPF_F_USER_STACK`.
const USER: u64 = 1 << 8;
/// `BPF_F_FAST_STACK_CMP`, `BPF_F_REUSE_STACKID`.
const OF_MAP: u64 = 3 << 9;
/// `BPF_F_USER_BUILD_ID`.
const BUILD_ID: u64 = 1 << 11;
/// Most frames that are looked for (`PERF_MAX_STACK_DEPTH`).
const MAX_DEPTH: u64 = 127;
/// An address of a process's code.
const USER_CODE: u64 = 0x40_1000;
/// Bytes of `struct bpf_stack_build_id`, and where it has the address; the status says that there is no build id.
const BUILD_ID_SIZE: u32 = 32;
const BUILD_ID_ADDRESS: usize = 24;
const ADDRESS_ONLY: u32 = 2;

/// Functions of the kernel that run such a program, innermost first (`bpf_prog_test_run_raw_tp` in `net/bpf/test_run.c`;
/// functions that the compiler has put into others are missing).
const BELOW: [&str; 6] = [
    "__bpf_prog_test_run_raw_tp",
    "bpf_prog_test_run_raw_tp",
    "__sys_bpf",
    "__x64_sys_bpf",
    "do_syscall_64",
    "entry_SYSCALL_64_after_hwframe",
];

/// The addresses on the stack, innermost first, at most so many.
fn trace(call: &mut Call<'_>, flags: u64, most: u64) -> Result<Vec<u64>, Box<Trap>> {
    let mut addresses = if flags & USER != 0 { vec![USER_CODE] } else { kernel_trace(call)? };
    addresses.truncate(most as usize);
    Ok(addresses)
}

fn kernel_trace(call: &mut Call<'_>) -> Result<Vec<u64>, Box<Trap>> {
    let at = call.at.place;
    let name = call.name;
    let execution = call.execution()?;
    let kind = ProgramType::from_number(execution.program.source().section.program_type);
    if kind != Some(ProgramType::RawTracepoint) {
        return Err(Trap::unsupported(format!("{name}: the kernel's stack under a program of this type")));
    }
    if execution.frames.iter().any(|frame| matches!(frame.then, Then::Resume(_))) {
        return Err(Trap::unsupported(format!("{name} in a callback: the helper's own stack")));
    }
    // Each function is seen by where it goes on.
    let places = [at].into_iter().chain(execution.callers());
    let mut addresses: Vec<u64> =
        places.map(|place| LoadedProgram::function_address(place.program, place.insn + 1)).collect();
    for function in BELOW {
        addresses.push(call.machine.variable(function)?);
    }
    Ok(addresses)
}

fn depth(entries: u64, skipped: u64) -> u64 {
    (entries + skipped).min(MAX_DEPTH)
}

fn copy(call: &mut Call<'_>) -> Modelled {
    let [_, buffer, _, flags, _] = call.args;
    let size = call.arg32(2);
    let entry = if flags & BUILD_ID != 0 { BUILD_ID_SIZE } else { 8 };
    let unknown = flags & !(SKIP | USER | BUILD_ID) != 0 || flags & (USER | BUILD_ID) == BUILD_ID;
    if unknown || !size.is_multiple_of(entry) {
        return call.cleared(buffer, size, errno::EINVAL);
    }
    let skipped = flags & SKIP;
    let addresses = trace(call, flags, depth((size / entry).into(), skipped))?;
    let Some(seen) = addresses.get(skipped as usize..) else { return call.cleared(buffer, size, errno::EFAULT) };
    let mut bytes = Vec::new();
    for &address in seen {
        if flags & BUILD_ID != 0 {
            let mut entry = [0; BUILD_ID_SIZE as usize];
            entry[..4].copy_from_slice(&ADDRESS_ONLY.to_le_bytes());
            entry[BUILD_ID_ADDRESS..].copy_from_slice(&address.to_le_bytes());
            bytes.extend(entry);
        } else {
            bytes.extend(address.to_le_bytes());
        }
    }
    let count = bytes.len() as u64;
    bytes.resize(size as usize, 0);
    call.write(buffer, &bytes)?;
    Ok(Answer::Value(count))
}

fn number(call: &mut Call<'_>) -> Modelled {
    let [_, map, flags, ..] = call.args;
    let map = call.machine.map_at(call.name, map)?;
    if flags & !(SKIP | USER | OF_MAP) != 0 {
        return Ok(Answer::Value(errno::EINVAL as u64));
    }
    let skipped = flags & SKIP;
    let entries = u64::from(call.machine.maps[map as usize].value_size() / 8);
    let addresses = trace(call, flags, depth(entries, skipped))?;
    let seen = addresses.get(skipped as usize..).filter(|seen| !seen.is_empty());
    let Some(seen) = seen else { return Ok(Answer::Value(errno::EFAULT as u64)) };
    call.machine.report.order(places::elements(map), AccessKind::Atomic);
    Ok(Answer::Value(call.machine.trace_number(map, seen, flags)? as u64))
}
