//! Clocks, numbers, and `bpf_loop`.

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
    helper("bpf_loop", 4, bpf_loop).local(),
];

/// Most iterations of `bpf_loop` (`BPF_MAX_LOOPS`).
const MAX_LOOPS: u32 = 8 * 1024 * 1024;
/// Nanoseconds of a tick of a kernel built with `HZ=250`.
const JIFFY: u64 = 4_000_000;

fn nanoseconds(call: &mut Call<'_>) -> Modelled {
    Ok(Answer::Value(call.machine.world.nanoseconds(call.cpu)))
}

fn jiffies(call: &mut Call<'_>) -> Modelled {
    Ok(Answer::Value(call.machine.world.nanoseconds(call.cpu) / JIFFY))
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
