//! Keys and files: references to what the kernel has found, in machines that are stocked with them.
//!
//! Nothing of a key or a file is modelled but that it is one, and who holds it. As `kernel/trace/bpf_trace.c` and
//! `fs/bpf_fs_kfuncs.c`, Linux 6.12.

use crate::machine::event::AccessKind;
use crate::machine::fault::{FaultKind, Trap};
use crate::machine::maps::errno;
use crate::machine::story::RegionId;

use super::{Answer, Call, Model, Modelled, kfunc};

pub(super) static MODELS: &[Model] = &[
    kfunc("bpf_lookup_user_key", 2, |call| find(call, "bpf_key")).differs_if_stocked().sleeping(),
    kfunc("bpf_lookup_system_key", 1, |call| find(call, "bpf_key")).differs_if_stocked(),
    kfunc("bpf_key_put", 1, |call| put(call, "bpf_key")),
    kfunc("bpf_get_task_exe_file", 1, exe_file).differs_if_stocked(),
    kfunc("bpf_put_file", 1, |call| put(call, "file")),
    kfunc("bpf_path_d_path", 3, path),
];

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
    living(call, "task_struct")?;
    find(call, "file")
}

/// That the first argument is such a struct, and that it is there still.
fn living(call: &mut Call<'_>, name: &str) -> Result<RegionId, Box<Trap>> {
    call.struct_named(name)?;
    call.alive(call.args[0])
}

fn put(call: &mut Call<'_>, name: &str) -> Modelled {
    living(call, name)?;
    call.release_struct(name)
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
