//! A small program for each cause, seen again by a kernel that was booted for nothing else, and written down.

use std::sync::atomic::Ordering;

use rayon::prelude::*;

use super::{Campaign, CampaignError, Control};
use crate::crosscheck::compare::OurVerdict;
use crate::crosscheck::protocol::{RunStep, TestRunRequest, Trigger};
use crate::crosscheck::{Judge, KernelVerdict, LoadJob, LoadOptions};
use crate::fuzz::bench::{Bench, Ours, number};
use crate::fuzz::cause::{Cause, Class};
use crate::fuzz::finding::Finding;
use crate::fuzz::journal::{Entry, Recorded};
use crate::fuzz::shrink::shrink;
use crate::report::contain::Checked;
use crate::report::told::Look;
use crate::soundness::containment::Accepted;
use crate::soundness::program::{Program, lower};

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
        let program = self.bench.plan.program(index);
        let seed = self.bench.plan.run_seed(index);
        // A kernel that dies of each question is asked no more than once.
        let (small, alone) = if cause.class == Class::KernelDied {
            (program, true)
        } else {
            let bench = &self.bench;
            let mut judge = self.kernel.as_mut().map(|kernel| &mut kernel.judge);
            let mut holds = |programs: &[Program]| {
                if control.stop.load(Ordering::Relaxed) {
                    return Err(Interrupted::Stopped);
                }
                Ok(holding(bench, judge.as_deref_mut(), programs, seed, cause)?)
            };
            let alone = holds(std::slice::from_ref(&program))?.contains(&true);
            (if alone { shrink(program, holds)? } else { program }, alone)
        };
        let finding = Finding { alone, ..self.evidence(cause, index, &small)? };
        let mut file = cause.file_name();
        if index != self.first(cause) {
            file = format!("{file}-{index}");
        }
        finding.write(&self.limits.findings, &file).map_err(CampaignError::from)?;
        let instructions = lower(&small).functions.iter().map(|function| function.slots().count()).sum();
        Ok(Recorded { cause: cause.clone(), index, instructions, file })
    }

    /// The first program that showed it.
    fn first(&self, cause: &Cause) -> u64 {
        let first = self.summary.causes().find(|(known, _)| *known == cause);
        first.and_then(|(_, seen)| seen.examples.first().copied()).unwrap_or(0)
    }

    fn evidence(&mut self, cause: &Cause, index: u64, small: &Program) -> Result<Finding, CampaignError> {
        let seed = self.bench.plan.run_seed(index);
        let assembly = self.bench.assembly(small).unwrap_or_default();
        let mut finding = Finding {
            cause: cause.clone(),
            seed: self.bench.plan.seed,
            index,
            alone: true,
            run_seed: seed,
            runs: self.bench.plan.runs,
            max_insns: self.bench.plan.max_insns,
            assembly,
            ours: None,
            our_log: String::new(),
            kernel: None,
            machine: String::new(),
            kernel_run: None,
        };
        let Ok(unit) = self.bench.write(std::slice::from_ref(small)) else { return Ok(finding) };
        let Some(program) = unit.object.programs.first() else { return Ok(finding) };
        if cause.class != Class::Panic {
            let judged = self.bench.judge(&unit, None).pop().unwrap_or_default();
            finding.ours = judged.verdict;
            finding.our_log = self.bench.verifiers(&unit.object).log(program);
        }
        if runs_in_machine(cause.class) {
            let mut traces = Accepted::default();
            if finding.ours.as_ref().is_some_and(accepts) {
                // What cannot be followed was said by the cause.
                let _ = traces.add_log(&program.name, &finding.our_log);
            }
            let check = self.bench.check(&unit, traces, seed);
            if let Ok(outcome) = check.program(program, self.bench.plan.cpus, 0..self.bench.plan.runs) {
                let checked = Checked { name: program.name.clone(), is_program: true, outcome: Ok(outcome) };
                finding.machine = checked.text(std::path::Path::new("program.s"), &Look::plain());
            }
        }
        if let Some(kernel) = self.kernel.as_ref().filter(|_| cause.class.needs_kernel()) {
            let mut fresh = Judge::new(kernel.image.clone(), kernel.boot.clone());
            finding.kernel = ask_with_log(&mut fresh, &unit.bytes)?;
            if cause.class == Class::KernelAcceptsMachineFaults {
                finding.kernel_run = Some(run_on_kernel(&mut fresh, &unit.bytes, &program.name));
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

/// Which programs show the same cause.
fn holding(
    bench: &Bench,
    judge: Option<&mut Judge>,
    programs: &[Program],
    seed: u64,
    cause: &Cause,
) -> Result<Vec<bool>, CampaignError> {
    if cause.class == Class::NotWritten {
        let shows = |program: &Program| {
            let written = bench.write(std::slice::from_ref(program));
            written.is_err_and(|why| super::normalised(&why) == cause.ours)
        };
        return Ok(programs.par_iter().map(shows).collect());
    }
    let judge_one = |program: &Program| {
        let unit = bench.write(std::slice::from_ref(program)).ok()?;
        let seeds = runs_in_machine(cause.class).then_some([seed]);
        let mut ours = bench.judge(&unit, seeds.as_ref().map(<[u64; 1]>::as_slice)).pop()?;
        if cause.class == Class::KernelAcceptsMachineFaults && ours.rule != "accept" {
            bench.run_anyway(&unit, 0, seed, &mut ours);
        }
        ours.may_have(cause).then_some(ours)
    };
    let ours: Vec<Option<Ours>> = programs.par_iter().map(judge_one).collect();
    let Some(judge) = judge.filter(|_| cause.class.needs_kernel()) else {
        return Ok(ours.iter().map(Option::is_some).collect());
    };
    let candidates: Vec<usize> = (0..programs.len()).filter(|&place| ours[place].is_some()).collect();
    let mut holds = vec![false; programs.len()];
    let asked: Vec<Program> = candidates.iter().map(|&place| programs[place].clone()).collect();
    let Ok(unit) = bench.write(&asked) else { return Ok(holds) };
    if asked.is_empty() {
        return Ok(holds);
    }
    let job = LoadJob { name: "small".to_owned(), bytes: unit.bytes, programs: Vec::new() };
    judge.load([job], &LoadOptions::default(), |outcome| {
        for verdict in outcome.verdicts {
            let place = number(&verdict.program.program).and_then(|number| candidates.get(number));
            let Some(&place) = place else { continue };
            holds[place] = ours[place].as_ref().is_some_and(|ours| ours.causes(Some(&verdict)).contains(cause));
        }
    })?;
    Ok(holds)
}

fn ask_with_log(judge: &mut Judge, bytes: &[u8]) -> Result<Option<KernelVerdict>, CampaignError> {
    let job = LoadJob { name: "small".to_owned(), bytes: bytes.to_vec(), programs: Vec::new() };
    let options = LoadOptions { log_level: 2, want_log: true, ..LoadOptions::default() };
    let mut verdict = None;
    judge.load([job], &options, |outcome| verdict = outcome.verdicts.into_iter().next())?;
    Ok(verdict)
}

/// A run on the kernel, in words: what came back, or the console's last words.
fn run_on_kernel(judge: &mut Judge, bytes: &[u8], program: &str) -> String {
    let step = RunStep {
        program: program.to_owned(),
        trigger: Trigger::Auto,
        data_in: Some("00".repeat(64)),
        ctx_in: None,
        repeat: 1,
        cpu: None,
    };
    let request =
        TestRunRequest { globals: Vec::new(), steps: vec![step], companions: Vec::new(), timeout_seconds: 60 };
    match judge.test_run(bytes, request) {
        Ok(result) => serde_json::to_string(&(result.error, result.steps)).unwrap_or_default(),
        Err(error) => error.to_string(),
    }
}
