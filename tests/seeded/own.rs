//! Programs of `tests/programs` and `examples`: our verdicts, and what our machine makes of those that run, are what stands on top of each
//! file, which a kernel has confirmed.

use std::sync::Arc;

use kptrsim::kernel::{Capabilities, Profile};
use kptrsim::object::Object;
use kptrsim::verifier::{ObjectVerifier, Options, Verdict as Decided};

use crate::Cases;
use crate::expectation::{Expectations, Verdict};
use crate::machine;
use crate::source::{self, Clang, Source};

/// A file with what is expected of it.
struct File {
    source: Source,
    expectations: Expectations,
    object: Arc<Object>,
}

/// The files.
pub struct Own {
    profile: Profile,
    clang: Clang,
    files: Vec<File>,
}

impl Own {
    /// Reads and compiles them.
    pub fn prepare() -> Own {
        let profile = Profile::embedded();
        let clang = Clang::find().expect("clang is there");
        let file = |source: Source| {
            let bytes = source.compiled(&clang).expect("it compiles");
            let object = Object::parse(&source.name, bytes, &profile.load_options()).expect("it loads");
            File { expectations: source.expectations().expect("they can be read"), object: Arc::new(object), source }
        };
        let files = source::find().expect("the folders are there").into_iter().map(file).collect();
        Own { profile, clang, files }
    }
}

impl Cases for Own {
    fn count(&self) -> usize {
        self.files.len()
    }

    fn check(&self, case: usize) -> Result<(), String> {
        let File { source, expectations, object } = &self.files[case];
        let capabilities = if expectations.unprivileged { Capabilities::empty() } else { Capabilities::all() };
        let options = Options { capabilities, max_processed: Some(100_000), ..Options::default() };
        let verifier = ObjectVerifier::new(object, &self.profile, options);
        for program in &object.programs {
            let expected = &expectations.of(&program.name).ok_or("nothing is expected")?.verdict;
            let decided = verifier.verify(program).verdict;
            let same = match (expected, &decided) {
                (Verdict::Accept, Decided::Accept) => true,
                (Verdict::Reject(expected), Decided::Reject(found)) => {
                    (expected.errno, &expected.reason) == (found.rule.errno().number(), &found.rule.to_string())
                }
                _ => false,
            };
            if !same {
                return Err(format!("{} {}: {}", source.path(), program.name, words(&decided)));
            }
        }
        let run = machine::run(source, &self.clang);
        run.map_err(|failed| format!("{}: {}", source.path(), failed.message().unwrap_or_default()))
    }
}

fn words(decided: &Decided) -> String {
    match decided {
        Decided::Accept => "ours accepts".to_owned(),
        Decided::Reject(rejection) => format!("ours rejects ({})", rejection.rule),
        Decided::Unsupported(what) => format!("unsupported: {what}"),
    }
}
