//! Runs programs concurrently, each bound to a CPU, again and again from the same start, and counts what comes of it.
//!
//! The object is loaded once. An iteration puts all maps back, runs `first`, lets the tasks race, runs `last`, and reads what was asked for.
//! Start at [`scenario`].

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use libbpf_sys as sys;

use crate::libbpf::{self, Object, Program};
use crate::maps::Reader;
use crate::protocol::{
    MapEntry, ReplyBody, RunStep, ScenarioOutcome, ScenarioRequest, ScenarioResult, ScenarioTask, Trigger, from_hex,
    to_hex,
};
use crate::race::{Answer, Line, Meeting, Order, Skews, TestRun, line, obey};
use crate::reset::{Reset, thread_descriptor};
use crate::run::{DEFAULT_PACKET, load_object, pin_to, takes_packet, trigger_for};
use crate::serve::Sink;

/// Different outcomes that are counted; more of them are an error.
const MAX_OUTCOMES: usize = 20_000;

/// Entries of one map that are read after an iteration.
const MAX_ENTRIES: usize = 4096;

/// Carries out a scenario and sends its result.
pub fn scenario(request: &ScenarioRequest, bytes: &[u8], sink: &mut Sink) {
    libbpf::capture_messages();
    let mut tally = Tally::default();
    let error = carry_out(request, bytes, &mut tally).err();
    sink.send(ReplyBody::Scenario(tally.result(error)));
}

/// What one iteration left behind, as bytes.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Outcome {
    returns: Vec<u32>,
    last: Vec<u32>,
    /// For each map that is read: its entries by key.
    maps: Vec<BTreeMap<Vec<u8>, Vec<u8>>>,
}

/// The outcomes so far.
#[derive(Default)]
struct Tally {
    iterations: u64,
    counts: BTreeMap<Outcome, u64>,
    readers: Vec<Watched>,
}

/// A map that is read after each iteration.
struct Watched {
    reader: Reader,
    owners: Owners,
}

/// Whose entries a map has.
#[derive(PartialEq, Eq)]
enum Owners {
    /// Nobody's: it has keys.
    Keys,
    /// The cgroup's that all run in.
    Cgroup,
    /// The threads'.
    Threads,
}

impl Tally {
    fn result(self, error: Option<String>) -> ScenarioResult {
        let Tally { iterations, counts, readers } = self;
        let map = |(watched, entries): (&Watched, BTreeMap<Vec<u8>, Vec<u8>>)| {
            let entry = |(key, value): (Vec<u8>, Vec<u8>)| {
                let key = if watched.owners == Owners::Keys { to_hex(&key) } else { String::new() };
                MapEntry { key, values: watched.reader.split(&value) }
            };
            entries.into_iter().map(entry).collect()
        };
        let outcome = |(outcome, count): (Outcome, u64)| ScenarioOutcome {
            count,
            returns: outcome.returns,
            last: outcome.last,
            maps: readers.iter().zip(outcome.maps).map(map).collect(),
        };
        ScenarioResult { iterations, outcomes: counts.into_iter().map(outcome).collect(), error }
    }
}

fn carry_out(request: &ScenarioRequest, bytes: &[u8], tally: &mut Tally) -> Result<(), String> {
    let steps = request.tasks.iter().flat_map(|task| &task.steps);
    let steps: Vec<&RunStep> = request.first.iter().chain(steps).chain(&request.last).collect();
    let names: Vec<&str> = steps.iter().map(|step| step.program.as_str()).collect();
    let object = load_object(bytes, &names, &request.globals)?;
    let programs = object.programs();
    let find = |step: &RunStep| {
        let found = programs.iter().find(|program| program.name() == step.program);
        found.ok_or_else(|| format!("the object has no program '{}'", step.program))
    };
    let _link = attach(&steps.iter().map(|step| find(step)).collect::<Result<Vec<_>, _>>()?)?;
    let prepare = |step: &RunStep| prepare(find(step)?, step);
    let placed = |list: &[RunStep]| {
        list.iter().map(|step| Ok((step.cpu.unwrap_or(0), prepare(step)?))).collect::<Result<Vec<_>, String>>()
    };
    let task =
        |task: &ScenarioTask| Ok((task.cpu, task.steps.iter().map(prepare).collect::<Result<Vec<_>, String>>()?));
    let plan = Plan {
        first: placed(&request.first)?,
        tasks: request.tasks.iter().map(task).collect::<Result<Vec<_>, String>>()?,
        last: placed(&request.last)?,
        reset: Reset::of(&object)?,
    };
    tally.readers = watched(&object, &request.read)?;
    plan.carry_out(request, tally)
}

/// The maps that are read after each iteration.
fn watched(object: &Object, names: &[String]) -> Result<Vec<Watched>, String> {
    let maps = object.maps();
    let watch = |name: &String| {
        let map = maps.iter().find(|map| map.name() == *name);
        let map = map.ok_or_else(|| format!("the object has no map '{name}'"))?;
        // SAFETY: the map's object is open.
        let owners = match unsafe { sys::bpf_map__type(map.raw()) } {
            sys::BPF_MAP_TYPE_CGRP_STORAGE => Owners::Cgroup,
            sys::BPF_MAP_TYPE_TASK_STORAGE => Owners::Threads,
            _ => Owners::Keys,
        };
        Ok(Watched { reader: Reader::new(map), owners })
    };
    names.iter().map(watch).collect()
}

/// An attached program, for as long as this lives.
struct Link(*mut sys::bpf_link);

impl Drop for Link {
    fn drop(&mut self) {
        // SAFETY: null, or a link that nobody else holds.
        unsafe { sys::bpf_link__destroy(self.0) };
    }
}

/// Attaches the tracing program, if there is one: a test run on any thread then calls it once.
fn attach(programs: &[&Program]) -> Result<Link, String> {
    let mut tracing: Option<&Program> = None;
    for program in programs {
        let (name, section) = (program.name(), program.section());
        match trigger_for(program) {
            Trigger::TestRun => continue,
            Trigger::AttachAndTestRun if calls_once(&section) => {}
            _ => return Err(format!("{name}: a program of section {section} cannot be made to run on one CPU alone")),
        }
        match tracing {
            Some(other) if other.name() != name => {
                return Err(format!(
                    "{name} and {} are tracing programs: a test run would run both; make them `syscall`, `tc` or `raw_tp`",
                    other.name()
                ));
            }
            _ => tracing = Some(program),
        }
    }
    let Some(program) = tracing else { return Ok(Link(std::ptr::null_mut())) };
    // SAFETY: the program is loaded and its object open.
    let link = unsafe { sys::bpf_program__attach(program.raw()) };
    if link.is_null() {
        return Err(format!("{} cannot be attached: error {}", program.name(), libbpf::last_errno()));
    }
    Ok(Link(link))
}

/// Does a test run of a tracing program call the function it is attached to once (`bpf_prog_test_run_tracing`, Linux 6.12)?
fn calls_once(section: &str) -> bool {
    let target = section.rsplit('/').next().unwrap_or("");
    target.starts_with("bpf_fentry_test") || target == "bpf_modify_return_test"
}

fn prepare(program: &Program, step: &RunStep) -> Result<TestRun, String> {
    let decode = |digits: &Option<String>| match digits {
        Some(digits) => from_hex(digits).ok_or_else(|| format!("'{digits}' is not hexadecimal")),
        None => Ok(Vec::new()),
    };
    let mut packet = decode(&step.data_in)?;
    if packet.is_empty() && takes_packet(program) {
        packet = vec![0; DEFAULT_PACKET];
    }
    // SAFETY: the program's object is open.
    let fd = unsafe { sys::bpf_program__fd(program.raw()) };
    Ok(TestRun { name: program.name(), fd, context: decode(&step.ctx_in)?, packet, repeat: step.repeat.max(1) })
}

/// All that an iteration does.
struct Plan {
    first: Vec<(usize, TestRun)>,
    /// Each task's CPU and what it runs, in the order in which their return values are told.
    tasks: Vec<(usize, Vec<TestRun>)>,
    last: Vec<(usize, TestRun)>,
    reset: Reset,
}

impl Plan {
    fn carry_out(&self, request: &ScenarioRequest, tally: &mut Tally) -> Result<(), String> {
        let leader = self.tasks.first().ok_or("no task")?.0;
        let cpus: BTreeSet<usize> = self.tasks.iter().map(|(cpu, _)| *cpu).collect();
        let placed: BTreeSet<usize> = self.first.iter().chain(&self.last).map(|(cpu, _)| *cpu).collect();
        let others = self.tasks.iter().skip(1).map(|(cpu, runs)| (*cpu, runs.as_slice()));
        let idle = placed.difference(&cpus).map(|&cpu| (cpu, &[][..]));
        let meeting = Meeting::of(self.tasks.len(), cpus.len() < self.tasks.len());
        thread::scope(|scope| {
            pin_to(Some(leader)).map_err(|error| format!("cannot run on CPU {leader}: {error}"))?;
            let mut crew = Crew { plan: self, meeting: &meeting, lines: Vec::new(), threads: vec![own_descriptor()?] };
            for (cpu, task) in others.chain(idle) {
                let (line, worker) = line();
                let meeting = &meeting;
                scope.spawn(move || match pin_to(Some(cpu)) {
                    Ok(()) => {
                        worker.announce(thread_id());
                        worker.serve(task, meeting);
                    }
                    Err(error) => worker.refuse(format!("cannot run on CPU {cpu}: {error}")),
                });
                let thread = line.answer()?.first().copied().unwrap_or(0).cast_signed();
                crew.threads.push(thread_descriptor(thread)?);
                crew.lines.push((cpu, line));
            }
            crew.iterate(request, tally)
        })
    }
}

fn thread_id() -> u32 {
    // SAFETY: takes nothing.
    unsafe { libc::gettid() }.cast_unsigned()
}

fn own_descriptor() -> Result<OwnedFd, String> {
    thread_descriptor(thread_id().cast_signed())
}

/// The threads: the one that leads, which is the first task's, one for each other task, and one for each further CPU.
struct Crew<'a> {
    plan: &'a Plan,
    meeting: &'a Meeting,
    /// Those but the leader's, with their CPUs.
    lines: Vec<(usize, Line)>,
    threads: Vec<OwnedFd>,
}

impl Crew<'_> {
    fn iterate(&self, request: &ScenarioRequest, tally: &mut Tally) -> Result<(), String> {
        let mut skews = Skews::seeded(request.seed);
        let end = Instant::now() + Duration::from_secs(request.budget_seconds.into());
        while tally.iterations < request.iterations && Instant::now() < end {
            self.plan.reset.apply(&self.threads)?;
            self.alone(&self.plan.first)?;
            let returns = self.race(&mut skews)?;
            let last = self.alone(&self.plan.last)?;
            let maps = tally.readers.iter().map(|one| one.read(&self.plan.reset, &self.threads));
            let maps = maps.collect::<Result<_, _>>()?;
            *tally.counts.entry(Outcome { returns, last, maps }).or_default() += 1;
            tally.iterations += 1;
            if tally.counts.len() > MAX_OUTCOMES {
                return Err(format!("more than {MAX_OUTCOMES} different outcomes; observe less"));
            }
        }
        Ok(())
    }

    /// Lets all tasks run at once; what they returned, task by task.
    fn race(&self, skews: &mut Skews) -> Result<Vec<u32>, String> {
        let racing: Vec<&Line> = self.lines.iter().take(self.plan.tasks.len() - 1).map(|(_, line)| line).collect();
        for line in &racing {
            line.order(Order::Race { skew: skews.next() })?;
        }
        let own = self.plan.tasks.first().map_or(&[][..], |(_, runs)| runs.as_slice());
        let own = obey(Order::Race { skew: skews.next() }, own, self.meeting);
        // All are waited for before any failure is told: none may be left behind at the next meeting.
        let answers: Vec<Answer> = std::iter::once(own).chain(racing.iter().map(|line| line.answer())).collect();
        answers.into_iter().collect::<Result<Vec<_>, _>>().map(|lists| lists.concat())
    }

    /// Runs programs one after another, each on its CPU.
    fn alone(&self, runs: &[(usize, TestRun)]) -> Result<Vec<u32>, String> {
        let mut returns = Vec::new();
        let leader = self.plan.tasks.first().map(|(cpu, _)| *cpu);
        for (cpu, run) in runs {
            let order = Order::Alone(run.clone());
            let answer = match self.lines.iter().find(|(of, _)| of == cpu && Some(*of) != leader) {
                Some((_, line)) => line.order(order).and_then(|()| line.answer()),
                None => obey(order, &[], self.meeting),
            };
            returns.extend(answer?);
        }
        Ok(returns)
    }
}

impl Watched {
    /// All entries of the map; those of storage under their owner's number.
    fn read(&self, reset: &Reset, threads: &[OwnedFd]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, String> {
        let owners: Vec<i32> = match self.owners {
            Owners::Keys => return self.walk(),
            Owners::Cgroup => reset.cgroup().into_iter().collect(),
            Owners::Threads => threads.iter().map(AsRawFd::as_raw_fd).collect(),
        };
        let entry = |(number, owner): (usize, &i32)| {
            self.reader.entry(&owner.to_ne_bytes()).ok().map(|value| (number.to_be_bytes().to_vec(), value))
        };
        Ok(owners.iter().enumerate().filter_map(entry).collect())
    }

    fn walk(&self) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, String> {
        let mut entries = BTreeMap::new();
        let mut key = None;
        while let Some(next) = self.reader.next_key(key.as_deref()) {
            if entries.len() == MAX_ENTRIES {
                return Err(format!("a map of more than {MAX_ENTRIES} entries is observed"));
            }
            if let Ok(value) = self.reader.entry(&next) {
                entries.insert(next.clone(), value);
            }
            key = Some(next);
        }
        Ok(entries)
    }
}
