//! Generated programs by number, in objects of fifty.

use std::sync::Arc;

use kptrsim::kernel::Profile;
use kptrsim::object::Object;
use kptrsim::soundness::emission::Batch;
use kptrsim::soundness::program::{Code, lower};
use kptrsim::strategies::{Config, Families, generate};

/// Programs of one object.
const TOGETHER: usize = 50;

/// Which programs are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Set {
    /// Well formed, of all families.
    Formed,
    /// Well formed, about numbers.
    Numbers,
    /// Well formed, about ownership.
    Ownership,
    /// Well formed, about per-CPU objects and little else.
    Percpu,
    /// One or two steps off, of all families.
    Off,
    /// The same about numbers.
    NumbersOff,
    /// The same about ownership.
    OwnershipOff,
}

impl Set {
    fn config(self) -> Config {
        let families = match self {
            Set::Formed | Set::Off => Families::default(),
            Set::Numbers | Set::NumbersOff => Families::NUMBERS,
            Set::Ownership | Set::OwnershipOff => Families::OWNERSHIP,
            Set::Percpu => Families { percpu: 40, arithmetic: 4, branches: 4, ..Families::NONE },
        };
        let config = Config { families, ..Config::default() };
        if matches!(self, Set::Off | Set::NumbersOff | Set::OwnershipOff) { config.mutated() } else { config }
    }

    /// The program of that seed.
    pub fn code(self, seed: u64) -> Code {
        lower(&generate(&self.config(), seed))
    }
}

/// Programs in objects.
pub struct Objects {
    /// The objects, of fifty programs each, but for the last.
    pub objects: Vec<Arc<Object>>,
    /// Their files.
    pub files: Vec<Vec<u8>>,
}

impl Objects {
    /// Puts programs into objects.
    pub fn of(codes: &[Code]) -> Objects {
        let profile = Profile::embedded();
        let files: Vec<Vec<u8>> = codes
            .chunks(TOGETHER)
            .map(|codes| {
                Batch::numbered(codes, profile.tables()).and_then(|batch| batch.object()).expect("it is written")
            })
            .collect();
        let parse = |bytes: &Vec<u8>| {
            Arc::new(Object::parse("generated", bytes, &profile.load_options()).expect("what we write loads"))
        };
        Objects { objects: files.iter().map(parse).collect(), files }
    }

    /// Object and index in it of a program.
    pub fn get(&self, program: usize) -> (&Arc<Object>, usize) {
        (&self.objects[program / TOGETHER], program % TOGETHER)
    }
}

/// A digest of a program's slots (FNV-1a).
pub fn digest(code: &Code) -> u32 {
    let bytes = code.functions.iter().flat_map(|function| function.slots()).flat_map(|slot| slot.to_bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash ^ hash >> 32) as u32
}
