//! Drawn programs as whoever tests a verifier wants them: as an object's bytes, and printed as assembly.

use std::fmt;
use std::sync::Arc;

use proptest::strategy::Strategy;

use super::{Config, programs};
use crate::kernel::Tables;
use crate::soundness::emission::{Batch, EmissionError};
use crate::soundness::program::{Code, Program, lower};

/// A program that was drawn. `{:?}`, with which `proptest` prints what fails, gives assembly that clang takes.
#[derive(Clone)]
pub struct Drawn {
    program: Program,
    code: Code,
    tables: Arc<Tables>,
}

impl Drawn {
    /// A tree of statements as a program for a kernel with these tables.
    #[must_use]
    pub fn new(program: Program, tables: Arc<Tables>) -> Drawn {
        let code = lower(&program);
        Drawn { program, code, tables }
    }

    /// The tree of statements.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The bytes of an ELF object with this program alone, `p0000`: what libbpf and
    /// [`Object::parse`](crate::object::Object::parse) load.
    ///
    /// # Errors
    /// If it calls a kernel function that the tables do not have.
    pub fn object(&self) -> Result<Vec<u8>, EmissionError> {
        self.batch()?.object()
    }

    /// The text that clang makes the same object of (`clang --target=bpf -c`).
    ///
    /// # Errors
    /// As [`Drawn::object`].
    pub fn assembly(&self) -> Result<String, EmissionError> {
        Ok(self.batch()?.assembly())
    }

    fn batch(&self) -> Result<Batch<'_>, EmissionError> {
        Batch::numbered(std::slice::from_ref(&self.code), &self.tables)
    }
}

impl fmt::Debug for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.assembly() {
            Ok(text) => write!(f, "\n{text}"),
            Err(error) => write!(f, "{:?} ({error})", self.program),
        }
    }
}

/// Programs as `config` wants them, for a kernel with these tables.
///
/// ```
/// use std::sync::Arc;
///
/// use kptrsim::kernel::Profile;
/// use kptrsim::object::Object;
/// use kptrsim::strategies::{Config, objects};
/// use kptrsim::verifier::{ObjectVerifier, Options, Verdict};
/// use proptest::prelude::*;
///
/// let profile = Profile::embedded();
/// let drawn = objects(Config::default(), Arc::new(profile.tables().clone()));
/// proptest!(ProptestConfig::with_cases(20), |(drawn in drawn)| {
///     // Ask the verifier that you test instead.
///     let object = Object::parse("drawn", &drawn.object()?, &profile.load_options())?;
///     let verdict = ObjectVerifier::new(&object, &profile, Options::default()).verify(&object.programs[0]).verdict;
///     prop_assert!(!matches!(verdict, Verdict::Unsupported(_)), "{verdict:?}");
/// });
/// ```
pub fn objects(config: Config, tables: Arc<Tables>) -> impl Strategy<Value = Drawn> {
    programs(config).prop_map(move |program| Drawn::new(program, Arc::clone(&tables)))
}
