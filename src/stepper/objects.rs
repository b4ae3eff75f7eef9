//! Objects and where they are in their life: owned, published, borrowed, waiting for a grace period, freed.
//!
//! Start at [`objects`]; [`Labels`] has the short names by which panes call memory.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::machine::ownership::Holder;
use crate::machine::{Life, Machine, Moment, RegionId, RegionKind};
use crate::report::place::Words;
use crate::report::run::RunReport;

use super::recording::TaskState;

/// Somebody who runs a program, as far as objects are concerned.
#[derive(Clone, Debug)]
pub struct Runner {
    /// What it is called.
    pub name: String,
    /// The machine's task.
    pub task: u32,
    /// What it looks like; `None` if it runs nothing.
    pub state: Option<TaskState>,
}

/// Where an object is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A program owns it and has to give it on: which.
    Owned(String),
    /// A field, list or tree holds it: which.
    Published(String),
    /// Nobody finds it any more, and it was not freed.
    Lost,
    /// It was freed and waits for a grace period; these readers hold that up.
    Waiting(Vec<String>),
    /// It is gone.
    Freed,
}

impl Stage {
    /// The stage in one word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Stage::Owned(_) => "owned",
            Stage::Published(_) => "published",
            Stage::Lost => "lost",
            Stage::Waiting(_) => "waiting",
            Stage::Freed => "freed",
        }
    }

    /// The same with who and where.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Stage::Owned(by) => format!("owned by {by}"),
            Stage::Published(at) => format!("published in {at}"),
            Stage::Lost => "lost: nothing leads to it".to_owned(),
            Stage::Waiting(readers) if readers.is_empty() => "waiting: a grace period may end".to_owned(),
            Stage::Waiting(readers) => format!("waiting: held back by {}", readers.join(", ")),
            Stage::Freed => "freed".to_owned(),
        }
    }
}

/// An object.
#[derive(Clone, Debug)]
pub struct ObjectView {
    /// Its region.
    pub region: RegionId,
    /// What it is called: `counter #1`.
    pub name: String,
    /// Where it is in its life.
    pub stage: Stage,
    /// Who has a pointer to it without owning it, in which register or stack slot.
    pub borrowed: Vec<String>,
    /// Where it was allocated.
    pub allocated: Option<Moment>,
    /// Where it was freed.
    pub freed: Option<Moment>,
    /// Its value, or each CPU's copy; nothing once it is gone.
    pub values: Vec<Value>,
    /// Has each CPU a copy?
    pub per_cpu: bool,
}

/// Short names for memory.
pub struct Labels<'m> {
    machine: &'m Machine,
    words: Words<'m>,
    numbers: BTreeMap<RegionId, usize>,
}

fn is_object(machine: &Machine, region: RegionId) -> bool {
    let region = machine.memory().region(region);
    match region.kind {
        RegionKind::Object { .. } | RegionKind::PerCpuObject { .. } => true,
        RegionKind::Record { .. } | RegionKind::KernelObject { .. } => region.allocated.is_some(),
        _ => false,
    }
}

impl<'m> Labels<'m> {
    /// Names for a machine's memory.
    #[must_use]
    pub fn new(machine: &'m Machine) -> Labels<'m> {
        let objects = machine.memory().regions().map(|(id, _)| id).filter(|&id| is_object(machine, id));
        Labels { machine, words: Words::new(machine), numbers: objects.zip(1..).collect() }
    }

    /// Objects in the order in which they were allocated.
    pub fn objects(&self) -> impl Iterator<Item = RegionId> + '_ {
        self.numbers.keys().copied()
    }

    /// What a region is called.
    #[must_use]
    pub fn region(&self, id: RegionId) -> String {
        let number = |id| self.numbers.get(&id).map_or(String::new(), |number| format!(" #{number}"));
        let bare = |name: String| name.trim_start_matches("struct ").to_owned();
        match &self.machine.memory().region(id).kind {
            RegionKind::Object { type_id } | RegionKind::PerCpuObject { type_id } => {
                format!("{}{}", bare(self.words.type_name(*type_id)), number(id))
            }
            RegionKind::PerCpuCopy { of, cpu, type_id } => {
                format!("{}{} of CPU {cpu}", bare(self.words.type_name(*type_id)), number(*of))
            }
            RegionKind::KernelObject { name, .. } => format!("{name}{}", number(id)),
            RegionKind::Record { map } => format!("record{} of {}", number(id), self.words.map_name(*map)),
            RegionKind::Stack { .. } => "stack".to_owned(),
            RegionKind::Context | RegionKind::SyscallContext => "ctx".to_owned(),
            RegionKind::Packet => "packet".to_owned(),
            RegionKind::Map { map } => format!("map {}", self.words.map_name(*map)),
            _ => self.words.region(id),
        }
    }

    /// A place in memory: `slots[0]+8`, `fp-16`.
    #[must_use]
    pub fn address(&self, address: u64) -> Option<String> {
        let spot = self.machine.memory().at(address)?;
        if let RegionKind::Stack { frame, .. } = self.machine.memory().region(spot.region).kind {
            let frame = if frame == 0 { String::new() } else { format!(" of call {frame}") };
            let below = i64::from(spot.offset) - i64::from(self.machine.memory().len(spot.region));
            return Some(if below == 0 { format!("fp{frame}") } else { format!("fp{below}{frame}") });
        }
        let offset = if spot.offset == 0 { String::new() } else { format!("+{}", spot.offset) };
        Some(format!("{}{offset}", self.region(spot.region)))
    }

    /// A field of what is in a region: `slots[0].live`, a global's name, `counter #1.hits`.
    #[must_use]
    pub fn field(&self, region: RegionId, offset: u32) -> String {
        let words = self.words.field((region, offset));
        let long = self.words.region(region);
        let rest = words.strip_prefix(long.as_str()).unwrap_or("");
        let map = match self.machine.memory().region(region).kind {
            RegionKind::MapValue { map, .. } => self.machine.object().maps.get(map as usize),
            _ => None,
        };
        match rest.strip_prefix('.') {
            Some(global) if map.is_some_and(|map| map.globals.is_some()) => global.to_owned(),
            _ => format!("{}{rest}", self.region(region)),
        }
    }

    /// A number as a register holds it: a place in memory, or the number.
    #[must_use]
    pub fn value(&self, value: u64) -> String {
        const SMALL: u64 = 1 << 20;
        match self.address(value) {
            Some(place) => format!("-> {place}"),
            None if value < SMALL || value.wrapping_neg() < SMALL => (value as i64).to_string(),
            None if value >> 32 == 0 => format!("{value:#x} ({})", value as u32 as i32),
            None => format!("{value:#x}"),
        }
    }

    /// The object that an address leads into.
    fn object_at(&self, address: u64) -> Option<RegionId> {
        let region = self.machine.memory().at(address)?.region;
        match self.machine.memory().region(region).kind {
            RegionKind::PerCpuCopy { of, .. } => Some(of),
            _ => self.numbers.contains_key(&region).then_some(region),
        }
    }

    /// Where a task has pointers to an object.
    fn pointers(&self, state: &TaskState, object: RegionId) -> Vec<String> {
        let mut found = Vec::new();
        for (depth, frame) in state.frames.iter().enumerate() {
            let call = if depth + 1 == state.frames.len() { String::new() } else { format!(" of call {depth}") };
            let leads = |value: u64| self.object_at(value) == Some(object);
            let registers = frame.registers.iter().enumerate();
            let registers = registers.filter(|&(_, value)| value.is_some_and(leads));
            found.extend(registers.map(|(number, _)| format!("r{number}{call}")));
            let slots = frame.stack.iter().filter(|slot| leads(u64::from_le_bytes(slot.bytes)));
            found.extend(slots.map(|slot| format!("fp{}{call}", slot.offset)));
        }
        found
    }
}

/// All objects, in the order in which they were allocated.
#[must_use]
pub fn objects(machine: &Machine, runners: &[Runner]) -> Vec<ObjectView> {
    let labels = Labels::new(machine);
    let report = RunReport::new(machine, &[]);
    labels.objects().map(|region| object(machine, &labels, &report, runners, region)).collect()
}

fn object(
    machine: &Machine,
    labels: &Labels<'_>,
    report: &RunReport<'_>,
    runners: &[Runner],
    region: RegionId,
) -> ObjectView {
    let described = machine.memory().region(region);
    let stage = stage(machine, runners, region);
    let owners: Vec<u32> = holders(machine, region)
        .filter_map(|holder| if let Holder::Task(task) = holder { Some(task) } else { None })
        .collect();
    let borrowers = runners.iter().filter(|runner| !owners.contains(&runner.task));
    let borrowed = borrowers.filter_map(|runner| {
        let places = labels.pointers(runner.state.as_ref()?, region);
        (!places.is_empty()).then(|| format!("{} ({})", runner.name, places.join(", ")))
    });
    let mut contents = Value::Null;
    if described.life != Life::Freed {
        report.contents(region, &mut contents);
    }
    let values = match (contents["values"].as_array(), &contents["value"]) {
        (Some(values), _) => values.clone(),
        (None, Value::Null) => Vec::new(),
        (None, value) => vec![value.clone()],
    };
    ObjectView {
        region,
        name: labels.region(region),
        stage,
        borrowed: borrowed.collect(),
        allocated: described.allocated,
        freed: described.freed,
        values,
        per_cpu: matches!(described.kind, RegionKind::PerCpuObject { .. }),
    }
}

fn holders(machine: &Machine, region: RegionId) -> impl Iterator<Item = Holder> + '_ {
    let all = machine.ledger().iter().filter(move |&(held, _)| held == region);
    all.flat_map(|(_, references)| references.iter().map(|reference| reference.holder))
}

fn stage(machine: &Machine, runners: &[Runner], region: RegionId) -> Stage {
    match machine.memory().region(region).life {
        Life::Freed => return Stage::Freed,
        Life::Waiting(waiting) => {
            let readers = runners.iter().filter(|runner| machine.rcu().reader(runner.task).protects(waiting));
            return Stage::Waiting(readers.map(|runner| runner.name.clone()).collect());
        }
        Life::Live => {}
    }
    let words = Words::new(machine);
    let name = |task: u32| {
        let known = runners.iter().find(|runner| runner.task == task).map(|runner| runner.name.clone());
        known.unwrap_or_else(|| words.holder(Holder::Task(task)))
    };
    let overwritten = machine.overwritten();
    // An object may have several references; one that a program owns says most.
    let mut stages: Vec<Stage> = holders(machine, region)
        .map(|holder| match holder {
            Holder::Task(task) => Stage::Owned(name(task)),
            Holder::Field(field) if overwritten.iter().any(|one| (one.0, one.1) == (region, field)) => Stage::Lost,
            Holder::Field(field) => Stage::Published(words.field(field)),
            Holder::Graph { root, .. } => Stage::Published(words.field(root)),
            Holder::Lost => Stage::Lost,
        })
        .collect();
    stages.sort_by_key(|stage| !matches!(stage, Stage::Owned(_)));
    stages.into_iter().next().unwrap_or(Stage::Lost)
}
