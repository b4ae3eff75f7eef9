//! Ring buffers: records that a program owns between reserving and submitting (`kernel/bpf/ringbuf.c`, Linux 6.12).
//!
//! Nobody consumes a kernel ring buffer here. One of user space is empty, but in a stocked machine it has samples.

use crate::btf::TypeId;
use crate::machine::event::{AccessKind, Event};
use crate::machine::fault::{FaultKind, Trap};
use crate::machine::maps::{MapFamily, errno};
use crate::machine::memory::Contents;
use crate::machine::region::RegionKind;
use crate::machine::stepper::Machine;
use crate::machine::story::RegionId;

use super::dynptr::{BYTES, Dynptr, Kind};
use super::map::touch_map;
use super::{Answer, Call, Continuation, Model, Modelled, helper};

pub(super) static MODELS: &[Model] = &[
    helper("bpf_ringbuf_reserve", 3, reserve).may_fail(),
    helper("bpf_ringbuf_submit", 2, |call| commit(call, false)),
    helper("bpf_ringbuf_discard", 2, |call| commit(call, true)),
    helper("bpf_ringbuf_output", 4, output),
    helper("bpf_ringbuf_query", 2, query),
    helper("bpf_ringbuf_reserve_dynptr", 4, reserve_dynptr).may_fail(),
    helper("bpf_ringbuf_submit_dynptr", 2, |call| commit_dynptr(call, false)).fixed_if(is_own),
    helper("bpf_ringbuf_discard_dynptr", 2, |call| commit_dynptr(call, true)).fixed_if(is_own),
    helper("bpf_user_ringbuf_drain", 4, drain),
];

/// `BPF_RB_NO_WAKEUP` and `BPF_RB_FORCE_WAKEUP`.
const WAKEUPS: u64 = 3;

fn map(call: &mut Call<'_>, family: MapFamily) -> Result<u32, Box<Trap>> {
    let map = call.machine.map_at(call.name, call.args[0])?;
    if call.machine.maps[map as usize].family != family {
        return call.bad("the map is no ring buffer of that kind");
    }
    Ok(map)
}

/// A record that the program owns from here on; `None` if there is no room. Where allocations may fail, others may have filled the buffer.
fn new_record(call: &mut Call<'_>, map: u32, size: u64) -> Result<Option<RegionId>, Box<Trap>> {
    touch_map(call, map, AccessKind::Atomic);
    if call.machine.branch != 0 {
        return Ok(None);
    }
    let record = call.machine.ring_reserve(map, size, call.at)?;
    if let Some(record) = record {
        call.acquire(record);
    }
    Ok(record)
}

fn reserve(call: &mut Call<'_>) -> Modelled {
    let map = map(call, MapFamily::Ring)?;
    if call.args[2] != 0 {
        return Ok(Answer::Value(0));
    }
    let record = new_record(call, map, call.args[1])?;
    Ok(Answer::Value(record.map_or(0, |region| call.machine.memory.base(region))))
}

fn commit(call: &mut Call<'_>, discard: bool) -> Modelled {
    give_back(call, call.args[0], discard)?;
    Ok(Answer::Nothing)
}

fn give_back(call: &mut Call<'_>, address: u64, discard: bool) -> Result<(), Box<Trap>> {
    let region = call.start(address)?;
    let RegionKind::Record { map } = call.machine.memory.region(region).kind else {
        let what = "this is no record of a ring buffer".to_owned();
        return Err(Trap::about(FaultKind::BadArgument { callee: call.name, what }, region));
    };
    touch_map(call, map, AccessKind::Atomic);
    call.machine.release(region, call.holder(), call.at)?;
    call.machine.ring_commit(map, region, discard);
    call.machine.report.events.push(Event::Freed(region));
    Ok(())
}

fn output(call: &mut Call<'_>) -> Modelled {
    let map = map(call, MapFamily::Ring)?;
    let [_, from, size, flags, _] = call.args;
    if flags & !WAKEUPS != 0 {
        return Ok(Answer::Value(errno::EINVAL as u64));
    }
    let bytes = call.read(from, size)?;
    touch_map(call, map, AccessKind::Atomic);
    let result = if call.machine.ring_output(map, &bytes) { 0 } else { errno::EAGAIN };
    Ok(Answer::Value(result as u64))
}

fn query(call: &mut Call<'_>) -> Modelled {
    let map = map(call, MapFamily::Ring)?;
    touch_map(call, map, AccessKind::Read);
    let state = &call.machine.maps[map as usize];
    Ok(Answer::Value(match call.args[1] {
        // BPF_RB_AVAIL_DATA and BPF_RB_PROD_POS: the consumer stands at 0 (BPF_RB_CONS_POS).
        0 | 3 => state.ring_produced(),
        1 => state.ring_size(),
        _ => 0,
    }))
}

fn reserve_dynptr(call: &mut Call<'_>) -> Modelled {
    let map = map(call, MapFamily::Ring)?;
    let (size, flags, to) = (call.arg32(1), call.args[2], call.args[3]);
    let mut made = None;
    let result = match (flags, Dynptr::new(Kind::Ring, 0, size)) {
        (0, None) => errno::E2BIG,
        (0, Some(_)) => {
            let record = new_record(call, map, size.into())?;
            made = record.and_then(|record| Dynptr::new(Kind::Ring, call.machine.memory.base(record), size));
            if made.is_some() { 0 } else { errno::EINVAL }
        }
        _ => errno::EINVAL,
    };
    Dynptr::store(made, call, to)?;
    Ok(Answer::Value(result as u64))
}

/// Is that dynptr where no other task can change it? Then it alone says what committing its record touches.
fn is_own(machine: &Machine, args: &[u64; 5]) -> bool {
    machine.memory.at(args[0]).is_some_and(|spot| machine.memory.is_private(spot.region))
}

fn commit_dynptr(call: &mut Call<'_>, discard: bool) -> Modelled {
    let dynptr = call.args[0];
    if let Some(record) = Dynptr::load(call, dynptr)? {
        give_back(call, record.data, discard)?;
        Dynptr::store(None, call, dynptr)?;
    }
    Ok(Answer::Nothing)
}

/// Bytes of the samples that a stocked machine's user space has written.
const SAMPLES: [u32; 2] = [64, 8];

/// `bpf_user_ringbuf_drain` between two samples.
#[derive(Clone, Debug)]
pub(in crate::machine) struct Drain {
    map: u32,
    function: u64,
    context: u64,
    /// Samples that the callback was called for.
    done: usize,
    /// The sample that the callback sees, and the dynptr that leads it there.
    current: Option<[RegionId; 2]>,
}

fn drain(call: &mut Call<'_>) -> Modelled {
    let map = map(call, MapFamily::UserRing)?;
    let [_, function, context, flags, _] = call.args;
    if flags & !WAKEUPS != 0 {
        return Ok(Answer::Value(errno::EINVAL as u64));
    }
    Box::new(Drain { map, function, context, done: 0, current: None }).next(call)
}

impl Drain {
    fn next(mut self: Box<Self>, call: &mut Call<'_>) -> Modelled {
        let size = SAMPLES.get(self.done).filter(|_| call.machine.options.stocked);
        let Some(&size) = size else { return Ok(Answer::Value(self.done as u64)) };
        let machine = &mut *call.machine;
        let sample =
            machine.memory.allocate(RegionKind::Record { map: self.map }, size, Contents::Zero, Some(call.at))?;
        let kind = RegionKind::KernelObject { name: "bpf_dynptr".into(), type_id: TypeId::VOID };
        let dynptr = machine.memory.allocate(kind, BYTES as u32, Contents::Sparse, Some(call.at))?;
        let (at, data) = (machine.memory.base(dynptr), machine.memory.base(sample));
        if let Some(view) = Dynptr::new(Kind::Local, data, size) {
            view.store_for_kernel(call, at, dynptr);
        }
        self.done += 1;
        self.current = Some([sample, dynptr]);
        let args = [at, self.context, 0, 0, 0];
        Ok(Answer::CallBack { function: self.function, args, then: Continuation::Drain(self) })
    }

    /// Goes on with what the callback returned: anything but zero ends it.
    pub fn resume(mut self: Box<Self>, call: &mut Call<'_>, result: u64) -> Modelled {
        let step = call.machine.steps;
        for region in self.current.take().into_iter().flatten() {
            call.machine.memory.reclaim(region, step);
        }
        if result != 0 { Ok(Answer::Value(self.done as u64)) } else { self.next(call) }
    }
}
