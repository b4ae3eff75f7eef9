//! The programs on the pages: compiled as `kptrsim verify` compiles a file, and verified.

use std::fs;

use kptrsim::cli::target::{self, KernelArgs};
use kptrsim::cli::verify::capabilities;
use kptrsim::report::rules::page::{Page, Program};
use kptrsim::verifier::{ObjectVerifier, Options, Rejection, RuleEntry, Verdict};
use libtest_mimic::Failed;

use crate::pages::RulePage;

/// How a page's programs are checked, as it says in options of `kptrsim verify`.
#[derive(Debug, Default)]
pub struct Checking {
    /// For a process without capabilities.
    pub unprivileged: bool,
    /// With the types of a kernel from the cache.
    pub kernel: Option<String>,
}

impl Checking {
    /// What a page says.
    pub fn of(page: &Page) -> Result<Checking, Failed> {
        let mut checking = Checking::default();
        let mut options = page.checked_with.iter();
        while let Some(option) = options.next() {
            match option.as_str() {
                "--unpriv" => checking.unprivileged = true,
                "--kernel" => checking.kernel = options.next().cloned(),
                other => return Err(format!("nothing checks programs with {other}").into()),
            }
        }
        Ok(checking)
    }
}

/// Whether a page's programs take a kernel's types.
pub fn needs_kernel(page: &RulePage) -> bool {
    let checking = page.page().and_then(|parsed| Checking::of(&parsed));
    checking.is_ok_and(|checking| checking.kernel.is_some())
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
    let checking = Checking::of(&parsed)?;
    let mut refused = refused(page.rule.id, broken, &checking)?;
    match (refused.pop(), refused.is_empty()) {
        (Some(Verdict::Reject(rejection)), true) => breaks(page.rule, &rejection)?,
        (Some(Verdict::Unsupported(what)), true) => return Err(format!("not supported: {what}").into()),
        (Some(_), _) => return Err("more than one program is rejected".into()),
        (None, _) => return Err("the program that breaks the rule is accepted".into()),
    }
    match self::refused(page.rule.id, fixed, &checking)?.pop() {
        Some(Verdict::Reject(rejection)) => Err(format!("mended, it is rejected: {}", rejection.rule).into()),
        Some(_) => Err("mended, it is not supported".into()),
        None => Ok(()),
    }
}

fn breaks(rule: &RuleEntry, rejection: &Rejection) -> Result<(), Failed> {
    // Some rules have the line before the last one.
    if rejection.notes.iter().any(|note| rule.fits(note)) {
        return Ok(());
    }
    let (id, message) = (rejection.rule.id(), rejection.rule.to_string());
    if id != rule.id {
        return Err(format!("it breaks {id}: {message}").into());
    }
    // A rule whose text comes from a table of its own has none that could be compared.
    if rule.text.contains(' ') && !rule.fits(&message) {
        return Err(format!("`{message}` is not the rule's text `{}`", rule.text).into());
    }
    Ok(())
}

/// The verdicts on a file's programs, of which there is at least one, without those that are accepted.
fn refused(id: &str, program: &Program, checking: &Checking) -> Result<Vec<Verdict>, Failed> {
    let bytes = compiled(id, program)?;
    let kernel = KernelArgs { kernel: checking.kernel.clone(), ..KernelArgs::default() }.kernel()?;
    let object = target::parse_object(id.as_ref(), &bytes, &kernel)?;
    let options = Options { capabilities: capabilities(checking.unprivileged), ..Options::default() };
    let verifier = ObjectVerifier::new(&object, &kernel.profile, options);
    if object.programs.is_empty() {
        return Err("a file has no program".into());
    }
    let verdicts = object.programs.iter().map(|program| verifier.verify(program).verdict);
    Ok(verdicts.filter(|verdict| !matches!(verdict, Verdict::Accept)).collect())
}
