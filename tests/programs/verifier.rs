//! Our own verifier: the same verdict, reason, error number, instruction and line as the kernel's.

use kptrsim::kernel::{Capabilities, Profile};
use kptrsim::object::Object;
use kptrsim::verifier::{ObjectVerifier, Options, Verdict as Decided, Verification};
use libtest_mimic::Failed;

use crate::expectation::{Rejection, Verdict};
use crate::source::{Clang, Source};
use crate::trials::check;

/// Our verifier gives each program the expected verdict, for the expected reason, at the expected instruction and line.
pub fn verify(source: &Source, clang: &Clang) -> Result<(), Failed> {
    let expectations = source.expectations()?;
    let profile = Profile::embedded();
    let object = Object::parse(&source.name, source.compiled(clang)?, &profile.load_options())?;
    let capabilities = if expectations.unprivileged { Capabilities::empty() } else { Capabilities::all() };
    let verifier = ObjectVerifier::new(&object, &profile, Options { capabilities, ..Options::default() });
    for program in &object.programs {
        let expected = expectations.of(&program.name).ok_or_else(|| format!("nothing expected of {}", program.name))?;
        let located = matches!(&expected.verdict, Verdict::Reject(rejection) if rejection.insn.is_some());
        let decided = decided(source, &object, &verifier.verify(program), located)?;
        check(expected.verdict == decided, || {
            format!("{}: expected {:?}, ours is {decided:?}", program.name, expected.verdict)
        })?;
    }
    Ok(())
}

/// Our verdict in the words of an expectation.
///
/// The kernel names no instruction for what it finds before it follows the first path; ours may, and then it is not `located`.
fn decided(source: &Source, object: &Object, verification: &Verification, located: bool) -> Result<Verdict, Failed> {
    match &verification.verdict {
        Decided::Accept => Ok(Verdict::Accept),
        Decided::Unsupported(what) => Err(format!("{} is not supported: {what}", verification.program).into()),
        Decided::Reject(rejection) => {
            let insn = verification.place.as_ref().and_then(|place| u32::try_from(place.insn).ok()).filter(|_| located);
            Ok(Verdict::Reject(Rejection {
                errno: rejection.rule.errno().number(),
                reason: rejection.rule.to_string(),
                insn,
                line: insn.and_then(|insn| source.line_at(object, &verification.program, insn)),
            }))
        }
    }
}
