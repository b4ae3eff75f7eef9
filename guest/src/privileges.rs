//! Becoming a process that the kernel grants nothing: what loads programs without `CAP_BPF` and its like.

use std::fs;
use std::io;

/// Where the kernel is told whether processes without `CAP_BPF` may load programs at all.
const SWITCH: &str = "/proc/sys/kernel/unprivileged_bpf_disabled";

/// The version of `capset` that knows 64 capabilities.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// What `capset` is told about whom the capabilities are for.
#[repr(C)]
struct Header {
    version: u32,
    /// The process; 0 is the caller.
    pid: i32,
}

/// Half of a process's capabilities.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Capabilities {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Lets processes without capabilities load programs, then gives all capabilities of this one up.
///
/// libbpf remembers what the kernel can do, so this comes before its first question.
pub fn drop_all() -> io::Result<()> {
    fs::write(SWITCH, "0")?;
    let header = Header { version: CAPABILITY_VERSION, pid: 0 };
    let none = [Capabilities::default(); 2];
    // SAFETY: version 3 of the call reads one header and two halves, which both live here.
    let status = unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
