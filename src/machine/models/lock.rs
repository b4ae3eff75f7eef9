//! Spin locks in map values and objects.

use crate::machine::event::{AccessKind, Event};
use crate::machine::fault::{FaultKind, Trap};
use crate::machine::ownership::Field;
use crate::machine::stepper::Machine;

use super::{Answer, Call, Model, Modelled, helper};
use crate::seeded::{self, Fault};

pub(super) static MODELS: &[Model] =
    &[helper("bpf_spin_lock", 1, lock).waiting(is_taken).fixed(), helper("bpf_spin_unlock", 1, unlock).fixed()];

/// The lock, if another task holds it.
fn is_taken(machine: &Machine, task: u32, args: &[u64; 5]) -> Option<Field> {
    let place = machine.memory.at(args[0]).map(|spot| (spot.region, spot.offset))?;
    machine
        .world
        .locks
        .get(&place)
        .filter(|&&holder| holder != task && !seeded::active(Fault::LockTakenTwice))
        .map(|_| place)
}

fn lock(call: &mut Call<'_>) -> Modelled {
    let spot = call.touch(call.args[0], 4, AccessKind::Lock)?;
    let place = (spot.region, spot.offset);
    match call.machine.world.locks.get(&place) {
        Some(&holder) if holder == call.task => return Err(Trap::about(FaultKind::Deadlock, spot.region)),
        Some(_) if !seeded::active(Fault::LockTakenTwice) => return Ok(Answer::Blocked),
        Some(_) => {}
        None => {}
    }
    let task = call.task;
    let execution = call.execution()?;
    if execution.lock.is_some() {
        return Err(Trap::about(FaultKind::Unbalanced("a second bpf_spin_lock while one is held"), spot.region));
    }
    execution.lock = Some(place);
    call.machine.world.locks.insert(place, task);
    call.machine.memory.poke(spot.region, spot.offset, &1u32.to_le_bytes());
    call.machine.enter_rcu(task);
    call.machine.report.events.push(Event::Lock { region: spot.region, offset: spot.offset });
    Ok(Answer::Nothing)
}

fn unlock(call: &mut Call<'_>) -> Modelled {
    let spot = call.touch(call.args[0], 4, AccessKind::Unlock)?;
    let place = (spot.region, spot.offset);
    let execution = call.execution()?;
    if execution.lock != Some(place) {
        return Err(Trap::about(FaultKind::Unbalanced("bpf_spin_unlock of a lock that is not held"), spot.region));
    }
    execution.lock = None;
    call.machine.world.locks.remove(&place);
    call.machine.memory.poke(spot.region, spot.offset, &0u32.to_le_bytes());
    call.machine.leave_rcu(call.task);
    call.machine.report.events.push(Event::Unlock { region: spot.region, offset: spot.offset });
    Ok(Answer::Nothing)
}
