//! Which programs a campaign draws, and what is done with each.
//!
//! A plan with its seed is all that a campaign's results depend on, a kernel aside: not on threads, shards or kills.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::changed::{Changes, Original};
use crate::explore::random::Random;
use crate::soundness::program::Program;
use crate::strategies::{Config, Families, generate};

/// What programs are about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Subjects {
    /// A third of each of the others.
    #[default]
    Mixed,
    /// All families of statements in one program.
    All,
    /// Numbers: arithmetic, branches, stack, maps and packets.
    Numbers,
    /// Ownership: per-CPU and other objects, lists, trees, locks.
    Ownership,
}

/// A campaign's choices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What is random comes from this.
    pub seed: u64,
    /// What programs are about.
    pub subjects: Subjects,
    /// How many programs in a hundred are one or two steps off.
    pub mutated: u32,
    /// Runs of each accepted program in the machine.
    pub runs: u64,
    /// CPUs on which a program runs at once, in every other run.
    pub cpus: u32,
    /// Steps of one run's schedule, at most.
    pub max_steps: usize,
    /// Instructions that all programs of one run may execute.
    pub max_insns: u64,
    /// Are the kernel's known gaps findings too, and what they lead to?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub known: bool,
    /// The objects that are changed; programs are generated if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<Original>,
    /// What is changed of them.
    #[serde(default)]
    pub changes: Changes,
}

impl Default for Plan {
    /// Half of the programs well formed; four runs of each on up to two CPUs.
    fn default() -> Plan {
        Plan {
            seed: 0,
            subjects: Subjects::Mixed,
            mutated: 50,
            runs: 4,
            cpus: 2,
            max_steps: 10_000,
            max_insns: 20_000,
            known: false,
            objects: Vec::new(),
            changes: Changes::Instructions,
        }
    }
}

impl Plan {
    /// Program number `index`, where programs are generated.
    #[must_use]
    pub fn program(&self, index: u64) -> Program {
        let mut random = Random::new(self.seed, index);
        let families = match self.subjects {
            Subjects::Mixed => [Families::default(), Families::NUMBERS, Families::OWNERSHIP][random.below(3)],
            Subjects::All => Families::default(),
            Subjects::Numbers => Families::NUMBERS,
            Subjects::Ownership => Families::OWNERSHIP,
        };
        let config = Config { families, ..Config::default() };
        let config = if random.below(100) < self.mutated as usize { config.mutated() } else { config };
        generate(&config, random.word())
    }

    /// The seed of the inputs and schedules of program number `index`.
    #[must_use]
    pub fn run_seed(&self, index: u64) -> u64 {
        self.seed.wrapping_add(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_depends_on_seed_and_number_alone() {
        let plan = Plan { seed: 3, ..Plan::default() };
        assert_eq!(plan.program(7), plan.program(7));
        assert_ne!(plan.program(7), plan.program(8));
        assert_ne!(plan.program(7), Plan { seed: 4, ..plan.clone() }.program(7));
    }

    #[test]
    fn so_many_in_a_hundred_are_steps_off() {
        let mutated = |percent| {
            let plan = Plan { mutated: percent, ..Plan::default() };
            (0..100).filter(|&index| !plan.program(index).mutations.is_empty()).count()
        };
        assert_eq!((mutated(0), mutated(100)), (0, 100));
        assert!((25..75).contains(&mutated(50)));
    }
}
