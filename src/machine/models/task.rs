//! The current task and cgroup, and references to them.

use crate::machine::fault::Trap;
use crate::machine::maps::errno;
use crate::machine::story::RegionId;
use crate::machine::world::CGROUP_ID;

use super::{Answer, Call, Continuation, Model, Modelled, helper, kfunc};

/// Highest process id (`PID_MAX_LIMIT`).
const MAX_PID: u32 = 4 << 20;

pub(super) static MODELS: &[Model] = &[
    helper("bpf_get_current_pid_tgid", 0, pid_tgid).local(),
    helper("bpf_get_current_uid_gid", 0, |_| Ok(Answer::Value(0))).local(),
    helper("bpf_get_current_comm", 2, comm).fixed(),
    helper("bpf_get_current_task", 0, current_task).local(),
    helper("bpf_get_current_task_btf", 0, current_task).local(),
    helper("bpf_get_current_cgroup_id", 0, |_| Ok(Answer::Value(CGROUP_ID))).local(),
    kfunc("bpf_task_acquire", 1, |call| acquire(call, "task_struct")).differs_if_stocked(),
    kfunc("bpf_task_release", 1, |call| call.release_struct("task_struct")),
    kfunc("bpf_cgroup_acquire", 1, |call| acquire(call, "cgroup")).differs_if_stocked(),
    kfunc("bpf_cgroup_release", 1, |call| call.release_struct("cgroup")),
    kfunc("bpf_task_from_pid", 1, task_from_pid).differs_if_stocked(),
    kfunc("bpf_cgroup_from_id", 1, cgroup_from_id).differs_if_stocked(),
    kfunc("bpf_cgroup_ancestor", 2, cgroup_ancestor).differs_if_stocked(),
    kfunc("bpf_task_under_cgroup", 2, task_under_cgroup),
    // There are no hierarchies of the first version.
    kfunc("bpf_task_get_cgroup1", 2, |_| Ok(Answer::Value(0))).local(),
    helper("bpf_get_current_ancestor_cgroup_id", 1, ancestor_id).local(),
    helper("bpf_current_task_under_cgroup", 2, current_under_cgroup),
    helper("bpf_find_vma", 5, find_area).differs_if_stocked(),
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

/// The region of the current task.
pub(super) fn current(call: &mut Call<'_>) -> Result<RegionId, Box<Trap>> {
    let machine = &mut *call.machine;
    let (options, types) = (machine.options.clone(), machine.shared_kernel_types());
    machine.world.task(&mut machine.memory, types.as_deref(), &options)
}

/// The cgroup that the current task is in, and the root above it.
pub(super) fn cgroups(call: &mut Call<'_>) -> Result<[RegionId; 2], Box<Trap>> {
    let machine = &mut *call.machine;
    let types = machine.shared_kernel_types();
    let own = machine.world.cgroup(&mut machine.memory, types.as_deref())?;
    Ok([own, machine.world.root_cgroup(&mut machine.memory, types.as_deref())?])
}

fn current_task(call: &mut Call<'_>) -> Modelled {
    let task = current(call)?;
    Ok(Answer::Value(call.machine.memory.base(task)))
}

/// A new reference, as a pointer. In a stocked machine the task or cgroup may be going away, so that none can be had any more.
fn acquired(call: &mut Call<'_>, region: RegionId) -> Modelled {
    if call.machine.branch != 0 {
        return Ok(Answer::Value(0));
    }
    call.acquire(region);
    Ok(Answer::Value(call.machine.memory.base(region)))
}

fn task_from_pid(call: &mut Call<'_>) -> Modelled {
    let pid = call.arg32(0);
    if pid == call.machine.options.tid {
        let task = current(call)?;
        return acquired(call, task);
    }
    if pid == 0 || pid > MAX_PID {
        return Ok(Answer::Value(0));
    }
    Err(Trap::unsupported("bpf_task_from_pid of another task than the current one"))
}

fn cgroup_from_id(call: &mut Call<'_>) -> Modelled {
    // Ids count from 1.
    if call.args[0] == 0 {
        return Ok(Answer::Value(0));
    }
    if call.args[0] != CGROUP_ID {
        return Err(Trap::unsupported("bpf_cgroup_from_id of another cgroup than the current one"));
    }
    let [own, _] = cgroups(call)?;
    acquired(call, own)
}

fn cgroup_ancestor(call: &mut Call<'_>) -> Modelled {
    let region = call.struct_named("cgroup")?;
    let all = cgroups(call)?;
    let Some(below) = all.iter().position(|&cgroup| cgroup == region) else {
        return Err(Trap::unsupported("ancestors of another cgroup than the current one"));
    };
    // From the cgroup itself up: the root's level is 0.
    let level = call.arg32(1) as usize;
    match all[below..].iter().rev().nth(level) {
        Some(&ancestor) => acquired(call, ancestor),
        None => Ok(Answer::Value(0)),
    }
}

fn task_under_cgroup(call: &mut Call<'_>) -> Modelled {
    let task = call.struct_named("task_struct")?;
    let ancestor = call.region(call.args[1])?;
    if task != current(call)? || !cgroups(call)?.contains(&ancestor) {
        return Err(Trap::unsupported("bpf_task_under_cgroup of other tasks or cgroups than the current ones"));
    }
    Ok(Answer::Value(1))
}

fn ancestor_id(call: &mut Call<'_>) -> Modelled {
    match call.arg32(0) as i32 {
        1 => Ok(Answer::Value(CGROUP_ID)),
        0 => Err(Trap::unsupported("the id of the root cgroup")),
        _ => Ok(Answer::Value(0)),
    }
}

/// No cgroup is ever put into such a map.
fn current_under_cgroup(call: &mut Call<'_>) -> Modelled {
    let map = call.machine.map_at(call.name, call.args[0])?;
    let inside = call.arg32(1) < call.machine.maps[map as usize].max_entries();
    Ok(Answer::Value(if inside { errno::EAGAIN } else { errno::E2BIG } as u64))
}

/// The area of a task's memory that an address is in, which a callback gets to see; in a stocked machine there is one or none.
fn find_area(call: &mut Call<'_>) -> Modelled {
    let [_, _, function, context, flags] = call.args;
    let region = call.struct_named("task_struct")?;
    if flags != 0 {
        return Ok(Answer::Value(errno::EINVAL as u64));
    }
    if !call.machine.options.stocked {
        return Err(Trap::unsupported("what bpf_find_vma finds"));
    }
    if call.machine.branch != 0 {
        return Ok(Answer::Value(errno::ENOENT as u64));
    }
    let area = call.machine.new_kernel_object("vm_area_struct")?;
    let memory = &call.machine.memory;
    let args = [memory.base(region), memory.base(area), context, 0, 0];
    Ok(Answer::CallBack { function, args, then: Continuation::Done(0) })
}

fn acquire(call: &mut Call<'_>, name: &str) -> Modelled {
    let region = call.struct_named(name)?;
    call.alive(call.args[0])?;
    acquired(call, region)
}
