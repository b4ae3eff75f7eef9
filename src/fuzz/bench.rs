//! Judging programs: several in one object, by our verifier, by runs in the machine, and by what a kernel said.
//!
//! An object is one that generated programs were written into ([`Bench::write`]), or one that was there and has something changed
//! ([`Bench::load`]). Of the second sort our loader may refuse all or some, which is no mistake as long as libbpf does too.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use super::cause::{Cause, Class, normalised};
use super::changed::{self, Files, Mutant, OriginalError};
use super::plan::Plan;
use crate::crosscheck::compare::{Agreement, OurDecision, OurVerdict, compare, verdict_word};
use crate::crosscheck::protocol::Verdict;
use crate::crosscheck::{KernelVerdict, missing_kfuncs};
use crate::kernel::Profile;
use crate::machine::{Machine, MachineOptions};
use crate::object::compile::object_name;
use crate::object::{self, LoadOptions, Object, ObjectError};
use crate::report::place::Words;
use crate::soundness::containment::within::Spot;
use crate::soundness::containment::{Accepted, Check, Found, MAX_PROCESSED, Outcome, Reported, UNVERIFIED, Violation};
use crate::soundness::emission::Batch;
use crate::soundness::program::{Code, Program, lower};
use crate::verifier::{LogLevel, ObjectVerifier, Options, Verdict as Own};

/// Instructions that may be processed when no path is left because another one covers it. Fewer than `kptrsim contain` takes its time for.
const MAX_ALL_PATHS: u32 = 2_000;

/// What programs are judged with.
#[derive(Debug)]
pub struct Bench {
    /// The kernel to judge for.
    pub profile: Profile,
    /// Its build configuration, if at hand.
    pub config: Option<String>,
    /// What is done with each program.
    pub plan: Plan,
    /// The objects that are changed, if the campaign is about some.
    pub files: Files,
}

/// Programs in one object.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The ELF file.
    pub bytes: Vec<u8>,
    /// What our loader makes of it. Its programs stand by their sections.
    pub object: Arc<Object>,
    /// The programs' names, in the order in which they were given.
    pub names: Vec<String>,
    /// Where each stands in the object.
    places: Vec<Option<usize>>,
    /// Why our loader does not take it.
    refused: Option<Refused>,
    /// Is it an object of somebody else's, in which something is changed?
    is_changed: bool,
}

/// What became of an object in our loader.
#[derive(Clone, Debug)]
enum Refused {
    Said(ObjectError),
    Panicked(String),
}

impl Unit {
    /// The program given in that place; `None` if our loader does not take it.
    #[must_use]
    pub fn program(&self, place: usize) -> Option<&object::Program> {
        let place = self.places.get(place).copied().flatten()?;
        self.object.programs.get(place)
    }

    /// Was it there before, and has something changed?
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.is_changed
    }
}

/// What a campaign judges under one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A generated program.
    Generated(Program),
    /// A program of an object in which something is changed.
    Changed(Mutant),
}

/// What our two halves say about a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ours {
    /// The verifier's verdict; `None` if it panicked.
    pub verdict: Option<OurVerdict>,
    /// `accept`, the rule's id, or what is not supported.
    pub rule: String,
    /// Runs that were made.
    pub runs: u64,
    /// Instructions that they executed.
    pub executed: u64,
    /// Those of them before which the state lay in one of the verifier's.
    pub contained: u64,
    /// Runs that ended for want of a model or at a limit.
    pub undecided: u64,
    /// States that the verifier had not reckoned with.
    pub outside: Vec<String>,
    /// Faults of the machine that the verifier should have excluded.
    pub faults: Vec<String>,
    /// What our own code panicked with.
    pub panics: Vec<String>,
    /// Why our loader does not take the program.
    pub refused: Option<String>,
    /// Need no loader take it, since it is somebody's object with something changed?
    pub is_changed: bool,
}

impl Bench {
    /// Judges generated programs.
    #[must_use]
    pub fn new(profile: Profile, config: Option<String>, plan: Plan) -> Bench {
        Bench { profile, config, plan, files: Files::default() }
    }

    /// Judges what the plan is about; its objects are read again.
    ///
    /// # Errors
    /// [`OriginalError`].
    pub fn open(profile: Profile, config: Option<String>, plan: Plan) -> Result<Bench, OriginalError> {
        let files = changed::read_again(&plan.objects, &profile, config.as_deref())?;
        let files = Files::new(files, plan.seed, plan.changes);
        Ok(Bench { profile, config, plan, files })
    }

    fn load_options(&self) -> LoadOptions<'_> {
        LoadOptions { kernel_config: self.config.as_deref(), ..self.profile.load_options() }
    }

    /// Loads an object with something changed, of whose programs those are judged that have these names.
    #[must_use]
    pub fn load(&self, mutant: &Mutant, names: Vec<String>) -> Unit {
        let bytes = self.files.bytes(mutant);
        let path = self.files.get(mutant.file).map(|file| file.about.path.as_path()).unwrap_or(Path::new(""));
        let loaded = catch_unwind(AssertUnwindSafe(|| Object::parse(&object_name(path), &bytes, &self.load_options())));
        let (object, refused) = match loaded {
            Ok(Ok(object)) => (object, None),
            Ok(Err(why)) => (nothing(), Some(Refused::Said(why))),
            Err(panic) => (nothing(), Some(Refused::Panicked(panic_text(&*panic)))),
        };
        let place = |name: &String| object.programs.iter().position(|program| program.name == *name);
        let places = names.iter().map(place).collect();
        // A kfunc that is missing keeps libbpf from the other programs.
        let bytes = missing_kfuncs::weaken(&bytes, &self.profile.btf).unwrap_or(bytes);
        Unit { bytes, object: Arc::new(object), names, places, refused, is_changed: true }
    }

    /// Writes programs into one object, `p0000` and so on, and reads it back.
    ///
    /// # Errors
    /// Why one of them, whichever, cannot be written or loaded.
    pub fn write(&self, programs: &[Program]) -> Result<Unit, String> {
        let codes: Vec<Code> = programs.iter().map(lower).collect();
        let bytes = Batch::numbered(&codes, self.profile.tables())
            .and_then(|batch| batch.object())
            .map_err(|error| error.to_string())?;
        let object = Object::parse("generated", &bytes, &self.load_options()).map_err(|error| error.to_string())?;
        if let Some(refused) = object.programs.iter().find_map(|program| program.refused.as_ref()) {
            return Err(refused.to_string());
        }
        if object.programs.len() != codes.len() {
            return Err(format!(
                "{} programs are read back of {} that were written",
                object.programs.len(),
                codes.len()
            ));
        }
        let mut order: Vec<usize> = (0..object.programs.len()).collect();
        order.sort_by_key(|&place| number(&object.programs[place].name));
        let names = order.iter().map(|&place| object.programs[place].name.clone()).collect();
        let places = order.into_iter().map(Some).collect();
        Ok(Unit { bytes, object: Arc::new(object), names, places, refused: None, is_changed: false })
    }

    /// The text that assembles to a program.
    ///
    /// # Errors
    /// As [`Bench::write`].
    pub fn assembly(&self, program: &Program) -> Result<String, String> {
        let codes = [lower(program)];
        Batch::numbered(&codes, self.profile.tables()).map(|batch| batch.assembly()).map_err(|error| error.to_string())
    }

    /// What the plan has under that number.
    #[must_use]
    pub fn subject(&self, index: u64) -> Subject {
        match self.files.mutant(index) {
            Some(mutant) => Subject::Changed(mutant),
            None => Subject::Generated(self.plan.program(index)),
        }
    }

    /// It alone in an object.
    ///
    /// # Errors
    /// As [`Bench::write`].
    pub fn unit_of(&self, subject: &Subject) -> Result<Unit, String> {
        match subject {
            Subject::Generated(program) => self.write(std::slice::from_ref(program)),
            Subject::Changed(mutant) => Ok(self.load(mutant, vec![mutant.program.clone()])),
        }
    }

    /// Judges all programs of a unit. Each one's runs have the seed beside it; without seeds nothing is run.
    #[must_use]
    pub fn judge(&self, unit: &Unit, seeds: Option<&[u64]>) -> Vec<Ours> {
        let is_changed = unit.is_changed;
        let silent = |panics| Ours { panics, is_changed, ..Ours::default() };
        let verifiers = match catch_unwind(AssertUnwindSafe(|| self.verifiers(&unit.object))) {
            Ok(verifiers) => verifiers,
            Err(panic) => return unit.names.iter().map(|_| silent(vec![panic_text(&*panic)])).collect(),
        };
        let refused = |why: String| Ours { refused: Some(normalised(&why)), is_changed, ..Ours::default() };
        let judge = |place: usize| {
            let program = match (&unit.refused, unit.program(place)) {
                (Some(Refused::Panicked(what)), _) => return silent(vec![what.clone()]),
                (Some(Refused::Said(why)), _) if why.is_unsupported() => return unsupported(&unit.names[place], why),
                (Some(Refused::Said(why)), _) => return refused(why.to_string()),
                (None, None) => return refused("it has no such program".to_owned()),
                (None, Some(program)) => program,
            };
            if let Some(why) = program.refused.as_ref().filter(|why| !why.is_unsupported()) {
                return refused(why.to_string());
            }
            let seed = seeds.and_then(|seeds| seeds.get(place)).copied();
            let judged = catch_unwind(AssertUnwindSafe(|| self.judge_one(unit, &verifiers, program, seed)));
            judged.unwrap_or_else(|panic| silent(vec![panic_text(&*panic)]))
        };
        (0..unit.names.len()).map(judge).collect()
    }

    fn judge_one(&self, unit: &Unit, verifiers: &Verifiers<'_>, program: &object::Program, seed: Option<u64>) -> Ours {
        let verification = verifiers.silent.verify(program);
        let verdict = OurVerdict::from(&verification);
        let rule = match &verification.verdict {
            Own::Accept => "accept".to_owned(),
            Own::Reject(rejection) => rejection.rule.id().to_owned(),
            Own::Unsupported(what) => normalised(what),
        };
        let accepted = verification.verdict == Own::Accept;
        let processed = verdict.insns_processed.unwrap_or(0);
        let mut ours = Ours { verdict: Some(verdict), rule, is_changed: unit.is_changed, ..Ours::default() };
        if let Some(seed) = seed.filter(|_| accepted && self.plan.runs > 0) {
            let mut traces = Accepted::default();
            if processed <= MAX_PROCESSED
                && let Err(error) = traces.add_log(&program.name, &verifiers.log(program))
            {
                ours.outside.push(format!("our log cannot be read: {}", normalised(&error.to_string())));
            }
            self.run(unit, program, traces, seed, &mut ours);
        }
        ours
    }

    /// Our verifier, prepared for an object.
    #[must_use]
    pub fn verifiers<'a>(&'a self, object: &'a Object) -> Verifiers<'a> {
        let pruned = Options { log_level: LogLevel::Detailed, whole_states: true, ..Options::default() };
        let all = Options { all_paths: true, max_processed: Some(MAX_ALL_PATHS), ..pruned.clone() };
        let [silent, pruned, all] =
            [Options::default(), pruned, all].map(|options| ObjectVerifier::new(object, &self.profile, options));
        Verifiers { silent, pruned, all }
    }

    /// Runs a program that we do not accept, and does not hold it against anything.
    pub fn run_anyway(&self, unit: &Unit, place: usize, seed: u64, ours: &mut Ours) {
        let Some(program) = unit.program(place) else { return };
        let done = catch_unwind(AssertUnwindSafe(|| self.run(unit, program, Accepted::default(), seed, ours)));
        if let Err(panic) = done {
            ours.panics.push(panic_text(&*panic));
        }
    }

    fn run(&self, unit: &Unit, program: &object::Program, accepted: Accepted, seed: u64, ours: &mut Ours) {
        // What it calls in its place, and nobody has accepted, may do what it likes.
        let unverified_counts = accepted.traces.is_empty();
        match self.check(unit, accepted, seed).program(program, self.plan.cpus, 0..self.plan.runs) {
            Ok(outcome) => ours.take(&outcome, unverified_counts),
            Err(error) => ours.faults.push(normalised(&error.to_string())),
        }
    }

    /// Runs of a unit's programs with that seed.
    #[must_use]
    pub fn check(&self, unit: &Unit, accepted: Accepted, seed: u64) -> Check {
        let options = MachineOptions {
            max_insns: self.plan.max_insns,
            kernel_types: Some(Arc::clone(&self.profile.btf)),
            ..MachineOptions::default()
        };
        let (object, max_steps) = (Arc::clone(&unit.object), self.plan.max_steps);
        Check { object, accepted, options, max_steps, seed, known: self.plan.known }
    }
}

/// Our verifier in three voices. What each prepares of the object serves all of its programs.
#[derive(Debug)]
pub struct Verifiers<'a> {
    silent: ObjectVerifier<'a>,
    pruned: ObjectVerifier<'a>,
    all: ObjectVerifier<'a>,
}

impl Verifiers<'_> {
    /// A log of level 2, each state whole: of all paths if they are not too many.
    #[must_use]
    pub fn log(&self, program: &object::Program) -> String {
        let verification = self.all.verify(program);
        match verification.verdict {
            Own::Accept => verification.log,
            _ => self.pruned.verify(program).log,
        }
    }
}

impl Ours {
    fn take(&mut self, outcome: &Outcome, unverified_counts: bool) {
        self.runs += outcome.runs;
        self.executed += outcome.counts.executed + outcome.counts.without_trace;
        self.contained += outcome.counts.contained;
        for (what, runs) in &outcome.undecided {
            match what.strip_suffix(UNVERIFIED).filter(|_| unverified_counts) {
                Some(kind) => self.faults.push(kind.to_owned()),
                None => self.undecided += runs,
            }
        }
        for reported in outcome.findings.values() {
            let list = if matches!(reported.found, Found::Outside(_)) { &mut self.outside } else { &mut self.faults };
            list.push(name(reported));
        }
        for list in [&mut self.outside, &mut self.faults] {
            list.sort_unstable();
            list.dedup();
        }
    }

    /// What disagrees, with a kernel's verdict or without one.
    #[must_use]
    pub fn causes(&self, kernel: Option<&KernelVerdict>) -> Vec<Cause> {
        let own = |class| move |ours: &String| Cause { class, ours: ours.clone(), kernel: String::new() };
        let mut causes: Vec<Cause> = self.outside.iter().map(own(Class::NotContained)).collect();
        causes.extend(self.panics.iter().map(own(Class::Panic)));
        let accepts = self.verdict.as_ref().is_some_and(|verdict| verdict.verdict == OurDecision::Accept);
        if let Some(why) = &self.refused {
            let kernel = kernel.filter(|kernel| kernel.program.verdict != Verdict::NotReached);
            causes.extend(kernel.map(|kernel| Cause {
                class: Class::NotLoaded,
                ours: why.clone(),
                kernel: verdict_word(kernel.program.verdict).to_owned(),
            }));
            return causes;
        }
        match kernel.map(|kernel| kernel.program.verdict) {
            Some(Verdict::Accept) => causes.extend(self.faults.iter().map(own(Class::KernelAcceptsMachineFaults))),
            None | Some(Verdict::NotReached) if accepts => {
                causes.extend(self.faults.iter().map(own(Class::AcceptedFaults)));
            }
            _ => {}
        }
        causes.extend(kernel.and_then(|kernel| self.against(kernel)));
        causes.sort_unstable();
        causes.dedup();
        causes
    }

    /// How our verdict differs from a kernel's.
    fn against(&self, kernel: &KernelVerdict) -> Option<Cause> {
        let compared = compare(self.verdict.clone(), kernel.clone());
        let ours = self.rule.clone();
        let reason = || normalised(&kernel.program.reason);
        let class = match compared.agreement {
            Agreement::WrongAccept => Class::WrongAccept,
            Agreement::WrongReject => return Some(Cause { class: Class::WrongReject, ours, kernel: "accept".into() }),
            Agreement::ReasonDiffers => Class::ReasonDiffers,
            // What is changed in an object may well be what libbpf goes by; then we should not take it either.
            Agreement::NoVerdict if self.is_changed && self.rule != "accept" => return None,
            Agreement::NoVerdict => {
                return Some(Cause { class: Class::NoVerdict, ours: "any".into(), kernel: reason() });
            }
            Agreement::Agree if compared.insns_equal == Some(false) => {
                let counted = self.verdict.as_ref().and_then(|verdict| verdict.insns_processed);
                let more = counted > kernel.program.stats.as_ref().map(|stats| stats.insns_processed);
                let kernel = if more { "processes fewer" } else { "processes more" };
                return Some(Cause { class: Class::CountDiffers, ours, kernel: kernel.to_owned() });
            }
            Agreement::Agree | Agreement::Unsupported | Agreement::Missing => return None,
        };
        Some(Cause { class, ours, kernel: reason() })
    }

    /// Can this be the cause, as far as our halves tell? What a kernel says decides.
    #[must_use]
    pub fn may_have(&self, cause: &Cause) -> bool {
        match cause.class {
            Class::WrongAccept | Class::WrongReject | Class::ReasonDiffers | Class::CountDiffers => {
                self.rule == cause.ours
            }
            Class::KernelAcceptsMachineFaults => self.faults.contains(&cause.ours) || self.rule != "accept",
            Class::NotLoaded => self.refused.as_ref() == Some(&cause.ours),
            Class::KernelDied | Class::NoVerdict => true,
            _ => self.causes(None).contains(cause),
        }
    }
}

/// What is to be said of a program of a changed object that only our loader does not take.
fn unsupported(program: &str, why: &ObjectError) -> Ours {
    let verdict = OurVerdict {
        program: program.to_owned(),
        verdict: OurDecision::Unsupported,
        reason: why.to_string(),
        errno: 0,
        insns_processed: None,
    };
    Ours { verdict: Some(verdict), rule: normalised(&why.to_string()), is_changed: true, ..Ours::default() }
}

/// An object that our loader made nothing of.
fn nothing() -> Object {
    let (name, license) = (String::new(), String::new());
    Object { name, license, btf: None, maps: Vec::new(), externs: Vec::new(), programs: Vec::new() }
}

/// The number in a program's name, by which it was given.
#[must_use]
pub fn number(name: &str) -> Option<usize> {
    name.strip_prefix('p')?.parse().ok()
}

/// By what two findings of runs are the same. What comes of a known gap is one with all else that comes of it in that way.
#[must_use]
pub fn name(reported: &Reported) -> String {
    match (&reported.found, reported.gap) {
        (Found::Outside(_), Some(gap)) => format!("known gap {}", gap.kind),
        (Found::Run(finding), Some(gap)) => format!("{}, behind the known gap {}", finding.kind(), gap.kind),
        (Found::Outside(violation), None) => outside(&reported.machine, violation),
        (Found::Run(finding), None) => fault(&reported.machine, finding),
    }
}

/// By what two violations are the same: what speaks against the first state, and the instruction.
fn outside(machine: &Machine, violation: &Violation) -> String {
    let mismatch = violation.against.iter().find_map(|against| against.mismatch.as_ref());
    let what = mismatch.map_or("no path comes here".to_owned(), |mismatch| {
        let spot = match mismatch.spot {
            Spot::Register { .. } => "register",
            Spot::Slot { .. } => "slot",
            Spot::References => "references",
        };
        format!("{spot}: {}", mismatch.why)
    });
    format!("{what}, before {}", normalised(&Words::new(machine).instruction(violation.at.place)))
}

/// By what two faults are the same: their kind and the instruction.
fn fault(machine: &Machine, finding: &crate::explore::finding::Finding) -> String {
    use crate::explore::finding::Finding;
    use crate::machine::End;
    let place = match finding {
        Finding::Ended(End::Fault(fault)) => Some(fault.at.place),
        Finding::Leak(leak) => Some(leak.acquired.place),
        _ => None,
    };
    let instruction = place.map(|place| Words::new(machine).instruction(place)).unwrap_or_default();
    format!("{} {}", finding.kind(), normalised(&instruction)).trim().to_owned()
}

/// What a panic says.
fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    normalised(&text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default())
}
