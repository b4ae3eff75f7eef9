//! What an init process has to do before anything else: file systems, limits, the port to the host. And the way out.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use crate::protocol::{Hello, PORT_NAME};

/// The file systems that libbpf and the programs expect: source, target, type.
const MOUNTS: [(&str, &str); 7] = [
    ("/proc", "proc"),
    ("/sys", "sysfs"),
    ("/dev", "devtmpfs"),
    ("/sys/fs/bpf", "bpf"),
    ("/sys/fs/cgroup", "cgroup2"),
    ("/sys/kernel/tracing", "tracefs"),
    ("/tmp", "tmpfs"),
];

/// Mounts file systems, lifts limits, and opens the port to the host.
pub fn prepare_machine() -> io::Result<File> {
    for (target, kind) in MOUNTS {
        if let Err(error) = mount(target, kind) {
            println!("kptrsim-guest: cannot mount {kind} at {target}: {error}");
        }
    }
    lift_limit(libc::RLIMIT_MEMLOCK, libc::RLIM_INFINITY);
    lift_limit(libc::RLIMIT_NOFILE, 65_536);
    open_port()
}

fn mount(target: &str, kind: &str) -> io::Result<()> {
    fs::create_dir_all(target)?;
    let target = CString::new(target)?;
    let kind = CString::new(kind)?;
    // SAFETY: all three strings are NUL-terminated and outlive the call; no data argument is passed.
    let status = unsafe { libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), 0, std::ptr::null()) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn lift_limit(resource: libc::__rlimit_resource_t, value: libc::rlim_t) {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: `limit` is a valid rlimit; a failure leaves the old limit, which is no harm.
    unsafe { libc::setrlimit(resource, &raw const limit) };
}

/// Finds the virtio-serial port by its name; the driver may need a moment to announce it.
fn open_port() -> io::Result<File> {
    for _ in 0..200 {
        for entry in fs::read_dir("/sys/class/virtio-ports").into_iter().flatten().flatten() {
            let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
            if name.trim() == PORT_NAME {
                let device = Path::new("/dev").join(entry.file_name());
                return OpenOptions::new().read(true).write(true).open(device);
            }
        }
        sleep(Duration::from_millis(20));
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("no virtio-serial port named {PORT_NAME}")))
}

/// Says which kernel this is.
pub fn hello() -> Hello {
    // SAFETY: utsname is plain bytes, for which all zero is a value; uname fills it.
    let mut names: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: `names` is a valid place for the answer.
    unsafe { libc::uname(&raw mut names) };
    let text = |field: &[libc::c_char]| -> String {
        field.iter().take_while(|&&c| c != 0).map(|&c| char::from(c.cast_unsigned())).collect()
    };
    let release = text(&names.release);
    let has_config = Path::new(&format!("/boot/config-{release}")).exists();
    Hello {
        has_config,
        release,
        version: text(&names.version),
        machine: text(&names.machine),
        cpus: crate::libbpf::possible_cpus(),
    }
}

/// Ends the machine. QEMU runs with `-no-reboot`, so a restart is the quickest way to end it.
pub fn power_off() -> ! {
    // SAFETY: none of these takes a pointer. The console's last words have to be out before the restart.
    unsafe {
        libc::tcdrain(1);
        libc::sync();
        libc::reboot(libc::RB_AUTOBOOT);
    }
    loop {
        sleep(Duration::from_secs(1));
    }
}
