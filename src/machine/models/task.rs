//! The current task and cgroup, and references to them.

use crate::machine::fault::{FaultKind, Trap};
use crate::machine::story::RegionId;
use crate::machine::world::CGROUP_ID;

use super::{Answer, Call, Model, Modelled, helper, kfunc};

pub(super) static MODELS: &[Model] = &[
    helper("bpf_get_current_pid_tgid", 0, pid_tgid).local(),
    helper("bpf_get_current_uid_gid", 0, |_| Ok(Answer::Value(0))).local(),
    helper("bpf_get_current_comm", 2, comm).local(),
    helper("bpf_get_current_task", 0, current_task).local(),
    helper("bpf_get_current_task_btf", 0, current_task).local(),
    helper("bpf_get_current_cgroup_id", 0, |_| Ok(Answer::Value(CGROUP_ID))).local(),
    kfunc("bpf_task_acquire", 1, |call| acquire(call, "task_struct")),
    kfunc("bpf_task_release", 1, |call| release(call, "task_struct")),
    kfunc("bpf_cgroup_acquire", 1, |call| acquire(call, "cgroup")),
    kfunc("bpf_cgroup_release", 1, |call| release(call, "cgroup")),
];

fn pid_tgid(call: &mut Call<'_>) -> Modelled {
    let options = &call.machine.options;
    Ok(Answer::Value(u64::from(options.pid) << 32 | u64::from(options.tid)))
}

fn comm(call: &mut Call<'_>) -> Modelled {
    // `strscpy_pad`: cut to the buffer, always ended by a zero, and filled up with zeros.
    let size = call.arg32(1) as usize;
    let name = call.machine.options.comm.clone().into_bytes();
    let mut buffer = vec![0; size.min(4096)];
    let room = size.saturating_sub(1).min(15);
    for (to, from) in buffer.iter_mut().zip(name.into_iter().take(room)) {
        *to = from;
    }
    call.write(call.args[0], &buffer)?;
    Ok(Answer::Value(0))
}

fn current_task(call: &mut Call<'_>) -> Modelled {
    let machine = &mut *call.machine;
    let options = machine.options.clone();
    let types = options.kernel_types.clone().or_else(|| machine.object.btf.clone());
    let task = machine.world.task(&mut machine.memory, types.as_deref(), &options)?;
    Ok(Answer::Value(machine.memory.base(task)))
}

fn wanted(call: &Call<'_>, name: &str) -> Result<RegionId, Box<Trap>> {
    let region = call.region(call.args[0])?;
    if call.kernel_struct(region) == Some(name) {
        return Ok(region);
    }
    let what = format!("this is no struct {name}");
    Err(Trap::about(FaultKind::BadArgument { callee: call.name, what }, region))
}

fn acquire(call: &mut Call<'_>, name: &str) -> Modelled {
    let region = wanted(call, name)?;
    call.acquire(region);
    Ok(Answer::Value(call.args[0]))
}

fn release(call: &mut Call<'_>, name: &str) -> Modelled {
    let region = wanted(call, name)?;
    call.machine.release(region, call.holder(), call.at)?;
    Ok(Answer::Nothing)
}
