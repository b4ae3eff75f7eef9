//! Queues, stacks and bloom filters.

use crate::machine::event::AccessKind;
use crate::machine::maps::{MapFamily, errno};

use super::map::touch_map;
use super::{Answer, Call, Model, Modelled, helper};

pub(super) static MODELS: &[Model] = &[
    helper("bpf_map_push_elem", 3, push),
    helper("bpf_map_pop_elem", 2, |call| next(call, true)),
    helper("bpf_map_peek_elem", 2, |call| next(call, false)),
];

fn push(call: &mut Call<'_>) -> Modelled {
    let map = call.machine.map_at(call.name, call.args[0])?;
    let size = call.machine.maps[map as usize].value_size();
    let value = call.read(call.args[1], size.into())?;
    touch_map(call, map, AccessKind::Atomic);
    let result = call.machine.map_push(map, &value, call.args[2])?;
    Ok(Answer::Value(result as u64))
}

fn next(call: &mut Call<'_>, remove: bool) -> Modelled {
    let map = call.machine.map_at(call.name, call.args[0])?;
    let state = &call.machine.maps[map as usize];
    let (family, size) = (state.family, state.value_size());
    if family == MapFamily::Bloom {
        return look(call, map, size, remove);
    }
    touch_map(call, map, AccessKind::Atomic);
    let value = call.machine.map_next(map, remove)?;
    let result = if value.is_some() { 0 } else { errno::ENOENT };
    let bytes = value.unwrap_or_else(|| vec![0; size as usize].into());
    call.write(call.args[1], &bytes)?;
    Ok(Answer::Value(result as u64))
}

/// A bloom filter is asked with the value itself, and gives nothing back.
fn look(call: &mut Call<'_>, map: u32, size: u32, remove: bool) -> Modelled {
    if remove {
        return Ok(Answer::Value(errno::EOPNOTSUPP as u64));
    }
    let value = call.read(call.args[1], size.into())?;
    touch_map(call, map, AccessKind::Read);
    let result = if call.machine.bloom_has(map, &value) { 0 } else { errno::ENOENT };
    Ok(Answer::Value(result as u64))
}
