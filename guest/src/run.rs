//! Loads programs together, makes them run one after the other, and brings back what they left in the maps.

use std::ffi::c_void;
use std::fs;
use std::io;

use libbpf_sys as sys;

use crate::libbpf::{self, Object, Program};
use crate::load::reason_of;
use crate::maps;
use crate::process;
use crate::protocol::{
    GlobalSetting, GlobalValue, ReplyBody, RunStep, StepResult, TestRunRequest, TestRunResult, TestRunsRequest,
    Trigger, from_hex, to_hex,
};
use crate::serve::Sink;

/// The cgroup that programs run in, so that cgroup storage belongs to something that is not the root.
pub const CGROUP: &str = "/sys/fs/cgroup/kptrsim";

/// Bytes of the packet for a program that takes one, when the request has none: an Ethernet frame's least size.
pub const DEFAULT_PACKET: usize = 64;

/// Bytes that are kept of a packet or context that comes back.
const MAX_OUT: usize = 64 << 10;

/// Carries out runs one after the other, each in a child, and sends a result for each, whatever becomes of the child.
pub fn test_runs(request: &TestRunsRequest, bytes: &[u8], sink: &mut Sink) {
    for run in &request.runs {
        let complaint = match process::spawn(run.timeout_seconds, || test_run(run, bytes, sink)) {
            Ok(child) => process::wait_for(child).complaint(run.timeout_seconds),
            Err(error) => Some(format!("cannot start a process: {error}")),
        };
        if complaint.is_some() {
            sink.send(ReplyBody::TestRun(TestRunResult { steps: Vec::new(), maps: Vec::new(), error: complaint }));
        }
    }
}

/// Carries out a run and sends its result.
pub fn test_run(request: &TestRunRequest, bytes: &[u8], sink: &mut Sink) {
    libbpf::capture_messages();
    let mut result = TestRunResult { steps: Vec::new(), maps: Vec::new(), error: None };
    if let Err(message) = carry_out(request, bytes, &mut result) {
        result.error = Some(message);
    }
    sink.send(ReplyBody::TestRun(result));
}

fn carry_out(request: &TestRunRequest, bytes: &[u8], result: &mut TestRunResult) -> Result<(), String> {
    let steps = request.steps.iter().map(|step| &step.program);
    let wanted: Vec<&str> = steps.chain(&request.companions).map(String::as_str).collect();
    let object = load_object(bytes, &wanted, &request.globals)?;
    let programs = object.programs();
    for step in &request.steps {
        let program = programs
            .iter()
            .find(|program| program.name() == step.program)
            .ok_or_else(|| format!("the object has no program '{}'", step.program))?;
        result.steps.push(run_step(program, step)?);
    }
    result.maps = maps::dump_all(&object);
    Ok(())
}

/// Loads some programs of an object, with globals set, in a process that is in the cgroup that they may need.
pub fn load_object(bytes: &[u8], programs: &[&str], globals: &[GlobalSetting]) -> Result<Object, String> {
    let object = Object::open(bytes).map_err(|errno| reason_of(&libbpf::take_messages(), errno))?;
    object.adjust();
    object.autoload_only(|program| programs.contains(&program.name().as_str()));
    for setting in globals {
        set_global(&object, setting)?;
    }
    join_cgroup().map_err(|error| format!("cannot join cgroup {CGROUP}: {error}"))?;
    object.load().map_err(|errno| {
        let messages = libbpf::take_messages();
        // The log that libbpf prints names the reason; the first line only names the program.
        let reason = crate::verifier_log::classify(errno, log_in(&messages)).reason;
        format!("cannot load: {}: {reason}", reason_of(&messages, errno))
    })?;
    Ok(object)
}

/// The verifier's log inside libbpf's messages.
fn log_in(messages: &str) -> &str {
    let after = messages.split_once("-- BEGIN PROG LOAD LOG --\n").map_or("", |(_, after)| after);
    after.split_once("-- END PROG LOAD LOG --").map_or(after, |(log, _)| log)
}

/// Writes one global before the object is loaded.
fn set_global(object: &Object, setting: &GlobalSetting) -> Result<(), String> {
    let name = &setting.name;
    for mut map in object.maps() {
        let section = map.name();
        let place = if section == *name {
            Some((0, map.initial_value().len()))
        } else {
            libbpf::section_variables(object, &section)
                .into_iter()
                .find(|(variable, _, _)| variable == name)
                .map(|(_, offset, size)| (offset as usize, size as usize))
        };
        let Some((start, size)) = place else { continue };
        let bytes = bytes_of(&setting.value, size.saturating_sub(setting.offset))?;
        let room = start + setting.offset..start + setting.offset + bytes.len();
        if setting.offset + bytes.len() > size {
            return Err(format!(
                "{} bytes at offset {} do not fit into '{name}' ({size} bytes)",
                bytes.len(),
                setting.offset
            ));
        }
        let target =
            map.initial_value().get_mut(room).ok_or_else(|| format!("section {section} has no bytes to set"))?;
        target.copy_from_slice(&bytes);
        return Ok(());
    }
    Err(format!("the object has no global '{name}'"))
}

fn bytes_of(value: &GlobalValue, size: usize) -> Result<Vec<u8>, String> {
    let number = match value {
        GlobalValue::Hex(digits) => return from_hex(digits).ok_or_else(|| format!("'{digits}' is not hexadecimal")),
        GlobalValue::Int(number) => *number,
        GlobalValue::Pid => i64::from(std::process::id()),
        GlobalValue::PossibleCpus => i64::from(libbpf::possible_cpus()),
    };
    Ok(number.to_le_bytes().into_iter().take(size).collect())
}

fn join_cgroup() -> io::Result<()> {
    fs::create_dir_all(CGROUP)?;
    fs::write(format!("{CGROUP}/cgroup.procs"), "0")
}

/// How this program is made to run when the request does not say.
pub fn trigger_for(program: &Program) -> Trigger {
    // SAFETY: the program's object is open.
    let (kind, attach) =
        unsafe { (sys::bpf_program__type(program.raw()), sys::bpf_program__expected_attach_type(program.raw())) };
    match (kind, attach) {
        (sys::BPF_PROG_TYPE_TRACING, sys::BPF_TRACE_FENTRY | sys::BPF_TRACE_FEXIT | sys::BPF_MODIFY_RETURN) => {
            Trigger::AttachAndTestRun
        }
        (
            sys::BPF_PROG_TYPE_TRACING
            | sys::BPF_PROG_TYPE_KPROBE
            | sys::BPF_PROG_TYPE_TRACEPOINT
            | sys::BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE
            | sys::BPF_PROG_TYPE_PERF_EVENT
            | sys::BPF_PROG_TYPE_LSM,
            _,
        ) => Trigger::AttachAndSyscall,
        _ => Trigger::TestRun,
    }
}

fn run_step(program: &Program, step: &RunStep) -> Result<StepResult, String> {
    let trigger = if step.trigger == Trigger::Auto { trigger_for(program) } else { step.trigger };
    let mut result = StepResult {
        program: step.program.clone(),
        trigger,
        errno: 0,
        retval: 0,
        data_out: None,
        ctx_out: None,
        error: None,
    };
    pin_to(step.cpu).map_err(|error| format!("cannot run on CPU {:?}: {error}", step.cpu))?;
    let mut link = std::ptr::null_mut();
    if trigger != Trigger::TestRun {
        // SAFETY: the program is loaded and its object open.
        link = unsafe { sys::bpf_program__attach(program.raw()) };
        if link.is_null() {
            result.errno = libbpf::last_errno();
            result.error = Some(format!("attach: {}", reason_of(&libbpf::take_messages(), result.errno)));
            return Ok(result);
        }
    }
    for _ in 0..if trigger == Trigger::AttachAndSyscall { step.repeat.max(1) } else { 1 } {
        if trigger == Trigger::AttachAndSyscall {
            // SAFETY: asks for this process's own group.
            unsafe { libc::getpgid(0) };
        } else if let Err(errno) = prog_test_run(program, step, &mut result)? {
            result.errno = errno;
            result.error = Some("BPF_PROG_TEST_RUN".into());
        }
    }
    // SAFETY: `link` is null or a link that nobody else holds.
    unsafe { sys::bpf_link__destroy(link) };
    Ok(result)
}

/// Calls `BPF_PROG_TEST_RUN`; the inner `Err` has the error number.
fn prog_test_run(program: &Program, step: &RunStep, result: &mut StepResult) -> Result<Result<(), i32>, String> {
    let decode = |digits: &Option<String>| match digits {
        Some(digits) => from_hex(digits).map(Some).ok_or_else(|| format!("'{digits}' is not hexadecimal")),
        None => Ok(None),
    };
    let gives = gives(program);
    let mut context = decode(&step.ctx_in)?;
    let packet = decode(&step.data_in)?.or_else(|| gives.packet.then(|| vec![0; DEFAULT_PACKET]));
    let mut packet_out = vec![0; if gives.packet_back { MAX_OUT } else { 0 }];
    let mut context_out = vec![0; if gives.context_back { MAX_OUT } else { 0 }];
    let mut options =
        sys::bpf_test_run_opts { sz: size_of::<sys::bpf_test_run_opts>() as sys::size_t, ..Default::default() };
    if let Some(packet) = &packet {
        options.data_in = packet.as_ptr().cast::<c_void>();
        options.data_size_in = u32::try_from(packet.len()).map_err(|_| "packet too large")?;
    }
    if let Some(context) = &mut context {
        options.ctx_in = context.as_mut_ptr().cast::<c_void>();
        options.ctx_size_in = u32::try_from(context.len()).map_err(|_| "context too large")?;
    }
    if gives.packet_back {
        options.data_out = packet_out.as_mut_ptr().cast::<c_void>();
        options.data_size_out = MAX_OUT as u32;
    }
    // A context to fill makes the kernel behave as if one had been given.
    if gives.context_back && context.is_some() {
        options.ctx_out = context_out.as_mut_ptr().cast::<c_void>();
        options.ctx_size_out = MAX_OUT as u32;
    }
    options.repeat = if packet.is_some() { i32::try_from(step.repeat).unwrap_or(i32::MAX) } else { 0 };
    // SAFETY: the program is loaded; all buffers outlive the call and are as long as said.
    let status = unsafe { sys::bpf_prog_test_run_opts(sys::bpf_program__fd(program.raw()), &raw mut options) };
    result.retval = options.retval;
    if status != 0 {
        return Ok(Err(status.abs()));
    }
    let cut = |bytes: &[u8], size: u32| to_hex(&bytes[..bytes.len().min(size as usize)]);
    result.data_out = gives.packet_back.then(|| cut(&packet_out, options.data_size_out));
    result.ctx_out = match (context, gives.context_back, gives.context_in_place) {
        (Some(_), true, _) => Some(cut(&context_out, options.ctx_size_out)),
        (Some(context), false, true) => Some(to_hex(&context)),
        _ => None,
    };
    Ok(Ok(()))
}

/// Does `BPF_PROG_TEST_RUN` of the program need a packet?
pub fn takes_packet(program: &Program) -> bool {
    gives(program).packet
}

/// What `BPF_PROG_TEST_RUN` takes and brings back for a program type (`net/bpf/test_run.c`, Linux 6.12).
#[derive(Clone, Copy, Default)]
struct Gives {
    /// It takes a packet.
    packet: bool,
    /// It brings one back.
    packet_back: bool,
    /// It brings the context back in a buffer of its own.
    context_back: bool,
    /// It brings the context back where it was given.
    context_in_place: bool,
}

fn gives(program: &Program) -> Gives {
    // SAFETY: the program's object is open.
    let kind = unsafe { sys::bpf_program__type(program.raw()) };
    let all = Gives { packet: true, packet_back: true, context_back: true, context_in_place: false };
    match kind {
        sys::BPF_PROG_TYPE_SOCKET_FILTER
        | sys::BPF_PROG_TYPE_SCHED_CLS
        | sys::BPF_PROG_TYPE_SCHED_ACT
        | sys::BPF_PROG_TYPE_XDP
        | sys::BPF_PROG_TYPE_CGROUP_SKB
        | sys::BPF_PROG_TYPE_LWT_IN
        | sys::BPF_PROG_TYPE_LWT_OUT
        | sys::BPF_PROG_TYPE_LWT_XMIT
        | sys::BPF_PROG_TYPE_LWT_SEG6LOCAL
        | sys::BPF_PROG_TYPE_FLOW_DISSECTOR => all,
        sys::BPF_PROG_TYPE_NETFILTER => Gives { packet: true, ..Gives::default() },
        sys::BPF_PROG_TYPE_SK_LOOKUP => Gives { context_back: true, ..Gives::default() },
        sys::BPF_PROG_TYPE_SYSCALL => Gives { context_in_place: true, ..Gives::default() },
        _ => Gives::default(),
    }
}

/// Binds this thread to one CPU, or lets it run on any.
pub fn pin_to(cpu: Option<usize>) -> io::Result<()> {
    // SAFETY: cpu_set_t is plain bits, for which all zero is the empty set; the set is passed with its size.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let all = 0..usize::try_from(libbpf::possible_cpus()).unwrap_or(1);
        for index in cpu.map_or(all, |cpu| cpu..cpu + 1) {
            if index < libc::CPU_SETSIZE as usize {
                libc::CPU_SET(index, &mut set);
            }
        }
        if libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
