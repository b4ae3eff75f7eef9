//! What the real kernel said, kept in `kernel.jsonl`: one object a line, with the kernel's build and the object's hash.
//!
//! Start at [`Records`]; [`ask`] boots the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use kptrsim::btf::Btf;
use kptrsim::crosscheck::protocol::{ProgramVerdict, Verdict};
use kptrsim::crosscheck::{
    BootOptions, Cache, Judge, KernelImage, LoadJob, LoadOptions, ObjectOutcome, guest, missing_kfuncs,
};
use serde::{Deserialize, Serialize};

use crate::SelftestObject;
use crate::loading::Loading;

/// The kernel's verdicts on one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// The object's file name without `.bpf.o`.
    pub object: String,
    /// SHA-256 of the object that was asked about.
    pub sha256: String,
    /// The exact kernel build.
    pub kernel: String,
    /// Why some or all programs have no verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// One for each program.
    pub programs: Vec<ProgramRecord>,
}

/// The kernel's verdict on one program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramRecord {
    /// The program's name.
    pub program: String,
    /// The section it stands in.
    pub section: String,
    /// The decision.
    pub verdict: Verdict,
    /// The error number of the rejection, positive.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub errno: i32,
    /// The log's last line, or why the verifier was not reached.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Instructions processed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insns: Option<u64>,
    /// States that were kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub states: Option<u64>,
    /// States that were kept at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_states: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(errno: &i32) -> bool {
    *errno == 0
}

impl From<ProgramVerdict> for ProgramRecord {
    fn from(verdict: ProgramVerdict) -> ProgramRecord {
        let stats = verdict.stats.as_ref();
        ProgramRecord {
            insns: stats.map(|stats| stats.insns_processed),
            states: stats.map(|stats| stats.total_states),
            peak_states: stats.map(|stats| stats.peak_states),
            program: verdict.program,
            section: verdict.section,
            verdict: verdict.verdict,
            errno: verdict.errno,
            reason: verdict.reason,
        }
    }
}

/// All recorded verdicts, by object.
#[derive(Debug, Default)]
pub struct Records(BTreeMap<String, ObjectRecord>);

impl Records {
    /// Reads the file; none is no record.
    pub fn read(path: &Path) -> Result<Records, Box<dyn Error>> {
        if !path.exists() {
            return Ok(Records::default());
        }
        let mut records = BTreeMap::new();
        for (number, line) in fs::read_to_string(path)?.lines().enumerate() {
            let record: ObjectRecord = serde_json::from_str(line)
                .map_err(|error| format!("{} line {}: {error}", path.display(), number + 1))?;
            records.insert(record.object.clone(), record);
        }
        Ok(Records(records))
    }

    /// Writes the file, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let lines: Result<Vec<String>, _> = self.0.values().map(serde_json::to_string).collect();
        let partial = path.with_extension("partial");
        fs::write(&partial, lines?.join("\n") + "\n")?;
        Ok(fs::rename(&partial, path)?)
    }

    /// What the kernel said about an object.
    pub fn of(&self, object: &str) -> Option<&ObjectRecord> {
        self.0.get(object)
    }

    /// Whether there is an answer of that kernel on just this object.
    pub fn answers(&self, release: &str, object: &str, sha256: &str) -> bool {
        self.of(object).is_some_and(|record| record.kernel == release && record.sha256 == sha256)
    }

    /// Puts newer answers in the place of older ones.
    pub fn replace(&mut self, fresh: Vec<ObjectRecord>) {
        self.0.extend(fresh.into_iter().map(|record| (record.object.clone(), record)));
    }
}

/// Boots the kernel and asks about all programs of these objects, each loaded alone.
pub fn ask(
    cache: &Cache,
    image: &KernelImage,
    loading: Loading,
    objects: &[&SelftestObject],
    timeout: Duration,
) -> Result<Vec<ObjectRecord>, Box<dyn Error>> {
    let unprivileged = loading == Loading::Unprivileged;
    let guest = guest::locate(cache, None, &mut |line| eprintln!("{line}"))?;
    let mut judge = Judge::new(image.clone(), BootOptions { mitigations: unprivileged, ..BootOptions::new(guest) });
    let kernel = match &image.btf {
        Some(path) => Btf::parse(&fs::read(path)?)?,
        None => return Err(format!("{} has no vmlinux.btf beside it", image.path.display()).into()),
    };
    let mut weakened = BTreeSet::new();
    let jobs: Vec<LoadJob> = objects
        .iter()
        .map(|object| {
            let without = missing_kfuncs::weaken(&object.bytes, &kernel);
            if without.is_some() {
                weakened.insert(object.name.clone());
            }
            let bytes = without.unwrap_or_else(|| object.bytes.clone());
            LoadJob { name: object.name.clone(), bytes, programs: loading.programs(object).unwrap_or_default() }
        })
        .collect();
    eprintln!("asking {} about {} objects", image.release, objects.len());
    let progress = progress_bar(objects.len());
    let mut outcomes: BTreeMap<String, ObjectOutcome> = BTreeMap::new();
    judge.load(jobs, &LoadOptions { timeout, unprivileged, ..LoadOptions::default() }, |mut outcome| {
        progress.inc(1);
        if weakened.contains(&outcome.name) {
            outcome.verdicts.iter_mut().for_each(|verdict| missing_kfuncs::take_back(&mut verdict.program));
        }
        outcomes.insert(outcome.name.clone(), outcome);
    })?;
    progress.finish_and_clear();
    let recorded = objects.iter().filter_map(|object| {
        let outcome = outcomes.remove(&object.name)?;
        Some(ObjectRecord {
            object: object.name.clone(),
            sha256: object.sha256.clone(),
            kernel: image.release.clone(),
            failures: outcome.failures,
            programs: outcome.verdicts.into_iter().map(|verdict| verdict.program.into()).collect(),
        })
    });
    Ok(recorded.collect())
}

/// Progress on standard error; draws only where a person watches.
pub fn progress_bar(length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} objects, {elapsed} {msg}");
    ProgressBar::new(length as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
