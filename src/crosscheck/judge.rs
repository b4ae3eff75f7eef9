//! Asks a kernel about many objects, through as many machines as it takes.
//!
//! Several objects are under way at once. When a machine dies, those that were under way are asked again one by one in a new
//! machine, so that the one that kills it is known, and becomes a result.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::protocol::{LoadRequest, ProgramVerdict, ReplyBody, RequestBody, TestRunRequest, TestRunResult};
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
    /// How long one program may take to load.
    pub timeout: Duration,
    /// How long everything may take.
    pub overall: Option<Duration>,
}

impl Default for LoadOptions {
    fn default() -> LoadOptions {
        LoadOptions { log_level: 0, want_log: false, want_insns: false, timeout: Duration::from_secs(60), overall: None }
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

/// A kernel to ask. Boots when first needed, and again when a machine has died.
#[derive(Debug)]
pub struct Judge {
    image: KernelImage,
    options: BootOptions,
    vm: Option<Vm>,
}

/// An object with the machine.
struct UnderWay {
    job: LoadJob,
    outcome: ObjectOutcome,
    /// It was under way when a machine died, and therefore has this one to itself.
    suspect: bool,
}

impl UnderWay {
    fn new(job: LoadJob, suspect: bool) -> UnderWay {
        let outcome = ObjectOutcome { name: job.name.clone(), ..ObjectOutcome::default() };
        UnderWay { job, outcome, suspect }
    }
}

impl Judge {
    /// A judge that will boot this kernel.
    #[must_use]
    pub fn new(image: KernelImage, options: BootOptions) -> Judge {
        Judge { image, options, vm: None }
    }

    /// The kernel that is asked.
    #[must_use]
    pub fn image(&self) -> &KernelImage {
        &self.image
    }

    /// The running machine; boots one when there is none.
    ///
    /// # Errors
    /// As [`Vm::boot`].
    pub fn vm(&mut self) -> Result<&mut Vm, CrosscheckError> {
        let vm = match self.vm.take() {
            Some(vm) => vm,
            None => Vm::boot(&self.image, &self.options)?,
        };
        Ok(self.vm.insert(vm))
    }

    /// Runs programs of one object; see [`Vm::test_run`]. The machine is given up when it died.
    ///
    /// # Errors
    /// As [`Vm::boot`] and [`Vm::test_run`].
    pub fn test_run(&mut self, object: &[u8], request: TestRunRequest) -> Result<TestRunResult, CrosscheckError> {
        let result = self.vm()?.test_run(object, request);
        if !matches!(result, Ok(_) | Err(CrosscheckError::Refused { .. })) {
            self.vm = None;
        }
        result
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
        let end = options.overall.map(|time| Instant::now() + time);
        let mut jobs = jobs.into_iter().peekable();
        let mut suspects = VecDeque::new();
        while jobs.peek().is_some() || !suspects.is_empty() {
            let under_way = match self.load_in_one_machine(&mut jobs, &mut suspects, options, end, &mut on_outcome)? {
                Finish::All => return Ok(()),
                Finish::Died { under_way, error } => {
                    self.vm = None;
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

    fn load_in_one_machine(
        &mut self,
        jobs: &mut impl Iterator<Item = LoadJob>,
        suspects: &mut VecDeque<LoadJob>,
        options: &LoadOptions,
        end: Option<Instant>,
        on_outcome: &mut impl FnMut(ObjectOutcome),
    ) -> Result<Finish, CrosscheckError> {
        let kernel = self.vm()?.hello().release.clone();
        let side_by_side = usize::try_from(self.options.cpus).unwrap_or(1).max(1) * PER_CPU;
        let vm = self.vm()?;
        let mut under_way: BTreeMap<u64, UnderWay> = BTreeMap::new();
        let finish = |under_way: BTreeMap<u64, UnderWay>, error| {
            Ok(Finish::Died { under_way: under_way.into_values().collect(), error })
        };
        loop {
            while under_way.len() < side_by_side && !under_way.values().any(|item| item.suspect) {
                let item = match suspects.pop_front() {
                    Some(job) => UnderWay::new(job, true),
                    None => match jobs.next() {
                        Some(job) => UnderWay::new(job, false),
                        None => break,
                    },
                };
                match vm.submit(load_request(&item.job, options), &item.job.bytes) {
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
            let patience = options.timeout + SLACK;
            let patience = end.map_or(patience, |end| patience.min(end.saturating_duration_since(Instant::now())));
            let reply = match vm.next_reply(patience) {
                Ok(reply) => reply,
                Err(error) => return finish(under_way, error),
            };
            let Some(item) = under_way.get_mut(&reply.id) else { continue };
            match reply.body {
                ReplyBody::Program(program) => {
                    let verdict = KernelVerdict { object: item.job.name.clone(), kernel: kernel.clone(), program };
                    item.outcome.verdicts.push(verdict);
                }
                ReplyBody::Failed { message } => item.outcome.failures.push(message),
                ReplyBody::Done => {
                    if let Some(item) = under_way.remove(&reply.id) {
                        on_outcome(item.outcome);
                    }
                }
                ReplyBody::Hello(_) | ReplyBody::TestRun(_) => {}
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

fn load_request(job: &LoadJob, options: &LoadOptions) -> RequestBody {
    RequestBody::Load(LoadRequest {
        programs: job.programs.clone(),
        log_level: options.log_level,
        want_log: options.want_log,
        want_insns: options.want_insns,
        timeout_seconds: u32::try_from(options.timeout.as_secs()).unwrap_or(u32::MAX).max(1),
    })
}
