//! Another type for an address (`bpf_cast_to_kern_ctx` and `bpf_rdonly_cast` in `kernel/bpf/helpers.c`, Linux 6.12).
//!
//! A context, and the socket of a packet, have the layout that programs see; the kernel's struct behind one stands at an
//! address of its own here ([`Machine::behind`](crate::machine::Machine)).

use crate::btf::TypeId;
use crate::machine::context::View;
use crate::machine::fault::Trap;
use crate::machine::region::RegionKind;

use super::{Answer, Call, Model, Modelled, kfunc};

pub(super) static MODELS: &[Model] =
    &[kfunc("bpf_cast_to_kern_ctx", 1, kernel_context).local(), kfunc("bpf_rdonly_cast", 2, cast).local()];

fn kernel_context(call: &mut Call<'_>) -> Modelled {
    let region = call.start(call.args[0])?;
    let context = call.machine.context(call.task).filter(|context| context.address == call.args[0]);
    let Some(context) = context else { return call.bad("this is no context") };
    let name = match &context.view {
        View::Xdp => "xdp_buff",
        View::Skb(_) => "sk_buff",
        _ => return Err(Trap::unsupported("the kernel's struct behind a context of this program type")),
    };
    Ok(Answer::Value(call.machine.behind(call.task, region, name, TypeId::VOID)?.unwrap_or(0)))
}

fn cast(call: &mut Call<'_>) -> Modelled {
    let (address, wanted) = (call.args[0], TypeId(call.arg32(1)));
    let Some(spot) = call.machine.memory.at(address) else { return Ok(Answer::Value(address)) };
    let types = call.machine.shared_kernel_types();
    let name = types.as_deref().and_then(|btf| Some(btf.get(wanted)?.name())).unwrap_or("unknown");
    let given = match &call.machine.memory.region(spot.region).kind {
        RegionKind::KernelObject { name: given, .. } if **given != *name => format!("struct {given}"),
        RegionKind::Context => "the context".to_owned(),
        _ => return Ok(Answer::Value(address)),
    };
    match call.machine.behind(call.task, spot.region, name, wanted)? {
        Some(behind) if spot.offset == 0 => Ok(Answer::Value(behind)),
        _ => Err(Trap::unsupported(format!("a cast of {given} to struct {name}"))),
    }
}
