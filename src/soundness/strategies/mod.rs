//! Strategies of `proptest` that draw whole programs, not byte noise.
//!
//! [`objects`] is where to start: what a [`Config`] asks for, well formed or so many steps off, as objects for any loader.
//! [`programs`] draws the trees of statements behind them. What fails shrinks by taking statements out, putting bodies in the
//! place of what is around them, and making numbers small; every step of that is a program again. [`changed_bytes`] changes an
//! existing object's bytes instead, [`instruction_changes`] its instructions. [`generate`] is the same without `proptest`'s runner, by seed.

mod bytes;
mod changes;
mod draw;
mod drawn;
mod generator;
mod shrink;

use std::sync::Arc;

use proptest::strategy::{NewTree, Strategy};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::kernel::Tables;
use crate::soundness::program::{MutationKind, Program, ProgramKind, UserKfunc};
pub use bytes::{change_bytes, changed_bytes};
pub use changes::{Change, byte_changes, changed, instruction_changes};
use draw::Draw;
pub use drawn::{Drawn, objects};
pub use generator::Families;
use generator::Generator;
pub use shrink::{ProgramTree, edit};

/// What programs are wanted.
#[derive(Clone, Debug)]
pub struct Config {
    /// Program types, one of which each program is.
    pub kinds: Vec<ProgramKind>,
    /// Statements of each family, relative to each other; 0 for none.
    pub families: Families,
    /// Kernel functions of the user's own, for the family of that name: [`UserKfunc::of_tables`].
    pub kfuncs: Vec<Arc<UserKfunc>>,
    /// Most statements of one program, those inside others included; at least 1.
    pub statements: usize,
    /// Most statements inside each other.
    pub depth: u32,
    /// Least and most steps off; both 0 for well-formed programs.
    pub mutations: (usize, usize),
    /// What may go wrong in a step off.
    pub mutation_kinds: Vec<MutationKind>,
}

impl Default for Config {
    /// Well-formed programs of all families and of every type, up to 30 statements, 6 deep.
    fn default() -> Self {
        Config {
            kinds: ProgramKind::ALL.to_vec(),
            families: Families::default(),
            kfuncs: Vec::new(),
            statements: 30,
            depth: 6,
            mutations: (0, 0),
            mutation_kinds: MutationKind::ALL.to_vec(),
        }
    }
}

impl Config {
    /// The same with calls of the kernel functions that a user described (`--kfuncs`, [`Tables::with_files`]).
    #[must_use]
    pub fn with_kfuncs(self, tables: &Tables) -> Self {
        Config { kfuncs: UserKfunc::of_tables(tables).into_iter().map(Arc::new).collect(), ..self }
    }

    /// The same with one or two steps off in each program.
    #[must_use]
    pub fn mutated(self) -> Self {
        Config { mutations: (1, 2), ..self }
    }
}

/// Programs as `config` wants them.
#[must_use]
pub fn programs(config: Config) -> ProgramStrategy {
    ProgramStrategy { config }
}

/// The program that a seed stands for. The same seed and config give the same program.
#[must_use]
pub fn generate(config: &Config, seed: u64) -> Program {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    bytes[8..].copy_from_slice(&(seed ^ 0x6a09_e667_f3bc_c908).to_le_bytes());
    let mut rng = TestRng::from_seed(RngAlgorithm::XorShift, &bytes);
    Generator::new(config, Draw::new(&mut rng)).program()
}

/// The strategy that [`programs`] makes.
#[derive(Clone, Debug)]
pub struct ProgramStrategy {
    config: Config,
}

impl Strategy for ProgramStrategy {
    type Tree = ProgramTree;
    type Value = Program;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        Ok(ProgramTree::new(Generator::new(&self.config, Draw::new(runner.rng())).program()))
    }
}
