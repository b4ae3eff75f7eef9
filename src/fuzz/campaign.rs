//! Many programs on all cores, and a kernel beside them.
//!
//! Programs are judged by the unit: some hundreds go into one object. Threads of ours write and judge units; one thread keeps the
//! kernel busy with them; the thread that began it all puts both answers together and into the journal. Then each cause of a
//! disagreement gets its small program ([`reduce`]). Where a campaign is about existing objects a unit is one of them, with something changed.

pub mod reduce;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustc_hash::FxHashSet;
use thiserror::Error;

use super::bench::{Bench, Ours, Unit};
use super::cause::{Cause, Class, normalised};
use super::journal::{Entry, Header, Journal, JournalError, Judged};
use super::summary::Summary;
use crate::crosscheck::compare::OurDecision;
use crate::crosscheck::protocol::Verdict;
use crate::crosscheck::{
    BootOptions, CrosscheckError, Judge, KernelImage, KernelVerdict, LoadJob, LoadOptions, ObjectOutcome,
    missing_kfuncs,
};
use crate::explore::result::Shard;
use crate::soundness::program::Program;

/// A kernel to ask.
pub struct KernelSide {
    /// What is booted.
    pub image: KernelImage,
    /// How.
    pub boot: BootOptions,
    /// Who asks.
    pub judge: Judge,
}

/// How far a campaign goes this time, and how.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Programs of the whole campaign, other shares' included; no end if `None`.
    pub count: Option<u64>,
    /// When no other unit is begun.
    pub until: Option<Instant>,
    /// Threads that judge.
    pub threads: usize,
    /// Programs in one object.
    pub unit: usize,
    /// Small programs for each cause.
    pub samples: usize,
    /// Where they are written.
    pub findings: PathBuf,
}

/// What to tell whoever waits, and how they can stop it.
#[derive(Clone, Copy)]
pub struct Control<'a> {
    /// Set it to stop after what is under way.
    pub stop: &'a AtomicBool,
    /// Is told how far it is, and what is being done.
    pub progress: &'a dyn Fn(&Summary, &str),
}

/// Why a campaign cannot go on.
#[derive(Debug, Error)]
pub enum CampaignError {
    /// Its folder.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The kernel.
    #[error(transparent)]
    Kernel(#[from] CrosscheckError),
}

/// A campaign.
pub struct Campaign {
    bench: Bench,
    kernel: Option<KernelSide>,
    shard: Option<Shard>,
    limits: Limits,
    journal: Journal,
    summary: Summary,
    done: FxHashSet<u64>,
}

/// A unit that our halves have judged.
struct Done {
    number: u64,
    unit: Option<Unit>,
    /// Numbers of the unit's programs.
    indices: Vec<u64>,
    ours: Vec<Ours>,
    /// Programs that cannot be written, and why.
    unwritten: Vec<(u64, String)>,
}

enum Message {
    Ours(Box<Done>),
    Kernel(ObjectOutcome),
    Failed(CrosscheckError),
}

impl Campaign {
    /// Begins a campaign in a folder, or goes on with the one that is there.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open(
        folder: &std::path::Path,
        header: &Header,
        bench: Bench,
        kernel: Option<KernelSide>,
        limits: Limits,
    ) -> Result<Campaign, CampaignError> {
        let (mut summary, mut done) = (Summary::default(), FxHashSet::default());
        let journal = Journal::open(folder, header, |entry| {
            if let Entry::Program(judged) = &entry
                && !done.insert(judged.index)
            {
                return;
            }
            summary.add(&entry);
        })?;
        Ok(Campaign { bench, kernel, shard: header.shard(), limits, journal, summary, done })
    }

    /// What is known so far.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Judges programs up to the limits, then makes the disagreements small and records them.
    ///
    /// # Errors
    /// If the journal or a finding cannot be written, or no kernel can be booted.
    pub fn run(&mut self, control: Control<'_>) -> Result<(), CampaignError> {
        let died = self.judge_all(control)?;
        self.ask_singly(died)?;
        self.reduce(control)
    }

    /// Judges units on all threads; gives back those on which the kernel gave no full answer.
    fn judge_all(&mut self, control: Control<'_>) -> Result<Vec<Done>, CampaignError> {
        let Campaign { bench, kernel, shard, limits, journal, summary, done } = self;
        let work = Work {
            bench,
            asks_kernel: kernel.is_some(),
            shard: *shard,
            limits,
            done,
            next: AtomicU64::new(0),
            stop: control.stop,
        };
        let mut unanswered = Vec::new();
        thread::scope(|scope| {
            let (messages, inbox) = channel();
            let queue = kernel.as_mut().map(|kernel| {
                let (queue, jobs) = sync_channel(limits.threads + 1);
                let messages = messages.clone();
                let judge = &mut kernel.judge;
                scope.spawn(move || ask(judge, jobs, &messages, control.stop));
                queue
            });
            for _ in 0..limits.threads.max(1) {
                let (messages, queue, work) = (messages.clone(), queue.clone(), &work);
                scope.spawn(move || work.run(&messages, queue.as_ref()));
            }
            drop((messages, queue));
            let result = collect(&inbox, &work, journal, summary, &mut unanswered, control);
            // Whatever went wrong: nobody has to begin anything else.
            if result.is_err() {
                control.stop.store(true, Ordering::Relaxed);
                drop(inbox);
            }
            result
        })?;
        Ok(unanswered)
    }

    /// Asks about each program alone of units that the kernel did not survive.
    fn ask_singly(&mut self, units: Vec<Done>) -> Result<(), CampaignError> {
        let Some(kernel) = &mut self.kernel else { return Ok(()) };
        for done in units {
            let Some(unit) = &done.unit else { continue };
            let jobs = unit.names.iter().map(|name| LoadJob {
                name: name.clone(),
                bytes: unit.bytes.clone(),
                programs: vec![name.clone()],
            });
            let mut verdicts = BTreeMap::new();
            let mut failures = BTreeMap::new();
            kernel.judge.load(jobs, &LoadOptions::default(), |outcome| {
                failures.insert(outcome.name.clone(), outcome.failures);
                verdicts.extend(outcome.verdicts.into_iter().map(|verdict| (outcome.name.clone(), verdict)));
            })?;
            let mut entries = entries(&self.bench, &done, |name| verdicts.remove(name));
            for (entry, name) in entries.iter_mut().skip(done.unwritten.len()).zip(&unit.names) {
                if let (Entry::Program(judged), Some(failure)) = (entry, failures.get(name).and_then(|all| all.first()))
                {
                    let class = if failure.starts_with(GUEST) { Class::KernelDied } else { Class::NoVerdict };
                    let kernel = normalised(failure.lines().next().unwrap_or(""));
                    judged.causes.push(Cause { class, ours: "any".into(), kernel });
                }
            }
            self.journal.append(&entries)?;
            entries.iter().for_each(|entry| self.summary.add(entry));
        }
        Ok(())
    }
}

/// What threads share that judge units.
struct Work<'a> {
    bench: &'a Bench,
    asks_kernel: bool,
    shard: Option<Shard>,
    limits: &'a Limits,
    done: &'a FxHashSet<u64>,
    next: AtomicU64,
    stop: &'a AtomicBool,
}

impl Work<'_> {
    /// Judges units until there is no other.
    fn run(&self, messages: &Sender<Message>, queue: Option<&SyncSender<LoadJob>>) {
        while !self.stop.load(Ordering::Relaxed) && self.limits.until.is_none_or(|until| Instant::now() < until) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(indices) = self.indices(number) else { return };
            if indices.is_empty() {
                continue;
            }
            let done = self.judge(number, indices);
            let job = done.unit.as_ref().map(|unit| LoadJob {
                name: number.to_string(),
                bytes: unit.bytes.clone(),
                programs: if unit.is_changed() { unit.names.clone() } else { Vec::new() },
            });
            // Who does not listen any more has failed, and said so.
            if messages.send(Message::Ours(Box::new(done))).is_err() {
                return;
            }
            if let (Some(queue), Some(job)) = (queue, job)
                && queue.send(job).is_err()
            {
                return;
            }
        }
    }

    /// Numbers of the programs of a unit that are not judged yet; `None` past the last unit.
    fn indices(&self, unit: u64) -> Option<Vec<u64>> {
        let (first, step) = self.shard.map_or((0, 1), |shard| (u64::from(shard.number) - 1, u64::from(shard.count)));
        if !self.bench.files.is_empty() {
            let all = self.bench.files.indices(unit)?;
            if self.limits.count.is_some_and(|count| all.start >= count) {
                return None;
            }
            let all = all.take_while(|index| self.limits.count.is_none_or(|count| *index < count));
            return Some(all.filter(|index| index % step == first && !self.done.contains(index)).collect());
        }
        let size = self.limits.unit as u64;
        let all = (unit.checked_mul(size)?..)
            .take(self.limits.unit)
            .map_while(|place| place.checked_mul(step)?.checked_add(first));
        let all: Vec<u64> = all.take_while(|index| self.limits.count.is_none_or(|count| *index < count)).collect();
        if all.is_empty() {
            return None;
        }
        Some(all.into_iter().filter(|index| !self.done.contains(index)).collect())
    }

    fn judge(&self, number: u64, indices: Vec<u64>) -> Done {
        let seeds: Vec<u64> = indices.iter().map(|&index| self.bench.plan.run_seed(index)).collect();
        if let Some(mutant) = indices.first().and_then(|&index| self.bench.files.mutant(index)) {
            let names = indices.iter().filter_map(|&index| self.bench.files.name(index)).map(str::to_owned);
            let unit = self.bench.load(&mutant, names.collect());
            let ours = self.bench.judge(&unit, Some(&seeds));
            return Done { number, unit: Some(unit), indices, ours, unwritten: Vec::new() };
        }
        let programs: Vec<Program> = indices.iter().map(|&index| self.bench.plan.program(index)).collect();
        let (unit, indices, unwritten) = match self.bench.write(&programs) {
            Ok(unit) => (Some(unit), indices, Vec::new()),
            Err(_) => self.write_what_can_be(&programs, &indices),
        };
        let seeds: Vec<u64> = indices.iter().map(|&index| self.bench.plan.run_seed(index)).collect();
        let ours = unit.as_ref().map_or_else(Vec::new, |unit| self.bench.judge(unit, Some(&seeds)));
        Done { number, unit, indices, ours, unwritten }
    }

    /// A unit without those programs that cannot be written alone.
    fn write_what_can_be(&self, programs: &[Program], indices: &[u64]) -> (Option<Unit>, Vec<u64>, Vec<(u64, String)>) {
        let (mut good, mut numbers, mut bad) = (Vec::new(), Vec::new(), Vec::new());
        for (program, &index) in programs.iter().zip(indices) {
            match self.bench.write(std::slice::from_ref(program)) {
                Ok(_) => {
                    good.push(program.clone());
                    numbers.push(index);
                }
                Err(why) => bad.push((index, why)),
            }
        }
        match self.bench.write(&good) {
            Ok(unit) if !good.is_empty() => (Some(unit), numbers, bad),
            Ok(_) => (None, Vec::new(), bad),
            Err(why) => {
                bad.extend(numbers.into_iter().map(|index| (index, format!("not together with others: {why}"))));
                (None, Vec::new(), bad)
            }
        }
    }
}

/// Keeps a kernel busy until no other job can come, or somebody wants to stop; what it was not asked about by then is not judged.
fn ask(judge: &mut Judge, jobs: Receiver<LoadJob>, messages: &Sender<Message>, stop: &AtomicBool) {
    let tell = |message| drop(messages.send(message));
    let jobs = jobs.into_iter().take_while(|_| !stop.load(Ordering::Relaxed));
    if let Err(error) = judge.load(jobs, &LoadOptions::default(), |outcome| tell(Message::Kernel(outcome))) {
        tell(Message::Failed(error));
    }
}

/// How the reason begins where a guest died or gave no answer, and did not say why it cannot.
const GUEST: &str = "the guest";

/// libbpf does not load an object that we load, or one of its programs is not there.
fn note_failures(entries: &mut [Entry], failures: &[String]) {
    let Some(failure) = failures.first() else { return };
    for entry in entries {
        if let Entry::Program(judged) = entry
            && judged.kernel.is_none()
            && judged.ours == Some(OurDecision::Accept)
        {
            judged.causes.push(not_loaded_there(failure));
        }
    }
}

/// The cause where libbpf refuses an object in which we accept a program.
fn not_loaded_there(failure: &str) -> Cause {
    let kernel = normalised(failure.lines().next().unwrap_or(""));
    Cause { class: Class::NoVerdict, ours: "any".into(), kernel }
}

/// Puts answers together and into the journal.
fn collect(
    inbox: &Receiver<Message>,
    work: &Work<'_>,
    journal: &mut Journal,
    summary: &mut Summary,
    unanswered: &mut Vec<Done>,
    control: Control<'_>,
) -> Result<(), CampaignError> {
    let mut waiting: BTreeMap<u64, Done> = BTreeMap::new();
    for message in inbox {
        let (done, verdicts) = match message {
            Message::Failed(error) => return Err(error.into()),
            Message::Ours(done) if work.asks_kernel && done.unit.is_some() => {
                waiting.insert(done.number, *done);
                continue;
            }
            Message::Ours(done) => (*done, None),
            Message::Kernel(outcome) => {
                let Some(done) = outcome.name.parse().ok().and_then(|number: u64| waiting.remove(&number)) else {
                    continue;
                };
                let is_changed = done.unit.as_ref().is_some_and(Unit::is_changed);
                let died = outcome.failures.iter().any(|failure| failure.starts_with(GUEST));
                // What libbpf says of a changed object is its answer.
                if died || !is_changed && (!outcome.failures.is_empty() || outcome.verdicts.len() < done.indices.len())
                {
                    unanswered.push(done);
                    continue;
                }
                (done, Some(outcome))
            }
        };
        let (verdicts, failures) = verdicts.map(|outcome| (outcome.verdicts, outcome.failures)).unwrap_or_default();
        let mut verdicts: BTreeMap<String, KernelVerdict> =
            verdicts.into_iter().map(|verdict| (verdict.program.program.clone(), verdict)).collect();
        let mut entries = entries(work.bench, &done, |name| verdicts.remove(name));
        note_failures(&mut entries, &failures);
        journal.append(&entries)?;
        entries.iter().for_each(|entry| summary.add(entry));
        (control.progress)(summary, "");
    }
    Ok(())
}

/// The journal's lines about a unit.
fn entries(bench: &Bench, done: &Done, mut kernel: impl FnMut(&str) -> Option<KernelVerdict>) -> Vec<Entry> {
    let unwritten = done.unwritten.iter().map(|(index, why)| {
        let cause = Cause { class: Class::NotWritten, ours: normalised(why), kernel: String::new() };
        Entry::Program(Judged { causes: vec![cause], ..judged(*index, &Ours::default(), None) })
    });
    let mut entries: Vec<Entry> = unwritten.collect();
    let Some(unit) = &done.unit else { return entries };
    for (place, (name, &index)) in unit.names.iter().zip(&done.indices).enumerate() {
        let Some(mut ours) = done.ours.get(place).cloned() else { continue };
        let mut verdict = kernel(name);
        if let Some(verdict) = verdict.as_mut().filter(|_| unit.is_changed()) {
            missing_kfuncs::take_back(&mut verdict.program);
        }
        let accepted = verdict.as_ref().is_some_and(|verdict| verdict.program.verdict == Verdict::Accept);
        if accepted && ours.rule != "accept" {
            bench.run_anyway(unit, place, bench.plan.run_seed(index), &mut ours);
        }
        entries.push(Entry::Program(judged(index, &ours, verdict.as_ref())));
    }
    entries
}

fn judged(index: u64, ours: &Ours, kernel: Option<&KernelVerdict>) -> Judged {
    let decision = ours.verdict.as_ref().map(|verdict| verdict.verdict);
    Judged {
        index,
        ours: decision,
        why: ours
            .refused
            .clone()
            .or_else(|| (decision != Some(OurDecision::Accept) && !ours.rule.is_empty()).then(|| ours.rule.clone())),
        processed: ours.verdict.as_ref().and_then(|verdict| verdict.insns_processed),
        kernel: kernel.map(|kernel| kernel.program.verdict),
        kernel_processed: kernel.and_then(|kernel| kernel.program.stats.as_ref()).map(|stats| stats.insns_processed),
        runs: ours.runs,
        executed: ours.executed,
        contained: ours.contained,
        undecided: ours.undecided,
        causes: ours.causes(kernel),
    }
}

/// When a time from now is over; never if the clock does not reach so far.
#[must_use]
pub fn after(time: Duration) -> Option<Instant> {
    Instant::now().checked_add(time)
}
