//! A run of the machine's, done again on a kernel that was booted for nothing else.
//!
//! Same program, same context and packet, on as many CPUs as the machine had: which CPUs there are is what some faults are about. Maps
//! begin empty, and schedules are the kernel's own, so it is done many times over.

use super::bench::Unit;
use crate::crosscheck::kernel_outcomes::{KernelRuns, OutcomesError, kernel_outcomes};
use crate::crosscheck::{BootOptions, CrosscheckError, Judge, KernelImage};
use crate::object::Program;
use crate::soundness::containment::inputs::{Inputs, cpus_of};

/// How long a program that does no harm is run, and how often at most.
const RUNS: KernelRuns = KernelRuns { iterations: 2_000, budget_seconds: 10, seed: 1 };

/// Machines that are booted where one dies of what no program did.
const BOOTS: u32 = 3;

/// What a kernel that patches its code under emulation now and then dies of, whatever runs (see `Vm::boot`).
const BREAKPOINT: &str = "Oops: int3";

/// A run, and what became of it on a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The run's number, by which the machine has it.
    pub number: u64,
    /// CPUs of the kernel's machine, on each of which it ran at once.
    pub cpus: u32,
    /// How often in a row it ran each time.
    pub in_a_row: u32,
    /// What became of it.
    pub ended: Ended,
}

/// How a program's runs on a kernel ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It came back each time.
    Returned {
        /// How often it was run.
        times: u64,
        /// What it came back with, each once.
        outcomes: Vec<String>,
    },
    /// The kernel died, and said this.
    Died {
        /// The console, from where the kernel began to complain.
        console: String,
    },
    /// It was not run, or gave no answer in time.
    Unknown(String),
}

/// The kernel to do it on.
#[derive(Clone, Copy, Debug)]
pub struct Kernel<'a> {
    /// What is booted.
    pub image: &'a KernelImage,
    /// How, but for the number of CPUs.
    pub boot: &'a BootOptions,
}

impl Kernel<'_> {
    /// Does the run of that number and seed of a program, which has so many CPUs if it is not one by itself.
    #[must_use]
    pub fn replay(self, unit: &Unit, program: &Program, seed: u64, number: u64, cpus: u32) -> Replay {
        let cpus = cpus_of(number, cpus);
        let mut scenario = Inputs::new(seed, number).scenario(program, cpus);
        scenario.observe = Some(Vec::new());
        let boot = BootOptions { cpus, ..self.boot.clone() };
        let once = || {
            let mut judge = Judge::new(self.image.clone(), boot.clone());
            match kernel_outcomes(&mut judge, &scenario, &unit.object, &unit.bytes, &RUNS) {
                Ok(outcomes) => {
                    Ended::Returned { times: outcomes.iterations, outcomes: outcomes.counts.into_keys().collect() }
                }
                Err(error) => ended(&error),
            }
        };
        let by_chance = |ended: &Ended| matches!(ended, Ended::Died { console } if console.contains(BREAKPOINT));
        let mut ended = once();
        for _ in 1..BOOTS {
            if !by_chance(&ended) {
                break;
            }
            ended = once();
        }
        let in_a_row = scenario.on.iter().flat_map(|task| &task.run).map(|run| run.repeat).max().unwrap_or(1);
        Replay { number, cpus, in_a_row, ended }
    }
}

fn ended(error: &OutcomesError) -> Ended {
    let OutcomesError::Crosscheck(
        CrosscheckError::Died { console, .. }
        | CrosscheckError::Timeout { console, .. }
        | CrosscheckError::Garbled { console, .. },
    ) = error
    else {
        return Ended::Unknown(error.to_string());
    };
    // A kernel that dies does not always close the port to us.
    match last_words(console) {
        Some(console) => Ended::Died { console },
        None => Ended::Unknown(error.to_string()),
    }
}

/// The console from where a kernel begins to complain; `None` if it does not. Registers that it prints a second time are left out.
#[must_use]
pub fn last_words(console: &str) -> Option<String> {
    const COMPLAINTS: [&str; 5] = ["BUG:", "Oops:", "Kernel panic", "general protection fault", "watchdog:"];
    let lines: Vec<&str> = console.lines().collect();
    let complains = |line: &str| COMPLAINTS.iter().any(|complaint| line.contains(complaint));
    let lines = &lines[lines.iter().position(|line| complains(line))?..];
    let traced = lines.iter().position(|line| line.contains("---[ end trace")).unwrap_or(lines.len());
    let (story, rest) = lines.split_at(traced);
    let rest = rest.iter().skip_while(|line| !line.contains("Kernel panic"));
    Some(story.iter().chain(rest).copied().collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const CONSOLE: &str =
        "booting\n[ 2.1] BUG: kernel NULL pointer dereference, address: 8\n[ 2.1] #PF: supervisor read";

    #[test]
    fn a_dead_kernel_is_told_from_a_silent_one_by_its_words() {
        let silent = |console: &str| {
            let error = CrosscheckError::Timeout { after: Duration::from_secs(1), console: console.to_owned() };
            ended(&error.into())
        };
        let words = "[ 2.1] BUG: kernel NULL pointer dereference, address: 8\n[ 2.1] #PF: supervisor read";
        assert_eq!(silent(CONSOLE), Ended::Died { console: words.to_owned() });
        let twice = format!("{CONSOLE}\n[ 3.0] ---[ end trace 0 ]---\nRIP again\n[ 3.1] Kernel panic - not syncing");
        let words = format!("{words}\n[ 3.1] Kernel panic - not syncing");
        assert_eq!(silent(&twice), Ended::Died { console: words });
        assert!(matches!(silent("booting"), Ended::Unknown(why) if why.contains("no answer")));
        let refused = OutcomesError::Run("no such program".to_owned());
        assert!(matches!(ended(&refused), Ended::Unknown(why) if why.contains("no such program")));
    }
}
