//! Clocks, numbers, strings, reading kernel memory, and `bpf_loop`.

use crate::machine::fault::{FaultKind, Trap};
use crate::machine::maps::errno;

use super::{Answer, Call, Continuation, Model, Modelled, helper};

pub(super) static MODELS: &[Model] = &[
    helper("bpf_get_smp_processor_id", 0, |call| Ok(Answer::Value(call.cpu.into()))).local(),
    helper("bpf_get_numa_node_id", 0, |_| Ok(Answer::Value(0))).local(),
    helper("bpf_get_prandom_u32", 0, |call| Ok(Answer::Value(call.machine.world.random(call.cpu).into()))).local(),
    helper("bpf_ktime_get_ns", 0, nanoseconds),
    helper("bpf_ktime_get_boot_ns", 0, nanoseconds),
    helper("bpf_ktime_get_coarse_ns", 0, nanoseconds),
    helper("bpf_ktime_get_tai_ns", 0, nanoseconds),
    helper("bpf_jiffies64", 0, jiffies),
    helper("bpf_probe_read_kernel", 3, probe_read),
    helper("bpf_strncmp", 3, strncmp),
    helper("bpf_loop", 4, bpf_loop).local(),
];

/// Most iterations of `bpf_loop` (`BPF_MAX_LOOPS`).
const MAX_LOOPS: u32 = 8 * 1024 * 1024;
/// Nanoseconds of a tick of a kernel built with `HZ=250`.
const JIFFY: u64 = 4_000_000;

fn nanoseconds(call: &mut Call<'_>) -> Modelled {
    Ok(Answer::Value(call.machine.world.nanoseconds()))
}

fn jiffies(call: &mut Call<'_>) -> Modelled {
    Ok(Answer::Value(call.machine.world.nanoseconds() / JIFFY))
}

/// Reading from an address that cannot be read gives zeros and an error number. What freed memory holds is not known.
fn probe_read(call: &mut Call<'_>) -> Modelled {
    let [to, size, from, ..] = call.args;
    let size = u64::from(size as u32);
    match call.read(from, size) {
        Ok(bytes) => {
            call.write(to, &bytes)?;
            Ok(Answer::Value(0))
        }
        Err(trap) => match *trap {
            Trap::Fault { kind: FaultKind::Null | FaultKind::Wild, .. } => {
                call.write(to, &vec![0; size as usize])?;
                Ok(Answer::Value(errno::EFAULT as u64))
            }
            Trap::Fault { kind, .. } => {
                Err(Trap::unsupported(format!("{} where a plain read would be: {kind}", call.name)))
            }
            other => Err(Box::new(other)),
        },
    }
}

fn strncmp(call: &mut Call<'_>) -> Modelled {
    let (first, size, second) = (call.args[0], u64::from(call.arg32(1)), call.args[2]);
    for index in 0..size {
        let left = call.read(first.wrapping_add(index), 1)?.first().copied().unwrap_or(0);
        let right = call.read(second.wrapping_add(index), 1)?.first().copied().unwrap_or(0);
        if left != right {
            return Ok(Answer::Value(if left < right { -1i64 as u64 } else { 1 }));
        }
        if left == 0 {
            break;
        }
    }
    Ok(Answer::Value(0))
}

/// `bpf_loop` between two iterations.
#[derive(Clone, Copy, Debug)]
pub(in crate::machine) struct Loop {
    function: u64,
    context: u64,
    count: u32,
    done: u32,
}

fn bpf_loop(call: &mut Call<'_>) -> Modelled {
    let (count, flags) = (call.arg32(0), call.args[3]);
    if flags != 0 {
        return Ok(Answer::Value(errno::EINVAL as u64));
    }
    if count > MAX_LOOPS {
        return Ok(Answer::Value(errno::E2BIG as u64));
    }
    Loop { function: call.args[1], context: call.args[2], count, done: 0 }.next()
}

impl Loop {
    fn next(self) -> Modelled {
        if self.done >= self.count {
            return Ok(Answer::Value(self.done.into()));
        }
        let args = [self.done.into(), self.context, 0, 0, 0];
        Ok(Answer::CallBack { function: self.function, args, then: Continuation::Loop(self) })
    }

    /// Goes on with what the callback returned: anything but zero ends the loop.
    pub fn resume(mut self, result: u64) -> Modelled {
        self.done += 1;
        if result != 0 { Ok(Answer::Value(self.done.into())) } else { self.next() }
    }
}
