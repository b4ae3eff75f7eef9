//! A small program for each cause, seen again by a kernel that was booted for nothing else, and written down.

use std::path::Path;
use std::sync::atomic::Ordering;

use rayon::prelude::*;

use super::{Campaign, CampaignError, Control};
use crate::crosscheck::compare::OurVerdict;
use crate::crosscheck::{Judge, KernelVerdict, LoadJob, LoadOptions, missing_kfuncs};
use crate::fuzz::bench::{self, Bench, Ours, Subject, Unit, number};
use crate::fuzz::cause::{Cause, Class};
use crate::fuzz::changed;
use crate::fuzz::finding::{Finding, Written};
use crate::fuzz::journal::{Entry, Recorded};
use crate::fuzz::replay::Kernel;
use crate::fuzz::shrink::shrink;
use crate::report::contain::Checked;
use crate::report::told::Look;
use crate::soundness::containment::Accepted;
use crate::soundness::program::lower;

/// Why a program was not made small.
enum Interrupted {
    /// Somebody wants to stop.
    Stopped,
    /// An error.
    Failed(CampaignError),
}

impl<E: Into<CampaignError>> From<E> for Interrupted {
    fn from(error: E) -> Interrupted {
        Interrupted::Failed(error.into())
    }
}

impl Campaign {
    /// Makes small and records what is not recorded yet, the worst first.
    pub(super) fn reduce(&mut self, control: Control<'_>) -> Result<(), CampaignError> {
        let samples = self.limits.samples;
        let wanted: Vec<(Cause, u64)> = self
            .summary
            .causes()
            .flat_map(|(cause, seen)| {
                let known = |index: &&u64| !seen.recorded.iter().any(|recorded| recorded.index == **index);
                let missing = samples.saturating_sub(seen.recorded.len());
                seen.examples.iter().filter(known).take(missing).map(|&index| (cause.clone(), index))
            })
            .collect();
        for (cause, index) in wanted {
            (control.progress)(&self.summary, &format!("making {} small", cause.class.name()));
            match self.record(&cause, index, control) {
                Ok(recorded) => {
                    let entry = Entry::Finding(recorded);
                    self.journal.append(std::slice::from_ref(&entry))?;
                    self.summary.add(&entry);
                }
                Err(Interrupted::Stopped) => return Ok(()),
                Err(Interrupted::Failed(error)) => return Err(error),
            }
        }
        Ok(())
    }

    fn record(&mut self, cause: &Cause, index: u64, control: Control<'_>) -> Result<Recorded, Interrupted> {
        let subject = self.bench.subject(index);
        let seed = self.bench.plan.run_seed(index);
        // A kernel that dies of each question is asked no more than once.
        let (small, alone) = if cause.class == Class::KernelDied {
            (subject, true)
        } else {
            let bench = &self.bench;
            let mut judge = self.kernel.as_mut().map(|kernel| &mut kernel.judge);
            let mut holds = |subjects: &[Subject]| {
                if control.stop.load(Ordering::Relaxed) {
                    return Err(Interrupted::Stopped);
                }
                Ok(holding(bench, judge.as_deref_mut(), subjects, seed, cause)?)
            };
            let alone = holds(std::slice::from_ref(&subject))?.contains(&true);
            (if alone { smaller(subject, holds)? } else { subject }, alone)
        };
        let mut file = cause.file_name();
        if index != self.first(cause) {
            file = format!("{file}-{index}");
        }
        let finding = Finding { alone, ..self.evidence(cause, index, &small, &file)? };
        finding.write(&self.limits.findings, &file).map_err(CampaignError::from)?;
        let (instructions, changes) = match &small {
            Subject::Generated(program) => {
                (Some(lower(program).functions.iter().map(|function| function.slots().count()).sum()), None)
            }
            Subject::Changed(mutant) => (None, Some(mutant.changes.len())),
        };
        Ok(Recorded { cause: cause.clone(), index, instructions, changes, file })
    }

    /// The first program that showed it.
    fn first(&self, cause: &Cause) -> u64 {
        let first = self.summary.causes().find(|(known, _)| *known == cause);
        first.and_then(|(_, seen)| seen.examples.first().copied()).unwrap_or(0)
    }

    fn evidence(&mut self, cause: &Cause, index: u64, small: &Subject, name: &str) -> Result<Finding, CampaignError> {
        let seed = self.bench.plan.run_seed(index);
        let written = self.bench.unit_of(small);
        let subject = match small {
            Subject::Generated(program) => Written::Assembly(self.bench.assembly(program).unwrap_or_default()),
            Subject::Changed(mutant) => Written::Object {
                bytes: self.bench.files.bytes(mutant),
                original: self.bench.files.get(mutant.file).map(|file| file.about.path.clone()).unwrap_or_default(),
                program: mutant.program.clone(),
                changes: self.bench.files.describe(mutant),
            },
        };
        let mut finding = Finding {
            cause: cause.clone(),
            index,
            alone: true,
            run_seed: seed,
            plan: self.bench.plan.clone(),
            subject,
            ours: None,
            refused: None,
            our_log: String::new(),
            kernel: None,
            kernel_failure: None,
            machine: String::new(),
            gap: None,
            replays: Vec::new(),
        };
        let Ok(unit) = written else { return Ok(finding) };
        let program = unit.program(0);
        if cause.class != Class::Panic {
            let judged = self.bench.judge(&unit, None).pop().unwrap_or_default();
            finding.ours = judged.verdict;
            finding.refused = judged.refused;
            if let Some(program) = program.filter(|_| finding.ours.is_some()) {
                finding.our_log = self.bench.verifiers(&unit.object).log(program);
            }
        }
        let mut shown_by = None;
        if let Some(program) = program.filter(|_| runs_in_machine(cause.class)) {
            let mut traces = Accepted::default();
            if finding.ours.as_ref().is_some_and(accepts) {
                // What cannot be followed was said by the cause.
                let _ = traces.add_log(&program.name, &finding.our_log);
            }
            let check = self.bench.check(&unit, traces, seed);
            if let Ok(outcome) = check.program(program, self.bench.plan.cpus, 0..self.bench.plan.runs) {
                let shows = outcome.findings.values().find(|reported| bench::name(reported) == cause.ours);
                finding.gap = shows.and_then(|reported| reported.gap);
                shown_by = shows.map(|reported| reported.run.number);
                let checked = Checked { name: program.name.clone(), is_program: true, outcome: Ok(outcome) };
                finding.machine = checked.text(Path::new(&finding.file(name)), &Look::plain());
            }
        }
        if let Some(kernel) = self.kernel.as_ref().filter(|_| cause.class.needs_kernel()) {
            let mut fresh = Judge::new(kernel.image.clone(), kernel.boot.clone());
            (finding.kernel, finding.kernel_failure) = ask_with_log(&mut fresh, &unit)?;
            if let Some(program) = program.filter(|_| cause.class == Class::KernelAcceptsMachineFaults) {
                // Of a program that we do not accept it is not known which run it was: one by itself, and one on all CPUs.
                let numbers = shown_by.map_or(0..self.bench.plan.runs.min(2), |number| number..number + 1);
                let booted = Kernel { image: &kernel.image, boot: &kernel.boot };
                let again = |number| booted.replay(&unit, program, seed, number, self.bench.plan.cpus);
                finding.replays = numbers.map(again).collect();
            }
        }
        Ok(finding)
    }
}

fn accepts(verdict: &OurVerdict) -> bool {
    verdict.verdict == crate::crosscheck::compare::OurDecision::Accept
}

fn runs_in_machine(class: Class) -> bool {
    matches!(class, Class::KernelAcceptsMachineFaults | Class::AcceptedFaults | Class::NotContained | Class::Panic)
}

/// A smaller one that shows the same.
fn smaller<E>(subject: Subject, mut holds: impl FnMut(&[Subject]) -> Result<Vec<bool>, E>) -> Result<Subject, E> {
    match subject {
        Subject::Generated(program) => {
            shrink(program, |programs| holds(&programs.iter().cloned().map(Subject::Generated).collect::<Vec<_>>()))
                .map(Subject::Generated)
        }
        Subject::Changed(mutant) => {
            changed::shrink(mutant, |mutants| holds(&mutants.iter().cloned().map(Subject::Changed).collect::<Vec<_>>()))
                .map(Subject::Changed)
        }
    }
}

/// Which of them show the same cause.
fn holding(
    bench: &Bench,
    judge: Option<&mut Judge>,
    subjects: &[Subject],
    seed: u64,
    cause: &Cause,
) -> Result<Vec<bool>, CampaignError> {
    if cause.class == Class::NotWritten {
        let shows = |subject: &Subject| bench.unit_of(subject).is_err_and(|why| super::normalised(&why) == cause.ours);
        return Ok(subjects.par_iter().map(shows).collect());
    }
    let judge_one = |subject: &Subject| {
        let unit = bench.unit_of(subject).ok()?;
        let seeds = runs_in_machine(cause.class).then_some([seed]);
        let mut ours = bench.judge(&unit, seeds.as_ref().map(<[u64; 1]>::as_slice)).pop()?;
        if cause.class == Class::KernelAcceptsMachineFaults && ours.rule != "accept" {
            bench.run_anyway(&unit, 0, seed, &mut ours);
        }
        ours.may_have(cause).then_some((unit, ours))
    };
    let judged: Vec<Option<(Unit, Ours)>> = subjects.par_iter().map(judge_one).collect();
    let Some(judge) = judge.filter(|_| cause.class.needs_kernel()) else {
        return Ok(judged.iter().map(Option::is_some).collect());
    };
    let candidates: Vec<usize> = (0..subjects.len()).filter(|&place| judged[place].is_some()).collect();
    let mut holds = vec![false; subjects.len()];
    judge.load(jobs(bench, subjects, &judged, &candidates), &LoadOptions::default(), |outcome| {
        // Of an object of its own the name says which it is, of many programs in one object theirs.
        let only = outcome.name.parse().ok();
        for mut verdict in outcome.verdicts {
            let of_many = || number(&verdict.program.program).and_then(|number| candidates.get(number)).copied();
            let Some(place) = only.or_else(of_many) else { continue };
            let Some((unit, ours)) = judged.get(place).and_then(Option::as_ref) else { continue };
            if unit.is_changed() {
                missing_kfuncs::take_back(&mut verdict.program);
            }
            holds[place] = ours.causes(Some(&verdict)).contains(cause);
        }
        if let (Some(place), Some(failure)) = (only, outcome.failures.first())
            && let Some((_, ours)) = judged.get(place).and_then(Option::as_ref)
        {
            holds[place] |= ours.rule == "accept" && super::not_loaded_there(failure) == *cause;
        }
    })?;
    Ok(holds)
}

/// What the kernel is asked: all generated programs in one object, each changed object by itself, by its place.
fn jobs(bench: &Bench, subjects: &[Subject], judged: &[Option<(Unit, Ours)>], candidates: &[usize]) -> Vec<LoadJob> {
    let (mut programs, mut jobs) = (Vec::new(), Vec::new());
    for &place in candidates {
        match (&subjects[place], &judged[place]) {
            (Subject::Generated(program), _) => programs.push(program.clone()),
            (Subject::Changed(mutant), Some((unit, _))) => jobs.push(LoadJob {
                name: place.to_string(),
                bytes: unit.bytes.clone(),
                programs: vec![mutant.program.clone()],
            }),
            (Subject::Changed(_), None) => {}
        }
    }
    if let Some(unit) = (!programs.is_empty()).then(|| bench.write(&programs).ok()).flatten() {
        jobs.push(LoadJob { name: "small".to_owned(), bytes: unit.bytes, programs: Vec::new() });
    }
    jobs
}

/// The kernel's verdict with its log, and why there is none.
fn ask_with_log(judge: &mut Judge, unit: &Unit) -> Result<(Option<KernelVerdict>, Option<String>), CampaignError> {
    let job = LoadJob { name: "small".to_owned(), bytes: unit.bytes.clone(), programs: unit.names.clone() };
    let options = LoadOptions { log_level: 2, want_log: true, ..LoadOptions::default() };
    let mut answer = (None, None);
    judge.load([job], &options, |outcome| {
        answer = (outcome.verdicts.into_iter().next(), outcome.failures.into_iter().next());
    })?;
    Ok(answer)
}
