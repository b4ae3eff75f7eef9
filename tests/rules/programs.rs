//! The programs on the pages: compiled as `kptrsim verify` compiles a file, and verified.

use std::fs;

use kptrsim::cli::target::{self, KernelArgs, TargetError};
use kptrsim::cli::verify::capabilities;
use kptrsim::kernel::files;
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

/// One of a page's programs.
pub struct Compiled<'a> {
    /// Is it the one that breaks the rule?
    pub breaks: bool,
    /// The object that clang makes of it.
    pub bytes: &'a [u8],
}

/// A page's programs, compiled once: the one that breaks the rule, then the mended one; none if it has none.
pub fn compiled<'a>(page: &'a RulePage, parsed: &Page) -> Result<Vec<Compiled<'a>>, Failed> {
    let objects = &page.objects;
    let programs = [(true, parsed.broken_program(), &objects.broken), (false, parsed.fixed_program(), &objects.fixed)];
    let mut compiled = Vec::new();
    for (breaks, program, object) in programs {
        let Some(program) = program else { continue };
        let made = object.get_or_init(|| compile(page.rule.id, program).map_err(|error| error.to_string()));
        compiled.push(Compiled { breaks, bytes: made.as_deref().map_err(Clone::clone)? });
    }
    Ok(compiled)
}

fn compile(id: &str, program: &Program) -> Result<Vec<u8>, TargetError> {
    let failed = |source| TargetError::Write { path: id.into(), source };
    let folder = tempfile::tempdir().map_err(failed)?;
    let path = folder.path().join(format!("{id}.bpf.{}", program.language.extension()));
    fs::write(&path, &program.text).map_err(failed)?;
    Ok(files::read_or_compile(&path, &[])?)
}

/// The program breaks the rule and nothing else; the mended one is accepted.
pub fn verify(page: &RulePage) -> Result<(), Failed> {
    let parsed = page.page()?;
    let checking = Checking::of(&parsed)?;
    for program in compiled(page, &parsed)? {
        let mut refused = refused(page.rule.id, program.bytes, &checking)?;
        match (program.breaks, refused.pop(), refused.is_empty()) {
            (true, Some(Verdict::Reject(rejection)), true) => breaks(page.rule, &rejection)?,
            (true, None, _) => return Err("the program that breaks the rule is accepted".into()),
            (true, Some(_), false) => return Err("more than one program is rejected".into()),
            (false, None, _) => {}
            (false, Some(Verdict::Reject(rejection)), _) => {
                return Err(format!("mended, it is rejected: {}", rejection.rule).into());
            }
            (_, Some(other), _) => return Err(format!("no verdict: {other:?}").into()),
        }
    }
    Ok(())
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
fn refused(id: &str, bytes: &[u8], checking: &Checking) -> Result<Vec<Verdict>, Failed> {
    let kernel = KernelArgs { kernel: checking.kernel.clone(), ..KernelArgs::default() }.kernel()?;
    let object = target::parse_object(id.as_ref(), bytes, &kernel)?;
    let options = Options { capabilities: capabilities(checking.unprivileged), ..Options::default() };
    let verifier = ObjectVerifier::new(&object, &kernel.profile, options);
    if object.programs.is_empty() {
        return Err("a file has no program".into());
    }
    let verdicts = object.programs.iter().map(|program| verifier.verify(program).verdict);
    Ok(verdicts.filter(|verdict| !matches!(verdict, Verdict::Accept)).collect())
}
