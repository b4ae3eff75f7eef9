//! Leaving a function otherwise than by returning: tail calls, exceptions.

use crate::machine::maps::MapFamily;

use super::{Answer, Call, Model, Modelled, helper, kfunc};

pub(super) static MODELS: &[Model] = &[helper("bpf_tail_call", 3, tail_call), kfunc("bpf_throw", 1, throw)];

/// What `r0` holds after a tail call that was not made depends on how the kernel compiled it.
fn tail_call(call: &mut Call<'_>) -> Modelled {
    let map = call.machine.map_at(call.name, call.args[1])?;
    if call.machine.maps[map as usize].family != MapFamily::Programs {
        return call.bad("the map is no program array");
    }
    let place = call.machine.program_in(map, call.arg32(2));
    Ok(place.map_or(Answer::Nothing, |place| Answer::TailCall { place, context: call.args[0] }))
}

fn throw(call: &mut Call<'_>) -> Modelled {
    Ok(Answer::Throw { cookie: call.args[0] })
}
