//! Maps: lookup, update, delete, and visiting each element.

use crate::btf::fields::FieldKind;
use crate::machine::copy::{Copy, REVERSIBLE, Source, Way};
use crate::machine::event::{Access, AccessKind, Event, places};
use crate::machine::fault::{FaultKind, Trap};
use crate::machine::maps::{MapFamily, MapState, Origin, Update, errno};
use crate::machine::memory::Contents;
use crate::machine::ownership::Field;
use crate::machine::region::RegionKind;
use crate::machine::stepper::Machine;
use crate::machine::story::RegionId;

use super::{Answer, Call, Continuation, Model, Modelled, helper, kfunc};

pub(super) static MODELS: &[Model] = &[
    helper("bpf_map_lookup_elem", 2, lookup).relaxed().fixed(),
    helper("bpf_map_lookup_percpu_elem", 3, lookup_percpu).relaxed().fixed(),
    helper("bpf_map_update_elem", 4, update)
        .waiting(waits_for_lock)
        .fixed_if(is_update_fixed)
        .fencing_if(update_fences)
        .in_ways(update_ways),
    helper("bpf_map_delete_elem", 2, delete).waiting(waits_for_bucket),
    helper("bpf_for_each_map_elem", 4, for_each),
    kfunc("bpf_map_sum_elem_count", 1, count),
];

/// The map and the key that the first two arguments name.
fn map_and_key(call: &mut Call<'_>) -> Result<(u32, Vec<u8>), Box<Trap>> {
    let map = call.machine.map_at(call.name, call.args[0])?;
    let size = call.machine.maps[map as usize].key_size();
    Ok((map, call.read(call.args[1], size.into())?))
}

fn address(call: &Call<'_>, value: Option<RegionId>) -> Modelled {
    Ok(Answer::Value(value.map_or(0, |region| call.machine.memory.base(region))))
}

/// Order among those who change what is in a map without keys, or ask for it.
pub(super) fn touch_map(call: &mut Call<'_>, map: u32, kind: AccessKind) {
    call.machine.report.order(places::elements(map), kind);
}

impl Call<'_> {
    /// Finding, adding and removing an element depend on each other, in every map but an array, whose elements are always
    /// there.
    pub fn touch_element(&mut self, map: u32, key: &[u8], kind: AccessKind) {
        let state = &self.machine.maps[map as usize];
        if state.family == MapFamily::Array {
            return;
        }
        self.machine.report.order(places::element(map, key), kind);
        if kind == AccessKind::Atomic {
            // One that visits all elements sees a new one or not; in a map that is nearly full it matters who comes first.
            let nearly_full = self.machine.maps[map as usize].is_nearly_full();
            let kind = if nearly_full { AccessKind::Atomic } else { AccessKind::Change };
            self.machine.report.order(places::elements(map), kind);
        }
    }
}

fn lookup(call: &mut Call<'_>) -> Modelled {
    let (map, key) = map_and_key(call)?;
    call.touch_element(map, &key, AccessKind::Dereference);
    let value = call.machine.map_lookup(map, &key, call.cpu)?;
    address(call, value)
}

fn lookup_percpu(call: &mut Call<'_>) -> Modelled {
    let (map, key) = map_and_key(call)?;
    let cpu = call.arg32(2);
    let state = &call.machine.maps[map as usize];
    if !state.per_cpu {
        return Err(Trap::unsupported(format!(
            "bpf_map_lookup_percpu_elem on map {} of type {}",
            state.name, state.map_type
        )));
    }
    if cpu >= call.machine.cpu_count() {
        return Ok(Answer::Value(0));
    }
    call.touch_element(map, &key, AccessKind::Dereference);
    let value = call.machine.map_lookup(map, &key, cpu)?;
    address(call, value)
}

/// `BPF_F_LOCK`: update under the value's spin lock.
const LOCK: u64 = 4;
/// `BPF_NOEXIST`: the element must be new.
const NEW: u64 = 1;

/// The lock of the element that an update with `BPF_F_LOCK` changes in its place.
fn lock_of(machine: &Machine, map: u32, key: &[u8], flags: u64) -> Option<Field> {
    let offset = machine.lock_offset(map).filter(|_| flags & LOCK != 0 && flags & NEW == 0)?;
    let state = machine.maps.get(map as usize).filter(|state| !state.per_cpu)?;
    state.find(key).map(|region| (region, offset))
}

/// The map that an update is of.
fn updated<'m>(machine: &'m Machine, args: &[u64; 5]) -> Option<(u32, &'m MapState)> {
    let map = machine.map_at("", args[0]).ok()?;
    machine.maps.get(map as usize).map(|state| (map, state))
}

/// The key that an update or deletion is about.
fn key_of<'m>(machine: &'m Machine, state: &MapState, args: &[u64; 5]) -> Option<&'m [u8]> {
    let spot = machine.memory.at(args[1])?;
    machine.memory.peek(spot.region).get(spot.offset as usize..)?.get(..state.key_size() as usize)
}

/// The lock that an update takes: that of the value that is overwritten, or that of the key's bucket.
fn lock_for(machine: &Machine, map: u32, key: &[u8], flags: u64) -> Option<Field> {
    lock_of(machine, map, key, flags).or_else(|| machine.bucket(map, key))
}

/// The lock that this update needs, if another task holds it.
fn waits_for_lock(machine: &Machine, task: u32, args: &[u64; 5]) -> Option<Field> {
    let (map, state) = updated(machine, args)?;
    if args[3] & LOCK == 0 && state.family != MapFamily::Hash {
        return None;
    }
    let lock = lock_for(machine, map, key_of(machine, state, args)?, args[3])?;
    machine.world.locks.get(&lock).filter(|&&holder| holder != task).map(|_| lock)
}

/// The lock of the bucket that this deletion needs, if another task holds it.
fn waits_for_bucket(machine: &Machine, task: u32, args: &[u64; 5]) -> Option<Field> {
    let (map, state) = updated(machine, args)?;
    let lock = machine.bucket(map, key_of(machine, state, args)?)?;
    machine.world.locks.get(&lock).filter(|&&holder| holder != task).map(|_| lock)
}

/// An array's element is there whatever others do; which one it is depends on nobody else if nobody else sees the key.
fn is_update_fixed(machine: &Machine, args: &[u64; 5]) -> bool {
    let is_array = updated(machine, args).is_some_and(|(_, state)| state.family == MapFamily::Array);
    is_array && !machine.memory.is_shared(args[1])
}

/// An array's update has locked instructions inside for a lock, and for what a value's fields hold.
fn update_fences(machine: &Machine, args: &[u64; 5]) -> bool {
    let plain = |state: &MapState| state.family == MapFamily::Array && state.specials.is_empty();
    !updated(machine, args).is_some_and(|(_, state)| plain(state))
}

/// In what ways a value can be written: where a new element's memory comes from, if there is one, and from which end a long value is copied
/// into memory that others may look at.
fn update_plans(machine: &Machine, map: u32, key: &[u8], flags: u64, cpu: u32) -> Vec<(Origin, Way)> {
    let Some(state) = machine.maps.get(map as usize) else { return Vec::new() };
    let is_long = machine.by_pieces && machine.copied_runs(map).iter().any(|run| run.1 >= REVERSIBLE);
    let ends: &[Way] = if is_long { &[Way::Forward, Way::Backward] } else { &[Way::Forward] };
    let overwrites = state.per_cpu || flags & LOCK != 0;
    let origins = match state.family {
        _ if state.family == MapFamily::Array || overwrites && state.find(key).is_some() => {
            return ends.iter().map(|&way| (Origin::Fresh, way)).collect();
        }
        MapFamily::Hash => machine.origins(map, key, cpu),
        _ => Vec::new(),
    };
    let both = |origin| ends.iter().map(move |&way| (origin, way)).take(if origin == Origin::Fresh { 1 } else { 2 });
    origins.into_iter().flat_map(both).collect()
}

fn update_ways(machine: &Machine, task: u32, args: &[u64; 5]) -> u16 {
    let plans = updated(machine, args).and_then(|(map, state)| {
        Some(update_plans(machine, map, key_of(machine, state, args)?, args[3], machine.cpu_of(task)))
    });
    plans.map_or(1, |plans| plans.len().max(1) as u16)
}

fn update(call: &mut Call<'_>) -> Modelled {
    let (map, key) = map_and_key(call)?;
    let state = &call.machine.maps[map as usize];
    let size = state.value_size();
    if matches!(state.family, MapFamily::Sockets | MapFamily::SocketHash) {
        // The value is a socket; that of a packet has no protocol that could be redirected.
        let is_packets = call.kernel_struct(call.region(call.args[2])?) == Some("bpf_sock");
        let refused = Trap::unsupported(format!("{} with such a socket", call.name));
        return if is_packets { Ok(Answer::Value(errno::EOPNOTSUPP as u64)) } else { Err(refused) };
    }
    let source = call.source(call.args[2], size)?;
    call.touch_element(map, &key, AccessKind::Atomic);
    let (flags, cpu) = (call.args[3], call.cpu);
    let lock = lock_for(call.machine, map, &key, flags);
    if let Some(lock) = lock
        && let Some(answer) = take_lock(call, lock)?
    {
        return Ok(answer);
    }
    let plan = update_plans(call.machine, map, &key, flags, cpu).get(usize::from(call.machine.branch)).copied();
    let (origin, way) = plan.unwrap_or((Origin::Fresh, Way::Forward));
    let mut copy = match call.machine.plan_update(map, &key, flags, cpu)? {
        Update::Refused(error) => Copy::returning(error as u64),
        Update::InPlace(region) => copy_in_place(call, map, region, source, way),
        Update::Anew => new_element(call, map, &key, source, origin, way)?,
    };
    if let Some(lock) = lock {
        copy.then_unlock(lock);
    }
    call.begin(copy)
}

/// A new element, which nobody sees before it is whole, unless its memory was another's.
fn new_element(
    call: &mut Call<'_>,
    map: u32,
    key: &[u8],
    source: Source,
    origin: Origin,
    way: Way,
) -> Result<Copy, Box<Trap>> {
    let size = call.machine.maps[map as usize].value_size();
    let is_hash = call.machine.maps[map as usize].family == MapFamily::Hash;
    call.machine.touch_free_elements(map, call.cpu);
    let element = if is_hash { Some(call.machine.take_element(map, origin, call.at)?) } else { None };
    if let Some(first) = element.filter(|_| call.machine.by_pieces && origin != Origin::Fresh) {
        let (own, runs) = (call.machine.own_copy(map, first, call.cpu), call.machine.copied_runs(map));
        let mut copy = call.copy(source, call.machine.memory.base(own), size, &runs, way, 0);
        copy.then_link(map, key, first);
        return Ok(copy);
    }
    let mut copy = call.load(source, size, Copy::returning(0));
    copy.then_insert(map, key, element);
    Ok(copy)
}

fn copy_in_place(call: &mut Call<'_>, map: u32, region: RegionId, source: Source, way: Way) -> Copy {
    let (to, runs) = (call.machine.memory.base(region), call.machine.copied_runs(map));
    let state = &call.machine.maps[map as usize];
    let drops =
        state.family == MapFamily::Array && state.specials.fields.iter().any(|one| one.kind != FieldKind::SpinLock);
    let mut copy = call.copy(source, to, state.value_size(), &runs, way, 0);
    if drops {
        // As the kernel does, the update of an array drops what the value's kptrs held.
        copy.then_drop_contents(region);
    }
    copy
}

/// Takes the lock that an update needs; an answer if it cannot.
fn take_lock(call: &mut Call<'_>, (region, offset): Field) -> Result<Option<Answer>, Box<Trap>> {
    call.machine.report.accesses.push(Access { region, offset, size: 4, kind: AccessKind::Lock });
    match call.machine.world.locks.get(&(region, offset)) {
        Some(&holder) if holder == call.task => Err(Trap::about(FaultKind::Deadlock, region)),
        Some(_) => Ok(Some(Answer::Blocked)),
        None => {
            call.machine.world.locks.insert((region, offset), call.task);
            call.machine.report.events.push(Event::Lock { region, offset });
            Ok(None)
        }
    }
}

/// Only hash maps count their elements (`map->elem_count`).
fn count(call: &mut Call<'_>) -> Modelled {
    let map = call.machine.map_at(call.name, call.args[0])?;
    call.machine.report.order(places::elements(map), AccessKind::Observe);
    let state = &call.machine.maps[map as usize];
    let count = if state.family == MapFamily::Hash { state.elements().len() } else { 0 };
    Ok(Answer::Value(count as u64))
}

fn delete(call: &mut Call<'_>) -> Modelled {
    let (map, key) = map_and_key(call)?;
    if let Some(lock) = call.machine.bucket(map, &key) {
        if let Some(answer) = take_lock(call, lock)? {
            return Ok(answer);
        }
        call.give_back(lock);
    }
    call.machine.touch_free_elements(map, call.cpu);
    call.touch_element(map, &key, AccessKind::Atomic);
    if call.machine.maps[map as usize].family != MapFamily::Hash {
        let result = call.machine.map_delete(map, &key, call.at)?;
        return Ok(Answer::Value(result as u64));
    }
    let Some(element) = call.machine.unlink_element(map, &key, call.at)? else {
        return Ok(Answer::Value(errno::ENOENT as u64));
    };
    let mut copy = Copy::returning(0);
    for (run, timer) in call.deleted_timers() {
        copy.then_await(run, timer);
    }
    copy.then_free(map, element);
    call.begin(copy)
}

/// `bpf_for_each_map_elem` between two elements.
///
/// A hash map's elements are those that were there at the start and still are when their turn comes; the kernel's
/// order is by hash, ours by key.
#[derive(Clone, Debug)]
pub(in crate::machine) struct ForEach {
    map: u32,
    function: u64,
    context: u64,
    /// Keys still to visit, last first; for arrays empty.
    keys: Vec<Box<[u8]>>,
    /// Next index of an array.
    index: u32,
    /// Where the callback sees the key.
    key_region: RegionId,
    visited: u64,
}

fn for_each(call: &mut Call<'_>) -> Modelled {
    let map = call.machine.map_at(call.name, call.args[0])?;
    let [_, function, context, flags, _] = call.args;
    if flags != 0 {
        return Ok(Answer::Value(errno::EINVAL as u64));
    }
    let state = &call.machine.maps[map as usize];
    let keys = match state.family {
        MapFamily::Array => Vec::new(),
        MapFamily::Hash => state.elements().into_iter().rev().map(|(key, _)| key.into_boxed_slice()).collect(),
        _ => return Err(Trap::unsupported(format!("{} on map {} of type {}", call.name, state.name, state.map_type))),
    };
    let size = state.key_size();
    call.machine.report.order(places::elements(map), AccessKind::Observe);
    let key_region = call.machine.memory.allocate(RegionKind::MapKey { map }, size, Contents::Zero, Some(call.at))?;
    call.machine.memory.freeze(key_region);
    let walk = ForEach { map, function, context, keys, index: 0, key_region, visited: 0 };
    Box::new(walk).next(call)
}

/// A key, and the region of its value.
type Element = (Box<[u8]>, RegionId);

impl ForEach {
    /// Goes on with what the callback returned.
    pub fn resume(self: Box<Self>, call: &mut Call<'_>, result: u64) -> Modelled {
        if result != 0 { self.finish(call) } else { self.next(call) }
    }

    fn finish(&self, call: &mut Call<'_>) -> Modelled {
        let step = call.machine.steps;
        call.machine.memory.reclaim(self.key_region, step);
        Ok(Answer::Value(self.visited))
    }

    fn next(mut self: Box<Self>, call: &mut Call<'_>) -> Modelled {
        let Some((key, value)) = self.next_element(call)? else { return self.finish(call) };
        call.machine.memory.poke(self.key_region, 0, &key);
        self.visited += 1;
        let memory = &call.machine.memory;
        let map = memory.base(call.machine.maps[self.map as usize].handle);
        let args = [map, memory.base(self.key_region), memory.base(value), self.context, 0];
        Ok(Answer::CallBack { function: self.function, args, then: Continuation::ForEach(self) })
    }

    fn next_element(&mut self, call: &mut Call<'_>) -> Result<Option<Element>, Box<Trap>> {
        if call.machine.maps[self.map as usize].family == MapFamily::Array {
            let key: Box<[u8]> = Box::new(self.index.to_le_bytes());
            self.index += 1;
            let value = call.machine.map_lookup(self.map, &key, call.cpu)?;
            return Ok(value.map(|value| (key, value)));
        }
        while let Some(key) = self.keys.pop() {
            if let Some(value) = call.machine.map_lookup(self.map, &key, call.cpu)? {
                return Ok(Some((key, value)));
            }
        }
        Ok(None)
    }
}
