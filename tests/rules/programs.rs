//! The programs on the pages: compiled as `kptrsim verify` compiles a file, and verified.

use std::fs;

use kptrsim::cli::target::{self, KernelArgs};
use kptrsim::cli::verify::capabilities;
use kptrsim::report::rules::page::{Page, Program};
use kptrsim::verifier::{ObjectVerifier, Options, RuleEntry, Verdict};
use libtest_mimic::Failed;

use crate::pages::RulePage;

/// What a page says its programs are checked with.
const UNPRIVILEGED: &str = "--unpriv";

/// Whether the page's programs are for a process without capabilities.
pub fn is_unprivileged(page: &Page) -> Result<bool, Failed> {
    match page.checked_with.iter().find(|option| *option != UNPRIVILEGED) {
        Some(option) => Err(format!("nothing checks programs with {option}").into()),
        None => Ok(!page.checked_with.is_empty()),
    }
}

/// The object that clang makes of a program.
pub fn compiled(id: &str, program: &Program) -> Result<Vec<u8>, Failed> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(format!("{id}.bpf.{}", program.language.extension()));
    fs::write(&path, &program.text)?;
    Ok(target::compile(&path)?)
}

/// The program breaks the rule and nothing else; the mended one is accepted.
pub fn verify(page: &RulePage) -> Result<(), Failed> {
    let parsed = page.page()?;
    let (Some(broken), Some(fixed)) = (parsed.broken_program(), parsed.fixed_program()) else {
        return Ok(());
    };
    let unprivileged = is_unprivileged(&parsed)?;
    let verdicts = judged(page.rule.id, broken, unprivileged)?;
    let rejected: Vec<&Verdict> = verdicts.iter().filter(|verdict| !matches!(verdict, Verdict::Accept)).collect();
    match rejected.as_slice() {
        [Verdict::Reject(rejection)] => breaks(page.rule, rejection.rule.id(), &rejection.rule.to_string())?,
        [Verdict::Unsupported(what)] => return Err(format!("not supported: {what}").into()),
        [] => return Err("the program that breaks the rule is accepted".into()),
        _ => return Err("more than one program is rejected".into()),
    }
    match judged(page.rule.id, fixed, unprivileged)?.into_iter().find(|verdict| !matches!(verdict, Verdict::Accept)) {
        Some(Verdict::Reject(rejection)) => Err(format!("mended, it is rejected: {}", rejection.rule).into()),
        Some(_) => Err("mended, it is not supported".into()),
        None => Ok(()),
    }
}

fn breaks(rule: &RuleEntry, id: &str, message: &str) -> Result<(), Failed> {
    if id != rule.id {
        return Err(format!("it breaks {id}: {message}").into());
    }
    // A rule whose text comes from a table of its own has none that could be compared.
    if rule.text.contains(' ') && !rule.fits(message) {
        return Err(format!("`{message}` is not the rule's text `{}`", rule.text).into());
    }
    Ok(())
}

/// The verdicts on a file's programs, of which there is at least one.
fn judged(id: &str, program: &Program, unprivileged: bool) -> Result<Vec<Verdict>, Failed> {
    let bytes = compiled(id, program)?;
    let kernel = KernelArgs::default().kernel()?;
    let object = target::parse_object(id.as_ref(), &bytes, &kernel)?;
    let options = Options { capabilities: capabilities(unprivileged), ..Options::default() };
    let verifier = ObjectVerifier::new(&object, &kernel.profile, options);
    let verdicts: Vec<Verdict> =
        object.programs.iter().map(|program| verifier.verify(program).verdict.clone()).collect();
    if verdicts.is_empty() { Err("a file has no program".into()) } else { Ok(verdicts) }
}
