//! Storage attached to cgroups, tasks, sockets and inodes.

use crate::machine::event::{AccessKind, places};
use crate::machine::fault::{FaultKind, Trap};
use crate::machine::maps::{MapFamily, errno};
use crate::machine::story::RegionId;

use super::{Answer, Call, Model, Modelled, helper};

pub(super) static MODELS: &[Model] = &[
    helper("bpf_get_local_storage", 2, of_run),
    helper("bpf_cgrp_storage_get", 4, get).fixed(),
    helper("bpf_cgrp_storage_delete", 2, delete),
    helper("bpf_task_storage_get", 4, get).fixed(),
    helper("bpf_task_storage_delete", 2, delete),
    helper("bpf_sk_storage_get", 4, get).fixed(),
    helper("bpf_sk_storage_delete", 2, delete),
    helper("bpf_inode_storage_get", 4, get).fixed(),
    helper("bpf_inode_storage_delete", 2, delete),
];

/// Make the storage if there is none (`BPF_LOCAL_STORAGE_GET_F_CREATE`).
const CREATE: u64 = 1;

/// Finding, making and deleting an owner's storage depend on each other.
fn touch_storage(call: &mut Call<'_>, map: u32, owner: RegionId, kind: AccessKind) {
    let owner = call.machine.memory.region(owner).place;
    call.machine.report.order(places::element(map, &owner.to_le_bytes()), kind);
}

/// The owner that an argument points to: a struct of the kernel that such storage is attached to, and that is there still.
fn owner_at(call: &mut Call<'_>, address: u64) -> Result<RegionId, Box<Trap>> {
    let owner = call.machine.storage_owner(call.name, address)?;
    let of = |start: &str| call.name.starts_with(start);
    let fits = match call.kernel_struct(owner).unwrap_or_default() {
        name if of("bpf_sk_") => name.ends_with("sock") || name == "sock_common",
        name if of("bpf_task_") => name == "task_struct",
        name if of("bpf_cgrp_") => name == "cgroup",
        name => name == "inode",
    };
    if !fits {
        let what = "nothing of the kind that the storage is attached to".to_owned();
        return Err(Trap::about(FaultKind::BadArgument { callee: call.name, what }, owner));
    }
    call.alive(address)
}

fn get(call: &mut Call<'_>) -> Modelled {
    let map = call.machine.map_at(call.name, call.args[0])?;
    let [_, owner, initial, flags, _] = call.args;
    if flags & !CREATE != 0 || owner == 0 {
        return Ok(Answer::Value(0));
    }
    let owner = owner_at(call, owner)?;
    let initial = if initial == 0 {
        None
    } else {
        let size = call.machine.maps[map as usize].value_size();
        Some(call.read(initial, size.into())?)
    };
    let kind = if flags & CREATE != 0 { AccessKind::Atomic } else { AccessKind::Dereference };
    touch_storage(call, map, owner, kind);
    let at = call.at;
    let value = call.machine.storage_get(map, owner, initial.as_deref(), flags & CREATE != 0, at)?;
    Ok(Answer::Value(value.map_or(0, |region| call.machine.memory.base(region))))
}

/// Storage of a cgroup and an attachment. A test run is attached to nothing and has one of its own
/// (`bpf_test_run`, `net/bpf/test_run.c`).
fn of_run(call: &mut Call<'_>) -> Modelled {
    let map = call.machine.map_at(call.name, call.args[0])?;
    if call.machine.maps[map as usize].family != MapFamily::CgroupStorage {
        return call.bad("the map is no cgroup storage");
    }
    let known = call.execution()?.storage.iter().find(|(of, _)| *of == map).map(|&(_, region)| region);
    let first = match known {
        Some(first) => first,
        None => {
            let first = call.machine.new_value(map, Some(call.at))?;
            call.execution()?.storage.push((map, first));
            first
        }
    };
    let copy = call.machine.own_copy(map, first, call.cpu);
    Ok(Answer::Value(call.machine.memory.base(copy)))
}

fn delete(call: &mut Call<'_>) -> Modelled {
    let map = call.machine.map_at(call.name, call.args[0])?;
    if call.args[1] == 0 {
        return Ok(Answer::Value(errno::EINVAL as u64));
    }
    let owner = owner_at(call, call.args[1])?;
    touch_storage(call, map, owner, AccessKind::Atomic);
    let result = call.machine.storage_delete(map, owner, call.at)?;
    Ok(Answer::Value(result as u64))
}
