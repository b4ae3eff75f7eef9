//! Our own machine: each story on each of its numbers of CPUs, with the results, faults and leaks that it tells of.

use kptrsim::crosscheck::machine_run::{MachineRun, machine_run};
use kptrsim::kernel::Profile;
use kptrsim::machine::{End, MachineOptions};
use kptrsim::object::Object;
use libtest_mimic::Failed;

use crate::expectation::{Outcome, Story};
use crate::outcome;
use crate::source::{Clang, Source};
use crate::trials::check;

/// The machine returns what is expected, or faults as expected, and leaves the expected globals, map elements and leaks.
pub fn run(source: &Source, clang: &Clang) -> Result<(), Failed> {
    let expectations = source.expectations()?;
    let profile = Profile::embedded();
    let options = profile.load_options();
    let object = Object::parse(&source.name, source.compiled(clang)?, &options)?;
    for (index, story) in expectations.stories.iter().enumerate() {
        for &cpus in &story.cpus {
            let options = MachineOptions { cpus, kernel_types: Some(profile.btf.clone()), ..MachineOptions::default() };
            let run = machine_run(&object, options, &outcome::request(story, cpus)?)?;
            compare(story, cpus, &run, &object)
                .map_err(|failed| format!("run {} on {cpus} CPUs: {}", index + 1, failed.message().unwrap_or("")))?;
        }
    }
    Ok(())
}

fn compare(story: &Story, cpus: u32, run: &MachineRun, object: &Object) -> Result<(), Failed> {
    for (step, end) in story.steps.iter().zip(&run.ends) {
        let name = &step.program;
        match (&step.outcome, end) {
            (Outcome::Returns(_) | Outcome::ReturnsAnything, End::Returned(_)) => {}
            (Outcome::Faults(kind), End::Fault(fault)) => {
                let got = fault.kind.name();
                check(kind == got, || format!("{name}: expected {kind}, it is {got}: {}", fault.kind))?;
            }
            (Outcome::Unsupported(what), End::Unsupported(got)) => {
                check(*what == got.what, || format!("{name}: expected {what}, it is {}", got.what))?;
            }
            (Outcome::Faults(kind) | Outcome::Unsupported(kind), End::Returned(value)) => {
                return Err(format!("{name}: expected {kind}, it returned {value}").into());
            }
            _ => return Err(run.result.error.clone().unwrap_or_default().into()),
        }
    }
    outcome::compare(story, cpus, &run.result, object)?;
    if let Some(leaks) = story.leaks {
        // An object whose field was overwritten is as lost as one that a program ended with.
        let got = run.machine.leaks().len() + run.machine.overwritten().len();
        check(got == leaks as usize, || format!("expected {leaks} leaks, there are {got}"))?;
    }
    Ok(())
}
