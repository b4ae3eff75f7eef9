//! Following a run through a trace.
//!
//! A run can be at several items of a trace at once: the verifier comes to an instruction on many paths, and which of them the run took
//! shows only later. So the items at which it can be are kept as a set, as one runs a nondeterministic automaton. With each executed
//! instruction every item gives way to those behind it (the next on its path, and the branches that it put aside), and those whose state
//! does not contain the run's are dropped. None left is a [`Violation`].
//!
//! Where a path ended because an earlier state covers it (`safe`), the run goes on outside of it: numbers that no check depended on, and
//! places that nothing reads again, may differ there. There the run is *lost*, until its whole state lies in some state of an instruction
//! that it comes to. From such a state on the verifier's own argument holds again: what follows it must contain what follows the run's.
//!
//! A function that is verified on its own has a trace of its own, from frame 0 on: a `Section` begins there, and one ends with it. So has
//! a program that a tail call begins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::trace::{Entered, Trace};
use super::within::{Concrete, MapName, Mismatch};
use crate::explore::watch::Watch;
use crate::machine::{Machine, Moment, Place, RegionId, Step};

/// Items that a run may be at, at most; of more, those that come first in the log are kept.
const MAX_ITEMS: usize = 4096;
/// States that are tried for a run that is lost, at most.
const MAX_TRIED: usize = 512;
/// States that a violation names.
const MAX_NAMED: usize = 3;

/// A concrete state that no abstract state contains.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Before which instruction, when and where.
    pub at: Moment,
    /// The task of the machine.
    pub task: u32,
    /// The instruction executed before in that task.
    pub after: Option<Place>,
    /// States that it could have been in.
    pub against: Vec<Against>,
}

/// An abstract state that does not contain a concrete one.
#[derive(Clone, Debug)]
pub struct Against {
    /// The line of the log at which the instruction stands.
    pub line: u32,
    /// The first place that differs; `None` if the verifier's path does not come to this instruction.
    pub mismatch: Option<Mismatch>,
}

/// How much was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Instructions executed by programs of which there is a trace.
    pub executed: u64,
    /// Of these, those before which the state was found in an abstract one.
    pub contained: u64,
    /// Of those, where it had to be found anew after a path that was cut short.
    pub found_again: u64,
    /// Registers and slots that were found in their ranges.
    pub places: u64,
    /// Instructions executed by programs without a trace.
    pub without_trace: u64,
}

impl Counts {
    /// Both together.
    pub fn add(&mut self, other: Counts) {
        self.executed += other.executed;
        self.contained += other.contained;
        self.found_again += other.found_again;
        self.places += other.places;
        self.without_trace += other.without_trace;
    }
}

/// The part of a run that one trace is about.
#[derive(Clone, Debug)]
struct Section {
    program: u32,
    /// The machine's frame that is frame 0 here.
    base: usize,
    /// Where the run can be; empty if it is lost.
    items: Vec<u32>,
    /// Frames below this one were not looked at when the run was found again.
    floor: u32,
    /// It took the place of the frame in which the section below was.
    replaces: bool,
    /// What callers held when it began, of which a function that is verified on its own knows nothing.
    of_callers: Arc<[RegionId]>,
}

impl Section {
    fn new(program: u32, base: usize) -> Section {
        Section { program, base, items: Vec::new(), floor: 0, replaces: false, of_callers: Arc::default() }
    }
}

/// The instruction executed before.
#[derive(Clone, Copy, Debug)]
struct Last {
    program: u32,
    insn: u32,
    depth: usize,
    step: Step,
}

#[derive(Clone, Debug, Default)]
struct Thread {
    sections: Vec<Section>,
    last: Option<Last>,
}

/// Follows all tasks of a machine.
#[derive(Clone, Debug)]
pub struct Follower {
    /// Traces by the programs' names.
    traces: Arc<BTreeMap<String, Arc<Trace>>>,
    maps: Arc<Vec<MapName>>,
    threads: FxHashMap<u32, Thread>,
    counts: Counts,
    violation: Option<Box<Violation>>,
    /// Is this run not looked at any more?
    rests: bool,
}

/// Where a run can be after a step.
#[derive(Default)]
struct Ways {
    items: BTreeSet<u32>,
    /// Could it be where a path was cut short?
    cut: bool,
}

impl Follower {
    /// Follows programs by these traces; `maps` are the kernel's names of the maps.
    #[must_use]
    pub fn new(traces: Arc<BTreeMap<String, Arc<Trace>>>, maps: Arc<Vec<MapName>>) -> Follower {
        let (threads, counts) = (FxHashMap::default(), Counts::default());
        Follower { traces, maps, threads, counts, violation: None, rests: false }
    }

    /// Forgets where tasks are, for another run.
    pub fn reset(&mut self) {
        self.threads.clear();
        self.violation = None;
        self.rests = false;
    }

    /// Follows this run no further: what comes of a state that the verifier had not reckoned with lies in none of its states.
    pub fn rest(&mut self) {
        self.rests = true;
    }

    /// What was checked so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The first violation of this run.
    pub fn take_violation(&mut self) -> Option<Box<Violation>> {
        self.violation.take()
    }

    fn look(&mut self, machine: &Machine, task: u32) -> Result<(), Box<Violation>> {
        let Some(running) = machine.running(task) else { return Ok(()) };
        let (program, insn, depth) = (running.program_index(), running.insn(), running.depth());
        let mut thread = self.threads.remove(&task).unwrap_or_default();
        let now = Last { program, insn, depth, step: running.step() };
        let result = match thread.last.replace(now) {
            // A helper that is not done yet: it waits, or works in pieces.
            Some(last)
                if (last.program, last.insn, last.depth) == (program, insn, depth) && last.step == Step::Calls =>
            {
                Ok(())
            }
            last => match self.traces.get(&running.program().source().name).cloned() {
                Some(trace) => {
                    self.counts.executed += 1;
                    let after = last.map(|last| Place { program: last.program, insn: last.insn });
                    let view = View { machine, task, maps: Arc::clone(&self.maps), trace, now, after };
                    view.advance(&mut thread.sections, last, &mut self.counts)
                }
                None => {
                    self.counts.without_trace += 1;
                    if thread.sections.last().is_none_or(|section| section.program != program) {
                        thread.sections.retain(|section| section.base < depth);
                        thread.sections.push(Section { replaces: true, ..Section::new(program, depth) });
                    }
                    Ok(())
                }
            },
        };
        self.threads.insert(task, thread);
        result
    }
}

impl Watch for Follower {
    fn started(&mut self, _machine: &Machine, task: u32) {
        self.threads.remove(&task);
    }

    fn before(&mut self, machine: &Machine, task: u32) {
        if self.violation.is_none() && !self.rests {
            self.violation = self.look(machine, task).err();
        }
    }
}

/// One look at a task.
struct View<'m> {
    machine: &'m Machine,
    task: u32,
    maps: Arc<Vec<MapName>>,
    trace: Arc<Trace>,
    now: Last,
    after: Option<Place>,
}

impl View<'_> {
    fn advance(
        &self,
        sections: &mut Vec<Section>,
        last: Option<Last>,
        counts: &mut Counts,
    ) -> Result<(), Box<Violation>> {
        let Last { program, insn, depth, .. } = self.now;
        // Functions and programs that have returned.
        while sections.last().is_some_and(|section| section.base > depth) {
            let ended = sections.pop();
            if let (Some(true), Some(below)) = (ended.map(|section| section.replaces), sections.last_mut()) {
                // The frame in which it was left has not returned there.
                below.items.clear();
            }
        }
        let calls = last.is_some_and(|last| last.step == Step::Calls && last.depth >= depth);
        let begins_here = !self.trace.starts(insn).is_empty();
        let entries = match (last, sections.last()) {
            (None, _) if depth == 0 && insn == 0 => Some(self.trace.starts(0)),
            (None, _) => Some(self.trace.asynchronous(insn)),
            // A tail call begins a program, or the same one again.
            (Some(_), Some(section)) if section.program != program => {
                sections.retain(|section| section.base < depth);
                Some(self.trace.starts(insn))
            }
            (Some(_), None) => Some(self.trace.starts(insn)),
            // So does an exception, whose callback is verified on its own.
            (Some(_), Some(section)) if calls && begins_here && !self.goes_to(section, insn, depth).cut_or_any() => {
                sections.retain(|section| section.base < depth);
                Some(self.trace.starts(insn))
            }
            // A function that is verified on its own is called.
            (Some(last), Some(section)) if last.depth < depth && self.is_own_function(section, insn, depth) => {
                Some(self.trace.starts(insn))
            }
            _ => None,
        };
        if let Some(entries) = entries {
            let replaces = calls || last.is_some_and(|last| last.program != program);
            let of_callers = if replaces { &[] } else { self.machine.ledger().held_by(self.task) };
            let mut section = Section {
                items: entries.to_vec(),
                replaces,
                of_callers: of_callers.into(),
                ..Section::new(program, depth)
            };
            let result = self.keep(&mut section, entries.iter().copied().collect(), entries.is_empty(), counts);
            sections.push(section);
            return result;
        }
        let Some(section) = sections.last_mut() else { return Ok(()) };
        if section.items.is_empty() {
            self.find(section, counts);
            return Ok(());
        }
        let ways = self.goes_to(section, insn, depth);
        self.keep(section, ways.items, ways.cut, counts)
    }

    /// Does the run enter a function that is not part of the calling path?
    fn is_own_function(&self, section: &Section, insn: u32, depth: usize) -> bool {
        !self.trace.starts(insn).is_empty() && !self.goes_to(section, insn, depth).cut_or_any()
    }

    fn frame(&self, section: &Section) -> u32 {
        (self.now.depth - section.base.min(self.now.depth)) as u32
    }

    /// The items to which a run at a section's items comes with that instruction.
    fn goes_to(&self, section: &Section, insn: u32, depth: usize) -> Ways {
        let frame = (depth - section.base.min(depth)) as u32;
        let mut ways = Ways::default();
        for &item in &section.items {
            self.follow(item, insn, frame, &mut ways);
        }
        self.fork_at(insn, frame, &mut ways);
        ways
    }

    /// A verifier that splits a number in two looks at the same instruction again later, for the other half
    /// (`maybe_fork_scalars`).
    fn fork_at(&self, insn: u32, frame: u32, into: &mut Ways) {
        let Some(&first) = into.items.first() else { return };
        let branches = self.trace.branches(insn, insn);
        for &branch in &branches[branches.partition_point(|&branch| branch <= first)..] {
            match self.trace.item(branch).map(|item| &item.state) {
                Some(None) => into.cut = true,
                Some(Some(state)) if state.depth() == frame => {
                    into.items.insert(branch);
                }
                _ => {}
            }
        }
    }

    fn follow(&self, from: u32, insn: u32, frame: u32, into: &mut Ways) {
        let Some(item) = self.trace.item(from) else { return };
        let fits = |index: u32| {
            let state = self.trace.item(index).filter(|item| item.insn == insn).and_then(|item| item.state.as_ref());
            state.is_some_and(|state| state.depth() == frame)
        };
        if let Some(next) = self.trace.item(from + 1).filter(|next| next.entered == Entered::Onwards) {
            let returns = item.state.as_ref().zip(next.state.as_ref()).is_some_and(|(a, b)| b.depth() < a.depth());
            match &next.state {
                None => into.cut = true,
                Some(_) if fits(from + 1) => {
                    into.items.insert(from + 1);
                }
                // A callback has returned to the call that made it, which goes on without being executed again.
                Some(_) if returns => self.follow(from + 1, insn, frame, into),
                Some(_) => {}
            }
        }
        // A branch comes behind the path that put it aside.
        let branches = self.trace.branches(item.insn, insn);
        for &branch in &branches[branches.partition_point(|&branch| branch <= from)..] {
            match self.trace.item(branch).map(|item| &item.state) {
                Some(None) => into.cut = true,
                Some(Some(_)) if fits(branch) => {
                    into.items.insert(branch);
                }
                _ => {}
            }
        }
    }

    fn concrete<'s>(&'s self, base: usize, of_callers: &'s [RegionId]) -> Option<Concrete<'s>> {
        let running = self.machine.running(self.task)?;
        let (machine, task) = (self.machine, self.task);
        Some(Concrete { machine, task, running, base, of_callers, maps: &self.maps })
    }

    /// Of the items that the run came to, those that contain it.
    fn keep(
        &self,
        section: &mut Section,
        items: BTreeSet<u32>,
        cut: bool,
        counts: &mut Counts,
    ) -> Result<(), Box<Violation>> {
        let of_callers = Arc::clone(&section.of_callers);
        let Some(concrete) = self.concrete(section.base, &of_callers) else { return Ok(()) };
        let frame = self.frame(section);
        let outside = section.floor > frame;
        section.floor = section.floor.min(frame);
        let mut against = Vec::new();
        let mut places = 0;
        let before = std::mem::take(&mut section.items);
        for index in items.into_iter().take(MAX_ITEMS) {
            let Some((item, state)) = self.trace.item(index).and_then(|item| Some((item, item.state.as_ref()?))) else {
                continue;
            };
            match concrete.is_in(state) {
                Ok(asked) => {
                    places = places.max(asked);
                    section.items.push(index);
                }
                Err(mismatch) if against.len() < MAX_NAMED => {
                    against.push(Against { line: item.line, mismatch: Some(*mismatch) });
                }
                Err(_) => {}
            }
        }
        if !section.items.is_empty() {
            counts.contained += 1;
            counts.places += places;
            return Ok(());
        }
        if cut || outside {
            self.find(section, counts);
            return Ok(());
        }
        if against.is_empty() {
            let lines = before.iter().filter_map(|&index| self.trace.item(index));
            against.extend(lines.take(MAX_NAMED).map(|item| Against { line: item.line, mismatch: None }));
        }
        Err(Box::new(Violation { at: self.machine.moment(self.task), task: self.task, after: self.after, against }))
    }

    /// A run that is lost: is its state inside one that stands for itself?
    fn find(&self, section: &mut Section, counts: &mut Counts) {
        let of_callers = Arc::clone(&section.of_callers);
        let Some(concrete) = self.concrete(section.base, &of_callers) else { return };
        let frame = self.frame(section);
        let states = self.trace.at(self.now.insn).iter().filter_map(|&index| {
            let state = self.trace.item(index)?.state.as_ref()?;
            (state.depth() == frame && state.stands_alone()).then_some((index, state))
        });
        let mut all_frames = true;
        let mut places = 0;
        for (index, state) in states.take(MAX_TRIED) {
            if let Ok(asked) = concrete.is_in(state) {
                section.items.push(index);
                places = places.max(asked);
                all_frames &= state.frames.len() == frame as usize + 1;
            }
        }
        if !section.items.is_empty() {
            section.floor = if all_frames { 0 } else { frame };
            counts.contained += 1;
            counts.found_again += 1;
            counts.places += places;
        }
    }
}

impl Ways {
    fn cut_or_any(&self) -> bool {
        self.cut || !self.items.is_empty()
    }
}
