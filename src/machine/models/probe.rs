//! Reading memory by address, of the kernel and of user space (`kernel/trace/bpf_trace.c`, `mm/maccess.c`, Linux 6.12).
//!
//! Kernel memory is what the machine has: reading from where there is nothing gives zeros and an error number. There is
//! no user memory, so that each access to it fails.

use crate::machine::copy::Way;
use crate::machine::fault::{FaultKind, Trap};
use crate::machine::maps::errno;

use super::{Answer, Call, Model, Modelled, helper, kfunc};

pub(super) static MODELS: &[Model] = &[
    helper("bpf_probe_read_kernel", 3, read_kernel).fixed(),
    helper("bpf_probe_read_user", 3, read_user),
    helper("bpf_probe_read", 3, |call| if is_user(call.args[2]) { read_user(call) } else { read_kernel(call) }),
    helper("bpf_probe_read_kernel_str", 3, read_kernel_string),
    helper("bpf_probe_read_user_str", 3, read_user),
    helper(
        "bpf_probe_read_str",
        3,
        |call| if is_user(call.args[2]) { read_user(call) } else { read_kernel_string(call) },
    ),
    helper("bpf_probe_write_user", 3, write_user),
    helper("bpf_copy_from_user", 3, read_user).sleeping(),
    helper("bpf_copy_from_user_task", 5, read_user_of_task).sleeping(),
    kfunc("bpf_copy_from_user_str", 4, copy_user_string).sleeping(),
];

/// First address past user space (`TASK_SIZE_MAX`, x86-64 with four levels of page tables).
const USER_END: u64 = (1 << 47) - PAGE;
const PAGE: u64 = 4096;
/// Page of the kernel that user space may call (`VSYSCALL_ADDR`).
const VSYSCALL: u64 = 0xffff_ffff_ff60_0000;
/// Fill the rest of the buffer with zeros (`BPF_F_PAD_ZEROS`).
const PAD_ZEROS: u64 = 1;

fn is_user(address: u64) -> bool {
    address < USER_END
}

/// Does the kernel try to read there (`copy_from_kernel_nofault_allowed`)?
fn may_be_kernel(address: u64) -> bool {
    let canonical = (address as i64) << 16 >> 16 == address as i64;
    address >= USER_END + PAGE && address & !(PAGE - 1) != VSYSCALL && canonical
}

fn number(result: i64) -> Modelled {
    Ok(Answer::Value(result as u64))
}

fn fail(call: &mut Call<'_>, error: i64) -> Modelled {
    let size = call.arg32(1) as usize;
    call.write(call.args[0], &vec![0; size])?;
    number(error)
}

/// What reading comes to: bytes, or the error number where a kernel would find nothing. What freed memory holds is not known.
fn attempt(name: &str, read: Result<Vec<u8>, Box<Trap>>) -> Result<Result<Vec<u8>, i64>, Box<Trap>> {
    match read {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(trap) => match *trap {
            Trap::Fault { kind: FaultKind::Null | FaultKind::Wild, .. } => Ok(Err(errno::EFAULT)),
            Trap::Fault { kind, .. } => Err(Trap::unsupported(format!("{name} where a plain read would be: {kind}"))),
            other => Err(Box::new(other)),
        },
    }
}

/// Bytes of the kernel, or the error number for an address without any.
pub(super) fn read_for(call: &mut Call<'_>, from: u64, size: u32) -> Result<Result<Vec<u8>, i64>, Box<Trap>> {
    read_by(call, from, |call| call.read(from, size.into()))
}

/// A string of the kernel of at most `room` bytes, without its end, or the error number for an address without any.
pub(super) fn read_string_for(call: &mut Call<'_>, from: u64, room: usize) -> Result<Result<Vec<u8>, i64>, Box<Trap>> {
    read_by(call, from, |call| call.read_string(from, room))
}

fn read_by(
    call: &mut Call<'_>,
    from: u64,
    read: impl FnOnce(&mut Call<'_>) -> Result<Vec<u8>, Box<Trap>>,
) -> Result<Result<Vec<u8>, i64>, Box<Trap>> {
    if !may_be_kernel(from) {
        return Ok(Err(errno::ERANGE));
    }
    let bytes = read(call);
    attempt(call.name, bytes)
}

fn read_kernel(call: &mut Call<'_>) -> Modelled {
    let [to, _, from, ..] = call.args;
    let size = call.arg32(1);
    if may_be_kernel(from)
        && let Some(source) = call.watched(from, size)
    {
        let copy = call.copy(source, to, size, &[(0, size)], Way::WordByWord, 0);
        return call.begin(copy);
    }
    match read_for(call, from, size)? {
        Ok(bytes) => {
            call.write(to, &bytes)?;
            number(0)
        }
        Err(error) => fail(call, error),
    }
}

fn read_kernel_string(call: &mut Call<'_>) -> Modelled {
    let [to, _, from, ..] = call.args;
    let Some(room) = (call.arg32(1) as usize).checked_sub(1) else { return number(0) };
    match read_string_for(call, from, room)? {
        Ok(mut text) => {
            text.push(0);
            call.write(to, &text)?;
            number(text.len() as i64)
        }
        Err(error) => fail(call, error),
    }
}

fn read_user(call: &mut Call<'_>) -> Modelled {
    if call.arg32(1) == 0 { number(0) } else { fail(call, errno::EFAULT) }
}

fn read_user_of_task(call: &mut Call<'_>) -> Modelled {
    if call.args[4] != 0 { number(errno::EINVAL) } else { read_user(call) }
}

fn write_user(call: &mut Call<'_>) -> Modelled {
    number(if call.arg32(2) == 0 { 0 } else { errno::EFAULT })
}

fn copy_user_string(call: &mut Call<'_>) -> Modelled {
    let flags = call.args[3];
    match (flags & !PAD_ZEROS, call.arg32(1)) {
        (0, 0) => number(0),
        (0, _) if flags != 0 => fail(call, errno::EFAULT),
        (0, _) => number(errno::EFAULT),
        _ => number(errno::EINVAL),
    }
}
