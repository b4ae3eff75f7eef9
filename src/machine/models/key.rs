//! Keys and files: references to what the kernel has found, in machines that are stocked with them.
//!
//! Nothing of a key or a file is modelled but that it is one, and who holds it. As `kernel/trace/bpf_trace.c` and
//! `fs/bpf_fs_kfuncs.c`, Linux 6.12.

use crate::machine::event::AccessKind;
use crate::machine::fault::{FaultKind, Trap};
use crate::machine::maps::errno;
use crate::machine::stepper::Machine;
use crate::machine::story::RegionId;

use super::{Answer, Call, Model, Modelled, kfunc};

pub(super) static MODELS: &[Model] = &[
    kfunc("bpf_lookup_user_key", 2, |call| find(call, "bpf_key")).in_ways(none_or_found).sleeping(),
    kfunc("bpf_lookup_system_key", 1, |call| find(call, "bpf_key")).in_ways(none_or_found),
    kfunc("bpf_key_put", 1, |call| put(call, "bpf_key")),
    kfunc("bpf_get_task_exe_file", 1, exe_file).in_ways(none_or_found),
    kfunc("bpf_put_file", 1, |call| put(call, "file")),
    kfunc("bpf_path_d_path", 3, path),
];

fn none_or_found(machine: &Machine, _: u32, _: &[u64; 5]) -> u16 {
    1 + u16::from(machine.options.stocked)
}

/// A new reference to such a struct, or NULL: either may be in a stocked machine; elsewhere it is not known.
fn find(call: &mut Call<'_>, name: &str) -> Modelled {
    if !call.machine.options.stocked {
        return Err(Trap::unsupported(format!("what {} finds", call.name)));
    }
    if call.machine.branch == 0 {
        return Ok(Answer::Value(0));
    }
    let region = call.machine.new_kernel_object(name)?;
    call.acquire(region);
    Ok(Answer::Value(call.machine.memory.base(region)))
}

fn exe_file(call: &mut Call<'_>) -> Modelled {
    struct_at(call, call.args[0], "task_struct")?;
    find(call, "file")
}

/// That a pointer leads to the start of such a struct, and that it is there still.
fn struct_at(call: &mut Call<'_>, address: u64, name: &str) -> Result<RegionId, Box<Trap>> {
    let region = call.start(address)?;
    if call.kernel_struct(region) != Some(name) {
        let what = format!("this is no struct {name}");
        return Err(Trap::about(FaultKind::BadArgument { callee: call.name, what }, region));
    }
    call.alive(address)
}

fn put(call: &mut Call<'_>, name: &str) -> Modelled {
    let region = struct_at(call, call.args[0], name)?;
    call.machine.release(region, call.holder(), call.at)?;
    Ok(Answer::Nothing)
}

/// The structs that have a path in them (`BTF_TYPE_SAFE_TRUSTED(struct file)` and the like), or are one.
const WITH_PATHS: [&str; 5] = ["file", "path", "fs_struct", "bytes", "vm_area_struct"];

/// Writes the path of a `struct path` into a buffer: here always `/`.
fn path(call: &mut Call<'_>) -> Modelled {
    let (from, buffer, size) = (call.args[0], call.args[1], call.arg32(2));
    let region = call.region(from)?;
    if !call.kernel_struct(region).is_some_and(|name| WITH_PATHS.contains(&name)) {
        let what = "there is no struct path".to_owned();
        return Err(Trap::about(FaultKind::BadArgument { callee: call.name, what }, region));
    }
    call.alive(from)?;
    // The kernel writes from the buffer's end.
    call.touch(buffer, size.max(1), AccessKind::Write)?;
    if size < 2 {
        return Ok(Answer::Value(errno::ENAMETOOLONG as u64));
    }
    call.write(buffer, b"/\0")?;
    Ok(Answer::Value(2))
}
