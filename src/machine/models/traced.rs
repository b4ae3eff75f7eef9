//! What a tracing program can ask about what it is attached to (`kernel/trace/bpf_trace.c`, Linux 6.12).

use crate::btf::Type;
use crate::machine::fault::Trap;
use crate::machine::maps::errno;

use super::{Answer, Call, Model, Modelled, helper, kfunc};

pub(super) static MODELS: &[Model] = &[
    // Nothing is attached with a cookie.
    helper("bpf_get_attach_cookie", 1, |_| Ok(Answer::Value(0))).local(),
    helper("bpf_get_func_ip", 1, function_address),
    helper("bpf_get_func_arg_cnt", 1, |call| Ok(Answer::Value(arguments(call)?.into()))).local(),
    helper("bpf_get_func_arg", 3, argument),
    helper("bpf_get_func_ret", 2, result),
    helper("bpf_send_signal", 1, send_signal),
    helper("bpf_send_signal_thread", 1, send_signal),
    helper("bpf_get_ns_current_pid_tgid", 4, pid_in_namespace),
    kfunc("bpf_modify_return_test_tp", 1, |call| Ok(Answer::Value(call.arg32(0).into()))),
];

/// `BPF_TRACE_FEXIT` and `BPF_MODIFY_RETURN`, whose programs see the function's result.
const AFTER: [u32; 2] = [25, 26];
/// `BPF_PROG_TYPE_TRACING`.
const TRACING: u32 = 26;
/// Values that the context of such a program has room for (`MAX_BPF_FUNC_ARGS`).
const MAX_VALUES: u32 = 12;
/// Highest signal (`_NSIG`).
const MAX_SIGNAL: u32 = 64;
/// Bytes of `struct bpf_pidns_info`.
const PIDNS_INFO: u32 = 8;

/// The name of the function that the program is attached to.
fn target(call: &mut Call<'_>) -> Result<String, Box<Trap>> {
    let section = &call.execution()?.program.source().section;
    if section.program_type == TRACING && !section.target.is_empty() {
        return Ok(section.target.clone());
    }
    Err(Trap::unsupported(format!("{} in a program that is attached by other means", call.name)))
}

/// How many arguments that function has.
fn arguments(call: &mut Call<'_>) -> Result<u32, Box<Trap>> {
    let name = target(call)?;
    let count = call.machine.kernel_types().and_then(|btf| {
        let Type::Function { prototype, .. } = btf.ty(btf.find_function(&name)?) else { return None };
        let Type::FunctionPrototype { parameters, .. } = btf.ty(*prototype) else { return None };
        Some(parameters.len() as u32)
    });
    count.ok_or_else(|| Trap::unsupported(format!("{}: the type of {name} is not known", call.name)))
}

fn function_address(call: &mut Call<'_>) -> Modelled {
    let name = target(call)?;
    Ok(Answer::Value(call.machine.variable(&name)?))
}

/// Copies a value of the context, which has arguments and then the result.
fn give(call: &mut Call<'_>, index: u32, to: u64) -> Modelled {
    if index >= MAX_VALUES {
        return Err(Trap::unsupported(format!("{}: value {index} of the context", call.name)));
    }
    let bytes = call.read(call.args[0].wrapping_add(u64::from(index) * 8), 8)?;
    call.write(to, &bytes)?;
    Ok(Answer::Value(0))
}

fn argument(call: &mut Call<'_>) -> Modelled {
    let index = call.arg32(1);
    if index >= arguments(call)? {
        return Ok(Answer::Value(errno::EINVAL as u64));
    }
    give(call, index, call.args[2])
}

fn result(call: &mut Call<'_>) -> Modelled {
    let attach_type = call.execution()?.program.source().section.attach_type;
    if !AFTER.contains(&attach_type) {
        return Ok(Answer::Value(errno::EOPNOTSUPP as u64));
    }
    let index = arguments(call)?;
    give(call, index, call.args[1])
}

/// The signal reaches the current task after the run.
fn send_signal(call: &mut Call<'_>) -> Modelled {
    let result = if call.machine.options.pid == 1 {
        errno::EPERM
    } else if call.arg32(0) > MAX_SIGNAL {
        errno::EINVAL
    } else {
        0
    };
    Ok(Answer::Value(result as u64))
}

/// The one namespace has no number that a program could know.
fn pid_in_namespace(call: &mut Call<'_>) -> Modelled {
    let [device, inode, to, ..] = call.args;
    let size = call.arg32(3);
    if size == PIDNS_INFO && (device, inode) != (0, 0) {
        return Err(Trap::unsupported("bpf_get_ns_current_pid_tgid of a named namespace"));
    }
    call.write(to, &vec![0; size as usize])?;
    Ok(Answer::Value(errno::EINVAL as u64))
}
