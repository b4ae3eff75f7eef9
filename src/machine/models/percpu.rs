//! Per-CPU objects: making, dropping, and reaching one CPU's copy.
//!
//! The pointer that `bpf_percpu_obj_new` returns names all copies and can be passed on, not followed: in the kernel
//! it points to a little box in which the allocator keeps the per-CPU address. A fresh copy is zero; a copy that the
//! allocator hands out again holds what its last user left (`kernel/bpf/memalloc.c`), so that reading bytes nobody
//! wrote is noted.

use crate::machine::event::{Access, AccessKind};
use crate::machine::fault::{FaultKind, Trap};
use crate::machine::memory::Contents;
use crate::machine::region::RegionKind;
use crate::machine::story::RegionId;
use crate::machine::types::{self, PerCpuVariable};

use super::call::check_life;
use super::{Answer, Call, Model, Modelled, helper, kfunc};
use crate::seeded::{self, Fault};

pub(super) static MODELS: &[Model] = &[
    kfunc("bpf_percpu_obj_new_impl", 1, new).allocating(true).relaxed(),
    kfunc("bpf_percpu_obj_drop_impl", 1, drop_object).relaxed().fixed(),
    helper("bpf_this_cpu_ptr", 1, this_cpu_ptr).relaxed().fixed(),
    helper("bpf_per_cpu_ptr", 2, per_cpu_ptr).relaxed().fixed(),
    helper("bpf_kptr_xchg", 2, super::obj::exchange).fixed(),
];

/// Largest per-CPU object (`BPF_GLOBAL_PERCPU_MA_MAX_SIZE`).
const MAX_SIZE: u32 = 512;

fn new(call: &mut Call<'_>) -> Modelled {
    let (type_id, size) = call.machine.local_type(call.name, call.args[0])?;
    if size > MAX_SIZE {
        return call.bad(format!("{size} bytes, where at most {MAX_SIZE} are possible"));
    }
    let btf = call.machine.object.btf.clone();
    if !types::special_fields(btf.as_deref(), type_id).is_empty() {
        return call.bad("a per-CPU object must not have special fields");
    }
    let at = call.at;
    let Some(contents) = call.machine.take_unit(call.cpu, true, size) else { return Ok(Answer::Value(0)) };
    let handle = call.machine.allocate(RegionKind::PerCpuObject { type_id }, size, Contents::Opaque, at)?;
    for cpu in 0..call.machine.cpu_count() {
        let kind = RegionKind::PerCpuCopy { of: handle, cpu, type_id };
        call.machine.allocate(kind, size, contents, at)?;
    }
    call.acquire(handle);
    Ok(Answer::Value(call.machine.memory.base(handle)))
}

fn drop_object(call: &mut Call<'_>) -> Modelled {
    let region = call.start(call.args[0])?;
    if !matches!(call.machine.memory.region(region).kind, RegionKind::PerCpuObject { .. }) {
        return Err(Trap::about(
            FaultKind::BadArgument { callee: call.name, what: "this is no per-CPU object".to_owned() },
            region,
        ));
    }
    call.machine.release(region, call.holder(), call.at)?;
    Ok(Answer::Nothing)
}

fn this_cpu_ptr(call: &mut Call<'_>) -> Modelled {
    let cpu = if seeded::active(Fault::CopyOfNextCpu) { (call.cpu + 1) % call.machine.cpu_count() } else { call.cpu };
    copy_of(call, cpu)
}

fn per_cpu_ptr(call: &mut Call<'_>) -> Modelled {
    let cpu = call.arg32(1);
    if cpu >= call.machine.cpu_count() {
        return Ok(Answer::Value(0));
    }
    copy_of(call, cpu)
}

/// The address of a CPU's copy. That the pointer itself is still good is checked here, since the kernel reads the
/// box behind it.
fn copy_of(call: &mut Call<'_>, cpu: u32) -> Modelled {
    let pointer = call.args[0];
    if let Some(address) = variable_of(call, pointer, cpu)? {
        return Ok(Answer::Value(address));
    }
    let Some(spot) = call.machine.memory.at(pointer) else { return call.bad("the pointer is no per-CPU pointer") };
    let described = call.machine.memory.region(spot.region);
    match &described.kind {
        RegionKind::PerCpuObject { .. } => {
            check_life(described.life, &call.machine.rcu.reader(call.task), spot.region)?;
            let (region, kind) = (spot.region, AccessKind::Observe);
            call.machine.report.accesses.push(Access { region, offset: 0, size: 1, kind });
            let copy = RegionId(spot.region.0 + 1 + cpu);
            Ok(Answer::Value(call.machine.memory.base(copy) + u64::from(spot.offset)))
        }
        RegionKind::KernelVariable { name } => {
            Err(Trap::unsupported(format!("contents of the per-CPU kernel variable {name}")))
        }
        _ => Err(Trap::about(
            FaultKind::BadArgument { callee: call.name, what: "the pointer is no per-CPU pointer".to_owned() },
            spot.region,
        )),
    }
}

/// `BPF_PROG_TYPE_KPROBE`, `TRACEPOINT` and `PERF_EVENT`, which run with their CPU's `bpf_prog_active` counted up.
const COUNTED: [u32; 3] = [2, 5, 7];

/// The address of a CPU's copy of the kernel's variable that is meant by its place among such variables.
fn variable_of(call: &mut Call<'_>, place: u64, cpu: u32) -> Result<Option<u64>, Box<Trap>> {
    let types = call.machine.shared_kernel_types().filter(|_| place != 0);
    let Some(btf) = types.as_deref() else { return Ok(None) };
    let around = |one: &PerCpuVariable<'_>| place.wrapping_sub(one.offset.into()) < u64::from(one.size);
    let Some(variable) = types::per_cpu_variables(btf).find(around) else { return Ok(None) };
    let is_counted = COUNTED.contains(&call.execution()?.program.source().section.program_type);
    let machine = &mut *call.machine;
    let copy = match variable.name {
        "bpf_prog_active" if is_counted => None,
        _ => machine.world.per_cpu_variable(&mut machine.memory, Some(btf), &variable, cpu)?,
    };
    let unknown = || Trap::unsupported(format!("contents of the per-CPU kernel variable {}", variable.name));
    Ok(Some(machine.memory.base(copy.ok_or_else(unknown)?) + (place - u64::from(variable.offset))))
}
