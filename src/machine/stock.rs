//! A machine that programs do not find empty: maps that others have filled, and what kernel structs hold.
//!
//! Some of a map's contents only programs can put there: objects in kptr fields, nodes of lists and trees. Where an object has
//! no program that does, another object's may have. [`Machine::stock`] makes what they would have left.

use std::sync::Arc;

use crate::btf::fields::{FieldKind, SpecialField};
use crate::btf::{Type, TypeId};

use super::code::Code;
use super::event::{Access, AccessKind};
use super::fault::Trap;
use super::kernel_struct;
use super::maps::MapFamily;
use super::memory::{Contents, Spot};
use super::ownership::{Field, Holder};
use super::region::RegionKind;
use super::stepper::Machine;
use super::story::{Moment, Place, RegionId};
use super::types;

/// Elements of an array that are filled.
const MAX_ELEMENTS: u32 = 16;
/// Nodes of a list or tree that was empty.
const NODES: u64 = 2;
/// Objects in objects: how deep they are filled.
const MAX_DEPTH: u32 = 2;
/// Bytes behind a pointer to something else than a struct.
const UNTYPED: u32 = 64;

/// Readings, modulo 3, of a pointer that leads nowhere and of one to what is gone.
pub(super) const NULL: u64 = 1;
pub(super) const GONE: u64 = 2;

/// Who made all that is there from the start.
const BEFORE: Moment = Moment { place: Place::BEFORE, cpu: 0, step: 0 };

impl Machine {
    /// Fills the maps: an object in each kptr field, nodes in each list and tree, elements in each hash, programs in each
    /// program array; the first reading, if there is one, in each four bytes of a value that are plain. If that reading is odd nothing else
    /// is filled: others have emptied the maps. To be called before programs run.
    ///
    /// # Errors
    /// If memory is short.
    pub(crate) fn stock(&mut self) -> Result<(), Box<Trap>> {
        let emptied = self.options.readings.first().is_some_and(|reading| reading % 2 == 1);
        for map in 0..self.maps.len() as u32 {
            let is_filled = !emptied || self.maps[map as usize].family != MapFamily::Hash;
            for value in if is_filled { self.stocked_values(map)? } else { Vec::new() } {
                let fields = self.maps[map as usize].specials.fields.clone();
                for copy in self.copies(map, value) {
                    if !self.is_of_globals(map) {
                        self.stock_plain(copy, &fields);
                    }
                    if !emptied {
                        self.stock_fields(copy, &fields, 0)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The values of a map that are to be filled, made if need be.
    fn stocked_values(&mut self, map: u32) -> Result<Vec<RegionId>, Box<Trap>> {
        if self.maps[map as usize].family == MapFamily::Programs {
            self.maps[map as usize].fill_programs(MAX_ELEMENTS);
        }
        let state = &self.maps[map as usize];
        let (entries, key_size) = (state.max_entries(), state.key_size() as usize);
        match state.family {
            MapFamily::Array if !state.specials.is_empty() || !self.is_of_globals(map) => {
                (0..entries.min(MAX_ELEMENTS)).filter_map(|index| self.array_element(map, index).transpose()).collect()
            }
            MapFamily::Hash => {
                let mut keys: Vec<Vec<u8>> = Vec::new();
                for number in [0, 1, u64::from(self.options.pid), super::world::CGROUP_ID] {
                    let mut key = number.to_le_bytes().to_vec();
                    key.resize(key_size, 0);
                    if keys.len() < entries as usize && !keys.contains(&key) {
                        keys.push(key);
                    }
                }
                keys.into_iter()
                    .map(|key| {
                        let value = self.new_value(map, None)?;
                        self.maps[map as usize].insert(key, value);
                        Ok(value)
                    })
                    .collect()
            }
            _ => Ok(Vec::new()),
        }
    }

    fn is_of_globals(&self, map: u32) -> bool {
        self.object.maps.get(map as usize).is_some_and(|map| map.globals.is_some())
    }

    /// Fills what is plain in a value, as user space may have, with the first reading.
    fn stock_plain(&mut self, region: RegionId, fields: &[SpecialField]) {
        let Some(&reading) = self.options.readings.first() else { return };
        let word = (reading as u32).to_le_bytes();
        let is_plain = |at: u32| !fields.iter().any(|field| at + 4 > field.offset && at < field.offset + field.size);
        for at in (0..self.memory.len(region) / 4).map(|word| word * 4).filter(|&at| is_plain(at)) {
            self.memory.poke(region, at, &word);
        }
    }

    fn stock_fields(&mut self, region: RegionId, fields: &[SpecialField], depth: u32) -> Result<(), Box<Trap>> {
        for field in fields {
            let place = (region, field.offset);
            match field.kind {
                FieldKind::KptrReferenced | FieldKind::KptrPercpu | FieldKind::KptrUntrusted => {
                    self.stock_kptr(place, field, depth)?;
                }
                FieldKind::ListHead | FieldKind::RbRoot if depth < MAX_DEPTH => {
                    let Some(root) = field.root else { continue };
                    for _ in 0..NODES {
                        let object = self.stock_object(root.value_type, false, depth + 1)?;
                        let node = self.memory.base(object) + u64::from(root.node_offset);
                        self.ledger.put(object, Holder::Graph { root: place, node }, BEFORE);
                        self.ledger.graphs.entry(place).or_default().nodes.push_back(node);
                        self.ledger.linked.insert(node, place);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn stock_kptr(&mut self, place: Field, field: &SpecialField, depth: u32) -> Result<(), Box<Trap>> {
        let Some(target) = field.kptr.filter(|_| depth < MAX_DEPTH) else { return Ok(()) };
        let name =
            self.object.btf.as_deref().map_or(String::new(), |btf| btf.ty(btf.resolve(target)).name().to_owned());
        let of_kernel = self.kernel_types().is_some_and(|btf| btf.find_struct(&name).is_some());
        let object = if field.kind != FieldKind::KptrPercpu && of_kernel && self.options.kernel_types.is_some() {
            self.stock_kernel_object(&name)?
        } else {
            self.stock_object(target, field.kind == FieldKind::KptrPercpu, depth + 1)?
        };
        let address = self.memory.base(object);
        self.memory.poke(place.0, place.1, &address.to_le_bytes());
        if field.kind != FieldKind::KptrUntrusted {
            self.ledger.put(object, Holder::Field(place), BEFORE);
        }
        Ok(())
    }

    /// An object of the program's own, with what it holds.
    fn stock_object(&mut self, type_id: TypeId, per_cpu: bool, depth: u32) -> Result<RegionId, Box<Trap>> {
        let btf = self.object.btf.clone();
        let type_id = btf.as_deref().map_or(type_id, |btf| btf.resolve(type_id));
        let size = btf.as_deref().and_then(|btf| btf.size_of(type_id)).unwrap_or(0);
        if per_cpu {
            let kind = RegionKind::PerCpuObject { type_id };
            let handle = self.memory.allocate(kind, size, Contents::Opaque, Some(BEFORE))?;
            for cpu in 0..self.cpu_count() {
                let kind = RegionKind::PerCpuCopy { of: handle, cpu, type_id };
                self.memory.allocate(kind, size, Contents::Fresh, Some(BEFORE))?;
            }
            return Ok(handle);
        }
        let region = self.memory.allocate(RegionKind::Object { type_id }, size, Contents::Fresh, Some(BEFORE))?;
        self.memory.poke(region, 0, &vec![0; size as usize]);
        let fields = types::special_fields(btf.as_deref(), type_id).fields;
        self.stock_fields(region, &fields, depth)?;
        Ok(region)
    }

    /// A struct of the kernel's: the current task and its cgroup are those that there are.
    pub(super) fn stock_kernel_object(&mut self, name: &str) -> Result<RegionId, Box<Trap>> {
        let (options, types) = (Arc::clone(&self.options), self.shared_kernel_types());
        match name {
            "task_struct" => self.world.task(&mut self.memory, types.as_deref(), &options),
            "cgroup" => self.world.cgroup(&mut self.memory, types.as_deref()),
            _ => self.new_kernel_object(name),
        }
    }

    /// A struct of the kernel's of which nothing is known yet.
    pub(super) fn new_kernel_object(&mut self, name: &str) -> Result<RegionId, Box<Trap>> {
        let (kind, size) = kernel_struct::described(self.kernel_types(), name);
        let size = size.unwrap_or(UNTYPED);
        let region = self.memory.allocate(kind, size, Contents::Sparse, Some(BEFORE))?;
        if name == "bpf_cpumask" {
            self.memory.poke(region, 0, &vec![0; size.saturating_sub(8) as usize]);
        }
        Ok(region)
    }

    /// Before a task reads a field of a kernel struct that nobody has modelled: something that may stand there. A number is a reading
    /// or zero; a pointer leads to an object of its type, or as the reading says nowhere or to one that is gone by now.
    pub(super) fn stock_next_read(&mut self, task: u32) {
        let Some((op, address)) = self.next_access(task) else { return };
        let (Code::Load(size) | Code::LoadSigned(size)) = op.code else { return };
        let Some(spot) = self.memory.at(address) else { return };
        let RegionKind::KernelObject { type_id, .. } = self.memory.region(spot.region).kind else { return };
        if self.stock_relative(task, spot) {
            return;
        }
        let unknown = |byte| !self.memory.is_written(spot.region, byte);
        let bytes = spot.offset..spot.offset.saturating_add(size.bytes());
        if bytes.end > self.memory.len(spot.region) || !bytes.clone().any(unknown) {
            return;
        }
        let types = self.shared_kernel_types();
        let place = types.as_deref().and_then(|btf| btf.member_at(type_id, spot.offset));
        let pointee = match (types.as_deref(), &place) {
            (Some(btf), Some(place)) if place.offset == 0 && size.bytes() == 8 => match btf.ty(place.type_id) {
                Type::Pointer { target } => Some(btf.ty(btf.resolve(*target))),
                _ => None,
            },
            _ => None,
        };
        let cpu = self.cpu_of(task);
        let reading = self.world.reading(cpu);
        let word = match pointee {
            Some(pointee) => {
                let name = pointee.composite().map(|_| pointee.name().to_owned()).filter(|name| !name.is_empty());
                // What does not fit into memory now is reported when the program reads it.
                self.stock_pointer(name.as_deref(), reading.unwrap_or(0)).unwrap_or(0)
            }
            None => reading.unwrap_or(0),
        };
        let word = word.to_le_bytes();
        for (byte, at) in bytes.enumerate() {
            if !self.memory.is_written(spot.region, at) {
                self.memory.poke(spot.region, at, word.get(byte..=byte).unwrap_or_default());
            }
        }
    }

    /// A task that has ended, in the place of the one that a task's pointer to its parent led to, if the reading says so: outside of RCU
    /// nothing keeps it there (`BTF_TYPE_SAFE_RCU(struct task_struct)`, `kernel/bpf/verifier.c`).
    fn stock_relative(&mut self, task: u32, spot: Spot) -> bool {
        const RELATIVES: [&str; 2] = ["parent", "real_parent"];
        let RegionKind::KernelObject { type_id, name } = &self.memory.region(spot.region).kind else { return false };
        if &**name != "task_struct" || self.options.readings.is_empty() || self.rcu.reader(task).in_rcu() {
            return false;
        }
        let place = self.kernel_types().and_then(|btf| btf.member_at(*type_id, spot.offset));
        if !place.is_some_and(|place| place.offset == 0 && RELATIVES.contains(&&*place.path)) {
            return false;
        }
        let cpu = self.cpu_of(task);
        if self.world.reading(cpu).unwrap_or(0) % 3 == GONE {
            // What does not fit into memory is not there.
            let address = self.stock_pointer(Some("task_struct"), GONE).unwrap_or(0);
            self.memory.poke(spot.region, spot.offset, &address.to_le_bytes());
        }
        true
    }

    /// A pointer to a struct of the kernel, or to bytes of another kind: which, says the reading modulo 3.
    pub(super) fn stock_pointer(&mut self, name: Option<&str>, reading: u64) -> Result<u64, Box<Trap>> {
        let region = match (reading % 3, name) {
            (NULL, _) => return Ok(0),
            (_, Some(name)) => self.new_kernel_object(name)?,
            (_, None) => self.untyped()?,
        };
        if reading % 3 == GONE {
            self.memory.reclaim(region, self.steps);
        }
        Ok(self.memory.base(region))
    }

    /// The values in which another object's programs can find something to take.
    fn takeable(&self) -> Vec<RegionId> {
        let maps =
            self.maps.iter().enumerate().filter(|(_, map)| {
                map.specials.fields.iter().any(|field| field.kind.is_kptr() || field.kind.is_root())
            });
        let values = maps.flat_map(|(index, map)| {
            let first = map.elements().into_iter().map(move |(_, region)| (index as u32, region));
            first.collect::<Vec<_>>()
        });
        values.flat_map(|(map, first)| self.copies(map, first)).take(MAX_ELEMENTS as usize).collect()
    }

    /// From which values another object's program could take what they hold, by number: those of which no lock is held.
    #[must_use]
    pub fn others_can_take(&self) -> Vec<u16> {
        let is_free = |value: &RegionId| !self.world.locks.keys().any(|(region, _)| region == value);
        let values = self.takeable().into_iter().enumerate();
        values.filter(|(_, value)| is_free(value)).map(|(number, _)| number as u16).collect()
    }

    /// Another object's program takes all objects out of the value of that number and drops them: out of kptr fields by
    /// `bpf_kptr_xchg`, out of lists and trees under the value's lock. What that touches is in [`Machine::report`].
    pub fn others_take(&mut self, cpu: u32, number: u16) {
        self.report.clear();
        let at = Moment { place: Place::BEFORE, cpu, step: self.steps };
        self.report.at = at;
        if let Some(&region) = self.takeable().get(usize::from(number)) {
            let fields = self.special_fields(region).map(std::borrow::Cow::into_owned).unwrap_or_default().fields;
            let mut touch = |field: &SpecialField, kind| {
                let (offset, size) = (field.offset, field.size);
                self.report.accesses.push(Access { region, offset, size, kind });
            };
            let locks: Vec<_> = fields.iter().filter(|field| field.kind == FieldKind::SpinLock).collect();
            locks.iter().for_each(|lock| touch(lock, AccessKind::Lock));
            for field in &fields {
                match field.kind {
                    kind if kind.is_root() => touch(field, AccessKind::Write),
                    FieldKind::KptrReferenced | FieldKind::KptrPercpu => touch(field, AccessKind::Atomic),
                    _ => {}
                }
            }
            locks.iter().for_each(|lock| touch(lock, AccessKind::Unlock));
            // It fails only for a reference that is not there, and these were just listed.
            let _ = self.drop_contents(region, at);
        }
    }

    /// Some bytes of the kernel's that are no struct: a text, for instance.
    pub(super) fn untyped(&mut self) -> Result<RegionId, Box<Trap>> {
        let kind = RegionKind::KernelObject { name: "bytes".into(), type_id: TypeId::VOID };
        let region = self.memory.allocate(kind, UNTYPED, Contents::Sparse, None)?;
        self.memory.poke(region, 0, &[0; UNTYPED as usize]);
        Ok(region)
    }
}
