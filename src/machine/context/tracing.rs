//! Arguments of traced functions and tracepoints: eight bytes each.
//!
//! A program on one of the functions that `BPF_PROG_TEST_RUN` calls finds the arguments that the kernel calls it with
//! ([`super::probe`]); others find those of the options, and one that was not given cannot be read.

use std::sync::Arc;

use crate::btf::TypeId;
use crate::machine::memory::Contents;
use crate::machine::region::RegionKind;

use super::probe::{self, Argument, FEXIT, MODIFY_RETURN};
use super::{Context, Input, Making, Refusal, View, errno};

/// Arguments that a context has room for (`MAX_BPF_FUNC_ARGS`).
const ARGUMENTS: usize = 12;
/// Size of such a context in bytes.
pub(in crate::machine) const TRACING_CONTEXT: u32 = ARGUMENTS as u32 * 8;

pub(super) fn prepare(making: &mut Making, input: &Input) -> Result<Context, Refusal> {
    let probed = probe::find(&making.section.target);
    // Where the prototype is known, the context ends behind the last argument, and the result where there is one.
    let exact = input.context.as_ref().filter(|_| making.options.stocked && probed.is_none());
    let size = exact.map_or(TRACING_CONTEXT, |given| given.len() as u32);
    let mut context = making.context(View::Plain, size)?;
    let Some(region) = context.region else { return Ok(context) };
    let mut words = Vec::new();
    if let Some(function) = probed {
        for argument in function.arguments {
            words.push(match *argument {
                Argument::Number(number) => number,
                Argument::Memory(bytes) => {
                    // A variable of the kernel's own, which programs may read.
                    let kind = RegionKind::KernelObject { name: Arc::from(function.name), type_id: TypeId::VOID };
                    let size = bytes.len() as u32;
                    let memory = making.memory.allocate(kind, size, Contents::Sparse, None)?;
                    making.memory.poke(memory, 0, bytes);
                    context.made.push(memory);
                    making.memory.base(memory)
                }
            });
        }
        // A program that may change the result finds zero: the function has not run.
        match making.section.attach_type {
            FEXIT => words.push(function.result),
            MODIFY_RETURN => words.push(0),
            _ => {}
        }
    } else if let Some(given) = &input.context {
        words.extend(given.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).take(ARGUMENTS));
    } else {
        words.extend(making.options.arguments.iter().take(ARGUMENTS));
    }
    for (index, word) in words.iter().enumerate() {
        making.memory.poke(region, index as u32 * 8, &word.to_le_bytes());
    }
    Ok(context)
}

/// `bpf_prog_test_run_raw_tp`: the arguments are the bytes that are given.
pub(super) fn prepare_raw(making: &mut Making, input: &Input) -> Result<Context, Refusal> {
    let given = input.context.clone().unwrap_or_default();
    if given.len() > TRACING_CONTEXT as usize {
        return Err(Refusal::Errno(errno::EINVAL));
    }
    let mut context = making.context(View::Plain, TRACING_CONTEXT)?;
    if let Some(region) = context.region {
        making.memory.poke(region, 0, &given);
    }
    context.given = Some(given);
    Ok(context)
}
