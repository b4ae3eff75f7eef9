//! What kptrsim says: `kptrsim verify` in processes of their own with a time limit, so that a crash or a hang is a
//! result like any other.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use kptrsim::crosscheck::KernelImage;
use rayon::prelude::*;
use serde::Deserialize;
use wait_timeout::ChildExt;

use crate::SelftestObject;
use crate::loading::Loading;
use crate::record::progress_bar;

/// Our verdict on one program, as `--format json` has it.
#[derive(Debug, Clone, Deserialize)]
pub struct OurProgram {
    /// The object's file.
    pub object: String,
    /// The program's name.
    pub program: String,
    /// `accept`, `reject` or `unsupported`.
    pub verdict: Decision,
    /// The error number.
    pub errno: Option<i32>,
    /// The log's last line, or what is not supported.
    pub reason: Option<String>,
    /// Instructions processed.
    pub insns_processed: u64,
    /// States that were kept.
    pub total_states: u64,
}

/// What we decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The program would load.
    Accept,
    /// It would not.
    Reject,
    /// We cannot tell.
    Unsupported,
}

/// What became of one object here.
#[derive(Debug, Clone)]
pub enum OurObject {
    /// Verdicts on its programs.
    Judged(BTreeMap<String, OurProgram>),
    /// The loader refuses it, and says why.
    Refused(String),
    /// A panic, a signal or no answer in time.
    Crashed(String),
}

/// Objects that one process verifies, so that the kernel's types are read once for all of them.
const BATCH: usize = 16;

/// Verifies all objects side by side.
pub fn verify_all(
    objects: &[SelftestObject],
    image: &KernelImage,
    loading: Loading,
    timeout: Duration,
) -> Result<Vec<OurObject>, Box<dyn Error>> {
    let progress = progress_bar(objects.len());
    let verdicts: Result<Vec<Vec<OurObject>>, String> = objects
        .par_chunks(BATCH)
        .map(|batch| {
            let verdicts =
                verify_batch(batch, image, loading, timeout).map_err(|error| format!("{}: {error}", batch[0].name));
            progress.inc(batch.len() as u64);
            verdicts
        })
        .collect();
    progress.finish_and_clear();
    Ok(verdicts?.into_iter().flatten().collect())
}

/// Verifies some objects in one process; if that crashes or hangs, each in one of its own, to know which it was.
fn verify_batch(
    batch: &[SelftestObject],
    image: &KernelImage,
    loading: Loading,
    timeout: Duration,
) -> Result<Vec<OurObject>, Box<dyn Error>> {
    match (run(batch, image, loading, timeout)?, batch) {
        (Ended::Well { verdicts, complaints }, _) => {
            Ok(batch.iter().map(|object| judged(object, &verdicts, &complaints)).collect())
        }
        (Ended::Badly(how), [_]) => Ok(vec![OurObject::Crashed(how)]),
        (Ended::Badly(_), _) => {
            let singly = batch.iter().map(|object| verify_batch(std::slice::from_ref(object), image, loading, timeout));
            Ok(singly.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        }
    }
}

/// What one process came to.
enum Ended {
    /// It gave its verdicts; what it could not load it said on standard error.
    Well { verdicts: Vec<OurProgram>, complaints: String },
    /// It crashed, or was stopped.
    Badly(String),
}

fn run(
    batch: &[SelftestObject],
    image: &KernelImage,
    loading: Loading,
    timeout: Duration,
) -> Result<Ended, Box<dyn Error>> {
    let (output, errors) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut child = Command::new(env!("CARGO_BIN_EXE_kptrsim"))
        .args(["verify", "--format", "json", "--kernel", &image.release])
        .args((loading == Loading::Unprivileged).then_some("--unpriv"))
        .args(batch.iter().map(|object| &object.path))
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(errors.try_clone()?)
        .env("RAYON_NUM_THREADS", "1")
        .spawn()?;
    let Some(status) = child.wait_timeout(timeout)? else {
        child.kill()?;
        child.wait()?;
        return Ok(Ended::Badly(format!("no answer within {} s", timeout.as_secs())));
    };
    let complaints = text(errors)?;
    if !matches!(status.code(), Some(0..=3)) {
        return Ok(Ended::Badly(format!("{status}: {}", complaints.lines().next().unwrap_or(""))));
    }
    let verdicts: Result<Vec<OurProgram>, _> = text(output)?.lines().map(serde_json::from_str).collect();
    Ok(Ended::Well { verdicts: verdicts?, complaints })
}

/// An object's part of the verdicts, or why it was refused.
fn judged(object: &SelftestObject, verdicts: &[OurProgram], complaints: &str) -> OurObject {
    let path = object.path.display().to_string();
    let refused = complaints.lines().find_map(|line| {
        line.trim_start_matches("kptrsim: ").strip_prefix(path.as_str())?.strip_prefix(": ").map(str::to_owned)
    });
    match refused {
        Some(why) => OurObject::Refused(why),
        None => {
            let own = verdicts.iter().filter(|program| program.object == path);
            OurObject::Judged(own.map(|program| (program.program.clone(), program.clone())).collect())
        }
    }
}

/// What a child wrote into the file.
fn text(mut file: File) -> Result<String, std::io::Error> {
    use std::io::Seek;
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
