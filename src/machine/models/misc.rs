//! Clocks, numbers, casts, and `bpf_loop`.

use crate::btf::TypeId;
use crate::machine::fault::Trap;
use crate::machine::maps::errno;
use crate::machine::region::RegionKind;

use super::{Answer, Call, Continuation, Model, Modelled, helper, kfunc};

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
    kfunc("bpf_rdonly_cast", 2, cast).local(),
    kfunc("bpf_cast_to_kern_ctx", 1, to_kernel_context).local(),
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

/// Another type for the same address. Structs of the kernel have the layout that they are modelled with and no other: a
/// `struct bpf_sock` stands where the kernel has a `struct sock`.
fn cast(call: &mut Call<'_>) -> Modelled {
    let (address, wanted) = (call.args[0], TypeId(call.arg32(1)));
    let machine = &*call.machine;
    if let Some(spot) = machine.memory.at(address) {
        let wanted = machine.kernel_types().and_then(|btf| Some(btf.get(wanted)?.name().to_owned()));
        let given = match &machine.memory.region(spot.region).kind {
            RegionKind::KernelObject { name, .. } => Some(format!("struct {name}")),
            RegionKind::Context => Some("the context".to_owned()),
            _ => None,
        };
        let wanted = wanted.map_or_else(|| "an unknown type".to_owned(), |name| format!("struct {name}"));
        if let Some(given) = given.filter(|given| *given != wanted) {
            return Err(Trap::unsupported(format!("a cast of {given} to {wanted}")));
        }
    }
    Ok(Answer::Value(address))
}

/// The kernel's own struct behind a context, which is not modelled; anything else has none.
fn to_kernel_context(call: &mut Call<'_>) -> Modelled {
    let address = call.args[0];
    let own = call.machine.context(call.task).is_some_and(|context| context.address == address);
    if own { Err(Trap::unsupported("the kernel's struct behind the context")) } else { call.bad("this is no context") }
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
