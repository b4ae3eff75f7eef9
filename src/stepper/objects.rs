//! Objects, the stage of their life that the machine says they are in, and who points to them.
//!
//! Start at [`objects`]; [`Labels`] has the short names by which panes call memory.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::machine::ownership::Holder;
use crate::machine::{Life, Machine, Moment, ObjectStage, RegionId, RegionKind, Stage};
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

/// An object.
#[derive(Clone, Debug)]
pub struct ObjectView {
    /// Its region.
    pub region: RegionId,
    /// What it is called: `counter #1`.
    pub name: String,
    /// Where it is in its life.
    pub stage: Stage,
    /// The same with who and where: `owned by CPU 1`.
    pub text: String,
    /// Who has a pointer to it without owning it, and in which register or stack slot.
    pub pointers: Vec<PointedTo>,
    /// Where it was allocated.
    pub allocated: Option<Moment>,
    /// Where it was freed.
    pub freed: Option<Moment>,
    /// Its value, or each CPU's copy; nothing once it is gone.
    pub values: Vec<Value>,
    /// Has each CPU a copy?
    pub per_cpu: bool,
}

/// Who points to an object that he does not own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointedTo {
    /// Whose pointers, and where they are: `CPU 0 (r6, fp-8)`.
    pub by: String,
    /// Does an RCU section keep the object alive for them?
    pub is_borrowed: bool,
}

/// Short names for memory.
pub struct Labels<'m> {
    machine: &'m Machine,
    words: Words<'m>,
    numbers: BTreeMap<RegionId, usize>,
}

/// Is it an object that came into being during the run?
fn is_new(machine: &Machine, region: RegionId) -> bool {
    let region = machine.memory().region(region);
    region.is_object() && region.allocated.is_some()
}

impl<'m> Labels<'m> {
    /// Names for a machine's memory.
    #[must_use]
    pub fn new(machine: &'m Machine) -> Labels<'m> {
        let objects = machine.memory().regions().map(|(id, _)| id).filter(|&id| is_new(machine, id));
        Labels { machine, words: Words::new(machine), numbers: objects.zip(1..).collect() }
    }

    /// Objects in the order in which they were allocated, and those of the kernel's of which somebody holds a reference.
    pub fn objects(&self) -> impl Iterator<Item = RegionId> {
        let held = self.machine.ledger().iter().map(|(region, _)| region);
        let all: BTreeSet<RegionId> = self.numbers.keys().copied().chain(held).collect();
        all.into_iter()
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
        self.machine.object_of(self.machine.memory().at(address)?.region)
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
    labels.objects().filter_map(|region| object(machine, &labels, &report, runners, region)).collect()
}

fn object(
    machine: &Machine,
    labels: &Labels<'_>,
    report: &RunReport<'_>,
    runners: &[Runner],
    region: RegionId,
) -> Option<ObjectView> {
    let described = machine.memory().region(region);
    // A task is shown where it was before an instruction of its last step, and what it pointed to there counts.
    let pointers: BTreeMap<u32, Vec<String>> = runners
        .iter()
        .filter_map(|runner| Some((runner.task, labels.pointers(runner.state.as_ref()?, region))))
        .filter(|(_, places)| !places.is_empty())
        .collect();
    let now = machine.object_stage(region, |task| pointers.contains_key(&task))?;
    let name = |task: u32| {
        let known = runners.iter().find(|runner| runner.task == task).map(|runner| runner.name.clone());
        known.unwrap_or_else(|| labels.words.holder(Holder::Task(task)))
    };
    let others = pointers.iter().filter(|(task, _)| !now.holders.contains(&Holder::Task(**task)));
    let pointers = others.map(|(&task, places)| PointedTo {
        by: format!("{} ({})", name(task), places.join(", ")),
        is_borrowed: now.borrowers.contains(&task) || now.readers.contains(&task),
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
    Some(ObjectView {
        region,
        name: labels.region(region),
        stage: now.stage,
        text: stage_text(&now, &labels.words, name),
        pointers: pointers.collect(),
        allocated: described.allocated,
        freed: described.freed,
        values,
        per_cpu: matches!(described.kind, RegionKind::PerCpuObject { .. }),
    })
}

/// The stage with who and where.
fn stage_text(now: &ObjectStage, words: &Words<'_>, name: impl Fn(u32) -> String) -> String {
    let holders = || {
        // Of several references, one that a program owns says most.
        let mut holders: Vec<_> = now.holders.iter().filter(|holder| **holder != Holder::Lost).collect();
        holders.sort_by_key(|holder| !matches!(holder, Holder::Task(_)));
        holders.first().map_or_else(String::new, |holder| match **holder {
            Holder::Task(task) => format!("owned by {}", name(task)),
            Holder::Field(field) | Holder::Graph { root: field, .. } => format!("published in {}", words.field(field)),
            Holder::Lost => String::new(),
        })
    };
    match now.stage {
        Stage::Owned | Stage::Published => holders(),
        Stage::Borrowed => format!("{}, {}", holders(), now.stage.words()),
        Stage::Lost => "lost: nothing leads to it".to_owned(),
        Stage::Waiting if now.readers.is_empty() => "waiting: a grace period may end".to_owned(),
        Stage::Waiting => {
            format!(
                "waiting: held back by {}",
                now.readers.iter().map(|&task| name(task)).collect::<Vec<_>>().join(", ")
            )
        }
        Stage::Freed => now.stage.words().to_owned(),
    }
}
