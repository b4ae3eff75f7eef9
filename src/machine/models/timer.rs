//! Timers and work queues: what programs do with them. When callbacks run is in [`crate::machine::callbacks`].

use crate::machine::callbacks::{Callback, CallbackKind, FIELD_SIZE, Pending};
use crate::machine::event::AccessKind;
use crate::machine::fault::Trap;
use crate::machine::maps::errno;
use crate::machine::ownership::Field;
use crate::machine::stepper::Machine;

use super::{Answer, Call, Model, Modelled, helper, kfunc};

pub(super) static MODELS: &[Model] = &[
    helper("bpf_timer_init", 3, init_timer),
    helper("bpf_timer_set_callback", 2, set_callback),
    helper("bpf_timer_start", 3, start_timer),
    helper("bpf_timer_cancel", 1, cancel_timer).waiting(waits_for_end),
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
    Ok((spot.region, spot.offset))
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
    let callback =
        Callback { kind, map, key, program: None, function: 0, pending: None, running: None, cancelling: Vec::new() };
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
    let now = if flags & ABSOLUTE != 0 { 0 } else { call.machine.world.nanoseconds() };
    start(call, now.saturating_add(time))
}

fn start_work(call: &mut Call<'_>) -> Modelled {
    if call.arg32(1) == 0 { start(call, 0) } else { number(errno::EINVAL) }
}

/// The timer, if its callback runs, so that cancelling waits for its end. Not in the callback itself.
fn waits_for_end(machine: &Machine, task: u32, args: &[u64; 5]) -> Option<Field> {
    let place = machine.memory.at(args[0]).map(|spot| (spot.region, spot.offset))?;
    let timer = machine.world.callbacks.all.get(&place)?;
    let waits = timer.running.is_some_and(|running| running != task) && !is_crossed(machine, task);
    waits.then_some(place)
}

/// Does somebody wait for the end of the timer's callback that this task runs? Then waiting for another would be for ever.
fn is_crossed(machine: &Machine, task: u32) -> bool {
    let callbacks = &machine.world.callbacks;
    callbacks.run_by(task).and_then(|own| callbacks.all.get(&own)).is_some_and(|own| !own.cancelling.is_empty())
}

fn cancel_timer(call: &mut Call<'_>) -> Modelled {
    let field = place(call)?;
    let task = call.task;
    let own = call.machine.world.callbacks.run_by(task);
    let crossed = is_crossed(call.machine, task);
    let Some(timer) = at(call, field) else { return number(errno::EINVAL) };
    if own == Some(field) || crossed {
        return number(errno::EDEADLK);
    }
    timer.program = None;
    timer.function = 0;
    let was_pending = timer.pending.take().is_some();
    if timer.running.is_some() {
        if own.is_some() && !timer.cancelling.contains(&task) {
            timer.cancelling.push(task);
        }
        return Ok(Answer::Blocked);
    }
    timer.cancelling.retain(|&other| other != task);
    number(was_pending.into())
}
