//! Our own machine in the guest's place: the same request, carried out on simulated CPUs, answered in the guest's own words.
//!
//! What the guest does stands in `guest/src/run.rs` and `guest/src/maps.rs`; this follows it, so that two answers can be laid
//! side by side ([`compare_run`](super::compare_run)). Start at [`machine_run`].

use std::sync::Arc;

use thiserror::Error;

use super::protocol::{
    GlobalSetting, GlobalValue, MapDump, MapEntry, RunStep, StepResult, TestRunRequest, TestRunResult, Trigger,
    Variable, from_hex, to_hex,
};
use crate::btf::fields::special_fields;
use crate::btf::{Btf, SectionVariable, Type, TypeId};
use crate::machine::{
    End, Input, Machine, MachineOptions, MapFamily, MapState, Moment, RegionId, SetupError, function_run,
};
use crate::object::{Map, Object, Section};

/// Entries of one map that are listed, as the guest lists them.
const MAX_ENTRIES: usize = 4096;

/// Hexadecimal digits of one map's values after which no more entries are listed, as in the guest.
const MAX_DIGITS: usize = 8 << 20;

/// A run on simulated CPUs.
#[derive(Debug)]
pub struct MachineRun {
    /// The machine after the last step.
    pub machine: Machine,
    /// How each step that was begun ended; only the last one can have ended otherwise than by returning.
    pub ends: Vec<End>,
    /// The answer that the guest would give.
    pub result: TestRunResult,
}

/// Why a request cannot be carried out.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum MachineRunError {
    /// A global is set that does not exist.
    #[error("the object has no global '{0}'")]
    NoGlobal(String),
    /// Bytes for a global are not hexadecimal.
    #[error("'{0}' is not hexadecimal")]
    Digits(String),
    /// A value is too long for its global.
    #[error("{count} bytes at offset {offset} do not fit into '{name}' ({size} bytes)")]
    TooLong {
        /// The global.
        name: String,
        /// Bytes of the value.
        count: usize,
        /// Where they were to go, in bytes from its start.
        offset: usize,
        /// Bytes of the global.
        size: usize,
    },
    /// The machine cannot be set up, or a program not be started.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

/// Carries out a request on a machine made with these options.
///
/// A step without a CPU runs on CPU 0. Grace periods end between steps, as they do while a guest attaches and detaches. The run
/// ends with the first step that does not return, and the result's `error` then says how that one ended.
///
/// # Errors
/// [`MachineRunError`] when the request does not fit the object or the machine.
pub fn machine_run(
    object: &Object,
    options: MachineOptions,
    request: &TestRunRequest,
) -> Result<MachineRun, MachineRunError> {
    let mut object = object.clone();
    for setting in &request.globals {
        set_global(&mut object, setting, &options)?;
    }
    let mut machine = Machine::new(Arc::new(object), options)?;
    let programs = request.steps.iter().map(|step| machine.load(&step.program)).collect::<Result<Vec<_>, _>>()?;
    let mut ends = Vec::new();
    let mut result = TestRunResult { steps: Vec::new(), maps: Vec::new(), error: None };
    for (step, program) in request.steps.iter().zip(programs) {
        let done = run_step(&mut machine, step, program)?;
        result.error = done.end.as_ref().and_then(|end| unfinished(&machine, end));
        result.error = result.error.map(|what| format!("{}: {what}", step.program));
        result.steps.push(done.result);
        ends.extend(done.end);
        if result.error.is_some() {
            break;
        }
    }
    result.maps = dump_all(&machine);
    Ok(MachineRun { machine, ends, result })
}

/// What became of one step.
struct Done {
    result: StepResult,
    /// How the last run ended; `None` if the program was not run at all.
    end: Option<End>,
}

/// Runs one step, as often as it asks for, and lets a grace period pass after each time.
fn run_step(machine: &mut Machine, step: &RunStep, program: u32) -> Result<Done, MachineRunError> {
    let loaded = machine.programs().get(program as usize).map(|program| program.source().section.clone());
    let Some(section) = loaded else { return Err(MachineRunError::NoGlobal(step.program.clone())) };
    let trigger = trigger(&section);
    let mut result = StepResult {
        program: step.program.clone(),
        trigger,
        errno: 0,
        retval: 0,
        data_out: None,
        ctx_out: None,
        error: None,
    };
    let decode = |digits: &Option<String>| match digits {
        Some(digits) => from_hex(digits).map(Some).ok_or_else(|| MachineRunError::Digits(digits.clone())),
        None => Ok(None),
    };
    let input = Input { packet: decode(&step.data_in)?, context: decode(&step.ctx_in)? };
    let function = (trigger == Trigger::AttachAndTestRun).then(|| function_run(&section));
    if let Some(function) = function.filter(|function| !function.calls) {
        result.retval = function.retval(None);
        return Ok(Done { result, end: None });
    }
    let cpu = u32::try_from(step.cpu.unwrap_or(0)).unwrap_or(u32::MAX);
    let mut end = End::Returned(0);
    for _ in 0..step.repeat.max(1) {
        match machine.start_with(program, cpu, &input) {
            Err(SetupError::Input(errno)) => {
                result.errno = errno;
                result.error = Some("BPF_PROG_TEST_RUN".into());
                return Ok(Done { result, end: None });
            }
            started => started?,
        }
        end = machine.run(cpu);
        if matches!(end, End::Returned(_)) {
            end = run_timers(machine, end)?;
        }
        machine.end_grace_period();
        if !matches!(end, End::Returned(_)) {
            break;
        }
    }
    if let End::Returned(value) = end {
        result.retval = function.map_or(value as u32, |function| function.retval(Some(value)));
        let output = machine.output(cpu).unwrap_or_default();
        result.data_out = output.packet.map(|bytes| to_hex(&bytes));
        result.ctx_out = output.context.map(|bytes| to_hex(&bytes));
    }
    Ok(Done { result, end: Some(end) })
}

/// Rounds of callbacks that start each other after one run.
const CALLBACK_ROUNDS: u32 = 1000;

/// Timers that a program has set have expired before the next step, and so have those that their callbacks set. Returns how
/// the last callback ended if it did not return, and else the program's own end.
fn run_timers(machine: &mut Machine, end: End) -> Result<End, MachineRunError> {
    for _ in 0..CALLBACK_ROUNDS {
        match machine.run_callbacks()?.pop() {
            None => break,
            Some((_, _, End::Returned(_))) => {}
            Some((_, _, other)) => return Ok(other),
        }
    }
    Ok(end)
}

/// How a step ended, if it did not return.
fn unfinished(machine: &Machine, end: &End) -> Option<String> {
    let place = |at: Moment| {
        let program = machine.programs().get(at.place.program as usize);
        let line = program.and_then(|program| program.source().line_at(at.place.insn as usize));
        let source = line.map_or(String::new(), |line| format!(" ({}:{})", line.file, line.line));
        format!("at instruction {}{source}", at.place.insn)
    };
    match end {
        End::Returned(_) => None,
        End::Fault(fault) => Some(format!("{} {}", fault.kind, place(fault.at))),
        End::Unsupported(what) => Some(format!("unsupported: {} {}", what.what, place(what.at))),
        End::Limit(limit, at) => Some(format!("{limit} {}", place(*at))),
    }
}

/// How the guest makes a program of that section run.
#[must_use]
pub fn trigger(section: &Section) -> Trigger {
    // BPF_PROG_TYPE_TRACING; BPF_TRACE_FENTRY, BPF_TRACE_FEXIT, BPF_MODIFY_RETURN.
    const TRACING: u32 = 26;
    const AROUND_FUNCTION: [u32; 3] = [24, 25, 26];
    // KPROBE, TRACEPOINT, PERF_EVENT, RAW_TRACEPOINT_WRITABLE, LSM.
    const ATTACHED: [u32; 5] = [2, 5, 7, 24, 29];
    match section.program_type {
        TRACING if AROUND_FUNCTION.contains(&section.attach_type) => Trigger::AttachAndTestRun,
        TRACING => Trigger::AttachAndSyscall,
        other if ATTACHED.contains(&other) => Trigger::AttachAndSyscall,
        _ => Trigger::TestRun,
    }
}

/// Whether the guest's trigger makes a program of that section run exactly once, as a step of [`machine_run`] does.
///
/// `BPF_PROG_TEST_RUN` of a tracing program calls some functions once each ([`function_run`]); otherwise the guest makes one
/// `getpgid` system call.
#[must_use]
pub fn runs_once(section: &Section) -> bool {
    match trigger(section) {
        Trigger::AttachAndTestRun => function_run(section).calls,
        Trigger::AttachAndSyscall => section.target.contains("getpgid"),
        Trigger::Auto | Trigger::TestRun => true,
    }
}

/// Writes one global's initial value, as libbpf does before it loads the object.
fn set_global(object: &mut Object, setting: &GlobalSetting, options: &MachineOptions) -> Result<(), MachineRunError> {
    let name = &setting.name;
    let btf = object.btf.clone();
    for map in &mut object.maps {
        let variables = btf.as_deref().map_or(Vec::new(), |btf| variables(btf, map));
        let Some(section) = &mut map.globals else { continue };
        let place = if map.name == *name {
            Some((0, section.bytes.len()))
        } else {
            variables.iter().find(|one| one.name == *name).map(|one| (one.offset as usize, one.size as usize))
        };
        let Some((start, size)) = place else { continue };
        let bytes = bytes_of(&setting.value, size.saturating_sub(setting.offset), options)?;
        let end = setting.offset.saturating_add(bytes.len());
        let room = (end <= size).then(|| section.bytes.get_mut(start + setting.offset..start + end)).flatten();
        let too_long =
            || MachineRunError::TooLong { name: name.clone(), count: bytes.len(), offset: setting.offset, size };
        room.ok_or_else(too_long)?.copy_from_slice(&bytes);
        return Ok(());
    }
    Err(MachineRunError::NoGlobal(name.clone()))
}

fn bytes_of(value: &GlobalValue, size: usize, options: &MachineOptions) -> Result<Vec<u8>, MachineRunError> {
    let number = match value {
        GlobalValue::Hex(digits) => return from_hex(digits).ok_or_else(|| MachineRunError::Digits(digits.clone())),
        GlobalValue::Int(number) => *number,
        GlobalValue::Pid => i64::from(options.pid),
        GlobalValue::PossibleCpus => i64::from(options.cpus),
    };
    Ok(number.to_le_bytes().into_iter().take(size).collect())
}

/// Every map, as the guest would list it.
fn dump_all(machine: &Machine) -> Vec<MapDump> {
    let object = machine.object();
    object.maps.iter().zip(machine.maps()).map(|(map, state)| dump(machine, map, state)).collect()
}

fn dump(machine: &Machine, map: &Map, state: &MapState) -> MapDump {
    let btf = machine.object().btf.as_deref();
    let hidden = btf.map_or(Vec::new(), |btf| hidden(btf, map.definition.value_type));
    let mut dump = MapDump {
        name: map.name.clone(),
        map_type: type_name(state.map_type).to_owned(),
        key_size: state.key_size(),
        value_size: state.value_size(),
        entries: Vec::new(),
        truncated: false,
        error: None,
        variables: btf.map_or(Vec::new(), |btf| variables(btf, map)),
    };
    let made = state.elements();
    let mut digits = 0;
    let mut list = |key: &[u8], first: Option<RegionId>| {
        if dump.entries.len() == MAX_ENTRIES || digits > MAX_DIGITS {
            dump.truncated = true;
            return false;
        }
        let copies = if state.per_cpu { machine.cpu_count() } else { 1 };
        let value = |copy: u32| {
            // An element of an array that nothing touched yet is zero.
            let zero = || vec![0; state.value_size() as usize];
            let mut bytes = first.map_or_else(zero, |first| machine.memory().peek(RegionId(first.0 + copy)).to_vec());
            hide(&mut bytes, &hidden);
            to_hex(&bytes)
        };
        let values: Vec<String> = (0..copies).map(value).collect();
        digits += values.iter().map(String::len).sum::<usize>();
        dump.entries.push(MapEntry { key: to_hex(key), values });
        true
    };
    match state.family {
        MapFamily::Array => {
            let mut made = made.iter().peekable();
            for index in 0..state.max_entries() {
                let key = index.to_le_bytes();
                let first = made.next_if(|(made, _)| made[..] == key).map(|&(_, region)| region);
                if !list(&key, first) {
                    break;
                }
            }
        }
        MapFamily::Hash | MapFamily::Trie | MapFamily::LocalStorage => {
            for (key, region) in &made {
                if !list(key, Some(*region)) {
                    break;
                }
            }
        }
        MapFamily::Queue | MapFamily::Stack | MapFamily::Ring => {
            let mut values = state.values_without_keys();
            dump.truncated = values.len() > MAX_ENTRIES;
            values.truncate(MAX_ENTRIES);
            let entry = |(number, value): (usize, Vec<u8>)| MapEntry {
                key: to_hex(&(number as u32).to_le_bytes()),
                values: vec![to_hex(&value)],
            };
            dump.entries = values.into_iter().enumerate().map(entry).collect();
        }
        _ => dump.error = Some("maps of this type are not read".into()),
    }
    dump
}

/// libbpf's name for a map type.
fn type_name(map_type: u32) -> &'static str {
    const NAMES: [&str; 34] = [
        "unspec",
        "hash",
        "array",
        "prog_array",
        "perf_event_array",
        "percpu_hash",
        "percpu_array",
        "stack_trace",
        "cgroup_array",
        "lru_hash",
        "lru_percpu_hash",
        "lpm_trie",
        "array_of_maps",
        "hash_of_maps",
        "devmap",
        "sockmap",
        "cpumap",
        "xskmap",
        "sockhash",
        "cgroup_storage",
        "reuseport_sockarray",
        "percpu_cgroup_storage",
        "queue",
        "stack",
        "sk_storage",
        "devmap_hash",
        "struct_ops",
        "ringbuf",
        "inode_storage",
        "task_storage",
        "bloom_filter",
        "user_ringbuf",
        "cgrp_storage",
        "arena",
    ];
    NAMES.get(map_type as usize).copied().unwrap_or("other")
}

/// The variables of a global section; none for other maps.
fn variables(btf: &Btf, map: &Map) -> Vec<Variable> {
    let Some(section) = &map.globals else { return Vec::new() };
    let Type::DataSection { variables, .. } = btf.ty(section.type_id) else { return Vec::new() };
    let name = |type_id| btf.ty(type_id).name().to_owned();
    let variable = |one: &SectionVariable| Variable { name: name(one.type_id), offset: one.offset, size: one.size };
    variables.iter().map(variable).collect()
}

/// Bytes that a system call does not read as they are: offset and size of the special fields.
fn hidden(btf: &Btf, value_type: TypeId) -> Vec<(usize, usize)> {
    let fields = special_fields(btf, value_type).map(|special| special.fields).unwrap_or_default();
    fields.iter().map(|field| (field.offset as usize, field.size as usize)).collect()
}

fn hide(bytes: &mut [u8], hidden: &[(usize, usize)]) {
    for &(offset, size) in hidden {
        if let Some(field) = bytes.get_mut(offset..offset + size) {
            field.fill(0);
        }
    }
}

/// Makes the special fields in a kernel's answer zero, as they are in ours.
///
/// The kernel gives most of them as zero; the head of a list it gives as an empty one, which holds an address
/// (`check_and_init_map_value`, Linux 6.12).
pub fn hide_special_fields(object: &Object, result: &mut TestRunResult) {
    let Some(btf) = object.btf.as_deref() else { return };
    for dump in &mut result.maps {
        let Some(map) = object.maps.iter().find(|map| map.name == dump.name) else { continue };
        let hidden = hidden(btf, map.definition.value_type);
        if hidden.is_empty() {
            continue;
        }
        for value in dump.entries.iter_mut().flat_map(|entry| &mut entry.values) {
            if let Some(mut bytes) = from_hex(value) {
                hide(&mut bytes, &hidden);
                *value = to_hex(&bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::LoadOptions;

    const OBJECT: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/objects/percpu_slot.bpf.o"));

    fn object() -> Object {
        Object::parse("percpu_slot", OBJECT, &LoadOptions::default()).expect("it loads")
    }

    fn request(programs: &[&str], globals: Vec<GlobalSetting>) -> TestRunRequest {
        let step = |program: &&str| RunStep {
            program: (*program).to_owned(),
            trigger: Trigger::Auto,
            data_in: None,
            ctx_in: None,
            repeat: 0,
            cpu: None,
        };
        TestRunRequest {
            globals,
            steps: programs.iter().map(step).collect(),
            companions: Vec::new(),
            timeout_seconds: 1,
        }
    }

    fn run(programs: &[&str], globals: Vec<GlobalSetting>) -> Result<MachineRun, MachineRunError> {
        machine_run(&object(), MachineOptions { cpus: 2, ..MachineOptions::default() }, &request(programs, globals))
    }

    fn setting(name: &str, value: GlobalValue) -> GlobalSetting {
        GlobalSetting { name: name.into(), offset: 0, value }
    }

    /// The bytes of a variable after a run.
    fn variable(result: &TestRunResult, name: &str) -> Option<Vec<u8>> {
        let find = |map: &MapDump| {
            let variable = map.variables.iter().find(|one| one.name == name)?;
            let bytes = from_hex(&map.entries[0].values[0])?;
            Some(bytes[variable.offset as usize..][..variable.size as usize].to_vec())
        };
        result.maps.iter().find_map(find)
    }

    #[test]
    fn a_story_leaves_the_bytes_that_a_kernel_would_read() {
        let set = vec![setting("cpus", GlobalValue::PossibleCpus)];
        let run = run(&["make", "count", "sum"], set).expect("the request fits");
        assert_eq!(run.result.error, None);
        assert_eq!(run.result.steps.iter().map(|step| step.retval).collect::<Vec<_>>(), [0, 0, 0]);
        assert_eq!(variable(&run.result, "cpus"), Some(vec![2, 0, 0, 0]));
        assert_eq!(variable(&run.result, "total").map(|bytes| bytes[0]), Some(5));
        let slots = run.result.maps.iter().find(|map| map.name == "slots").expect("the map is there");
        assert_eq!(slots.entries.len() as u32, run.machine.maps()[0].max_entries());
        // The field holds an object, whose address a system call does not give away.
        assert!(slots.entries[0].values[0].ends_with("0000000000000000"), "{:?}", slots.entries[0]);
    }

    #[test]
    fn a_fault_ends_the_run_with_its_place() {
        let run = run(&["use_after_drop", "make"], Vec::new()).expect("the request fits");
        assert_eq!(run.result.steps.len(), 1);
        let error = run.result.error.expect("it faults");
        assert!(error.starts_with("use_after_drop: ") && error.contains("percpu_slot.bpf.c:"), "{error}");
    }

    #[test]
    fn settings_that_do_not_fit_are_refused() {
        let error = |name: &str, value| run(&["make"], vec![setting(name, value)]).err();
        assert_eq!(error("nothing", GlobalValue::Int(1)), Some(MachineRunError::NoGlobal("nothing".into())));
        assert_eq!(error("cpus", GlobalValue::Hex("0".into())), Some(MachineRunError::Digits("0".into())));
        let long = error("cpus", GlobalValue::Hex("0102030405".into()));
        assert!(matches!(long, Some(MachineRunError::TooLong { count: 5, size: 4, .. })), "{long:?}");
        assert_eq!(error("cpus", GlobalValue::Int(1)), None);
    }
}
