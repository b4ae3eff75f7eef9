//! Timers and work queues: what programs do with them. When callbacks run is in [`crate::machine::callbacks`].

use crate::btf::fields::FieldKind;
use crate::machine::callbacks::{Callback, CallbackKind, FIELD_SIZE, Pending};
use crate::machine::copy::Copy;
use crate::machine::event::AccessKind;
use crate::machine::fault::{FaultKind, Trap};
use crate::machine::maps::errno;
use crate::machine::ownership::Field;
use crate::machine::stepper::Machine;

use super::{Answer, Call, Model, Modelled, helper, kfunc};

pub(super) static MODELS: &[Model] = &[
    helper("bpf_timer_init", 3, init_timer),
    helper("bpf_timer_set_callback", 2, set_callback),
    helper("bpf_timer_start", 3, start_timer),
    helper("bpf_timer_cancel", 1, cancel_timer).in_ways(cancel_ways),
    kfunc("bpf_wq_init", 3, init_work),
    kfunc("bpf_wq_set_callback_impl", 3, set_work_callback),
    kfunc("bpf_wq_start", 2, start_work),
];

/// `CLOCK_REALTIME`, `CLOCK_MONOTONIC`, `CLOCK_BOOTTIME`.
const CLOCKS: [u64; 3] = [0, 1, 7];
/// The time is a point, not a distance (`BPF_F_TIMER_ABS`).
const ABSOLUTE: u64 = 1;
/// The timer stays on its CPU (`BPF_F_TIMER_CPU_PIN`), as all do here.
const PINNED: u64 = 2;

fn number(result: i64) -> Modelled {
    Ok(Answer::Value(result as u64))
}

/// The place of the timer or work item that the first argument names.
fn place(call: &mut Call<'_>) -> Result<Field, Box<Trap>> {
    let spot = call.touch(call.args[0], FIELD_SIZE, AccessKind::Atomic)?;
    let fields = call.machine.special_fields(spot.region);
    let found = fields.as_ref().and_then(|fields| fields.at(spot.offset)).map(|field| field.kind);
    if matches!(found, Some(FieldKind::Timer | FieldKind::WorkQueue)) {
        return Ok((spot.region, spot.offset));
    }
    let what = "there is no timer or work item at that place".to_owned();
    Err(Trap::about(FaultKind::BadArgument { callee: call.name, what }, spot.region))
}

/// What was initialised there.
fn at<'c>(call: &'c mut Call<'_>, field: Field) -> Option<&'c mut Callback> {
    call.machine.world.callbacks.all.get_mut(&field)
}

fn init(call: &mut Call<'_>, kind: CallbackKind) -> Modelled {
    let field = place(call)?;
    let map = call.machine.map_at(call.name, call.args[1])?;
    if at(call, field).is_some() {
        return number(errno::EBUSY);
    }
    let Some(key) = call.machine.key_of(map, field.0) else { return call.bad("the value is not of that map") };
    let callback = Callback { kind, map, key, program: None, function: 0, pending: None, running: None };
    call.machine.world.callbacks.all.insert(field, callback);
    number(0)
}

fn init_timer(call: &mut Call<'_>) -> Modelled {
    if CLOCKS.contains(&call.args[2]) { init(call, CallbackKind::Timer) } else { number(errno::EINVAL) }
}

fn init_work(call: &mut Call<'_>) -> Modelled {
    if call.arg32(2) == 0 { init(call, CallbackKind::Work) } else { number(errno::EINVAL) }
}

fn set_callback(call: &mut Call<'_>) -> Modelled {
    let field = place(call)?;
    let function = call.args[1];
    let program = call.execution()?.program.index;
    let Some(callback) = at(call, field) else { return number(errno::EINVAL) };
    callback.program = Some(program);
    callback.function = function;
    number(0)
}

fn set_work_callback(call: &mut Call<'_>) -> Modelled {
    if call.arg32(2) == 0 { set_callback(call) } else { number(errno::EINVAL) }
}

fn start(call: &mut Call<'_>, due: u64) -> Modelled {
    let field = place(call)?;
    let pending = Pending { cpu: call.cpu, due };
    let Some(callback) = at(call, field).filter(|callback| callback.program.is_some()) else {
        return number(errno::EINVAL);
    };
    // Work that waits already keeps its place in the queue; a timer is set anew.
    if callback.kind == CallbackKind::Timer || callback.pending.is_none() {
        callback.pending = Some(pending);
    }
    number(0)
}

fn start_timer(call: &mut Call<'_>) -> Modelled {
    let (time, flags) = (call.args[1], call.args[2]);
    if flags & !(ABSOLUTE | PINNED) != 0 {
        return number(errno::EINVAL);
    }
    let now = if flags & ABSOLUTE != 0 { 0 } else { call.machine.world.nanoseconds(call.cpu) };
    start(call, now.saturating_add(time))
}

fn start_work(call: &mut Call<'_>) -> Modelled {
    if call.arg32(1) == 0 { start(call, 0) } else { number(errno::EINVAL) }
}

/// A timer that is due may come between the moment from which it calls nothing and that in which it is taken out of the queue.
fn cancel_ways(machine: &Machine, task: u32, args: &[u64; 5]) -> u16 {
    let timer =
        machine.memory.at(args[0]).and_then(|spot| machine.world.callbacks.all.get(&(spot.region, spot.offset)));
    let comes = |pending: Pending| pending.cpu != machine.cpu_of(task) || machine.takes_soft_interrupts(task);
    1 + u16::from(machine.by_pieces && timer.and_then(|timer| timer.pending).is_some_and(comes))
}

/// Not in the timer's own callback, and not in one that another timer's callback waits for, which could be for ever. Else nothing more is
/// started from here on, and a callback that runs on another CPU is waited for.
fn cancel_timer(call: &mut Call<'_>) -> Modelled {
    let field = place(call)?;
    let own = call.machine.world.callbacks.run_by(call.task).filter(|own| own.kind == CallbackKind::Timer);
    let comes_first = call.machine.branch == 1;
    let Some(timer) = at(call, field) else { return number(errno::EINVAL) };
    if own.is_some_and(|own| own.attached && own.field == field || own.awaited > 0) {
        return number(errno::EDEADLK);
    }
    timer.program = None;
    timer.function = 0;
    if comes_first {
        timer.pending = None;
    }
    let running = timer.running;
    let run = running.and_then(|task| call.machine.world.callbacks.await_run(task, own.is_some()));
    let mut copy = Copy::returning(0);
    if let Some(run) = run {
        copy.then_await(run, field);
    }
    copy.then_dequeue(field);
    call.begin(copy)
}
