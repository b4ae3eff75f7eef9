//! Accepted generated programs: every run lies in the verifier's states and ends without a fault.

use std::sync::Arc;

use kptrsim::kernel::Profile;
use kptrsim::machine::MachineOptions;
use kptrsim::soundness::containment::{Accepted, Check, Found};

use crate::Cases;
use crate::programs::{Objects, Set};

/// Programs.
const COUNT: usize = 600;
/// Runs of each: by itself and on two CPUs by turns.
const RUNS: u64 = 6;
/// Where seeds start; others than those of the recorded verdicts.
const FIRST_SEED: u64 = 10_000;

/// The programs.
pub struct Containment {
    profile: Profile,
    objects: Objects,
}

impl Containment {
    /// Draws them.
    pub fn prepare() -> Containment {
        let sets = [Set::Ownership, Set::Numbers, Set::Formed, Set::Percpu];
        let codes: Vec<_> =
            (0..COUNT).map(|number| sets[number % sets.len()].code(FIRST_SEED + number as u64)).collect();
        Containment { profile: Profile::embedded(), objects: Objects::of(&codes) }
    }
}

impl Cases for Containment {
    fn count(&self) -> usize {
        COUNT
    }

    fn check(&self, case: usize) -> Result<(), String> {
        let (object, index) = self.objects.get(case);
        let program = &object.programs[index];
        let accepted = Accepted::verify(object, &self.profile, [program]).map_err(|error| error.to_string())?;
        if accepted.traces.is_empty() {
            return Ok(());
        }
        let options = MachineOptions {
            max_insns: 100_000,
            kernel_types: Some(Arc::clone(&self.profile.btf)),
            ..MachineOptions::default()
        };
        let check =
            Check { object: Arc::clone(object), accepted, options, max_steps: 4_000, seed: case as u64, known: false };
        let outcome = check.program(program, 2, 0..RUNS).map_err(|error| error.to_string())?;
        outcome
            .findings
            .iter()
            .next()
            .map_or(Ok(()), |(key, reported)| Err(format!("{key}: {}", first(&reported.found))))
    }
}

/// What a finding says, in one line.
fn first(found: &Found) -> String {
    match found {
        Found::Run(finding) => finding.kind().to_owned(),
        Found::Outside(violation) => {
            let mismatch = violation.against.first().and_then(|against| against.mismatch.as_ref());
            mismatch.map_or_else(|| "no state there".to_owned(), |mismatch| format!("{mismatch:?}"))
        }
    }
}
