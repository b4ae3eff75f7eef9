//! Asks a kernel about many objects, through as many machines as it takes.
//!
//! Several objects are under way at once. When a machine dies, those that were under way are asked again one by one in a new
//! machine, so that the one that kills it is known, and becomes a result.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::protocol::{
    LoadRequest, ProgramVerdict, Reply, ReplyBody, RequestBody, ScenarioRequest, ScenarioResult, TestRunRequest,
    TestRunResult,
};
use super::{BootOptions, CrosscheckError, KernelImage, Vm};

/// How long a machine may be silent beyond the time that a single program has.
const SLACK: Duration = Duration::from_secs(30);

/// Objects under way for each CPU of the machine.
const PER_CPU: usize = 2;

/// An object to ask about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadJob {
    /// What to call it; not interpreted.
    pub name: String,
    /// The ELF file.
    pub bytes: Vec<u8>,
    /// Names of the programs to load; all of them when empty.
    pub programs: Vec<String>,
}

/// How to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadOptions {
    /// The verifier's log level. 0 is quickest: the log then has the reason and statistics only. 1 also gives
    /// the instruction at which a program was rejected.
    pub log_level: u32,
    /// Whether to bring back the whole log.
    pub want_log: bool,
    /// Whether to bring back the relocated instructions.
    pub want_insns: bool,
    /// Whether to load as a process without any capability. The machine must have been booted with
    /// [`BootOptions::mitigations`], without which the kernel checks such a process less.
    pub unprivileged: bool,
    /// How long one program may take to load.
    pub timeout: Duration,
    /// How long everything may take.
    pub overall: Option<Duration>,
}

impl Default for LoadOptions {
    fn default() -> LoadOptions {
        LoadOptions {
            log_level: 0,
            want_log: false,
            want_insns: false,
            unprivileged: false,
            timeout: Duration::from_secs(60),
            overall: None,
        }
    }
}

/// What a kernel says about one program of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelVerdict {
    /// The object, by the name it was given.
    pub object: String,
    /// The exact kernel build.
    pub kernel: String,
    /// What became of the program.
    #[serde(flatten)]
    pub program: ProgramVerdict,
}

/// What a kernel says about one object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectOutcome {
    /// The object, by the name it was given.
    pub name: String,
    /// One for each program that was loaded.
    pub verdicts: Vec<KernelVerdict>,
    /// Why some or all programs have no verdict: libbpf cannot open the object, the kernel panicked, time ran out.
    pub failures: Vec<String>,
}

/// A request about one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What to call it; not interpreted.
    pub name: String,
    /// The ELF file.
    pub bytes: Vec<u8>,
    /// What is asked.
    pub body: RequestBody,
}

/// What came of a request about one object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobOutcome {
    /// The object, by the name it was given.
    pub name: String,
    /// The exact kernel build; empty when none answered.
    pub kernel: String,
    /// The answers, in the order in which they came. Failures are not among them.
    pub replies: Vec<ReplyBody>,
    /// Why answers are missing: libbpf cannot open the object, the kernel panicked, time ran out.
    pub failures: Vec<String>,
}

/// What the judge needs of a booted kernel. [`Vm`] is one; tests have others.
pub trait Machine {
    /// The exact kernel build.
    fn release(&self) -> String;

    /// Sends a request without waiting; returns the id that its replies will have.
    ///
    /// # Errors
    /// When the machine has ended.
    fn submit(&mut self, body: RequestBody, payload: &[u8]) -> Result<u64, CrosscheckError>;

    /// Waits for the next reply, of whatever request.
    ///
    /// # Errors
    /// When none comes in time, or the machine ends.
    fn next_reply(&mut self, timeout: Duration) -> Result<Reply, CrosscheckError>;
}

impl Machine for Vm {
    fn release(&self) -> String {
        self.hello().release.clone()
    }

    fn submit(&mut self, body: RequestBody, payload: &[u8]) -> Result<u64, CrosscheckError> {
        Vm::submit(self, body, payload)
    }

    fn next_reply(&mut self, timeout: Duration) -> Result<Reply, CrosscheckError> {
        Vm::next_reply(self, timeout)
    }
}

/// A kernel to ask. Boots when first needed, and again when a machine has died.
pub struct Judge<M = Vm> {
    boot: Box<dyn FnMut() -> Result<M, CrosscheckError> + Send>,
    machine: Option<M>,
    /// How many objects may be under way at once.
    side_by_side: usize,
}

/// An object with the machine.
struct UnderWay {
    job: Job,
    outcome: JobOutcome,
    /// It was under way when a machine died, and therefore has this one to itself.
    suspect: bool,
}

impl UnderWay {
    fn new(job: Job, suspect: bool) -> UnderWay {
        let outcome = JobOutcome { name: job.name.clone(), ..JobOutcome::default() };
        UnderWay { job, outcome, suspect }
    }
}

impl Judge<Vm> {
    /// A judge that will boot this kernel.
    #[must_use]
    pub fn new(image: KernelImage, options: BootOptions) -> Judge<Vm> {
        let side_by_side = usize::try_from(options.cpus).unwrap_or(1).max(1) * PER_CPU;
        Judge::with_machines(Box::new(move || Vm::boot(&image, &options)), side_by_side)
    }

    /// Runs programs of one object; see [`Vm::test_run`]. The machine is given up when it died.
    ///
    /// # Errors
    /// As [`Vm::boot`] and [`Vm::test_run`].
    pub fn test_run(&mut self, object: &[u8], request: TestRunRequest) -> Result<TestRunResult, CrosscheckError> {
        let result = self.machine()?.test_run(object, request);
        self.keep_if_alive(result)
    }

    /// Runs programs of one object concurrently; see [`Vm::scenario`]. The machine is given up when it died.
    ///
    /// # Errors
    /// As [`Vm::boot`] and [`Vm::scenario`].
    pub fn scenario(&mut self, object: &[u8], request: ScenarioRequest) -> Result<ScenarioResult, CrosscheckError> {
        let result = self.machine()?.scenario(object, request);
        self.keep_if_alive(result)
    }

    fn keep_if_alive<T>(&mut self, result: Result<T, CrosscheckError>) -> Result<T, CrosscheckError> {
        if !matches!(result, Ok(_) | Err(CrosscheckError::Refused { .. })) {
            self.machine = None;
        }
        result
    }
}

impl<M: Machine> Judge<M> {
    /// A judge that boots its machines so, and has at most that many objects under way at once.
    #[must_use]
    pub fn with_machines(boot: Box<dyn FnMut() -> Result<M, CrosscheckError> + Send>, side_by_side: usize) -> Judge<M> {
        Judge { boot, machine: None, side_by_side: side_by_side.max(1) }
    }

    /// The running machine; boots one when there is none.
    ///
    /// # Errors
    /// As [`Vm::boot`].
    pub fn machine(&mut self) -> Result<&mut M, CrosscheckError> {
        let machine = match self.machine.take() {
            Some(machine) => machine,
            None => (self.boot)()?,
        };
        Ok(self.machine.insert(machine))
    }

    /// Asks about objects and hands over each one's outcome as soon as it is complete, in any order.
    ///
    /// A guest that dies, hangs or runs out of time is an outcome's `failures`.
    ///
    /// # Errors
    /// When no machine can be booted.
    pub fn load(
        &mut self,
        jobs: impl IntoIterator<Item = LoadJob>,
        options: &LoadOptions,
        mut on_outcome: impl FnMut(ObjectOutcome),
    ) -> Result<(), CrosscheckError> {
        let jobs = jobs.into_iter().map(|job| load_request(job, options));
        self.ask(jobs, options.timeout, options.overall, |outcome| on_outcome(outcome.into()))
    }

    /// Sends requests about objects and hands over what came of each as soon as it is complete, in any order. A request that
    /// was under way with others when the guest died, or whose answer lost bytes on its way, is made once more, in a machine
    /// that it has to itself.
    ///
    /// `timeout` is how long the guest may take for one answer, `overall` for everything.
    ///
    /// # Errors
    /// When no machine can be booted.
    pub fn ask(
        &mut self,
        jobs: impl IntoIterator<Item = Job>,
        timeout: Duration,
        overall: Option<Duration>,
        mut on_outcome: impl FnMut(JobOutcome),
    ) -> Result<(), CrosscheckError> {
        let end = overall.map(|time| Instant::now() + time);
        let mut jobs = jobs.into_iter().peekable();
        let mut suspects = VecDeque::new();
        while jobs.peek().is_some() || !suspects.is_empty() {
            let under_way =
                match self.ask_one_machine(&mut jobs, &mut suspects, timeout + SLACK, end, &mut on_outcome)? {
                    Finish::All => return Ok(()),
                    Finish::Died { under_way, error } => {
                        self.machine = None;
                        if out_of_time(end) {
                            let unasked = suspects.drain(..).chain(jobs.by_ref());
                            let unasked = unasked.map(|job| UnderWay::new(job, false));
                            for mut item in under_way.into_iter().chain(unasked) {
                                item.outcome.failures.push("the time for everything ran out".into());
                                on_outcome(item.outcome);
                            }
                            return Ok(());
                        }
                        match <[UnderWay; 1]>::try_from(under_way) {
                            Ok([item]) if !item.suspect && matches!(error, CrosscheckError::Garbled { .. }) => {
                                vec![item]
                            }
                            Ok([mut culprit]) => {
                                culprit.outcome.failures.push(error.to_string());
                                on_outcome(culprit.outcome);
                                continue;
                            }
                            Err(several) => several,
                        }
                    }
                };
            suspects.extend(under_way.into_iter().map(|item| item.job));
        }
        Ok(())
    }

    fn ask_one_machine(
        &mut self,
        jobs: &mut impl Iterator<Item = Job>,
        suspects: &mut VecDeque<Job>,
        patience: Duration,
        end: Option<Instant>,
        on_outcome: &mut impl FnMut(JobOutcome),
    ) -> Result<Finish, CrosscheckError> {
        let side_by_side = self.side_by_side;
        let machine = self.machine()?;
        let kernel = machine.release();
        let mut under_way: BTreeMap<u64, UnderWay> = BTreeMap::new();
        let finish = |under_way: BTreeMap<u64, UnderWay>, error| {
            Ok(Finish::Died { under_way: under_way.into_values().collect(), error })
        };
        loop {
            while under_way.len() < side_by_side && !under_way.values().any(|item| item.suspect) {
                let mut item = match suspects.pop_front() {
                    Some(job) => UnderWay::new(job, true),
                    None => match jobs.next() {
                        Some(job) => UnderWay::new(job, false),
                        None => break,
                    },
                };
                item.outcome.kernel.clone_from(&kernel);
                match machine.submit(item.job.body.clone(), &item.job.bytes) {
                    Ok(id) => under_way.insert(id, item),
                    Err(error) => {
                        under_way.insert(u64::MAX, item);
                        return finish(under_way, error);
                    }
                };
            }
            if under_way.is_empty() {
                return Ok(Finish::All);
            }
            let patience = end.map_or(patience, |end| patience.min(end.saturating_duration_since(Instant::now())));
            let reply = match machine.next_reply(patience) {
                Ok(reply) => reply,
                Err(error) => return finish(under_way, error),
            };
            let Some(item) = under_way.get_mut(&reply.id) else { continue };
            match reply.body {
                ReplyBody::Failed { message } => item.outcome.failures.push(message),
                ReplyBody::Done => {
                    if let Some(item) = under_way.remove(&reply.id) {
                        on_outcome(item.outcome);
                    }
                }
                answer => item.outcome.replies.push(answer),
            }
        }
    }
}

/// How the work with one machine ended.
enum Finish {
    /// Nothing is left to do.
    All,
    /// The machine died, hung or ran out of time with these under way.
    Died { under_way: Vec<UnderWay>, error: CrosscheckError },
}

fn out_of_time(end: Option<Instant>) -> bool {
    end.is_some_and(|end| Instant::now() >= end)
}

fn load_request(job: LoadJob, options: &LoadOptions) -> Job {
    let body = RequestBody::Load(LoadRequest {
        programs: job.programs,
        log_level: options.log_level,
        want_log: options.want_log,
        want_insns: options.want_insns,
        unprivileged: options.unprivileged,
        timeout_seconds: u32::try_from(options.timeout.as_secs()).unwrap_or(u32::MAX).max(1),
    });
    Job { name: job.name, bytes: job.bytes, body }
}

impl From<JobOutcome> for ObjectOutcome {
    fn from(outcome: JobOutcome) -> ObjectOutcome {
        let JobOutcome { name, kernel, replies, failures } = outcome;
        let verdict = |reply| match reply {
            ReplyBody::Program(program) => {
                Some(KernelVerdict { object: name.clone(), kernel: kernel.clone(), program })
            }
            _ => None,
        };
        let verdicts = replies.into_iter().filter_map(verdict).collect();
        ObjectOutcome { name, verdicts, failures }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Answers every object with one failure message, its own bytes, and dies when it is sent `poison`.
    struct FakeMachine {
        replies: VecDeque<Reply>,
        next_id: u64,
        poisoned: bool,
    }

    impl Machine for FakeMachine {
        fn release(&self) -> String {
            "6.12.1-fake".into()
        }

        fn submit(&mut self, _: RequestBody, payload: &[u8]) -> Result<u64, CrosscheckError> {
            self.next_id += 1;
            let id = self.next_id;
            self.poisoned |= payload == b"poison";
            let message = String::from_utf8_lossy(payload).into_owned();
            self.replies.push_back(Reply { id, body: ReplyBody::Failed { message } });
            self.replies.push_back(Reply { id, body: ReplyBody::Done });
            Ok(id)
        }

        fn next_reply(&mut self, _: Duration) -> Result<Reply, CrosscheckError> {
            let dead = || CrosscheckError::Died { how: "ended".into(), console: "Kernel panic".into() };
            if self.poisoned { Err(dead()) } else { self.replies.pop_front().ok_or_else(dead) }
        }
    }

    fn ask(objects: &[&str], options: &LoadOptions) -> (Vec<(String, Vec<String>)>, usize) {
        let boots = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&boots);
        let boot = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(FakeMachine { replies: VecDeque::new(), next_id: 0, poisoned: false })
        };
        let mut judge = Judge::with_machines(Box::new(boot), 3);
        let job = |(index, text): (usize, &&str)| LoadJob {
            name: index.to_string(),
            bytes: text.as_bytes().to_vec(),
            programs: Vec::new(),
        };
        let mut outcomes = Vec::new();
        judge
            .load(objects.iter().enumerate().map(job), options, |outcome| {
                outcomes.push((outcome.name, outcome.failures))
            })
            .expect("a machine that always boots");
        outcomes.sort();
        (outcomes, boots.load(Ordering::Relaxed))
    }

    #[test]
    fn objects_are_answered_in_one_machine() {
        let (outcomes, boots) = ask(&["a", "b", "c", "d", "e"], &LoadOptions::default());
        let failures: Vec<&str> = outcomes.iter().flat_map(|(_, failures)| failures).map(String::as_str).collect();
        assert_eq!(failures, ["a", "b", "c", "d", "e"]);
        assert_eq!(boots, 1);
    }

    #[test]
    fn nothing_to_ask_boots_nothing() {
        assert_eq!(ask(&[], &LoadOptions::default()), (Vec::new(), 0));
    }

    #[test]
    fn the_object_that_kills_the_machine_is_the_only_one_without_an_answer() {
        for place in 0..5 {
            let mut objects = ["a"; 5];
            objects[place] = "poison";
            let (outcomes, _) = ask(&objects, &LoadOptions::default());
            assert_eq!(outcomes.len(), 5);
            for (index, (_, failures)) in outcomes.iter().enumerate() {
                assert_eq!(failures.len(), 1, "one answer each");
                assert_eq!(failures[0].contains("Kernel panic"), index == place, "{failures:?}");
            }
        }
    }

    #[test]
    fn two_killers_are_both_found() {
        let (outcomes, _) = ask(&["poison", "a", "poison", "b"], &LoadOptions::default());
        let dead: Vec<bool> = outcomes.iter().map(|(_, failures)| failures[0].contains("Kernel panic")).collect();
        assert_eq!(dead, [true, false, true, false]);
    }

    #[test]
    fn when_time_runs_out_every_object_still_has_an_outcome() {
        let options = LoadOptions { overall: Some(Duration::ZERO), ..LoadOptions::default() };
        let (outcomes, _) = ask(&["poison", "a", "b", "c", "d"], &options);
        assert_eq!(outcomes.len(), 5);
        assert!(outcomes.iter().all(|(_, failures)| failures.iter().any(|text| text.contains("ran out"))));
    }
}
