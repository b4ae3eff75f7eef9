//! The function that a tracing program is attached to: its arguments, result and address.

use crate::machine::context::Traced;
use crate::machine::fault::Trap;
use crate::machine::maps::errno;

use super::{Answer, Call, Model, Modelled, helper};

pub(super) static MODELS: &[Model] = &[
    helper("bpf_get_func_arg_cnt", 1, |call| traced(call).map(|traced| Answer::Value(traced.arguments.into()))),
    helper("bpf_get_func_arg", 3, argument),
    helper("bpf_get_func_ret", 2, result),
    helper("bpf_get_func_ip", 1, address),
    helper("bpf_get_attach_cookie", 1, |call| traced(call).map(|_| Answer::Value(0))),
];

fn traced(call: &Call<'_>) -> Result<Traced, Box<Trap>> {
    let context = call.machine.world.contexts.get(&call.task).filter(|context| context.address == call.args[0]);
    match context.and_then(|context| context.traced.clone()) {
        Some(traced) => Ok(traced),
        None => Err(Trap::unsupported(format!("{} outside the functions of test runs", call.name))),
    }
}

/// The word of the context at that place.
fn word(call: &mut Call<'_>, index: u32) -> Result<Vec<u8>, Box<Trap>> {
    call.read(call.args[0] + u64::from(index) * 8, 8)
}

fn argument(call: &mut Call<'_>) -> Modelled {
    let index = call.arg32(1);
    if index >= traced(call)?.arguments {
        return Ok(Answer::Value(errno::EINVAL as u64));
    }
    let bytes = word(call, index)?;
    call.write(call.args[2], &bytes)?;
    Ok(Answer::Value(0))
}

fn result(call: &mut Call<'_>) -> Modelled {
    let traced = traced(call)?;
    if !traced.with_result {
        return Ok(Answer::Value(errno::EOPNOTSUPP as u64));
    }
    let bytes = word(call, traced.arguments)?;
    call.write(call.args[1], &bytes)?;
    Ok(Answer::Value(0))
}

fn address(call: &mut Call<'_>) -> Modelled {
    let function = traced(call)?.function;
    let machine = &mut *call.machine;
    Ok(Answer::Value(machine.world.variable(&mut machine.memory, &function)?))
}
