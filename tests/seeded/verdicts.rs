//! Generated programs of which a kernel's verdicts are recorded in `recorded.jsonl`: ours must be the same, word for word.
//!
//! A line has the program's set and seed, a digest of its instructions, what the kernel's verification took, and for a rejection
//! the error number and the reason. Where the generator has changed since, the digest differs, and all has to be recorded again.

use std::fs;
use std::path::PathBuf;

use kptrsim::crosscheck::protocol::Verdict as Said;
use kptrsim::crosscheck::{BootOptions, Cache, Judge, LoadJob, LoadOptions, guest};
use kptrsim::kernel::Profile;
use kptrsim::object::{Object, Program};
use kptrsim::verifier::{ObjectVerifier, Options, Verdict};
use serde::{Deserialize, Serialize};

use crate::Cases;
use crate::programs::{Objects, Set, digest};

/// Programs that are recorded.
const COUNT: u64 = 1_500;
/// Instructions that a program may take; each that is recorded takes less.
const MOST: u32 = 100_000;

/// A program and what a kernel says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    set: Set,
    seed: u64,
    code: u32,
    /// Instructions processed, checkpoints made, checkpoints at once.
    counts: [u64; 3],
    /// Absent for an accepted program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rejected: Option<(i32, String)>,
    /// Ours was another when this was recorded: the program only keeps its place among the others of its object.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    differs: bool,
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/seeded/recorded.jsonl")
}

/// Programs with their verdicts.
pub struct Verdicts {
    profile: Profile,
    lines: Vec<Line>,
    objects: Objects,
}

impl Verdicts {
    /// Reads the record and draws the programs again.
    pub fn prepare() -> Verdicts {
        let text = fs::read_to_string(file()).expect("the record is there");
        let lines: Vec<Line> = text.lines().map(|line| serde_json::from_str(line).expect("a line of ours")).collect();
        let codes: Vec<_> = lines.iter().map(|line| line.set.code(line.seed)).collect();
        let objects = Objects::of(&codes);
        Verdicts { profile: Profile::embedded(), lines, objects }
    }
}

/// For a rejection error number and reason, and what the verification took.
type Judged = (Option<(i32, String)>, [u64; 3]);

/// What our verifier says.
fn ours(object: &Object, profile: &Profile, program: &Program) -> Result<Judged, String> {
    let options = Options { max_processed: Some(MOST), ..Options::default() };
    let verification = ObjectVerifier::new(object, profile, options).verify(program);
    let took = &verification.statistics;
    let counts = [took.insns_processed, took.total_states, took.peak_states].map(u64::from);
    match verification.verdict {
        Verdict::Accept => Ok((None, counts)),
        Verdict::Reject(rejection) => {
            let reason = rejection.rule.to_string().trim().to_owned();
            Ok((Some((rejection.rule.errno().number(), reason)), counts))
        }
        Verdict::Unsupported(what) => Err(format!("unsupported: {what}")),
    }
}

impl Cases for Verdicts {
    fn count(&self) -> usize {
        self.lines.len()
    }

    fn check(&self, case: usize) -> Result<(), String> {
        let line = &self.lines[case];
        if digest(&line.set.code(line.seed)) != line.code {
            return Err("the generator makes another program of this seed: record again".to_owned());
        }
        let (object, index) = self.objects.get(case);
        if line.differs {
            return Ok(());
        }
        let (ours, counts) = ours(object, &self.profile, &object.programs[index])?;
        if ours == line.rejected {
            let same = counts == line.counts;
            return if same { Ok(()) } else { Err(format!("it takes the kernel {:?}, ours {counts:?}", line.counts)) };
        }
        let words = |verdict: &Option<(i32, String)>| match verdict {
            None => "accepts".to_owned(),
            Some((errno, reason)) => format!("rejects ({errno}: {reason})"),
        };
        Err(format!("the kernel {}, ours {}", words(&line.rejected), words(&ours)))
    }
}

/// Asks a kernel, and writes the record. Says how often ours differs.
pub fn record() -> Result<String, Box<dyn std::error::Error>> {
    let sets = [
        Set::OwnershipOff,
        Set::Off,
        Set::Ownership,
        Set::NumbersOff,
        Set::OwnershipOff,
        Set::Formed,
        Set::Off,
        Set::Numbers,
    ];
    let drawn: Vec<_> = (0..COUNT).map(|seed| (sets[seed as usize % sets.len()], seed)).collect();
    let codes: Vec<_> = drawn.iter().map(|(set, seed)| set.code(*seed)).collect();
    let objects = Objects::of(&codes);
    let cache = Cache::of_user()?;
    let guest = guest::locate(&cache, None, &mut |line| eprintln!("{line}"))?;
    let mut judge = Judge::new(cache.default_kernel()?, BootOptions::new(guest));
    let jobs = objects.files.iter().enumerate();
    let jobs =
        jobs.map(|(number, bytes)| LoadJob { name: number.to_string(), bytes: bytes.clone(), programs: Vec::new() });
    let mut outcomes = Vec::new();
    judge.load(jobs, &LoadOptions::default(), |outcome| outcomes.push(outcome))?;
    let profile = Profile::embedded();
    let (mut text, mut differ) = (String::new(), 0);
    for (number, ((set, seed), code)) in drawn.iter().zip(&codes).enumerate() {
        let (object, index) = objects.get(number);
        let program = &object.programs[index];
        let name = (number / 50).to_string();
        let said = outcomes.iter().find(|outcome| outcome.name == name);
        let said = said.and_then(|outcome| outcome.verdicts.iter().find(|one| one.program.program == program.name));
        let said = said.ok_or_else(|| format!("the kernel says nothing of program {number}"))?;
        let rejected = match said.program.verdict {
            Said::Accept => None,
            Said::Reject => Some((said.program.errno, said.program.reason.trim().to_owned())),
            // It failed behind the verifier, which may have said nothing of it.
            Said::NotReached => Some((said.program.errno, "no verdict".to_owned())),
        };
        let stats = said.program.stats.as_ref();
        let counts = stats.map_or([0; 3], |stats| [stats.insns_processed, stats.total_states, stats.peak_states]);
        let judged: Judged = (rejected, counts);
        let ours = ours(object, &profile, program);
        let differs = ours.as_ref() != Ok(&judged);
        if differs {
            differ += 1;
            eprintln!("{set:?} {seed}: the kernel {judged:?} ({}), ours {ours:?}", said.program.reason.trim());
        }
        let (rejected, counts) = judged;
        text.push_str(&serde_json::to_string(&Line {
            set: *set,
            seed: *seed,
            code: digest(code),
            counts,
            rejected,
            differs,
        })?);
        text.push('\n');
    }
    fs::write(file(), text)?;
    Ok(format!("{COUNT} verdicts recorded, {differ} of them not asked about, where ours differs"))
}
