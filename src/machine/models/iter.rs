//! Open-coded iterators: numbers (`bpf_iter_num_*`, `kernel/bpf/bpf_iter.c`).
//!
//! The state is two 32-bit numbers in the program's stack: the current one and the end.

use std::ops::Range;

use crate::machine::fault::Trap;
use crate::machine::maps::errno;

use super::{Answer, Call, Model, Modelled, kfunc};

pub(super) static MODELS: &[Model] = &[
    kfunc("bpf_iter_num_new", 3, num_new).local(),
    kfunc("bpf_iter_num_next", 1, num_next).local(),
    kfunc("bpf_iter_num_destroy", 1, num_destroy).local(),
];

/// Where in the state the current number is.
const CURRENT: Range<usize> = 0..4;

/// Longest range that an iterator walks (`BPF_MAX_LOOPS`).
const MAX_RANGE: i64 = 8 * 1024 * 1024;

fn state(current: i32, end: i32) -> [u8; 8] {
    (u64::from(current as u32) | u64::from(end as u32) << 32).to_le_bytes()
}

/// Writes the state, which is the kernel's own.
fn store(call: &mut Call<'_>, bytes: &[u8]) -> Result<(), Box<Trap>> {
    let address = call.args[0];
    call.keep(address, bytes, CURRENT);
    call.write_own(address, bytes)
}

fn num_new(call: &mut Call<'_>) -> Modelled {
    let (start, end) = (call.arg32(1) as i32, call.arg32(2) as i32);
    let (bytes, result) = if start > end {
        (state(0, 0), errno::EINVAL)
    } else if i64::from(end) - i64::from(start) > MAX_RANGE {
        (state(0, 0), errno::E2BIG)
    } else {
        (state(start.wrapping_sub(1), end), 0)
    };
    store(call, &bytes)?;
    Ok(Answer::Value(result as u64))
}

fn num_next(call: &mut Call<'_>) -> Modelled {
    let address = call.args[0];
    call.kept(address, "iterator")?;
    let bytes = call.read_own(address, 8)?;
    let number = bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let (current, end) = (number as i32, (number >> 32) as i32);
    // As the kernel's, the sum wraps: an iterator that begins at the least number begins one before it.
    if current.wrapping_add(1) >= end {
        store(call, &state(0, 0))?;
        return Ok(Answer::Value(0));
    }
    store(call, &state(current.wrapping_add(1), end))?;
    Ok(Answer::Value(address))
}

fn num_destroy(call: &mut Call<'_>) -> Modelled {
    call.kept(call.args[0], "iterator")?;
    call.write_own(call.args[0], &state(0, 0))?;
    call.forget_kept(call.args[0]);
    Ok(Answer::Nothing)
}
