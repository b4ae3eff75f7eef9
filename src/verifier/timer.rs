//! Timers and work queues in map values: whether an argument points to one, and to which map it belongs
//! (`process_timer_func`, `process_wq_func`, `kernel/bpf/verifier.c`, Linux 6.12).

use super::arguments::Call;
use super::env::{Check, Verifier, reject, unsupported};
use super::rule::Rule;
use super::value::{MapRef, Target};
use crate::btf::fields::FieldKind;
use crate::isa::Register;

/// What the kernel has as the offset of a field that a map's value lacks.
const NO_FIELD: i64 = -22;

impl Verifier<'_> {
    /// A helper's argument that is a timer.
    pub fn check_timer_argument(&mut self, register: Register, call: &mut Call) -> Check {
        let pointer = self.pointer(register)?;
        let Some(map_ref) = pointer.map() else { return unsupported("a timer outside a map") };
        let Some(offset) = pointer.known_offset() else { return reject(Rule::TimerAtVariableOffset { register }) };
        let map = self.map(map_ref)?;
        if !map.has_btf {
            return reject(Rule::TimerWithoutBtf { map: map.name.clone() });
        }
        let Some(timer) = map.fields.as_ref().and_then(|fields| fields.find(FieldKind::Timer)) else {
            return reject(Rule::NoTimer { map: map.name.clone() });
        };
        if i64::from(timer.offset) != offset {
            return reject(Rule::NotAtTimer { offset, timer: timer.offset });
        }
        call.map = Some(map_ref);
        Ok(())
    }

    /// A map that is passed after a timer must be the one that the timer lies in.
    pub fn check_same_map(&self, timer: Option<MapRef>, map: MapRef) -> Check {
        match timer {
            Some(timer) if timer != map => reject(Rule::TimerOfAnotherMap { timer: timer.uid, map: map.uid }),
            _ => Ok(()),
        }
    }

    /// A kfunc's argument that is a work queue. Gives the map that it lies in.
    pub fn check_work_queue_argument(&mut self, index: usize, register: Register) -> Check<MapRef> {
        let not_a_value = || reject(Rule::NotAMapValue { index });
        let Some(pointer) = self.value(register).as_pointer().copied() else { return not_a_value() };
        let (Target::MapValue(map_ref), false) = (pointer.target, pointer.attributes.nullable) else {
            return not_a_value();
        };
        let Some(fields) = &self.map(map_ref)?.fields else {
            return unsupported("a work queue in a map whose value has no special field, which the kernel trips over");
        };
        let queue = fields.find(FieldKind::WorkQueue).map_or(NO_FIELD, |queue| queue.offset.into());
        let offset = (pointer.variable.var_off.value as i64).wrapping_add(pointer.offset.into());
        if offset != queue {
            return reject(Rule::NotAtWorkQueue { offset, queue });
        }
        Ok(map_ref)
    }
}
