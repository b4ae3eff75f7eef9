//! What a run showed: return values or faults, globals, maps, what is owned, leaked, or waits for a grace period.
//!
//! [`RunReport::new`] gathers it from a machine as JSON values; [`RunReport::text`] prints the same for people.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::btf::{Type, TypeId};
use crate::machine::ownership::{Holder, Reference};
use crate::machine::{Attempt, End, Fault, Machine, Moment, Place, RegionId, RegionKind, RegionStory, Unsupported};

use super::diagnostic::{Diagnostic, of_finding};
use super::place::Words;
use super::told::{Look, Told};
use super::value::{Values, hex, plain};

/// How one program's run ended.
#[derive(Clone, Debug)]
pub struct ProgramRun {
    /// The program's name.
    pub name: String,
    /// The CPU that it ran on.
    pub cpu: u32,
    /// How it ended.
    pub end: End,
}

/// What is left to say, as the process's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunVerdict {
    /// Nothing wrong.
    Fine,
    /// Something is not modelled, or a limit was reached.
    Undecided,
    /// A fault or a leak.
    Found,
}

/// Elements of one map that are shown.
const MAX_ELEMENTS: usize = 1000;

/// Everything that a run showed.
pub struct RunReport<'m> {
    machine: &'m Machine,
    words: Words<'m>,
    runs: &'m [ProgramRun],
}

impl<'m> RunReport<'m> {
    /// The report of those runs, after them.
    #[must_use]
    pub fn new(machine: &'m Machine, runs: &'m [ProgramRun]) -> RunReport<'m> {
        RunReport { machine, words: Words::new(machine), runs }
    }

    /// Was all well?
    #[must_use]
    pub fn verdict(&self) -> RunVerdict {
        let ends = self.runs.iter().map(|run| match run.end {
            End::Returned(_) => RunVerdict::Fine,
            End::Fault(_) => RunVerdict::Found,
            End::Unsupported(_) | End::Limit(..) => RunVerdict::Undecided,
        });
        // What a program held when it could not go on is not its leak.
        let went_on = ends.clone().all(|verdict| verdict == RunVerdict::Fine);
        let leaks = if went_on && !self.lost().is_empty() { RunVerdict::Found } else { RunVerdict::Fine };
        ends.max().unwrap_or(RunVerdict::Fine).max(leaks)
    }

    /// The whole report as one JSON object: `object`, `cpus`, `programs`, `globals`, `maps`, `owned`, `leaked`,
    /// `pending`, `printed`, `notes`.
    #[must_use]
    pub fn json(&self) -> Value {
        let programs: Vec<_> = self.runs.iter().map(|run| self.run_json(run)).collect();
        let notes: Vec<_> = self
            .machine
            .unwritten_reads()
            .iter()
            .map(|note| {
                json!({"kind": "never-written", "at": self.words.moment_json(note.at),
                       "what": self.words.region(note.read.spot.region),
                       "offset": note.read.spot.offset, "size": note.read.size})
            })
            .collect();
        json!({
            "object": self.machine.object().name,
            "cpus": self.machine.cpu_count(),
            "programs": programs,
            "globals": self.globals(),
            "maps": self.maps(),
            "owned": self.owned(),
            "leaked": self.leaked(),
            "pending": self.pending(),
            "printed": self.machine.printed(),
            "notes": notes,
        })
    }

    /// What went wrong, in the shape that code hosts take.
    #[must_use]
    pub fn diagnostics(&self, object: &str) -> Vec<Diagnostic> {
        let ended = self.runs.iter().filter_map(|run| {
            let undecided = match run.end {
                End::Returned(_) => return None,
                End::Fault(_) => false,
                End::Unsupported(_) | End::Limit(..) => true,
            };
            let text = end_text(self.machine, &run.end);
            let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
            let title = format!("{} on CPU {}: {}", run.name, run.cpu, lines.next().unwrap_or_default());
            let mut json = self.run_json(run);
            if matches!(run.end, End::Limit(..)) {
                json["kind"] = json!("limit");
            }
            Some(of_finding(object, &title, lines.collect(), &json, undecided))
        });
        let leaked = self.leaked().into_iter().map(|mut leak| {
            leak["kind"] = json!("leak");
            let text = |member: &str| leak[member].as_str().unwrap_or_default().to_owned();
            of_finding(object, &format!("{} is lost", text("what")), vec![text("why")], &leak, false)
        });
        let lost = if self.verdict() == RunVerdict::Found { leaked.collect() } else { Vec::new() };
        ended.chain(lost).collect()
    }

    fn run_json(&self, run: &ProgramRun) -> Value {
        let mut value = json!({"program": run.name, "cpu": run.cpu});
        match &run.end {
            End::Returned(result) => value["retval"] = json!(*result as u32 as i32),
            End::Fault(fault) => value["fault"] = self.fault_json(fault),
            End::Unsupported(unsupported) => {
                value["unsupported"] = json!({"what": unsupported.what, "at": self.words.moment_json(unsupported.at)});
            }
            End::Limit(limit, at) => {
                value["limit"] = json!({"what": limit.to_string(), "at": self.words.moment_json(*at)});
            }
        }
        value
    }

    fn fault_json(&self, fault: &Fault) -> Value {
        let access = fault.access.map(
            |access| json!({"address": format!("{:#x}", access.address), "size": access.size, "write": access.write}),
        );
        let region = fault.story.as_ref().map(|story| {
            json!({
                "what": self.words.region(story.id),
                "base": format!("{:#x}", story.base),
                "size": story.size,
                "allocated": story.region.allocated.map(|at| self.words.moment_json(at)),
                "freed": story.region.freed.map(|at| self.words.moment_json(at)),
                "reclaimed_step": story.region.reclaimed,
            })
        });
        let callers: Vec<_> = fault.callers.iter().map(|&place| self.words.place_json(place)).collect();
        json!({
            "kind": fault.kind.name(),
            "message": fault.kind.to_string(),
            "at": self.words.moment_json(fault.at),
            "access": access,
            "region": region,
            "callers": callers,
        })
    }

    fn value(&self, type_id: TypeId, bytes: &[u8]) -> Value {
        match self.machine.object().btf.as_deref() {
            Some(btf) if type_id != TypeId::VOID => {
                Values { btf, pointer: &|address| self.words.pointer(address) }.read(type_id, bytes)
            }
            _ => hex(bytes),
        }
    }

    /// Global variables by name. Variables of the same name in several sections cannot be told apart and the last
    /// one stands; the names of one object differ.
    #[must_use]
    pub fn globals(&self) -> Map<String, Value> {
        let mut globals = Map::new();
        let object = self.machine.object();
        let Some(btf) = object.btf.as_deref() else { return globals };
        for (map, state) in object.maps.iter().zip(self.machine.maps()) {
            let Some(section) = &map.globals else { continue };
            let Some((_, region)) = state.elements().into_iter().next() else { continue };
            let bytes = self.machine.memory().peek(region);
            let Type::DataSection { variables, .. } = btf.ty(section.type_id) else { continue };
            for entry in variables {
                let Type::Variable { name, type_id, .. } = btf.ty(entry.type_id) else { continue };
                let value = self.value(*type_id, bytes.get(entry.offset as usize..).unwrap_or(&[]));
                globals.insert(name.to_string(), value);
            }
        }
        globals
    }

    /// Maps by name: a list of elements with `key` and `value`, or `values` (one a CPU) for per-CPU maps. Elements
    /// of arrays that nothing touched are zero and left out.
    fn maps(&self) -> Map<String, Value> {
        let all = self.machine.object().maps.iter().enumerate();
        all.filter_map(|(index, map)| Some((map.name.clone(), Value::Array(self.elements(index)?)))).collect()
    }

    /// A map's elements as [`RunReport::json`] has them; `None` for globals and for maps without values.
    #[must_use]
    pub fn elements(&self, index: usize) -> Option<Vec<Value>> {
        let map = self.machine.object().maps.get(index)?;
        let state =
            self.machine.maps().get(index).filter(|state| map.globals.is_none() && state.family.has_values())?;
        let value_type = map.definition.value_type;
        let elements = state.elements().into_iter().take(MAX_ELEMENTS).map(|(key, first)| {
            let key = if key.is_empty() { Value::Null } else { self.words.key_json(index as u32, &key) };
            if state.per_cpu {
                let copies = (first.0..first.0 + self.machine.cpu_count()).map(RegionId);
                let values: Vec<_> =
                    copies.map(|copy| self.value(value_type, self.machine.memory().peek(copy))).collect();
                json!({"key": key, "values": values})
            } else {
                json!({"key": key, "value": self.value(value_type, self.machine.memory().peek(first))})
            }
        });
        Some(elements.collect())
    }

    /// Adds what is in an object: its `value`, or for a per-CPU object the `values` of each CPU's copy.
    pub fn contents(&self, region: RegionId, into: &mut Value) {
        let memory = self.machine.memory();
        match memory.region(region).kind {
            RegionKind::PerCpuObject { type_id } => {
                let copies = (1..=self.machine.cpu_count()).map(|copy| RegionId(region.0 + copy));
                let values: Vec<_> = copies.map(|copy| self.value(type_id, memory.peek(copy))).collect();
                into["values"] = Value::Array(values);
            }
            RegionKind::Object { type_id } => into["value"] = self.value(type_id, memory.peek(region)),
            _ => {}
        }
    }

    /// References that something holds.
    fn owned(&self) -> Vec<Value> {
        let mut owned = Vec::new();
        for (region, reference) in self.held() {
            let mut value = json!({
                "what": self.words.region(region),
                "held_by": self.words.holder(reference.holder),
                "acquired": self.words.moment_json(reference.acquired),
            });
            self.contents(region, &mut value);
            owned.push(value);
        }
        owned
    }

    /// References that nothing holds any more: the object, where it was acquired, and why.
    fn lost(&self) -> Vec<(RegionId, Moment, String)> {
        let ended = self
            .machine
            .leaks()
            .iter()
            .map(|leak| (leak.region, leak.acquired, "the program ended without giving it back".to_owned()));
        let overwritten = self.machine.overwritten().into_iter().map(|(region, field, acquired)| {
            (region, acquired, format!("the field that held it was overwritten, {}", self.words.field(field)))
        });
        ended.chain(overwritten).collect()
    }

    fn leaked(&self) -> Vec<Value> {
        let lost = self.lost().into_iter().map(|(region, acquired, why)| {
            json!({"what": self.words.region(region), "acquired": self.words.moment_json(acquired), "why": why})
        });
        lost.collect()
    }

    /// References that are held, but for those whose field was overwritten.
    fn held(&self) -> Vec<(RegionId, &Reference)> {
        let overwritten = self.machine.overwritten();
        let is_held = |region: RegionId, reference: &Reference| match reference.holder {
            Holder::Lost => false,
            Holder::Field(field) => !overwritten.iter().any(|&(lost, at, _)| (lost, at) == (region, field)),
            Holder::Task(_) | Holder::Graph { .. } => true,
        };
        let all = self.machine.ledger().iter().flat_map(|(region, all)| all.iter().map(move |one| (region, one)));
        all.filter(|&(region, reference)| is_held(region, reference)).collect()
    }

    /// Frees that wait for a grace period.
    fn pending(&self) -> Vec<Value> {
        self.machine
            .rcu()
            .deferred()
            .iter()
            .map(|deferred| {
                let allocated = self.machine.memory().region(deferred.region).allocated;
                json!({
                    "what": self.words.region(deferred.region),
                    "waits_for": deferred.waiting.kind,
                    "freed": self.words.moment_json(deferred.at),
                    "allocated": allocated.map(|at| self.words.moment_json(at)),
                })
            })
            .collect()
    }

    /// The report for people.
    #[must_use]
    pub fn text(&self, look: &Look) -> String {
        let mut text = String::new();
        for run in self.runs {
            self.run_text(run, look, &mut text);
        }
        let globals = self.globals();
        section(&mut text, "globals", globals.iter().map(|(name, value)| format!("{name} = {}", plain(value))));
        section(&mut text, "maps", self.map_lines());
        section(&mut text, "owned", self.owned_lines());
        section(
            &mut text,
            "waiting for a grace period",
            self.machine.rcu().deferred().iter().map(|deferred| {
                format!("{}\n      freed {}", self.words.region(deferred.region), self.words.moment(deferred.at))
            }),
        );
        section(&mut text, "printed", self.machine.printed().iter().map(|line| line.trim_end().to_owned()));
        section(&mut text, "notes", self.machine.unwritten_reads().iter().map(|note| {
            format!(
                "{} bytes at offset {} of {} are read but were never written:\n      zero in fresh memory, anything \
                 in memory used before\n      read {}",
                note.read.size,
                note.read.spot.offset,
                self.words.region(note.read.spot.region),
                self.words.moment(note.at)
            )
        }));
        for (region, acquired, why) in self.lost() {
            let places = vec![self.words.told_moment(acquired, "acquired here", true)];
            let title = format!("{} is lost: {why}", self.words.region(region));
            let told = Told { id: "leak".to_owned(), title, undecided: false, places, notes: Vec::new() };
            text.push_str(&told.text(look, &[]));
        }
        text
    }

    fn run_text(&self, run: &ProgramRun, look: &Look, text: &mut String) {
        let head = format!("{} on CPU {}", run.name, run.cpu);
        // Writing to a String cannot fail.
        let title = match &run.end {
            End::Returned(value) => {
                let _ = writeln!(text, "{head}: returned {}", *value as u32 as i32);
                return;
            }
            End::Fault(fault) => format!("{head}: {}", fault.kind),
            End::Unsupported(unsupported) => format!("{head}: not supported yet: {}", unsupported.what),
            End::Limit(limit, _) => format!("{head}: stopped: {limit}"),
        };
        text.push_str(&end_told(self.machine, &run.end, &title).text(look, &[]));
    }

    fn unsupported_text(&self, unsupported: &Unsupported) -> String {
        let at = unsupported.at.place;
        let mut lines = vec![
            format!("  at          {}", self.words.source(at)),
            format!("              {}", self.words.instruction(at)),
        ];
        lines.extend(unsupported.callers.iter().map(|&place| format!("  called from {}", self.words.source(place))));
        lines.join("\n")
    }

    fn fault_text(&self, fault: &Fault) -> String {
        let at = fault.at.place;
        let mut lines = vec![
            format!("  at          {}", self.words.source(at)),
            format!("              {}", self.words.instruction(at)),
        ];
        lines.extend(fault.callers.iter().map(|&place| format!("  called from {}", self.words.source(place))));
        if let Some(access) = fault.access {
            lines.push(format!("  access      {}", self.access_text(access, fault)));
        }
        if let Some(story) = &fault.story {
            lines.push(format!("  memory      {}", self.memory_text(story)));
            if let Some(allocated) = story.region.allocated {
                lines.push(format!("  allocated   {}", self.words.moment(allocated)));
            }
            if let Some(freed) = story.region.freed {
                lines.push(format!("  freed       {}", self.words.moment(freed)));
            }
        }
        lines.join("\n")
    }

    fn memory_text(&self, story: &RegionStory) -> String {
        let size = match story.region.kind {
            RegionKind::Map { .. } => String::new(),
            RegionKind::PerCpuObject { .. } => format!(", {} bytes for each CPU", story.size),
            _ => format!(", {} bytes", story.size),
        };
        format!("{}{size}, at {:#x}", self.words.region(story.id), story.base)
    }

    fn access_text(&self, access: Attempt, fault: &Fault) -> String {
        let verb = if access.write { "write" } else { "read" };
        let place = match &fault.story {
            Some(story) => {
                let offset = access.address.wrapping_sub(story.base) as i64;
                format!("at offset {offset}")
            }
            None => format!("at address {:#x}", access.address),
        };
        format!("{verb} of {} bytes {place}", access.size)
    }

    /// A line for each element of each map; for per-CPU values one for each run of CPUs whose copies are equal.
    #[must_use]
    pub fn map_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, elements) in self.maps() {
            for element in elements.as_array().into_iter().flatten() {
                let key = match &element["key"] {
                    Value::Null => String::new(),
                    key => format!("[{}]", plain(key)),
                };
                match element["values"].as_array() {
                    Some(values) => lines.extend(copies(&format!("{name}{key}"), values)),
                    None => lines.push(format!("{name}{key} = {}", plain(&element["value"]))),
                }
            }
        }
        lines
    }

    fn owned_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (region, reference) in self.held() {
            let mut line = format!(
                "{}, held by {}\n      acquired {}",
                self.words.region(region),
                self.words.holder(reference.holder),
                self.words.moment(reference.acquired)
            );
            let mut contents = Value::Null;
            self.contents(region, &mut contents);
            if let Some(values) = contents["values"].as_array() {
                for copy in copies("", values) {
                    let _ = write!(line, "\n      {}", copy.trim_start());
                }
            } else if !contents["value"].is_null() {
                let _ = write!(line, "\n      {}", plain(&contents["value"]));
            }
            lines.push(line);
        }
        lines
    }
}

/// How a run ended, for people: what, where, and the memory's story.
#[must_use]
pub fn end_text(machine: &Machine, end: &End) -> String {
    let report = RunReport::new(machine, &[]);
    match end {
        End::Returned(value) => format!("returned {}", *value as u32 as i32),
        End::Fault(fault) => format!("{}\n{}", fault.kind, report.fault_text(fault)),
        End::Unsupported(unsupported) => format!("{}\n{}", unsupported.what, report.unsupported_text(unsupported)),
        End::Limit(limit, at) => format!("{limit}\n  at {}", report.words.source(at.place)),
    }
}

/// How a run ended, as a message with its places: where, how it came there, where the memory came from and went.
#[must_use]
pub fn end_told(machine: &Machine, end: &End, title: &str) -> Told {
    let report = RunReport::new(machine, &[]);
    let words = &report.words;
    let (id, at, callers) = match end {
        End::Returned(_) => ("returned", None, &[][..]),
        End::Fault(fault) => (fault.kind.name(), Some(fault.at), fault.callers.as_slice()),
        End::Unsupported(unsupported) => ("unsupported", Some(unsupported.at), unsupported.callers.as_slice()),
        End::Limit(_, at) => ("limit", Some(*at), &[][..]),
    };
    let mut places = Vec::new();
    let mut notes = Vec::new();
    if let End::Fault(fault) = end {
        if let Some(story) = &fault.story {
            let made = story.region.allocated.filter(|at| at.place != Place::BEFORE);
            let was = [(made, "allocated here"), (story.region.freed, "freed here")];
            places.extend(was.iter().filter_map(|(at, what)| Some(words.told_moment((*at)?, what, false))));
            notes.push(format!("the memory is {}", report.memory_text(story)));
        }
        notes.extend(fault.access.map(|access| format!("the access is a {}", report.access_text(access, fault))));
    }
    places.extend(callers.iter().rev().map(|&place| words.told(place, "called from here", false)));
    let undecided = matches!(end, End::Unsupported(_) | End::Limit(..));
    if let Some(at) = at {
        places.push(words.told_moment(at, if undecided { "it stops here" } else { "it fails here" }, true));
        notes.push(format!("instruction {}", words.instruction(at.place)));
    }
    Told { id: id.to_owned(), title: title.to_owned(), undecided, places, notes }
}

/// The same for machines.
#[must_use]
pub fn end_json(machine: &Machine, end: &End) -> Value {
    let report = RunReport::new(machine, &[]);
    report.run_json(&ProgramRun { name: String::new(), cpu: 0, end: end.clone() })
}

/// One line for each run of CPUs whose copies are equal.
#[must_use]
pub fn copies(name: &str, values: &[Value]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut first = 0;
    for cpu in 1..=values.len() {
        if cpu < values.len() && values[cpu] == values[first] {
            continue;
        }
        let cpus = if cpu - 1 == first { format!("CPU {first}") } else { format!("CPUs {first} to {}", cpu - 1) };
        lines.push(format!("{name} on {cpus} = {}", plain(&values[first])));
        first = cpu;
    }
    lines
}

fn section(text: &mut String, title: &str, lines: impl IntoIterator<Item = String>) {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_some() {
        let _ = writeln!(text, "{title}:");
    }
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
}
