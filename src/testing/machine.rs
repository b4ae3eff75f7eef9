//! A simulated machine on which a test runs programs, one after another.

use std::fmt::Display;

use serde_json::Value;

use super::{Bpf, TestError};
use crate::machine::{End, Input, Machine as Simulated, MachineOptions};
use crate::report::run::{ProgramRun, RunReport, end_text};
use crate::report::told::Look;

/// Simulated CPUs with the maps and globals of an object. What a program leaves there, the next one finds.
#[derive(Debug)]
pub struct Machine {
    machine: Simulated,
    runs: Vec<ProgramRun>,
}

/// How a program's run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "assert how the run ended"]
pub struct Returned {
    program: String,
    value: Option<i32>,
    kind: &'static str,
    text: String,
}

impl Machine {
    pub(super) fn new(bpf: &Bpf, cpus: u32) -> Result<Machine, TestError> {
        let kernel_types = Some(std::sync::Arc::clone(&bpf.profile.btf));
        let options = MachineOptions { cpus, kernel_types, ..MachineOptions::default() };
        Ok(Machine { machine: Simulated::new(std::sync::Arc::clone(&bpf.object), options)?, runs: Vec::new() })
    }

    /// Sets a global variable, or a part of one: `name`, `name.field`, `name[2]`. Constants can be set too, as a loader does before
    /// it loads programs.
    ///
    /// # Errors
    /// If there is no such variable, or it cannot hold the value.
    pub fn set(&mut self, global: &str, value: impl Display) -> Result<&mut Machine, TestError> {
        self.machine.set_global(&format!("{global}={value}"))?;
        Ok(self)
    }

    /// Runs a program on CPU 0, and after it the callbacks (timers, work queues) that are due.
    ///
    /// # Errors
    /// If there is no such program, or it cannot be started.
    pub fn run(&mut self, program: &str) -> Result<Returned, TestError> {
        self.run_with(0, program, &[], &[])
    }

    /// The same on another CPU.
    ///
    /// # Errors
    /// If there is no such program or CPU, or it cannot be started.
    pub fn run_on(&mut self, cpu: u32, program: &str) -> Result<Returned, TestError> {
        self.run_with(cpu, program, &[], &[])
    }

    /// The same with a context and a packet of your own; an empty one is zeros where the program's type has one.
    ///
    /// # Errors
    /// If there is no such program or CPU, or the kernel would refuse such an input.
    pub fn run_with(&mut self, cpu: u32, program: &str, context: &[u8], packet: &[u8]) -> Result<Returned, TestError> {
        let loaded = self.machine.load(program)?;
        let some = |bytes: &[u8]| (!bytes.is_empty()).then(|| bytes.to_vec());
        self.machine.start_with(loaded, cpu, &Input { context: some(context), packet: some(packet) })?;
        let end = self.machine.run(cpu);
        let returned = self.note(program.to_owned(), cpu, end);
        if returned.value.is_some() {
            for (name, cpu, end) in self.machine.run_callbacks()? {
                let callback = self.note(name, cpu, end);
                if callback.value.is_none() {
                    return Ok(callback);
                }
            }
        }
        Ok(returned)
    }

    fn note(&mut self, program: String, cpu: u32, end: End) -> Returned {
        let (value, kind) = match &end {
            End::Returned(value) => (Some(*value as u32 as i32), "returned"),
            End::Fault(fault) => (None, fault.kind.name()),
            End::Unsupported(_) => (None, "unsupported"),
            End::Limit(..) => (None, "limit"),
        };
        let text = format!("{program} on CPU {cpu}: {}", end_text(&self.machine, &end));
        self.runs.push(ProgramRun { name: program.clone(), cpu, end });
        Returned { program, value, kind, text }
    }

    /// Ends a grace period: what programs freed, and no RCU section still sees, is gone.
    pub fn end_grace_period(&mut self) {
        self.machine.end_grace_period();
    }

    /// A global variable's value as JSON; null if there is none of that name.
    #[must_use]
    pub fn global(&self, name: &str) -> Value {
        self.json()["globals"][name].take()
    }

    /// The value of a map's element as JSON: a structure is an object, a per-CPU map's value a list by CPU. Null if there is
    /// no such element; elements of arrays that nothing touched are zero, and null here.
    #[must_use]
    pub fn element(&self, map: &str, key: impl Into<Value>) -> Value {
        let key = key.into();
        let mut elements = self.json()["maps"][map].take();
        let found = elements.as_array_mut().and_then(|all| all.iter_mut().find(|element| element["key"] == key));
        found.map_or(Value::Null, |element| {
            let values = element["values"].take();
            if values.is_null() { element["value"].take() } else { values }
        })
    }

    /// Everything as `kptrsim run --format json` prints it.
    #[must_use]
    pub fn json(&self) -> Value {
        RunReport::new(&self.machine, &self.runs).json()
    }

    /// Everything as `kptrsim run` prints it.
    #[must_use]
    pub fn text(&self) -> String {
        RunReport::new(&self.machine, &self.runs).text(&Look::plain())
    }

    /// Asserts that no program ended with a reference that nobody can give back any more.
    ///
    /// # Panics
    /// If one did; with where it was acquired.
    #[track_caller]
    pub fn assert_no_leaks(&self) -> &Machine {
        self.assert_none("leaked", "nothing leaked")
    }

    /// Asserts that nothing is owned by a map or a program any more, leaked, or waiting for a grace period.
    ///
    /// # Panics
    /// If something is; with what and where it was acquired.
    #[track_caller]
    pub fn assert_nothing_owned(&self) -> &Machine {
        self.assert_none("leaked", "nothing leaked");
        self.assert_none("owned", "nothing owned");
        self.assert_none("pending", "nothing that waits for a grace period")
    }

    #[track_caller]
    fn assert_none(&self, list: &str, expected: &str) -> &Machine {
        let empty = self.json()[list].as_array().is_none_or(Vec::is_empty);
        assert!(empty, "expected {expected}, but:\n{}", self.text());
        self
    }
}

impl Returned {
    /// The value that it returned; `None` if it could not go on.
    #[must_use]
    pub fn value(&self) -> Option<i32> {
        self.value
    }

    /// `returned`, the kind of fault such as `use-after-free`, `unsupported`, or `limit`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// How it ended, as `kptrsim run` prints it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Asserts that it returned this.
    ///
    /// # Panics
    /// If it returned something else, or faulted; with the place and the memory's story.
    #[track_caller]
    pub fn assert_returned(&self, value: i32) -> &Returned {
        assert!(self.value == Some(value), "expected that {} returns {value}, but:\n{}", self.program, self.text);
        self
    }

    /// Asserts that it ended with a fault of that kind, such as `use-after-free` or `out-of-bounds`.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn assert_fault(&self, kind: &str) -> &Returned {
        assert!(self.kind == kind, "expected that {} faults by {kind}, but:\n{}", self.program, self.text);
        self
    }
}
