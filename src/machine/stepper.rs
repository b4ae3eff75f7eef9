//! The machine: setting it up, starting programs on its CPUs, and stepping them.

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::btf::fields::SpecialFields;
use crate::btf::{Btf, TypeId};
use crate::object::Object;

use super::code::{self, LoadedProgram};
use super::context::{Context, Input, Output};
use super::ending::Leak;
use super::event::{AccessKind, Event, Outcome, StepReport, places};
use super::execute::{Flow, Mode, Reported, Silent, Surroundings, execute};
use super::fault::{End, FaultKind, Limit, Trap};
use super::frames::Then;
use super::kept::KeptField;
use super::maps::MapState;
use super::memory::{Allocator, Contents, Memory, UnwrittenRead};
use super::models::{Answer, Call};
use super::ownership::Ledger;
use super::rcu::Rcu;
use super::region::RegionKind;
use super::restore::Tracked;
use super::setup::{MAX_CPUS, MachineOptions, SetupError};
use super::store_buffer::StoreBuffers;
use super::story::{Moment, RegionId};
use super::task::{Execution, Task};
use super::types;
use super::world::World;

/// A read of an object's bytes that no program wrote: zero on fresh memory, anything on memory used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnwrittenNote {
    /// Where it was read.
    pub at: Moment,
    /// What was read.
    pub read: UnwrittenRead,
}

/// A machine with programs, maps and CPUs. Cloning it takes a snapshot.
#[derive(Clone, Debug)]
pub struct Machine {
    pub(super) object: Arc<Object>,
    pub(super) options: Arc<MachineOptions>,
    pub(super) memory: Memory,
    pub(super) rcu: Rcu,
    pub(super) tasks: Vec<Task>,
    pub(super) programs: Vec<Arc<LoadedProgram>>,
    pub(super) maps: Vec<MapState>,
    pub(super) ledger: Tracked<Ledger>,
    pub(super) world: Tracked<World>,
    pub(super) report: StepReport,
    pub(super) steps: u64,
    pub(super) printed: Vec<String>,
    pub(super) leaks: Vec<Leak>,
    pub(super) unwritten: Vec<UnwrittenNote>,
    /// How the next step goes where it can go in several ways.
    pub(super) branch: u16,
    pub(super) store_buffers: StoreBuffers,
    /// Does a copy that other CPUs can watch take a step for each word?
    pub(super) by_pieces: bool,
    /// Offsets of kptrs in the object's types, once an explorer asks.
    pub(super) kptrs: Arc<FxHashMap<TypeId, Vec<u32>>>,
    /// Fields of the object's types that programs must leave alone, once an explorer asks.
    pub(super) kept_fields: Arc<FxHashMap<TypeId, Vec<KeptField>>>,
}

/// Notes of one kind that are kept; a loop must not fill memory with them.
const MAX_NOTES: usize = 64;

impl Machine {
    /// A machine with the object's maps, its globals at their initial values, and nothing running.
    ///
    /// # Errors
    /// [`SetupError`] for a number of CPUs that is not possible, or maps that need too much memory.
    pub fn new(object: Arc<Object>, options: MachineOptions) -> Result<Machine, SetupError> {
        if options.cpus == 0 || options.cpus > MAX_CPUS {
            return Err(SetupError::CpuCount(options.cpus));
        }
        let cpus = options.cpus;
        let mut machine = Machine {
            memory: Memory::new(options.max_memory),
            rcu: Rcu::new(cpus),
            tasks: (0..cpus).map(Task::new).collect(),
            programs: Vec::new(),
            maps: Vec::new(),
            ledger: Tracked::new(Ledger::new(cpus)),
            world: Tracked::new(World::new(options.seed, cpus, Arc::clone(&options.readings))),
            report: StepReport::new(),
            steps: 0,
            printed: Vec::new(),
            leaks: Vec::new(),
            unwritten: Vec::new(),
            branch: 0,
            store_buffers: StoreBuffers::default(),
            by_pieces: false,
            kptrs: Arc::default(),
            kept_fields: Arc::default(),
            object: Arc::clone(&object),
            options: Arc::new(options),
        };
        let too_big = |_| SetupError::Memory(object.name.clone());
        for (index, map) in object.maps.iter().enumerate() {
            let kind = RegionKind::Map { map: index as u32 };
            let handle = machine.memory.allocate(kind, 0, Contents::Opaque, None).map_err(too_big)?;
            let specials = types::special_fields(object.btf.as_deref(), map.definition.value_type);
            machine.maps.push(MapState::new(map, handle, specials));
            if let Some(globals) = &map.globals
                && let Some(region) = machine.array_element(index as u32, 0).map_err(too_big)?
            {
                machine.memory.poke(region, 0, &globals.bytes);
            }
        }
        Ok(machine)
    }

    /// Loads a program by the name of its entry function and returns its index. Loading it twice is the same program.
    ///
    /// # Errors
    /// [`SetupError::NoSuchProgram`].
    pub fn load(&mut self, name: &str) -> Result<u32, SetupError> {
        if let Some(loaded) = self.programs.iter().find(|program| program.source.name == name) {
            return Ok(loaded.index);
        }
        let object = Arc::clone(&self.object);
        let Some(source) = object.programs.iter().find(|program| program.name == name) else {
            let available: Vec<_> = object.programs.iter().map(|program| program.name.as_str()).collect();
            return Err(SetupError::NoSuchProgram {
                object: object.name.clone(),
                name: name.to_owned(),
                available: available.join(", "),
            });
        };
        if let Some(refused) = &source.refused {
            return Err(SetupError::Refused { name: name.to_owned(), why: refused.to_string() });
        }
        let index = self.programs.len() as u32;
        let program = code::load(index, source, self);
        self.programs.push(Arc::new(program));
        Ok(index)
    }

    /// Adds a task on a CPU and returns its number. Tasks 0 to N - 1 are there from the start, one on each of N CPUs.
    ///
    /// # Errors
    /// [`SetupError::NoSuchCpu`].
    pub fn add_task(&mut self, cpu: u32) -> Result<u32, SetupError> {
        let cpus = self.cpu_count();
        if cpu >= cpus {
            return Err(SetupError::NoSuchCpu { cpu, cpus });
        }
        self.tasks.push(Task::new(cpu));
        self.rcu.add_task();
        self.ledger.add_task();
        Ok(self.tasks.len() as u32 - 1)
    }

    /// Starts a loaded program in a task that is idle. Task N is the one that each CPU N has from the start.
    ///
    /// # Errors
    /// [`SetupError`] if there is no such task or it is busy, and if memory for its stack is short.
    pub fn start(&mut self, program: u32, task: u32) -> Result<(), SetupError> {
        self.start_with(program, task, &Input::default())
    }

    /// The same with a packet or context of one's own.
    ///
    /// # Errors
    /// As [`Machine::start`], and if the kernel refuses such an input or it is not modelled.
    pub fn start_with(&mut self, program: u32, task: u32, input: &Input) -> Result<(), SetupError> {
        let cpus = self.cpu_count();
        let name = self.object.name.clone();
        let too_big = |_| SetupError::Memory(name.clone());
        let Some(state) = self.tasks.get_mut(task as usize) else {
            return Err(SetupError::NoSuchCpu { cpu: task, cpus });
        };
        let cpu = state.cpu;
        if state.execution.is_some() {
            return Err(SetupError::Busy(cpu));
        }
        let Some(loaded) = self.programs.get(program as usize).cloned() else {
            return Err(SetupError::NoSuchProgram {
                object: self.object.name.clone(),
                name: format!("number {program}"),
                available: format!("{} loaded ones", self.programs.len()),
            });
        };
        self.report.clear();
        self.memory.allocator = Allocator::task(task, cpu);
        if let Some(old) = state.context.take() {
            old.release(&mut self.memory, self.steps);
        }
        let mut input = Cow::Borrowed(input);
        if self.options.stocked && input.context.is_none() {
            let section = loaded.source.section.clone();
            input.to_mut().context = self.stock_arguments(&section, cpu).map_err(too_big)?;
        }
        let Some(state) = self.tasks.get_mut(task as usize) else {
            return Err(SetupError::NoSuchCpu { cpu: task, cpus });
        };
        let types = self.options.kernel_types.as_deref().or(self.object.btf.as_deref());
        let section = &loaded.source.section;
        let context = Context::prepare(&mut self.memory, &self.options, types, section, &input)
            .map_err(|refusal| refusal.into_setup_error(&self.object.name))?;
        let (address, sleepable) = (context.address, section.sleepable);
        state.context = Some(Box::new(context));
        state.begin(Arc::clone(&loaded));
        state.push(&mut self.memory, 0, 0, Then::Finish).map_err(too_big)?;
        if let Some(execution) = &mut state.execution {
            execution.registers[1] = address;
            execution.known |= 1 << 1;
        }
        self.report.order(places::RCU, AccessKind::Observe);
        if sleepable {
            self.rcu.lock_trace(task);
        } else {
            self.rcu.lock(task);
        }
        Ok(())
    }

    /// The context of the program that a task runs, or ran last.
    pub(super) fn context(&self, task: u32) -> Option<&Context> {
        self.tasks.get(task as usize)?.context.as_deref()
    }

    /// What a task's last program left of its input; `None` before its first.
    #[must_use]
    pub fn output(&self, task: u32) -> Option<Output> {
        self.context(task).map(|context| context.output(&self.memory))
    }

    /// Runs a task's program until it ends. [`Machine::report`] has only the last instruction's part.
    ///
    /// A lock that another task holds is never given back in such a run, so that waiting for one is a deadlock.
    pub fn run(&mut self, task: u32) -> End {
        loop {
            // What a store buffer holds is looked at before each instruction.
            let buffered = self.has_store_buffers();
            let outcome = if buffered { self.step(task) } else { self.advance::<Silent>(task, u64::MAX) };
            match outcome {
                Ok(Outcome::Ran) => {}
                Ok(Outcome::Returned(value)) => return End::Returned(value),
                Ok(Outcome::Blocked) => return self.fail(task, *Trap::fault(FaultKind::Deadlock)),
                Err(end) => return *end,
            }
        }
    }

    /// Executes one instruction of one task. What it touched is in [`Machine::report`] until the next step.
    ///
    /// # Errors
    /// The [`End`] of the run, when the program cannot go on; the task is idle then. A task without a program, or
    /// one that does not exist, has returned zero.
    #[inline]
    pub fn step(&mut self, task: u32) -> Result<Outcome, Box<End>> {
        if self.options.stocked {
            self.stock_next_read(task);
        }
        let outcome = self.advance::<Reported>(task, 1)?;
        match self.touched_kept(self.report.at.place) {
            Some(trap) => Err(Box::new(self.fail(task, *trap))),
            None => Ok(outcome),
        }
    }

    /// Executes instructions of one task, at most so many, up to and with the first that needs more than registers and memory.
    pub(super) fn advance<M: Mode>(&mut self, task: u32, most: u64) -> Result<Outcome, Box<End>> {
        match self.flow::<M>(task, most) {
            Some(flow) => self.finish(task, flow),
            None => Ok(Outcome::Returned(0)),
        }
    }

    /// The same, but for what the machine has to do itself for the last of them ([`Machine::finish`]). `None` if the task runs nothing.
    pub(super) fn flow<M: Mode>(&mut self, task: u32, most: u64) -> Option<Result<Flow, Box<Trap>>> {
        self.report.clear();
        let state = self.tasks.get(task as usize)?;
        let cpu = state.cpu;
        let execution = state.execution.as_ref()?;
        let left = self.options.max_insns.saturating_sub(self.steps);
        if left == 0 {
            return Some(Err(Box::new(Trap::Limit(Limit::Instructions(self.options.max_insns)))));
        }
        if M::LOCAL && execution.copy.is_some() {
            return Some(Ok(Flow::Shared));
        }
        let earlier =
            std::mem::replace(&mut self.report.at, Moment { place: execution.place(), cpu, step: self.steps });
        if let Some(outcome) = self.continue_copy(task) {
            return Some(outcome.map(Flow::Done));
        }
        if M::REPORTS && !self.store_buffers.is_empty() {
            self.steps += 1;
            if let Some(outcome) = self.step_buffered(task) {
                return Some(outcome.map(Flow::Done));
            }
            self.steps -= 1;
        }
        let state = self.tasks.get_mut(task as usize)?;
        // A call by itself is a matter of the machine alone.
        if M::REPORTS
            && let Some(site) = state.execution.as_ref().and_then(Execution::next_call)
        {
            self.steps += 1;
            return Some(Ok(Flow::Call(site)));
        }
        let surroundings = Surroundings {
            memory: &mut self.memory,
            reader: &self.rcu.reader(task),
            report: &mut self.report,
            allocator: Allocator::task(task, cpu),
        };
        let (begun, flow) = execute::<M>(state, surroundings, most.min(left));
        if begun == 0 {
            self.report.at = earlier;
        } else if begun > 1
            && let Some(execution) = &state.execution
        {
            let mut place = execution.place();
            place.insn -= u32::from(matches!(flow, Ok(Flow::Noted)));
            self.report.at = Moment { place, cpu, step: self.steps + begun - 1 };
        }
        self.steps += begun;
        Some(flow)
    }

    /// What the machine has to do itself after instructions were executed.
    pub(super) fn finish(&mut self, task: u32, flow: Result<Flow, Box<Trap>>) -> Result<Outcome, Box<End>> {
        if self.memory.unwritten_read.is_some() {
            self.note_unwritten();
        }
        let outcome = match flow {
            Ok(Flow::Next | Flow::Noted | Flow::Left | Flow::Shared) => return Ok(Outcome::Ran),
            Ok(Flow::Done(outcome)) => return Ok(outcome),
            Ok(Flow::CallLocal(target)) => self.call_local(task, target),
            Ok(Flow::Call(site)) => self.call(task, site),
            Ok(Flow::LoadPacket(size, offset)) => self.packet_load(task, size, offset),
            Ok(Flow::Exit) => self.exit(task),
            Err(trap) => self.context_access(task, trap),
        };
        outcome.map_err(|trap| Box::new(self.fail(task, *trap)))
    }

    #[cold]
    fn note_unwritten(&mut self) {
        if let Some(read) = self.memory.unwritten_read.take()
            && self.unwritten.len() < MAX_NOTES
        {
            let at = self.report.at;
            if !self.unwritten.iter().any(|note| note.at.place == at.place) {
                self.unwritten.push(UnwrittenNote { at, read });
            }
        }
    }

    fn call_local(&mut self, task: u32, target: u32) -> Result<Outcome, Box<Trap>> {
        let state = &mut self.tasks[task as usize];
        self.memory.allocator = Allocator::task(task, state.cpu);
        let return_to = state.execution.as_ref().map_or(0, |execution| execution.pc + 1);
        state.push(&mut self.memory, target, return_to, Then::Return)?;
        Ok(Outcome::Ran)
    }

    fn call(&mut self, task: u32, site: usize) -> Result<Outcome, Box<Trap>> {
        let Task { cpu, execution: Some(execution), .. } = &self.tasks[task as usize] else {
            return Ok(Outcome::Returned(0));
        };
        let Some(site) = execution.program.calls.get(site) else { return Err(Trap::fault(FaultKind::RanOff)) };
        let Some(model) = site.model else {
            let what = if site.kfunc { "kfunc" } else { "helper" };
            return Err(Trap::unsupported(format!("no model for {what} {}", site.name)));
        };
        let mut args = [0; 5];
        args.copy_from_slice(&execution.registers[1..6]);
        let cpu = *cpu;
        self.memory.allocator = Allocator::task(task, cpu);
        if model.sleeps && self.rcu.reader(task).in_rcu() {
            return Err(Trap::fault(FaultKind::Sleeping(model.name)));
        }
        let at = self.report.at;
        let answer = (model.run)(&mut Call { machine: self, name: model.name, task, cpu, args, at })?;
        if self.memory.unwritten_read.is_some() {
            self.note_unwritten();
        }
        self.answer(task, answer)
    }

    /// Carries out what a model answered.
    pub(super) fn answer(&mut self, task: u32, answer: Answer) -> Result<Outcome, Box<Trap>> {
        let state = &mut self.tasks[task as usize];
        let Some(execution) = &mut state.execution else { return Ok(Outcome::Returned(0)) };
        match answer {
            Answer::Value(value) => {
                execution.finish_call(Some(value));
                execution.pc += 1;
            }
            Answer::Nothing => {
                execution.finish_call(None);
                execution.pc += 1;
            }
            Answer::Blocked => return Ok(Outcome::Blocked),
            Answer::Copies(copy) => execution.copy = Some(copy),
            Answer::TailCall { place, context } => {
                if !self.tail_call(task, place, context)? {
                    return self.answer(task, Answer::Nothing);
                }
            }
            Answer::Throw { cookie } => return self.throw(task, cookie),
            Answer::CallBack { function, args, then } => {
                let Some(target) = execution.program.function_slot(function) else {
                    return Err(Trap::argument("callback", "the address is no function of the program"));
                };
                // The frame returns to the call itself, whose continuation then decides.
                let return_to = execution.pc;
                execution.registers[1..6].copy_from_slice(&args);
                execution.known |= 0b11_1110;
                state.push(&mut self.memory, target, return_to, Then::Resume(then))?;
            }
        }
        Ok(Outcome::Ran)
    }

    /// A task enters a section that holds grace periods back.
    pub(super) fn enter_rcu(&mut self, task: u32) {
        self.report.order(places::RCU, AccessKind::Observe);
        self.rcu.lock(task);
    }

    /// A task leaves such a section.
    pub(super) fn leave_rcu(&mut self, task: u32) {
        if self.rcu.reader(task).depth() == 1 {
            self.report.order(places::READERS, AccessKind::Release);
        }
        self.rcu.unlock(task);
    }

    /// Types of the kernel: those given, or else the object's own.
    pub(super) fn kernel_types(&self) -> Option<&Btf> {
        self.options.kernel_types.as_deref().or(self.object.btf.as_deref())
    }

    /// The same, to be held while the machine changes.
    pub(super) fn shared_kernel_types(&self) -> Option<Arc<Btf>> {
        self.options.kernel_types.clone().or_else(|| self.object.btf.clone())
    }

    /// A value of a global's section or of another array of one, for `--set`.
    pub(super) fn first_value(&mut self, map: u32) -> Option<RegionId> {
        self.array_element(map, 0).ok().flatten()
    }

    /// Makes a region for something that a program allocates, and reports it.
    pub(super) fn allocate(
        &mut self,
        kind: RegionKind,
        len: u32,
        contents: Contents,
        at: Moment,
    ) -> Result<RegionId, Box<Trap>> {
        let region = self.memory.allocate(kind, len, contents, Some(at))?;
        self.report.events.push(Event::Allocated(region));
        Ok(region)
    }

    /// The special fields of what is in a region: a map's value or an object. `None` for other regions.
    pub(super) fn special_fields(&self, region: RegionId) -> Option<Cow<'_, SpecialFields>> {
        match self.memory.region(region).kind {
            RegionKind::MapValue { map, .. } => self.maps.get(map as usize).map(|map| Cow::Borrowed(&map.specials)),
            RegionKind::Object { type_id } => {
                Some(Cow::Owned(types::special_fields(self.object.btf.as_deref(), type_id)))
            }
            _ => None,
        }
    }

    /// Size of a local type of the object.
    pub(super) fn local_type(&self, callee: &'static str, id: u64) -> Result<(TypeId, u32), Box<Trap>> {
        let type_id = TypeId(u32::try_from(id).unwrap_or(u32::MAX));
        let size = self.object.btf.as_deref().filter(|btf| btf.get(type_id).is_some_and(|ty| ty.composite().is_some()));
        match size.and_then(|btf| btf.size_of(type_id)) {
            Some(size) => Ok((type_id, size)),
            None => Err(Trap::argument(callee, format!("{id} is no struct of the object"))),
        }
    }
}
