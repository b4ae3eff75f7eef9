//! The judge that is right by definition: a real kernel under QEMU, asked about all programs of all pages in one boot
//! when `KPTRSIM_TEST_KERNEL` is 1.

use std::collections::BTreeMap;
use std::env;

use kptrsim::crosscheck::protocol::Verdict;
use kptrsim::crosscheck::{BootOptions, Cache, Judge, LoadJob, LoadOptions, ObjectOutcome, guest};
use kptrsim::verifier::{Errno, RuleEntry};
use libtest_mimic::Failed;

use crate::pages::Found;
use crate::programs::{Checking, compiled};

/// CPUs of the machine that is booted.
const CPUS: u32 = 4;

/// `ENOSPC`.
const LOG_IS_CUT: i32 = 28;

/// Whether a kernel is to be asked.
pub fn is_wanted() -> bool {
    env::var("KPTRSIM_TEST_KERNEL").is_ok_and(|value| value == "1")
}

/// What is to come of a program.
struct Wanted {
    rule: &'static RuleEntry,
    /// The error numbers that the page names.
    errno: String,
    breaks: bool,
}

/// The kernel refuses each program for its page's rule, and accepts each mended one.
pub fn agrees(found: &Found) -> Result<(), Failed> {
    let cache = Cache::of_user()?;
    let guest = guest::locate(&cache, None, &mut |line| eprintln!("{line}"))?;
    let boot = BootOptions { cpus: CPUS, mitigations: true, ..BootOptions::new(guest) };
    let mut judge = Judge::new(cache.default_kernel()?, boot);
    let mut wanted = BTreeMap::new();
    let mut faults = Vec::new();
    for unprivileged in [false, true] {
        let jobs = jobs(found, unprivileged, &mut wanted)?;
        let options = LoadOptions { log_level: 1, want_log: true, unprivileged, ..LoadOptions::default() };
        let asked = jobs.len();
        let mut answered = 0;
        judge.load(jobs, &options, |outcome| {
            answered += 1;
            let fault = wanted.get(&outcome.name).and_then(|wanted| fault(wanted, &outcome));
            faults.extend(fault.map(|fault| format!("{}: {fault}", outcome.name)));
        })?;
        if answered != asked {
            return Err(format!("{answered} answers to {asked} questions").into());
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n").into()) }
}

fn jobs(found: &Found, unprivileged: bool, wanted: &mut BTreeMap<String, Wanted>) -> Result<Vec<LoadJob>, Failed> {
    let mut jobs = Vec::new();
    for page in &found.pages {
        let parsed = page.page()?;
        if Checking::of(&parsed)?.unprivileged != unprivileged {
            continue;
        }
        for program in compiled(page, &parsed)? {
            let breaks = program.breaks;
            let name = format!("{} ({})", page.rule.id, if breaks { "breaks it" } else { "fixed" });
            jobs.push(LoadJob { name: name.clone(), bytes: program.bytes.to_vec(), programs: Vec::new() });
            wanted.insert(name, Wanted { rule: page.rule, errno: parsed.errno.clone(), breaks });
        }
    }
    Ok(jobs)
}

/// What is wrong with the kernel's answer.
fn fault(wanted: &Wanted, outcome: &ObjectOutcome) -> Option<String> {
    if !outcome.failures.is_empty() {
        return Some(outcome.failures.join("; "));
    }
    let refused: Vec<_> =
        outcome.verdicts.iter().map(|said| &said.program).filter(|said| said.verdict != Verdict::Accept).collect();
    match (wanted.breaks, refused.as_slice()) {
        (false, []) => None,
        (false, [said, ..]) => Some(format!("refused: {}", said.reason)),
        (true, [said]) => {
            // Where the kernel refuses without a word, the error number is all there is.
            let (rule, reason) = (wanted.rule, &said.reason);
            // Some rules have the line before the last one.
            let logged = said.log.iter().flat_map(|log| log.lines()).any(|line| rule.fits(line));
            // What is refused before verification has libbpf's words.
            let unlogged = reason.is_empty() || said.verdict == Verdict::NotReached;
            let same = unlogged || !rule.text.contains(' ') || rule.fits(reason) || logged;
            let errno = Errno::ALL.into_iter().find(|errno| errno.number() == said.errno).map(Errno::name);
            let named = errno.is_some_and(|name| wanted.errno.split(" or ").any(|one| one == name));
            // A log that is longer than its buffer is told instead of the verdict.
            (!same || !(named || said.errno == LOG_IS_CUT)).then(|| format!("errno {}: {reason}", said.errno))
        }
        (true, refused) => Some(format!("{} programs are refused", refused.len())),
    }
}
