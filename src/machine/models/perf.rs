//! Performance events (`kernel/trace/bpf_trace.c`, Linux 6.12). None is ever open: what programs are told is that.

use crate::machine::fault::Trap;
use crate::machine::maps::{MapFamily, errno};

use super::{Answer, Call, Model, Modelled, helper};

pub(super) static MODELS: &[Model] = &[
    helper("bpf_perf_event_output", 5, output),
    helper("bpf_perf_event_read", 2, |call| Ok(Answer::Value(find(call, call.args[1])? as u64))),
    helper("bpf_perf_event_read_value", 4, read_value),
];

/// Bits of the flags that are an index.
const INDEX: u64 = 0xffff_ffff;
/// Bytes of `struct bpf_perf_event_value`.
const VALUE_SIZE: u32 = 24;

/// Bits of the flags that are a number of bytes of the packet (`BPF_F_CTXLEN_MASK`).
const PACKET: u64 = 0xf_ffff << 32;

/// Why there is no event for these flags.
fn find(call: &mut Call<'_>, flags: u64) -> Result<i64, Box<Trap>> {
    let array = if call.name == "bpf_perf_event_output" { call.args[1] } else { call.args[0] };
    let map = call.machine.map_at(call.name, array)?;
    let state = &call.machine.maps[map as usize];
    if state.family != MapFamily::PerfEvents {
        return call.bad("the map is no array of performance events");
    }
    let entries = match state.max_entries() {
        // libbpf makes it as large as there are CPUs.
        0 => call.machine.cpu_count(),
        entries => entries,
    };
    let index = if flags == INDEX { call.cpu.into() } else { flags };
    Ok(if flags & !INDEX != 0 {
        errno::EINVAL
    } else if index >= u64::from(entries) {
        errno::E2BIG
    } else {
        errno::ENOENT
    })
}

fn output(call: &mut Call<'_>) -> Modelled {
    let [_, _, flags, data, size] = call.args;
    call.read(data, size)?;
    let Ok((_, packet)) = call.packet() else { return Ok(Answer::Value(find(call, flags)? as u64)) };
    if flags & !(PACKET | INDEX) != 0 {
        return Ok(Answer::Value(errno::EINVAL as u64));
    }
    if (flags & PACKET) >> 32 > packet.len().into() {
        return Ok(Answer::Value(errno::EFAULT as u64));
    }
    Ok(Answer::Value(find(call, flags & INDEX)? as u64))
}

fn read_value(call: &mut Call<'_>) -> Modelled {
    let (to, size) = (call.args[2], call.arg32(3));
    let error = if size == VALUE_SIZE { find(call, call.args[1])? } else { errno::EINVAL };
    call.write(to, &vec![0; size as usize])?;
    Ok(Answer::Value(error as u64))
}
