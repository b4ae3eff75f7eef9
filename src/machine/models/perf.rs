//! Perf events: arrays of them that nobody has filled.

use crate::machine::fault::Trap;
use crate::machine::maps::errno;

use super::{Answer, Call, Model, Modelled, helper};

pub(super) static MODELS: &[Model] = &[
    helper("bpf_perf_event_output", 5, output),
    helper("bpf_perf_event_read", 2, |call| {
        let (map, flags) = (call.args[0], call.args[1]);
        Ok(Answer::Value(event(call, map, flags)? as u64))
    }),
    helper("bpf_perf_event_read_value", 4, read_value),
];

/// `BPF_MAP_TYPE_PERF_EVENT_ARRAY`.
const PERF_EVENT_ARRAY: u32 = 4;
/// Which event, or this CPU's (`BPF_F_INDEX_MASK`, `BPF_F_CURRENT_CPU`).
const INDEX: u64 = 0xffff_ffff;
/// Bytes of the packet that go with the event (`BPF_F_CTXLEN_MASK`).
const PACKET: u64 = 0xf_ffff << 32;
/// Bytes of `struct bpf_perf_event_value`.
const VALUE: u32 = 24;

/// Why the array's event cannot be used: there is none.
fn event(call: &Call<'_>, map: u64, flags: u64) -> Result<i64, Box<Trap>> {
    let map = call.machine.map_at(call.name, map)?;
    let state = &call.machine.maps[map as usize];
    if state.map_type != PERF_EVENT_ARRAY {
        return Err(Trap::unsupported(format!("{} on map {} of type {}", call.name, state.name, state.map_type)));
    }
    if flags & !INDEX != 0 {
        return Ok(errno::EINVAL);
    }
    let index = if flags == INDEX { call.cpu.into() } else { flags };
    // An array of size zero gets an entry for each CPU from the loader.
    let size = match state.max_entries() {
        0 => call.machine.cpu_count(),
        size => size,
    };
    Ok(if index >= size.into() { errno::E2BIG } else { errno::ENOENT })
}

fn output(call: &mut Call<'_>) -> Modelled {
    let (map, flags) = (call.args[1], call.args[2]);
    let mut index = flags;
    if let Ok((_, packet)) = call.packet() {
        if flags & !(PACKET | INDEX) != 0 {
            return Ok(Answer::Value(errno::EINVAL as u64));
        }
        if (flags & PACKET) >> 32 > packet.len().into() {
            return Ok(Answer::Value(errno::EFAULT as u64));
        }
        index = flags & INDEX;
    }
    Ok(Answer::Value(event(call, map, index)? as u64))
}

fn read_value(call: &mut Call<'_>) -> Modelled {
    let (map, flags, to, size) = (call.args[0], call.args[1], call.args[2], call.arg32(3));
    let error = if size == VALUE { event(call, map, flags)? } else { errno::EINVAL };
    call.cleared(to, size, error)
}
